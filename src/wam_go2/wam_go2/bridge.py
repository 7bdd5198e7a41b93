"""What the bridge decides, without ROS: which robot data go out, which commands go in, and what state it is in.

Times are seconds of a steady clock, given by the caller; ages of ROS stamps are measured by the caller on the node's
clock.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass, replace

from wam_go2.adapter import Odometry, RobotClock, VelocityFrameCheck, odometry
from wam_go2.calibration import Calibration, Rectifier, jpeg_size
from wam_go2.protocol import Act, Done, Fault, Frame, Halt, Health, Hello, Message, Move, RobotState
from wam_go2.readiness import BridgeState, Readiness, Verdict
from wam_go2.settings import BridgeConfig
from wam_go2.watchdog import Phase

_FUTURE_TOLERANCE = 0.05  # s that a command's stamp may lie ahead: clocks of two machines
_PATIENCE = 3.0  # s without a robot before the bridge says what to look at


@dataclass(frozen=True)
class Measured:
    """An odometry and when the robot measured it."""

    time: float
    odometry: Odometry


@dataclass(frozen=True)
class Picture:
    """A JPEG, when it was taken, and the calibration that fits it."""

    time: float
    jpeg: bytes
    calibration: Calibration


class Rate:
    """Hz over the last seconds; NaN until there were two events."""

    _WINDOW = 3.0  # s

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def mark(self, now: float) -> None:
        self._times.append(now)

    def read(self, now: float) -> float:
        while self._times and self._times[0] < now - self._WINDOW:
            self._times.popleft()
        if len(self._times) < 2:
            return math.nan
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])


class Bridge:
    """Between the node and the SDK process. Each call says what to do next; nothing here does it."""

    def __init__(self, config: BridgeConfig, now: float) -> None:
        self._config = config
        self._readiness = Readiness(config.readiness)
        self._clock = RobotClock()
        self._frame_check = VelocityFrameCheck(config.velocity_frame)
        self._rectifier: Rectifier | None = None
        self._calibration: Calibration | None = None
        self._health: Health | None = None
        self._fault = ""
        self._connected = False
        self._publishers = 0
        self._complaints = {"state": "", "frame": "", "camera": ""}
        self._asked_to_stand = not config.stand_up_on_start
        self._could_move = False
        self._since = now
        self.refused: Counter[str] = Counter()
        self.rates = {"state": Rate(), "camera": Rate(), "command": Rate()}

    def on_message(self, now: float, message: Message) -> Measured | Picture | None:
        """A message of the SDK process; what it gives to publish, if anything."""
        if isinstance(message, RobotState):
            return self._on_state(message)
        if isinstance(message, Frame):
            return self._on_frame(message)
        if isinstance(message, Health):
            self._health = message
            if message.phase != Phase.MOVING.value:
                self._readiness.on_command(0.0)  # nothing goes to the robot now, so it has nothing to follow
        elif isinstance(message, Done):
            self._readiness.on_answer(now, message.action, message.code)
        elif isinstance(message, Hello):
            self._connected, self._since = True, now
        elif isinstance(message, Fault):
            self._fault, self._health, self._connected = message.text, None, False
        return None

    def on_publishers(self, count: int) -> None:
        """How many nodes publish commands now. The robot cannot serve two, and cannot tell them apart."""
        self._publishers = count

    def on_command(self, now: float, age: float, vx: float, vy: float, yaw_rate: float) -> Move | None:
        """A command `age` seconds after its stamp; the Move to send, or None when it is refused (see `refused`)."""
        health, refusal = self._health, self._refusal(age)
        if health is None or refusal:
            self.refused[refusal or "no SDK process"] += 1
            return None
        try:
            (vx, vy, yaw_rate), limited = self._config.limits.apply(vx, vy, yaw_rate)
        except ValueError:
            self.refused["not finite"] += 1
            return None
        self.refused["limited"] += limited
        self.rates["command"].mark(now)
        self._readiness.on_command(max(math.hypot(vx, vy), abs(yaw_rate)))
        # Silence counts from the stamp, so time spent on the way here prolongs nothing.
        return Move(health.generation, now - max(age, 0.0), vx, vy, yaw_rate)

    def stand_up(self, now: float) -> tuple[bool, str]:
        """Whether it was begun, and a sentence for whoever asked."""
        return self._readiness.stand_up(now)

    def stand_down(self, now: float) -> tuple[bool, str]:
        """Whether it was begun, and a sentence for whoever asked."""
        return self._readiness.stand_down(now)

    def step(self, now: float) -> tuple[Verdict, list[Act | Halt]]:
        """The state at `now`, and what to tell the SDK process. Call it at a steady rate."""
        self._readiness.complain(next(filter(None, self._complaints.values()), ""))
        verdict = self._readiness.step(now)
        if not self._asked_to_stand and verdict.state is BridgeState.STANDING:
            self._asked_to_stand, _ = self._readiness.stand_up(now)
        self._asked_to_stand |= verdict.may_move
        verdict = self._hold_back(verdict)
        messages: list[Act | Halt] = []
        if self._could_move and not verdict.may_move:
            messages.append(Halt())
            self._readiness.on_command(0.0)
        if verdict.action is not None:
            messages.append(Act(verdict.action))
        self._could_move = verdict.may_move
        if self._connected:
            self._fault = ""
        if verdict.state in (BridgeState.CONNECTING, BridgeState.LOST):
            verdict = replace(verdict, reason=self._why_silent(now, verdict.reason))
        return verdict, messages

    def numbers(self, now: float) -> dict[str, float | str]:
        """For the diagnostics: rates in Hz (NaN: nothing came), codes of the SDK, refused commands by reason."""
        health = self._health
        return {
            "state_hz": self.rates["state"].read(now),
            "camera_hz": self.rates["camera"].read(now),
            "command_hz": self.rates["command"].read(now),
            "watchdog": health.phase if health else "no SDK process",
            "stop_code": health.stop_code if health else math.nan,
            "camera_code": health.camera_code if health else math.nan,
            "moves_sent": health.moves if health else math.nan,
            "moves_refused_by_watchdog": health.refused if health else math.nan,
            **{f"refused: {reason}": count for reason, count in sorted(self.refused.items())},
        }

    def _refusal(self, age: float) -> str:
        """Why no command can pass now; empty when one can."""
        if not -_FUTURE_TOLERANCE <= age <= self._config.max_command_age:
            return "stamp too old or in the future"
        if self._publishers > 1:
            return "several nodes publish cmd_vel"
        if not self._could_move:
            return "the robot is not ready"
        if self._health is not None and self._health.phase not in (Phase.IDLE.value, Phase.MOVING.value):
            return "a stop is under way"
        return ""

    def _hold_back(self, verdict: Verdict) -> Verdict:
        """The verdict on the robot, less what the way to it does not allow."""
        if self._fault and verdict.state is not BridgeState.CONNECTING:
            # At once, and at least once for every process that ended: the next one may be up before the robot counts as
            # silent, and must find the gate disengaged.
            return Verdict(BridgeState.LOST, self._fault)
        if self._publishers > 1 and verdict.may_move:
            reason = (
                f"{self._publishers} nodes publish cmd_vel: stop all but the safety gate. "
                "One that was killed counts for up to 20 s."
            )
            return Verdict(BridgeState.DEGRADED, reason, held_back=True)
        return verdict

    def _on_state(self, state: RobotState) -> Measured | None:
        time = self._clock.to_host(state.stamp, state.arrival)
        try:
            sample = odometry(
                state.position, state.quaternion, state.velocity, state.yaw_rate, self._config.velocity_frame
            )
        except ValueError as error:
            self._complaints["state"] = str(error)
            self._readiness.on_state(state.arrival, state.mode, 0.0)
            return None
        self._complaints["state"] = ""
        if self._frame_check.offer(time, sample):
            other = "base_link" if self._config.velocity_frame == "odom" else "odom"
            self._complaints["frame"] = f"velocity and position disagree: set velocity_frame to {other}"
        self._readiness.on_state(state.arrival, state.mode, sample.speed)
        self.rates["state"].mark(state.arrival)
        return Measured(time, sample)

    def _on_frame(self, frame: Frame) -> Picture | None:
        try:
            width, height = jpeg_size(frame.jpeg)
            if self._calibration is None or (self._calibration.width, self._calibration.height) != (width, height):
                self._adopt(self._config.calibration.scaled(width, height))
            jpeg = self._rectifier(frame.jpeg) if self._rectifier else frame.jpeg
        except ValueError as error:
            self._complaints["camera"] = str(error)
            return None
        self._complaints["camera"] = ""
        self._readiness.on_image(frame.arrival)
        self.rates["camera"].mark(frame.arrival)
        return Picture(frame.asked - self._config.camera_delay, jpeg, self._calibration_out)

    def _adopt(self, calibration: Calibration) -> None:
        bent = bool(calibration.distortion.any())
        self._rectifier = Rectifier(calibration) if self._config.rectify and bent else None
        self._calibration = calibration
        self._calibration_out = self._rectifier.calibration if self._rectifier else calibration

    def _why_silent(self, now: float, reason: str) -> str:
        if self._fault:
            return self._fault
        if now - self._since < _PATIENCE:
            return reason
        link = self._config.link
        return (
            f"no robot on interface {link.interface!r}, DDS domain {link.domain}: is it on, is the cable in, and has "
            "this machine the address 192.168.123.99/24?"
        )
