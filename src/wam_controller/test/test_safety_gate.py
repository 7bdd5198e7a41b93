"""Every road of the gate to motion and away from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from wam_controller.car_limits import CarLimits
from wam_controller.limits import AccelerationLimits, HolonomicLimits, LimitHit, Limits
from wam_controller.safety_gate import GateConfig, GateOutput, GateState, Reason, SafetyGate

ZERO = np.zeros(3)
WALK = np.array([0.8, 0.0, 0.4])
TOO_FAST = np.array([2.0, 0.0, 0.0])
NAN = np.array([0.5, math.nan, 0.0])
TICK = 0.02


class Bench:
    """A gate on a bench: a clock, and a command and odometry stream that can each be cut or spoilt. ready: what the
    robot says of itself at first; None: nothing."""

    def __init__(self, ready: bool | None = True, **config: object) -> None:
        self.gate = SafetyGate(GateConfig(**config))
        self.now = 50.0
        if ready is not None:
            self.gate.on_ready(ready)

    def run(self, seconds: float, command: np.ndarray | None = WALK, odometry: np.ndarray | None = ZERO) -> GateOutput:
        """Ticks for `seconds`; None cuts a stream. Returns the last output."""
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            if command is not None:
                self.gate.on_command(self.now, command)
            if odometry is not None:
                self.gate.on_odometry(self.now, odometry)
            output = self.gate.step(self.now)
        return output

    def walking(self) -> Bench:
        self.run(0.1)
        assert self.gate.engage(self.now).ok
        output = self.run(1.0)
        np.testing.assert_allclose(output.twist, WALK)
        return self


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_it_starts_disengaged_and_passes_nothing(bench):
    output = bench.run(1.0)
    assert (output.state, output.reason) == (GateState.DISENGAGED, Reason.STARTED)
    np.testing.assert_array_equal(output.twist, ZERO)
    np.testing.assert_array_equal(output.requested, WALK)


def test_before_any_command_the_request_is_absent_not_zero(bench):
    assert np.isnan(bench.run(0.1, command=None).requested).all()


def test_engaged_it_ramps_up_to_the_command(bench):
    bench.run(0.1)
    assert bench.gate.engage(bench.now).ok
    output = bench.run(TICK)
    assert 0.0 < output.twist[0] <= 1.5 * TICK + 1e-9
    assert output.limits_hit is LimitHit.ACCELERATION
    output = bench.run(1.0)
    assert output.state is GateState.ACTIVE
    np.testing.assert_allclose(output.twist, WALK)


@pytest.mark.parametrize(
    ("command", "odometry", "word"),
    [(None, ZERO, "controller"), (NAN, ZERO, "controller"), (WALK, None, "bridge"), (WALK, NAN, "bridge")],
)
def test_it_does_not_engage_on_missing_or_broken_data(bench, command, odometry, word):
    bench.run(0.5, command, odometry)
    answer = bench.gate.engage(bench.now)
    assert not answer.ok
    assert word in answer.message
    assert bench.gate.state is GateState.DISENGAGED


def test_it_does_not_take_over_a_robot_that_moves(bench):
    bench.run(0.5, odometry=np.array([0.5, 0.0, 0.0]))
    answer = bench.gate.engage(bench.now)
    assert not answer.ok
    assert "stand still" in answer.message


def test_a_robot_that_is_not_ready_any_more_disengages_and_does_not_walk_off_when_it_is_again(bench):
    bench.walking().gate.on_ready(False)
    output = bench.run(TICK)
    assert (output.state, output.reason) == (GateState.DISENGAGED, Reason.ROBOT_NOT_READY)
    np.testing.assert_array_equal(bench.run(0.5).twist, ZERO)
    bench.gate.on_ready(True)
    np.testing.assert_array_equal(bench.run(2.0).twist, ZERO)
    assert bench.gate.engage(bench.now).ok
    np.testing.assert_allclose(bench.run(1.0).twist, WALK)


def test_a_no_that_is_followed_at_once_by_a_yes_disengages_too(bench):
    bench.walking().gate.on_ready(False)
    bench.gate.on_ready(True)
    assert bench.run(TICK).reason is Reason.ROBOT_NOT_READY


def test_a_robot_that_is_not_ready_ends_an_outage_that_could_have_passed(bench):
    bench.walking().run(0.5, command=None)
    assert bench.gate.state is GateState.STOPPING
    bench.gate.on_ready(False)
    assert bench.run(0.2).reason is Reason.ROBOT_NOT_READY


def test_a_robot_that_stays_ready_changes_nothing(bench):
    bench.walking().gate.on_ready(True)
    assert bench.run(TICK).state is GateState.ACTIVE


def test_a_robot_that_is_not_ready_releases_no_latch(bench):
    bench.walking().gate.estop()
    bench.gate.on_ready(False)
    assert bench.run(TICK).reason is Reason.ESTOP_REQUESTED


@pytest.mark.parametrize(("ready", "word"), [(False, "/diagnostics"), (None, "robot_ready")])
def test_it_does_not_engage_before_the_robot_says_that_it_can_walk_and_names_what_to_look_at(ready, word):
    bench = Bench(ready)
    bench.run(0.5)
    answer = bench.gate.engage(bench.now)
    assert not answer.ok and word in answer.message
    bench.gate.on_ready(True)
    assert bench.gate.engage(bench.now).ok


def test_a_robot_that_never_says_whether_it_is_ready_may_be_allowed_but_its_no_still_counts():
    bench = Bench(ready=None, require_ready=False).walking()
    bench.gate.on_ready(False)
    assert bench.run(0.5).reason is Reason.ROBOT_NOT_READY
    assert not bench.gate.engage(bench.now).ok


def test_engaging_twice_is_harmless(bench):
    assert bench.walking().gate.engage(bench.now).ok
    assert bench.gate.state is GateState.ACTIVE


def test_it_does_not_engage_while_stopping_or_latched(bench):
    bench.walking().run(0.4, command=None)
    assert not bench.gate.engage(bench.now).ok
    bench.gate.estop()
    bench.run(0.1)
    answer = bench.gate.engage(bench.now)
    assert not answer.ok
    assert "clear" in answer.message


@pytest.mark.parametrize(
    ("command", "odometry", "reason", "timeout"),
    [
        (None, ZERO, Reason.COMMAND_STALE, 0.25),
        (NAN, ZERO, Reason.COMMAND_STALE, 0.25),
        (WALK, None, Reason.ODOMETRY_STALE, 0.2),
        (WALK, NAN, Reason.ODOMETRY_STALE, 0.2),
    ],
)
def test_an_outage_ramps_to_zero_and_keeps_saying_zero(bench, command, odometry, reason, timeout):
    bench.walking().run(timeout - TICK, command, odometry)
    assert bench.gate.state is GateState.ACTIVE
    speeds = [bench.run(TICK, command, odometry).twist[0] for _ in range(35)]
    assert bench.run(TICK, command, odometry).reason is reason
    assert bench.gate.state is GateState.STOPPING
    assert min(np.diff(speeds)) >= -2.5 * TICK - 1e-9
    assert speeds[-1] == 0.0
    np.testing.assert_array_equal(bench.run(0.2, command, odometry).twist, ZERO)


def test_a_short_outage_resumes_with_a_ramp(bench):
    bench.walking().run(0.9, command=None)
    output = bench.run(TICK)
    assert output.state is GateState.ACTIVE
    assert output.twist[0] <= 1.5 * TICK + 1e-9
    np.testing.assert_allclose(bench.run(1.0).twist, WALK)


def test_a_long_outage_needs_a_human(bench):
    bench.walking().run(1.5, odometry=None)
    output = bench.run(2.0)
    assert (output.state, output.reason) == (GateState.DISENGAGED, Reason.OUTAGE_TOO_LONG)
    np.testing.assert_array_equal(output.twist, ZERO)


def test_a_message_that_was_old_when_it_came_does_not_count(bench):
    bench.walking()
    for _ in range(25):
        bench.now += TICK
        bench.gate.on_command(bench.now, WALK, age=0.3)
        bench.gate.on_odometry(bench.now, ZERO)
        output = bench.gate.step(bench.now)
    assert output.reason is Reason.COMMAND_STALE


def test_the_age_on_arrival_counts_against_the_timeout(bench):
    bench.walking()
    bench.gate.on_command(bench.now, WALK, age=0.2)
    bench.run(0.04, command=None)
    assert bench.gate.state is GateState.ACTIVE
    bench.run(0.04, command=None)
    assert bench.gate.state is GateState.STOPPING


def test_a_late_message_does_not_displace_a_fresh_one(bench):
    bench.walking()
    bench.gate.on_command(bench.now, ZERO, age=0.3)
    output = bench.run(TICK, command=None)
    np.testing.assert_array_equal(output.requested, WALK)
    assert output.state is GateState.ACTIVE
    assert bench.gate.commands_rejected == 1


@pytest.mark.parametrize("age", [-1.0, math.nan])
def test_a_stamp_from_the_future_or_none_is_not_believed(bench, age):
    bench.walking()
    for _ in range(25):
        bench.now += TICK
        bench.gate.on_command(bench.now, WALK)
        bench.gate.on_odometry(bench.now, ZERO, age=age)
        bench.gate.step(bench.now)
    assert bench.gate.state is GateState.STOPPING


def test_it_tells_the_age_of_its_data_and_what_it_rejected(bench):
    assert math.isnan(bench.gate.command_age(bench.now))
    assert math.isnan(bench.gate.odometry_age(bench.now))
    bench.gate.on_command(bench.now, WALK, age=0.1)
    bench.gate.on_odometry(bench.now, ZERO)
    bench.gate.on_command(bench.now, NAN)
    assert bench.gate.command_age(bench.now + 0.1) == pytest.approx(0.2)
    assert bench.gate.odometry_age(bench.now + 0.1) == pytest.approx(0.1)
    assert bench.gate.commands_rejected == 1


def test_disengaging_always_works_and_ramps_to_zero(bench):
    assert bench.walking().gate.disengage().ok
    first = bench.run(TICK)
    assert first.state is GateState.DISENGAGED
    assert 0.7 < first.twist[0] < 0.8
    np.testing.assert_array_equal(bench.run(0.5).twist, ZERO)


def test_disengaging_does_not_release_a_latch(bench):
    bench.walking().gate.estop()
    assert bench.gate.disengage().ok
    assert bench.gate.state is GateState.ESTOP


def test_an_estop_is_zero_in_the_same_tick_and_stays(bench):
    assert bench.walking().gate.estop().ok
    output = bench.gate.step(bench.now)
    assert output.state is GateState.ESTOP
    np.testing.assert_array_equal(output.twist, ZERO)
    np.testing.assert_array_equal(bench.run(5.0).twist, ZERO)


def test_clearing_an_estop_does_not_move_the_robot(bench):
    bench.walking().gate.estop()
    assert bench.gate.clear().ok
    output = bench.run(1.0)
    assert (output.state, output.reason) == (GateState.DISENGAGED, Reason.CLEARED)
    np.testing.assert_array_equal(output.twist, ZERO)
    assert bench.gate.engage(bench.now).ok


def test_clearing_without_a_latch_changes_nothing(bench):
    assert bench.walking().gate.clear().ok
    assert bench.gate.state is GateState.ACTIVE


def test_a_command_above_the_limits_is_scaled_and_latches_when_it_persists(bench):
    bench.walking()
    output = bench.run(0.5, command=TOO_FAST)
    assert output.state is GateState.ACTIVE
    assert output.twist[0] <= 1.2
    assert LimitHit.VX in output.limits_hit
    output = bench.run(0.1, command=TOO_FAST)
    assert (output.state, output.reason) == (GateState.ESTOP, Reason.COMMAND_OVER_LIMIT)
    np.testing.assert_array_equal(output.twist, ZERO)


def test_limits_broken_now_and_then_do_not_latch(bench):
    bench.walking()
    for _ in range(5):
        bench.run(0.4, command=TOO_FAST)
        bench.run(TICK)
    assert bench.gate.state is GateState.ACTIVE


def test_a_robot_faster_than_it_was_told_latches(bench):
    output = bench.walking().run(0.6, odometry=np.array([1.9, 0.0, 0.0]))
    assert (output.state, output.reason) == (GateState.ESTOP, Reason.ROBOT_OVER_LIMIT)


def test_a_restarted_or_second_publisher_disengages(bench):
    bench.gate.on_publishers(frozenset({"planner-1", "controller-1"}))
    bench.walking()
    bench.gate.on_publishers(frozenset({"planner-1", "controller-1"}))
    bench.gate.on_publishers(frozenset({"controller-1"}))
    assert bench.gate.state is GateState.ACTIVE
    bench.gate.on_publishers(frozenset({"planner-2", "controller-1"}))
    assert bench.run(TICK).reason is Reason.UPSTREAM_CHANGED
    np.testing.assert_array_equal(bench.run(0.5).twist, ZERO)
    assert bench.gate.engage(bench.now).ok


def test_publishers_that_come_before_engaging_are_trusted(bench):
    bench.gate.on_publishers(frozenset({"planner-1"}))
    bench.gate.on_publishers(frozenset({"planner-1", "controller-1"}))
    bench.walking()
    bench.gate.on_publishers(frozenset({"planner-1", "controller-1"}))
    assert bench.gate.state is GateState.ACTIVE


def test_a_stalled_process_does_not_jump_to_the_command(bench):
    bench.run(0.1)
    bench.gate.engage(bench.now)
    bench.run(TICK)
    bench.now += 3.0
    assert bench.run(TICK).twist[0] <= 1.5 * (TICK + 0.1) + 1e-9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("command_timeout", 0.0),
        ("odometry_timeout", math.inf),
        ("over_limit_time", math.nan),
        ("resume_window", -1.0),
        ("engage_speed", 0.0),
        ("future_tolerance", -0.1),
        ("robot_margin", math.inf),
        ("command_margin", math.nan),
    ],
)
def test_a_setting_that_would_disarm_the_gate_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        GateConfig(**{name: value})


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: what leaves the gate is finite, within limits, changes no faster than the
    brakes, and is not zero only while a human's engagement of a robot that is ready holds."""

    limits: Limits = GateConfig().limits
    steady = WALK

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(ready=None, limits=self.limits)
        self.engaged = self.ready = False
        self.output = self.previous = self.bench.gate.step(self.bench.now)

    values = st.one_of(st.floats(-5.0, 5.0), st.just(math.nan), st.just(math.inf))
    streams = st.one_of(st.none(), st.tuples(values, values, values).map(np.array), st.just(WALK), st.just(ZERO))

    @rule(command=streams, odometry=streams, ticks=st.integers(1, 40))
    def time_passes(self, command, odometry, ticks):
        for _ in range(ticks):
            self.previous = self.output
            self.output = self.bench.run(TICK, command, odometry)
            self.check()

    @rule()
    def steady_walk(self):
        self.time_passes(self.steady, ZERO, 60)

    @rule(ready=st.booleans())
    def robot_speaks(self, ready):
        self.bench.gate.on_ready(ready)
        self.ready = ready
        self.engaged &= ready

    @rule()
    def engage(self):
        self.engaged |= self.bench.gate.engage(self.bench.now).ok

    @rule()
    def engage_a_robot_that_is_ready(self):
        self.robot_speaks(True)
        self.engage()

    @rule()
    def set_off(self):
        self.clear()
        self.robot_speaks(True)
        self.steady_walk()
        self.engage()
        self.steady_walk()

    @rule()
    def disengage(self):
        self.bench.gate.disengage()
        self.engaged = False

    @rule()
    def estop(self):
        self.bench.gate.estop()
        self.engaged = False
        self.output = self.bench.gate.step(self.bench.now)
        assert not self.output.twist.any()

    @rule()
    def clear(self):
        self.bench.gate.clear()

    @rule(publishers=st.frozensets(st.sampled_from("abc")))
    def graph_changes(self, publishers):
        self.bench.gate.on_publishers(publishers)

    def check(self) -> None:
        twist, state = self.output.twist, self.output.state
        assert np.isfinite(twist).all()
        assert self.limits.excess(twist) <= 1e-9
        if state is GateState.ESTOP:
            assert not twist.any()
        else:
            assert (np.abs(twist - self.previous.twist) <= np.array([2.5, 2.5, 6.0]) * TICK + 1e-9).all()
        if state is not GateState.ACTIVE:
            assert np.linalg.norm(twist) <= np.linalg.norm(self.previous.twist) + 1e-9

    @invariant()
    def only_a_human_makes_it_active_and_only_a_robot_that_is_ready(self):
        assert self.bench.gate.state is not GateState.ACTIVE or (self.engaged and self.ready)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


class CarInAnyOrder(AnyOrder):
    """The same of a car: while the gate stops it, it brakes in each tick as hard as it may, along its path, whatever
    jerk limit it has otherwise."""

    limits = CarLimits(jerk=2.0, emergency_braking=6.0)
    steady = np.array([7.0, 0.0, 0.3])

    @rule(speed=st.floats(0.0, 8.0), share=st.floats(-1.0, 1.0), ticks=st.integers(1, 100))
    def drive(self, speed, share, ticks):
        self.time_passes(self.limits.within(np.array([speed, 0.0, 0.2 * share * speed]))[0], ZERO, ticks)

    def check(self) -> None:
        (speed, sideways, turn), state = self.output.twist, self.output.state
        before, curvature = float(self.previous.twist[0]), self.output.curvature
        assert math.isfinite(curvature) and sideways == 0.0 and turn == speed * curvature
        assert self.limits.excess(self.output.twist) <= 1e-6
        if state is GateState.ACTIVE:
            assert -3.0 * TICK - 1e-9 <= speed - before <= 1.5 * TICK + 1e-9
            turned = math.atan(2.88 * curvature) - math.atan(2.88 * self.previous.curvature)
            assert abs(turned) <= 0.8 * TICK + 1e-9
        else:
            wanted = 0.0 if state is GateState.ESTOP else max(before - 6.0 * TICK, 0.0)
            assert speed == pytest.approx(wanted, abs=1e-9)
            assert curvature == self.previous.curvature


TestCarInAnyOrder = CarInAnyOrder.TestCase
TestCarInAnyOrder.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)


def test_an_estop_of_a_car_is_zero_in_the_same_tick_however_it_was_driven_and_turns_no_wheel():
    bench = Bench(limits=CarLimits(jerk=2.0, emergency_braking=6.0))
    bench.run(0.1)
    assert bench.gate.engage(bench.now).ok
    before = bench.run(2.0, np.array([6.0, 0.0, 0.3]))
    assert before.twist[0] > 1.0 and before.curvature > 0.0
    bench.gate.estop()
    output = bench.gate.step(bench.now)
    assert not output.twist.any()
    assert output.curvature == before.curvature
    assert not bench.run(2.0, np.array([6.0, 0.0, 0.3])).twist.any()


@pytest.mark.parametrize(
    ("odometry", "latches"),
    [([-0.6, 0.0, 0.0], True), ([9.0, 0.0, 0.0], True), ([6.0, 0.0, 1.2], True), ([4.0, 1.1, 0.76], False)],
    ids=["rolls back", "too fast", "slides round", "turns, and its middle moves sideways"],
)
def test_a_car_that_moves_otherwise_than_it_may_latches(odometry, latches):
    bench = Bench(limits=CarLimits(emergency_braking=6.0))
    drive = np.array([4.0, 0.0, 0.3])
    bench.run(0.1, drive)
    assert bench.gate.engage(bench.now).ok
    output = bench.run(0.6, drive, np.array(odometry))
    assert (output.reason is Reason.ROBOT_OVER_LIMIT) == latches


def test_the_deceleration_limit_is_the_ramp():
    bench = Bench(limits=HolonomicLimits(deceleration=AccelerationLimits(1.0, 2.0))).walking()
    bench.gate.disengage()
    assert bench.run(0.4).twist[0] == pytest.approx(0.4, abs=TICK)
