"""When the robot may be asked to walk."""

from __future__ import annotations

import pytest

from wam_go2.readiness import BridgeState, Mode, Readiness, ReadinessConfig, Verdict

CONFIG = ReadinessConfig(settle_time=5.0)


class Session:
    """A robot that sends state at 50 Hz and images at 10 Hz while `seconds` pass."""

    def __init__(self, config: ReadinessConfig = CONFIG) -> None:
        self.readiness = Readiness(config)
        self.now = 100.0
        self.calls: list[tuple[float, str]] = []
        self.answers = True
        self.code = 0

    def run(self, seconds: float, mode: int = Mode.IDLE, speed: float = 0.0, state=True, images=True) -> Verdict:
        for i in range(round(seconds / 0.02)):
            self.now += 0.02
            if state:
                self.readiness.on_state(self.now, mode, speed)
            if images and i % 5 == 0:
                self.readiness.on_image(self.now)
            verdict = self.readiness.step(self.now)
            if verdict.action is not None:
                self.calls.append((self.now, verdict.action))
                if self.answers:
                    self.readiness.on_answer(self.now, verdict.action, self.code)
        return verdict

    def check_standing_up(self, mode: int) -> None:
        """The whole sequence, while the robot reports `mode`: StandUp, the wait, BalanceStand, READY."""
        assert self.readiness.stand_up(self.now)[0]
        start = self.now
        assert self.run(CONFIG.settle_time - 0.1, mode=mode).state is BridgeState.STANDING
        assert self.run(0.5, mode=mode).state is BridgeState.READY
        assert [call for _, call in self.calls] == ["stand_up", "balance_stand"]
        assert self.calls[1][0] - start >= CONFIG.settle_time


def test_nothing_heard_is_connecting_and_forbids_moving():
    verdict = Session().run(3.0, state=False, images=False)
    assert verdict.state is BridgeState.CONNECTING and not verdict.may_move


@pytest.mark.parametrize("mode", [Mode.BALANCE_STAND, Mode.LOCOMOTION])
def test_a_robot_that_already_stands_balanced_is_ready(mode):
    assert Session().run(1.0, mode=mode).state is BridgeState.READY


@pytest.mark.parametrize("mode", [Mode.IDLE, Mode.JOINT_LOCK, Mode.LIE_DOWN, Mode.DAMPING])
def test_any_other_posture_waits_for_a_human_and_sends_nothing(mode):
    session = Session()
    verdict = session.run(20.0, mode=mode)
    assert verdict.state is BridgeState.STANDING and "stand_up" in verdict.reason and session.calls == []


def test_stand_up_waits_out_the_dead_window_then_balances_then_is_ready():
    session = Session()
    session.run(0.2, mode=Mode.LIE_DOWN)
    session.check_standing_up(Mode.JOINT_LOCK)


def test_firmware_that_never_changes_its_mode_is_no_obstacle():
    session = Session()
    session.run(0.2, mode=Mode.IDLE)
    session.readiness.stand_up(session.now)
    assert session.run(6.0, mode=Mode.IDLE).state is BridgeState.READY


def test_a_call_without_an_answer_is_repeated():
    session = Session()
    session.answers = False
    session.run(0.2, mode=Mode.LIE_DOWN)
    session.readiness.stand_up(session.now)
    verdict = session.run(2.0, mode=Mode.LIE_DOWN)
    assert [call for _, call in session.calls] == ["stand_up"] * 4
    assert verdict.state is BridgeState.STANDING and "no answer" in verdict.reason


@pytest.mark.parametrize("code", [None, 3104, 3203])
@pytest.mark.parametrize(
    ("ask", "call", "name"),
    [
        ("stand_up", "stand_up", "StandUp"),
        ("stand_up", "balance_stand", "BalanceStand"),
        ("stand_down", "stand_down", "StandDown"),
    ],
)
def test_a_call_that_never_gets_a_yes_is_given_up_with_its_name_until_somebody_asks_again(ask, call, name, code):
    session = Session()
    session.run(0.2, mode=Mode.BALANCE_STAND if ask == "stand_down" else Mode.LIE_DOWN)
    getattr(session.readiness, ask)(session.now)
    if call == "balance_stand":
        session.run(CONFIG.settle_time - 0.1, mode=Mode.JOINT_LOCK)
    session.answers, session.code, session.calls = code is not None, code, []
    verdict = session.run(CONFIG.answer_limit + 1.0, mode=Mode.JOINT_LOCK)
    assert {called for _, called in session.calls} == {call}
    assert session.calls[-1][0] - session.calls[0][0] <= CONFIG.answer_limit
    assert verdict.state is BridgeState.STANDING and f"did not answer {name}" in verdict.reason
    session.calls = []
    session.run(1.0, state=False)
    verdict = session.run(5.0, mode=Mode.BALANCE_STAND)
    assert session.calls == [] and not verdict.may_move and name in verdict.reason
    session.answers, session.code = True, 0
    session.readiness.stand_up(session.now)
    assert session.run(CONFIG.settle_time + 0.5, mode=Mode.JOINT_LOCK).state is BridgeState.READY


def test_an_answer_that_comes_after_the_call_was_given_up_changes_nothing():
    session = Session()
    session.answers = False
    session.run(0.2, mode=Mode.LIE_DOWN)
    session.readiness.stand_up(session.now)
    session.run(CONFIG.answer_limit + 1.0, mode=Mode.LIE_DOWN)
    session.readiness.on_answer(session.now, "stand_up", 0)
    assert session.run(CONFIG.settle_time + 1.0, mode=Mode.JOINT_LOCK).state is BridgeState.STANDING
    assert session.calls[-1][1] == "stand_up"


def test_an_answer_that_is_no_yes_does_not_advance():
    session = Session()
    session.answers = False
    session.run(0.2, mode=Mode.LIE_DOWN)
    session.readiness.stand_up(session.now)
    session.run(0.1)
    session.readiness.on_answer(session.now, "stand_up", 3104)
    session.readiness.on_answer(session.now, "balance_stand", 0)
    assert session.run(8.0).state is BridgeState.STANDING


def test_silence_of_the_state_topic_is_lost_and_forbids_moving():
    session = Session()
    session.run(1.0, mode=Mode.BALANCE_STAND)
    verdict = session.run(0.4, state=False)
    assert verdict.state is BridgeState.LOST and not verdict.may_move


def test_after_an_outage_the_posture_is_asked_for_again():
    session = Session()
    session.run(0.2, mode=Mode.LIE_DOWN)
    session.readiness.stand_up(session.now)
    assert session.run(6.0, mode=Mode.IDLE).may_move
    session.run(1.0, state=False)
    assert session.run(1.0, mode=Mode.IDLE).state is BridgeState.STANDING  # it may have been restarted
    assert session.run(1.0, mode=Mode.BALANCE_STAND).state is BridgeState.READY


def test_a_robot_put_down_by_its_remote_control_is_not_ready():
    session = Session()
    session.run(1.0, mode=Mode.BALANCE_STAND)
    assert session.run(0.1, mode=Mode.DAMPING).state is BridgeState.STANDING


@pytest.mark.parametrize("limp", [Mode.DAMPING, Mode.LIE_DOWN])
@pytest.mark.parametrize("moment", ["rising", "settling", "balancing"])
def test_a_robot_let_down_while_it_gets_up_is_not_got_up_any_further(moment, limp):
    session = Session()
    session.run(0.2, mode=Mode.JOINT_LOCK)
    session.readiness.stand_up(session.now)
    session.answers = moment != "rising"
    session.run(CONFIG.settle_time - 0.1, mode=Mode.JOINT_LOCK)
    if moment == "balancing":
        session.answers = False
        session.run(0.3, mode=Mode.JOINT_LOCK)
    session.calls = []
    verdict = session.run(0.1, mode=limp)
    assert verdict.state is BridgeState.STANDING and "call go2_bridge/stand_up" in verdict.reason
    session.readiness.on_answer(session.now, "balance_stand" if moment == "balancing" else "stand_up", 0)
    session.answers = True
    for mode in (limp, Mode.JOINT_LOCK):
        verdict = session.run(2 * CONFIG.settle_time, mode=mode)
        assert verdict.state is BridgeState.STANDING and session.calls == []


@pytest.mark.parametrize("limp", [Mode.DAMPING, Mode.LIE_DOWN])
def test_a_robot_that_gets_up_from_a_limp_mode_and_still_reports_it_gets_up(limp):
    session = Session()
    session.run(0.2, mode=limp)
    session.readiness.stand_up(session.now)
    session.run(1.0, mode=limp)
    assert session.run(CONFIG.settle_time, mode=Mode.JOINT_LOCK).state is BridgeState.READY


def test_no_camera_is_degraded_and_says_so():
    session = Session()
    verdict = session.run(2.0, mode=Mode.BALANCE_STAND, images=False)
    assert verdict.state is BridgeState.DEGRADED and "no image" in verdict.reason
    session.run(1.0, mode=Mode.BALANCE_STAND)
    verdict = session.run(2.0, mode=Mode.BALANCE_STAND, images=False)
    assert verdict.state is BridgeState.DEGRADED and "no image" in verdict.reason


def disobedient() -> Session:
    session = Session()
    session.run(1.0, mode=Mode.BALANCE_STAND)
    session.readiness.on_command(0.5)
    assert session.run(1.5, mode=Mode.BALANCE_STAND).state is BridgeState.READY
    verdict = session.run(1.0, mode=Mode.BALANCE_STAND)
    assert not verdict.may_move and "ignores Move" in verdict.reason and "go2_bridge/stand_up" in verdict.reason
    return session


def test_a_robot_that_ignores_move_may_not_be_moved_whatever_it_says_or_does_then():
    session = disobedient()
    session.readiness.on_command(0.0)
    assert not session.run(1.0, mode=Mode.BALANCE_STAND).may_move
    assert not session.run(1.0, mode=Mode.LOCOMOTION, speed=0.4).may_move
    session.run(1.0, state=False)
    assert "ignores Move" in session.run(1.0, mode=Mode.BALANCE_STAND).reason


def test_a_robot_that_ignored_move_is_ready_again_after_the_whole_sequence_of_standing_up():
    disobedient().check_standing_up(Mode.BALANCE_STAND)


def test_a_robot_that_follows_late_is_not_blamed():
    session = Session()
    session.run(1.0, mode=Mode.BALANCE_STAND)
    session.readiness.on_command(0.5)
    session.run(1.5, mode=Mode.BALANCE_STAND)
    session.run(0.1, mode=Mode.LOCOMOTION, speed=0.4)
    assert session.run(1.5, mode=Mode.LOCOMOTION).state is BridgeState.READY


def test_a_complaint_degrades_until_it_is_withdrawn():
    session = Session()
    session.run(1.0, mode=Mode.BALANCE_STAND)
    session.readiness.complain("the robot's state is not finite")
    assert session.run(0.1, mode=Mode.BALANCE_STAND) == Verdict(BridgeState.DEGRADED, "the robot's state is not finite")
    session.readiness.complain("")
    assert session.run(0.1, mode=Mode.BALANCE_STAND).state is BridgeState.READY


def test_stand_down_takes_the_readiness_away_at_once():
    session = Session()
    session.run(1.0, mode=Mode.BALANCE_STAND)
    assert session.readiness.stand_down(session.now)[0]
    assert not session.readiness.step(session.now).may_move
    assert session.run(1.0, mode=Mode.LIE_DOWN).state is BridgeState.STANDING


def test_posture_calls_are_refused_without_a_robot():
    readiness = Readiness(CONFIG)
    assert readiness.stand_up(0.0) == (False, "the robot is not connected")
    assert readiness.stand_down(0.0) == (False, "the robot is not connected")


def test_a_timeout_of_zero_is_refused():
    with pytest.raises(ValueError, match="state_timeout"):
        ReadinessConfig(state_timeout=0.0)
