"""The loop that keeps a robot's motion in one hand: commands from the node, the watchdog, and the calls to the robot.

One thread, the one that calls `run`, makes every call that can move the robot, so nothing overtakes anything. Only the
standard library is used; the robot is passed in, which is how the tests drive it without one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from wam_go2.protocol import Act, Channel, Done, Fault, Frame, Halt, Health, Move, ProtocolError, RobotState
from wam_go2.watchdog import CommandWatchdog, Phase, SendMove, SendStop, WatchdogConfig

# What the node may ask for by name. Move and StopMove are the watchdog's alone.
POSTURES = frozenset({"stand_up", "balance_stand", "stand_down", "recovery_stand", "damp"})
NOT_TRIED = -1  # the code of a call that was not made yet
NOT_SENT = 3102  # the SDK's code when no robot is on the network; one behind a dead link gives 3104


class Robot(Protocol):
    """What the loop needs of a robot. Codes are the SDK's: 0 is yes, 3102 not sent, 3104 no answer in time."""

    def call(self, name: str) -> int:
        """StopMove or a posture call; blocks for the answer."""

    def move(self, vx: float, vy: float, yaw_rate: float) -> int:
        """Move, without an answer."""

    def image(self) -> tuple[int, bytes]:
        """One JPEG; blocks for it."""

    def listen(self, heard: Callable[[RobotState], None]) -> None:
        """Call `heard` for every state from now on, from another thread."""


@dataclass(frozen=True)
class Settings:
    """camera_rate: Hz that images are asked for; state_rate: Hz at most that states are passed on, the robot sends up
    to 500; farewell: s that the last stop may take when the process ends; absence: s without a robot on the network
    after which there is nobody to stop."""

    watchdog: WatchdogConfig
    camera_rate: float = 10.0
    state_rate: float = 60.0
    farewell: float = 5.0
    absence: float = 1.5


class RobotSide:
    """Runs until the node is gone, something breaks, or `end` is called; then it stops the robot and returns."""

    _LONGEST_WAIT = 0.05  # s; how late `end` from a signal handler may be noticed
    _ACT_LIFETIME = 1.0  # s; the node repeats every half of a second what it still wants
    _HEALTH_PERIOD = 0.2  # s

    def __init__(self, channel: Channel, robot: Robot, settings: Settings) -> None:
        self._channel = channel
        self._robot = robot
        self._settings = settings
        self._watchdog = CommandWatchdog(settings.watchdog, time.monotonic())
        self._changed = threading.Condition()
        self._news = False
        self._acts: dict[str, float] = {}  # posture calls to make, oldest first, and when each was last asked for
        self._ending: str | None = None
        self._stop_code = self._camera_code = NOT_TRIED
        self._moves = self._refused = 0
        self._told: tuple[Phase, float] = (Phase.IDLE, 0.0)
        self._passed_on = 0.0

    def end(self, reason: str) -> None:
        """Stop the robot and return from `run`. Safe to call from a signal handler or another thread."""
        self._ending = self._ending or reason

    def run(self) -> None:
        """Serve. Whatever ends it, the robot is stopped before this returns or raises."""
        self._robot.listen(self._heard)
        for work in (self._read, self._watch_camera):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()
        try:
            while self._ending is None:
                self._turn(self._watchdog.wait(time.monotonic()))
        finally:
            self._say_farewell()

    def _turn(self, wait: float) -> None:
        """Wait for something to do, then do it."""
        with self._changed:
            self._changed.wait_for(lambda: self._news, timeout=min(wait, self._LONGEST_WAIT))
            self._news = False
            action = self._watchdog.step(time.monotonic())
        if isinstance(action, SendMove):
            self._robot.move(action.vx, action.vy, action.yaw_rate)
            self._moves += 1
        elif isinstance(action, SendStop):
            self._stop_code = self._robot.call("stop_move")
            with self._changed:
                self._watchdog.on_stop_answer(time.monotonic(), action.generation, self._stop_code == 0)
        with self._changed:
            act = self._due_act(time.monotonic())
        if act is not None:
            self._channel.send(Done(act, self._robot.call(act)))
        self._report()

    def _due_act(self, now: float) -> str | None:
        """The posture call to make now, taken from those that wait. What the node no longer asks for is forgotten: a
        robot that is reached again after a minute must not lie down then."""
        self._acts = {act: asked for act, asked in self._acts.items() if now - asked < self._ACT_LIFETIME}
        stopped = self._watchdog.phase is Phase.IDLE
        act = next((act for act in self._acts if stopped or act != "stand_down"), None)
        if act is not None:
            del self._acts[act]
        return act

    def _say_farewell(self) -> None:
        began = present = time.monotonic()
        with self._changed:
            self._acts.clear()
            self._watchdog.stop(began)
        while self._watchdog.phase is not Phase.IDLE:
            now = time.monotonic()
            if self._stop_code != NOT_SENT:
                present = now
            if now - began > self._settings.farewell or now - present > self._settings.absence:
                text = "the robot did not acknowledge the last stop: use its own e-stop"
                self._channel.send(Fault(text, retry=True))
                return
            self._turn(self._watchdog.wait(now))

    def _read(self) -> None:
        """Thread: the node's messages."""
        while True:
            try:
                message = self._channel.receive()
            except ProtocolError as error:
                self._channel.send(Fault(f"the node sent what is no message: {error}", retry=True))
                message = None
            if message is None:
                return self.end("the node is gone")
            with self._changed:
                self._take(message)
                self._news = True
                self._changed.notify()

    def _take(self, message: object) -> None:
        now = time.monotonic()
        if isinstance(message, Move):
            refusal = self._watchdog.on_command(
                now, message.generation, message.sent, message.vx, message.vy, message.yaw_rate
            )
            self._refused += refusal is not None
        elif isinstance(message, Halt):
            self._watchdog.stop(now)
        elif isinstance(message, Act) and message.action in POSTURES:
            # Nothing walks through a change of posture. Rising from lying needs no stop, lying down waits for its end;
            # damping is an emergency and waits for nothing.
            if message.action in ("stand_down", "damp"):
                self._watchdog.stop(now)
            if message.action != "stand_down":
                self._acts.pop("stand_down", None)  # whoever wants something else does not want to lie down any more
            self._acts[message.action] = now

    def _watch_camera(self) -> None:
        """Thread: asks for images at the camera rate."""
        due = time.monotonic()
        while self._ending is None:
            asked = time.monotonic()
            self._camera_code, jpeg = self._robot.image()
            if self._camera_code == 0:
                self._channel.send(Frame(asked, time.monotonic(), jpeg))
            due = max(due + 1.0 / self._settings.camera_rate, time.monotonic())
            time.sleep(due - time.monotonic() if due > time.monotonic() else 0.0)

    def _heard(self, state: RobotState) -> None:
        """From the SDK's thread: pass the state on, unless the robot sends more than anyone needs."""
        if state.arrival - self._passed_on >= 1.0 / self._settings.state_rate:
            self._passed_on = state.arrival
            self._channel.send(state)

    def _report(self) -> None:
        now = time.monotonic()
        phase, told = self._told
        if self._watchdog.phase is not phase or now - told >= self._HEALTH_PERIOD:
            self._told = (self._watchdog.phase, now)
            self._channel.send(
                Health(
                    generation=self._watchdog.generation,
                    phase=self._watchdog.phase.value,
                    stop_code=self._stop_code,
                    camera_code=self._camera_code,
                    moves=self._moves,
                    refused=self._refused,
                )
            )
