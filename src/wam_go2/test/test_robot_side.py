"""The loop of the SDK process, against a robot that is an object: real socket, real threads, no DDS."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from wam_go2.protocol import Act, Channel, Done, Fault, Frame, Halt, Health, Move, RobotState
from wam_go2.robot_side import RobotSide, Settings
from wam_go2.watchdog import Phase, WatchdogConfig

DEADLINE = 10.0  # s
ZERO = (0.0, 0.0, 0.0)
STATE = RobotState(0.0, 0.0, 1, 0, [0.0] * 3, [1.0, 0.0, 0.0, 0.0], [0.0] * 3, 0.0, 0.3)


class FakeRobot:
    """Writes down what it is told. stop_code: what it answers to StopMove."""

    def __init__(self) -> None:
        self.calls: list[tuple[float, str | tuple[float, float, float]]] = []
        self.stop_code = 0
        self.heard: Callable[[RobotState], None] | None = None
        self.break_move = False

    def call(self, name: str) -> int:
        self.calls.append((time.monotonic(), name))
        return self.stop_code if name == "stop_move" else 0

    def move(self, vx: float, vy: float, yaw_rate: float) -> int:
        if self.break_move and vx:
            raise RuntimeError("the SDK broke")
        self.calls.append((time.monotonic(), (vx, vy, yaw_rate)))
        return 0

    def image(self) -> tuple[int, bytes]:
        return 0, b"jpeg"

    def listen(self, heard: Callable[[RobotState], None]) -> None:
        self.heard = heard

    def named(self, name: str) -> int:
        """How often a call was made."""
        return [call for _, call in self.calls].count(name)

    @property
    def last(self) -> str | tuple[float, float, float] | None:
        return self.calls[-1][1] if self.calls else None


class Session:
    """A running loop and the node's end of its socket."""

    def __init__(self, farewell: float = 1.0) -> None:
        near, far = socket.socketpair()
        self.robot = FakeRobot()
        self.node = Channel(near)
        self.channel = Channel(far)
        self.side = RobotSide(self.channel, self.robot, Settings(WatchdogConfig(), farewell=farewell))
        self.failure: BaseException | None = None
        self.messages: list[object] = []
        threading.Thread(target=self._collect, daemon=True).start()
        self.loop = threading.Thread(target=self._run, daemon=True)
        self.loop.start()

    def _run(self) -> None:
        try:
            self.side.run()
        except RuntimeError as error:
            self.failure = error

    def _collect(self) -> None:
        while (message := self.node.receive()) is not None:
            self.messages.append(message)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, f"it did not come to it; calls {self.robot.calls[-5:]}"
            time.sleep(0.002)

    @property
    def health(self) -> Health | None:
        return next((m for m in reversed(self.messages) if isinstance(m, Health)), None)

    def walk(self, vx: float = 0.5) -> None:
        """Wait for the first stop to be acknowledged, then command."""
        self.until(lambda: self.health and self.health.phase == Phase.IDLE.value)
        assert self.node.send(Move(self.health.generation, time.monotonic(), vx, 0.0, 0.0))
        self.until(lambda: self.robot.last == (vx, 0.0, 0.0))

    def close(self) -> None:
        self.side.end("the test is over")
        self.loop.join(DEADLINE)
        self.node.close()
        self.channel.close()


@pytest.fixture()
def session() -> Iterator[Session]:
    session = Session()
    yield session
    session.close()


def stopped(robot: FakeRobot) -> bool:
    return [call for _, call in robot.calls[-4:]] == [(0.0, 0.0, 0.0)] * 3 + ["stop_move"]


def test_its_first_words_to_the_robot_are_a_stop(session):
    session.until(lambda: session.health and session.health.phase == Phase.IDLE.value)
    assert [call for _, call in session.robot.calls] == [(0.0, 0.0, 0.0)] * 3 + ["stop_move"]


def test_silence_of_the_node_stops_the_robot(session):
    session.walk()
    session.until(lambda: stopped(session.robot))
    resent = [when for when, call in session.robot.calls if call == (0.5, 0.0, 0.0)]
    assert len(resent) > 5
    assert resent[-1] - resent[0] <= 0.31


def test_a_dead_node_stops_the_robot_without_waiting_for_the_silence(session):
    session.walk()
    began = time.monotonic()
    session.node.close()
    session.loop.join(DEADLINE)
    assert stopped(session.robot) and not session.loop.is_alive()
    first_zero = next(when for when, call in session.robot.calls if when > began and call == (0.0, 0.0, 0.0))
    assert first_zero - began < 0.25


def test_the_last_stop_is_repeated_until_it_is_acknowledged(session):
    session.walk()
    session.robot.stop_code = 3104
    session.side.end("asked")
    session.until(lambda: [call for _, call in session.robot.calls].count("stop_move") >= 4)
    assert session.loop.is_alive()
    session.robot.stop_code = 0
    session.loop.join(DEADLINE)
    assert not session.loop.is_alive()


def test_a_robot_that_never_acknowledges_does_not_keep_the_process_for_ever():
    session = Session(farewell=0.3)
    session.walk()
    session.robot.stop_code = 3104
    session.side.end("asked")
    session.loop.join(DEADLINE)
    assert not session.loop.is_alive()
    session.until(lambda: any(isinstance(message, Fault) for message in session.messages))
    session.close()


def test_a_robot_that_has_left_the_network_is_not_waited_for_long():
    session = Session(farewell=60.0)
    session.walk()
    session.robot.stop_code = 3102
    session.side.end("asked")
    session.loop.join(DEADLINE)
    assert not session.loop.is_alive()
    session.close()


def test_an_sdk_that_breaks_still_stops_the_robot(session):
    session.until(lambda: session.health and session.health.phase == Phase.IDLE.value)
    session.robot.break_move = True
    session.node.send(Move(session.health.generation, time.monotonic(), 0.5, 0.0, 0.0))
    session.loop.join(DEADLINE)
    assert isinstance(session.failure, RuntimeError)
    assert stopped(session.robot)


def test_noise_on_the_socket_stops_the_robot(session):
    session.walk()
    session.node._socket.sendall(b"\x00\x00\x00\x02\x00\x00\x00\x00{}")
    session.loop.join(DEADLINE)
    assert stopped(session.robot) and not session.loop.is_alive()
    session.until(lambda: any(isinstance(m, Fault) and "no message" in m.text for m in session.messages))


def test_halt_stops_at_once_and_commands_from_before_it_are_refused(session):
    session.walk()
    before = session.health.generation
    session.node.send(Halt())
    session.until(lambda: stopped(session.robot))
    session.until(lambda: session.health.phase == Phase.IDLE.value)
    session.node.send(Move(before, time.monotonic(), 0.9, 0.0, 0.0))
    session.until(lambda: session.health.refused == 1)
    assert (0.9, 0.0, 0.0) not in [call for _, call in session.robot.calls]


@pytest.mark.parametrize("action", ["stand_up", "balance_stand", "recovery_stand"])
def test_posture_calls_are_made_and_answered(session, action):
    session.until(lambda: session.health and session.health.phase == Phase.IDLE.value)
    session.node.send(Act(action))
    session.until(lambda: Done(action, 0) in session.messages)


@pytest.mark.parametrize("action", ["front_flip", "move", "stop_move", "hand_stand", ""])
def test_no_other_call_can_be_asked_for(session, action):
    session.walk()
    session.node.send(Act(action))
    session.node.send(Act("balance_stand"))
    session.until(lambda: Done("balance_stand", 0) in session.messages)
    assert not any(isinstance(m, Done) and m.action == action for m in session.messages)


def test_lying_down_waits_until_the_stop_is_acknowledged_and_nothing_moves_the_robot_after_it(session):
    session.walk()
    generation = session.health.generation
    session.node.send(Act("stand_down"))
    session.until(lambda: Done("stand_down", 0) in session.messages)
    session.node.send(Move(generation, time.monotonic(), 0.9, 0.0, 0.0))
    session.until(lambda: session.health.refused == 1)
    assert [call for _, call in session.robot.calls[-5:]] == [ZERO, ZERO, ZERO, "stop_move", "stand_down"]


def test_lying_down_is_not_asked_for_while_the_stop_is_not_acknowledged_and_then_once(session):
    session.walk()
    session.robot.stop_code = 3104
    for _ in range(5):
        session.node.send(Act("stand_down"))
    session.until(lambda: session.robot.named("stop_move") >= 4)
    assert session.robot.named("stand_down") == 0
    session.node.send(Act("stand_down"))
    session.node.send(Move(0, time.monotonic(), 0.9, 0.0, 0.0))
    session.until(lambda: session.health.refused == 1)  # so what was sent before it has arrived
    session.robot.stop_code = 0
    session.until(lambda: Done("stand_down", 0) in session.messages)
    assert session.robot.last == "stand_down"
    session.node.send(Act("balance_stand"))
    session.until(lambda: Done("balance_stand", 0) in session.messages)
    assert session.robot.named("stand_down") == 1


def test_lying_down_that_is_not_asked_for_any_more_is_forgotten(session):
    session.walk()
    session.robot.stop_code = 3104
    session.node.send(Act("stand_down"))
    asked = time.monotonic()
    session.until(lambda: time.monotonic() - asked > 1.5)
    session.robot.stop_code = 0
    session.until(lambda: session.health.phase == Phase.IDLE.value)
    session.node.send(Act("balance_stand"))
    session.until(lambda: Done("balance_stand", 0) in session.messages)
    assert session.robot.named("stand_down") == 0


def test_standing_up_takes_the_place_of_lying_down_that_still_waits(session):
    session.walk()
    session.robot.stop_code = 3104
    session.node.send(Act("stand_down"))
    session.node.send(Act("stand_up"))
    session.until(lambda: Done("stand_up", 0) in session.messages)
    session.robot.stop_code = 0
    session.until(lambda: session.health.phase == Phase.IDLE.value)
    assert session.robot.named("stand_down") == 0


def test_damping_waits_for_nothing(session):
    session.walk()
    session.robot.stop_code = 3104
    session.node.send(Act("damp"))
    session.until(lambda: Done("damp", 0) in session.messages)
    calls = [call for _, call in session.robot.calls]
    assert calls[: calls.index("damp")][-2:] == [(0.5, 0.0, 0.0), ZERO]


def test_images_come_at_the_camera_rate_with_their_times(session):
    session.until(lambda: sum(isinstance(m, Frame) for m in session.messages) >= 5)
    frames = [m for m in session.messages if isinstance(m, Frame)]
    assert all(frame.asked <= frame.arrival and frame.jpeg == b"jpeg" for frame in frames)
    assert (frames[4].asked - frames[0].asked) / 4 > 0.08


def test_states_are_thinned_to_what_anyone_needs(session):
    session.until(lambda: session.robot.heard is not None)
    for i in range(500):  # a robot that speaks at 500 Hz, for one second
        session.robot.heard(RobotState(**{**vars(STATE), "arrival": 100.0 + i / 500}))
    session.until(lambda: sum(isinstance(m, RobotState) for m in session.messages) >= 50)
    assert sum(isinstance(m, RobotState) for m in session.messages) <= 65


def test_a_state_that_is_not_finite_passes(session):
    session.until(lambda: session.robot.heard is not None)
    session.robot.heard(RobotState(**{**vars(STATE), "arrival": 100.0, "yaw_rate": math.nan}))
    session.until(lambda: any(isinstance(m, RobotState) and math.isnan(m.yaw_rate) for m in session.messages))
