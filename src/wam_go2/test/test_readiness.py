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
                    self.readiness.on_answer(self.now, verdict.action, 0)
        return verdict


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
    begun, _ = session.readiness.stand_up(session.now)
    start = session.now
    assert begun
    assert session.run(CONFIG.settle_time - 0.1, mode=Mode.JOINT_LOCK).state is BridgeState.STANDING
    assert session.run(0.5, mode=Mode.JOINT_LOCK).state is BridgeState.READY
    assert [call for _, call in session.calls] == ["stand_up", "balance_stand"]
    assert session.calls[1][0] - start >= CONFIG.settle_time


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


def test_no_camera_is_degraded_and_says_so():
    session = Session()
    verdict = session.run(2.0, mode=Mode.BALANCE_STAND, images=False)
    assert verdict.state is BridgeState.DEGRADED and "no image" in verdict.reason
    session.run(1.0, mode=Mode.BALANCE_STAND)
    verdict = session.run(2.0, mode=Mode.BALANCE_STAND, images=False)
    assert verdict.state is BridgeState.DEGRADED and "no image" in verdict.reason


def test_a_robot_that_ignores_move_is_degraded_until_it_follows():
    session = Session()
    session.run(1.0, mode=Mode.BALANCE_STAND)
    session.readiness.on_command(0.5)
    assert session.run(1.5, mode=Mode.BALANCE_STAND).state is BridgeState.READY
    verdict = session.run(1.0, mode=Mode.BALANCE_STAND)
    assert verdict.state is BridgeState.DEGRADED and "ignores Move" in verdict.reason
    assert session.run(0.1, mode=Mode.LOCOMOTION, speed=0.4).state is BridgeState.READY


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
