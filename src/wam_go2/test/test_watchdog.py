"""The command watchdog, with time under the test's control."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_go2.watchdog import CommandWatchdog, Phase, Refusal, SendMove, SendStop, WatchdogConfig

ZERO = SendMove(0.0, 0.0, 0.0)
TICK = 0.005


def ready(now: float = 0.0) -> CommandWatchdog:
    """A watchdog whose first stop was acknowledged."""
    watchdog = CommandWatchdog(WatchdogConfig(), now - 1.0)
    run(watchdog, now - 1.0, now, answer=True)
    assert watchdog.phase is Phase.IDLE
    return watchdog


def run(watchdog: CommandWatchdog, start: float, end: float, answer: bool | None = None) -> list[tuple[float, object]]:
    """Step from start to end; answer: what the robot says to a StopMove, None for nothing."""
    sent = []
    steps = round((end - start) / TICK)
    for i in range(steps + 1):
        now = start + i * TICK
        action = watchdog.step(now)
        if action is not None:
            sent.append((now, action))
        if isinstance(action, SendStop) and answer is not None:
            watchdog.on_stop_answer(now, action.generation, answer)
    return sent


def test_it_begins_with_a_stop_because_nobody_knows_what_the_robot_is_doing():
    watchdog = CommandWatchdog(WatchdogConfig(), 0.0)
    sent = [action for _, action in run(watchdog, 0.0, 0.5, answer=True)]
    assert sent == [ZERO, ZERO, ZERO, SendStop(1)]
    assert watchdog.on_command(0.5, 1, 0.5, 0.4, 0.0, 0.0) is None


def test_a_command_goes_out_at_once_and_is_repeated_at_the_resend_rate():
    watchdog = ready()
    assert watchdog.on_command(0.0, 1, 0.0, 0.4, 0.1, 0.2) is None
    sent = run(watchdog, 0.0, 0.2)
    assert all(action == SendMove(0.4, 0.1, 0.2) for _, action in sent)
    assert sent[0][0] == 0.0
    assert max(b - a for (a, _), (b, _) in zip(sent, sent[1:])) <= 1 / 20


def test_silence_gives_three_zeros_then_stop_until_it_is_acknowledged():
    watchdog = ready()
    watchdog.on_command(0.0, 1, 0.0, 0.8, 0.0, 0.0)
    sent = run(watchdog, 0.0, 1.0, answer=False)
    first = next(i for i, (_, action) in enumerate(sent) if action == ZERO)
    assert sent[first][0] == pytest.approx(0.3, abs=2 * TICK)
    after = [action for _, action in sent[first:]]
    assert after[:3] == [ZERO] * 3 and set(after[3:]) == {SendStop(2)} and len(after) > 6
    assert run(watchdog, 1.0, 1.3, answer=True)[-1][1] == SendStop(2)
    assert watchdog.phase is Phase.IDLE and run(watchdog, 1.3, 3.0) == []


def test_the_silence_counts_from_the_sending_not_the_arrival():
    watchdog = ready()
    assert watchdog.on_command(0.25, 1, 0.0, 0.8, 0.0, 0.0) is None
    sent = run(watchdog, 0.25, 0.4)
    assert next(now for now, action in sent if action == ZERO) == pytest.approx(0.3, abs=2 * TICK)


def test_zero_is_a_command():
    watchdog = ready()
    watchdog.on_command(0.0, 1, 0.0, 0.8, 0.0, 0.0)
    watchdog.step(0.0)
    watchdog.on_command(0.01, 1, 0.01, 0.0, 0.0, 0.0)
    sent = run(watchdog, 0.01, 0.2)
    assert len(sent) > 3 and all(action == ZERO for _, action in sent) and watchdog.phase is Phase.MOVING


def test_after_a_long_rest_it_stops_for_good_and_leaves_the_robot_to_its_remote_control():
    watchdog = ready()
    watchdog.on_command(0.0, 1, 0.0, 0.8, 0.0, 0.0)
    sent = []
    for i in range(500):  # 10 s of zeros at 50 Hz
        now = 0.02 * (i + 1)
        watchdog.on_command(now, watchdog.generation, now, 0.0, 0.0, 0.0)
        sent += run(watchdog, now, now, answer=True)
    stops = [now for now, action in sent if isinstance(action, SendStop)]
    assert len(stops) == 1 and 1.9 < stops[0] < 2.3
    assert sent[-1][0] == stops[0] and watchdog.phase is Phase.IDLE
    assert watchdog.on_command(10.1, watchdog.generation, 10.1, 0.3, 0.0, 0.0) is None
    assert watchdog.step(10.1) == SendMove(0.3, 0.0, 0.0)


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        ((1, 0.0, math.nan, 0.0, 0.0), Refusal.NOT_FINITE),
        ((1, 0.0, 0.0, math.inf, 0.0), Refusal.NOT_FINITE),
        ((1, math.nan, 0.0, 0.0, 0.0), Refusal.NOT_FINITE),
        ((0, 0.0, 0.5, 0.0, 0.0), Refusal.BEFORE_STOP),
        ((2, 0.0, 0.5, 0.0, 0.0), Refusal.BEFORE_STOP),
        ((1, -0.31, 0.5, 0.0, 0.0), Refusal.OLD),
        ((1, 0.1, 0.5, 0.0, 0.0), Refusal.OLD),
    ],
)
def test_a_bad_command_is_refused_and_a_good_one_after_it_is_taken(command, refusal):
    watchdog = ready()
    assert watchdog.on_command(0.0, *command) is refusal
    assert watchdog.step(0.0) is None
    assert watchdog.on_command(0.0, 1, 0.0, 0.5, 0.0, 0.0) is None


def test_commands_that_overtake_each_other_leave_the_newest():
    watchdog = ready()
    assert watchdog.on_command(0.10, 1, 0.09, 0.1, 0.0, 0.0) is None
    assert watchdog.on_command(0.11, 1, 0.08, 0.9, 0.0, 0.0) is Refusal.OLD
    assert watchdog.step(0.11) == SendMove(0.1, 0.0, 0.0)


def test_a_command_during_a_stop_is_refused_even_with_the_new_generation():
    watchdog = ready()
    watchdog.stop(0.0)
    assert watchdog.on_command(0.0, 2, 0.0, 0.5, 0.0, 0.0) is Refusal.STOPPING


def test_an_answer_to_an_earlier_stop_does_not_end_this_one():
    watchdog = ready()
    watchdog.stop(0.0)
    run(watchdog, 0.0, 0.2, answer=None)
    watchdog.on_stop_answer(0.2, 1, True)
    assert watchdog.phase is Phase.STOPPING


def test_a_second_stop_neither_restarts_nor_renumbers_the_first():
    watchdog = ready()
    watchdog.stop(0.0)
    run(watchdog, 0.0, 0.2)
    watchdog.stop(0.2)
    assert watchdog.phase is Phase.STOPPING and watchdog.generation == 2


def test_wait_never_sleeps_through_the_silence():
    watchdog = ready()
    watchdog.on_command(0.0, 1, 0.0, 0.5, 0.0, 0.0)
    now, noticed = 0.0, math.nan
    while watchdog.phase is Phase.MOVING:
        watchdog.step(now)
        noticed, now = now, now + max(watchdog.wait(now), 1e-4)
    assert noticed == pytest.approx(0.3, abs=2e-3)
    assert ready().wait(5.0) == math.inf


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["command", "step", "stop", "yes", "no"]),
            st.floats(0.0, 0.2),  # s until it happens
            st.floats(-0.4, 0.01),  # s between now and the command's sending
            st.integers(0, 4),  # how many generations ago the sender last listened
        ),
        max_size=60,
    )
)
def test_no_order_of_events_lets_an_old_move_overtake_a_stop(events):
    watchdog = CommandWatchdog(WatchdogConfig(), 0.0)
    now, stopped, newest = 0.0, True, -math.inf
    for kind, delay, offset, behind in events:
        now += delay
        if kind == "command":
            generation = watchdog.generation - behind
            if watchdog.on_command(now, generation, now + offset, 0.5, 0.0, 0.0) is None:
                assert not stopped and behind == 0
                newest = now + offset
        elif kind == "stop":
            watchdog.stop(now)
            stopped = True
        elif kind in ("yes", "no"):
            watchdog.on_stop_answer(now, watchdog.generation - behind, kind == "yes")
        else:
            action = watchdog.step(now)
            if isinstance(action, SendMove) and action != ZERO:
                assert not stopped and now - newest < 0.3
        if watchdog.phase in (Phase.ZEROING, Phase.STOPPING):
            stopped = True
        elif watchdog.phase is Phase.IDLE:
            stopped = False


@pytest.mark.parametrize(
    "values",
    [
        {"command_timeout": 0.0},
        {"command_timeout": math.inf},
        {"command_timeout": math.nan},
        {"resend_rate": 10.0},
        {"resend_rate": 500.0},
        {"stop_retry": 0.0},
        {"rest_time": 0.0},
    ],
)
def test_a_setting_that_breaks_the_promise_is_refused(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        WatchdogConfig(**values)
