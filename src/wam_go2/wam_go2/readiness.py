"""When the robot may be asked to walk: connection, posture, settling after it stood up, and whether it follows.

The robot gives no sign of its own: after StandUp its state topic does not change while Move is ignored for 4 to 10 s,
and newer firmware never changes `mode` at all. So the bridge trusts what was acknowledged and how long ago that was,
and uses `mode` only where it says something. Pure: every call carries the time, seconds of a steady clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, IntEnum


class BridgeState(Enum):
    """The values are what go2_bridge/state says."""

    CONNECTING = "CONNECTING"  # the robot has not been heard yet
    STANDING = "STANDING"  # heard, but not ready to walk: lying, rising or settling
    READY = "READY"
    DEGRADED = "DEGRADED"  # walks, but something is missing; the reason says what
    LOST = "LOST"  # heard once, silent now


class Mode(IntEnum):
    """SportModeState.mode, where the firmware uses it."""

    IDLE = 0
    BALANCE_STAND = 1
    POSE = 2
    LOCOMOTION = 3
    LIE_DOWN = 5
    JOINT_LOCK = 6
    DAMPING = 7
    RECOVERY_STAND = 8
    SIT = 10


_WALKING = (Mode.BALANCE_STAND, Mode.LOCOMOTION)
# IDLE says nothing: newer firmware reports it whatever the robot does.
_NOT_CONTRADICTING = (*_WALKING, Mode.IDLE)


@dataclass(frozen=True)
class ReadinessConfig:
    """Seconds unless said otherwise. state_timeout: silence of the state topic that means LOST; camera_timeout: age of
    the newest image that means DEGRADED; settle_time: between the robot's yes to StandUp and the first Move;
    answer_retry: before an unanswered posture call is repeated; follow_time: how long the robot may ignore a command
    above follow_speed (m/s or rad/s) before the bridge says so. Raises ValueError when one is not above 0 and
    finite."""

    state_timeout: float = 0.3
    camera_timeout: float = 1.0
    settle_time: float = 10.0
    answer_retry: float = 0.5
    follow_time: float = 2.0
    follow_speed: float = 0.15

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {value}")


@dataclass(frozen=True)
class Verdict:
    """state, a sentence that says why and what to do, and the posture call to send now, if any."""

    state: BridgeState
    reason: str
    action: str | None = None

    @property
    def may_move(self) -> bool:
        """Whether commands may pass to the robot."""
        return self.state in (BridgeState.READY, BridgeState.DEGRADED)


class _Posture(Enum):
    UNKNOWN = "lying, or standing with locked joints: call go2_bridge/stand_up"
    RISING = "asked to stand up, no answer yet"
    SETTLING = "standing up; it ignores Move for some seconds"
    BALANCING = "standing; asked to balance, no answer yet"
    UPRIGHT = "ready to walk"
    LOWERING = "asked to lie down, no answer yet"
    DOWN = "lying: call go2_bridge/stand_up"


# Postures that wait for the robot's yes: the call to repeat, and the posture that follows the yes.
_CALLS = {
    _Posture.RISING: ("stand_up", _Posture.SETTLING),
    _Posture.BALANCING: ("balance_stand", _Posture.UPRIGHT),
    _Posture.LOWERING: ("stand_down", _Posture.DOWN),
}


class Readiness:
    """Feed it what arrives, ask it at a steady rate."""

    def __init__(self, config: ReadinessConfig) -> None:
        self._config = config
        self._posture = _Posture.UNKNOWN
        self._posture_since = -math.inf
        self._called = -math.inf
        self._mode: int = Mode.IDLE
        self._heard = -math.inf
        self._seen = -math.inf
        self._commanded = 0.0
        self._ignored_since: float | None = None
        self._complaint = ""

    def on_state(self, now: float, mode: int, speed: float) -> None:
        """The robot's state arrived. speed: the larger of m/s and rad/s that it measures."""
        if now - self._heard > self._config.state_timeout:
            self._enter(now, _Posture.UNKNOWN)  # the first word, or one after an outage: it may have been restarted
        self._heard = now
        if self._posture is _Posture.UNKNOWN and mode in _WALKING:
            self._enter(now, _Posture.UPRIGHT)
        elif self._posture is _Posture.UPRIGHT and mode != self._mode and mode not in _NOT_CONTRADICTING:
            self._enter(now, _Posture.UNKNOWN)  # its remote control, or a fall
        self._mode = mode
        follows = self._commanded < self._config.follow_speed or speed > 0.3 * self._config.follow_speed
        if follows:
            self._ignored_since = None
        elif self._ignored_since is None:
            self._ignored_since = now

    def on_image(self, now: float) -> None:
        """A usable camera image arrived."""
        self._seen = now

    def on_command(self, speed: float) -> None:
        """The newest command that went to the robot: the larger of its m/s and rad/s; 0 when it stops."""
        self._commanded = speed

    def on_answer(self, now: float, action: str, code: int) -> None:
        """The robot's answer to a posture call; only code 0 is a yes. Others are asked again."""
        call = _CALLS.get(self._posture)
        if call is not None and call[0] == action and code == 0:
            self._enter(now, call[1])

    def complain(self, text: str) -> None:
        """Something the caller found wrong with the robot's data; empty when it is good again. Means DEGRADED."""
        self._complaint = text

    def stand_up(self, now: float) -> tuple[bool, str]:
        """Begin to stand up: whether it was begun, and a sentence for whoever asked."""
        if now - self._heard > self._config.state_timeout:
            return False, "the robot is not connected"
        if self._posture is _Posture.UPRIGHT:
            return True, "already standing"
        if self._posture not in (_Posture.RISING, _Posture.SETTLING, _Posture.BALANCING):
            self._enter(now, _Posture.RISING)
        return True, "standing up: wait for READY on go2_bridge/state"

    def stand_down(self, now: float) -> tuple[bool, str]:
        """Begin to lie down. The caller stops the robot first."""
        if now - self._heard > self._config.state_timeout:
            return False, "the robot is not connected"
        if self._posture is not _Posture.DOWN:
            self._enter(now, _Posture.LOWERING)
        return True, "lying down"

    def step(self, now: float) -> Verdict:
        """The state at `now`, and the posture call that is due."""
        config = self._config
        if self._heard == -math.inf:
            return Verdict(BridgeState.CONNECTING, "no state from the robot yet")
        if now - self._heard > config.state_timeout:
            return Verdict(BridgeState.LOST, "no state from the robot any more")
        if self._posture is _Posture.SETTLING and now - self._posture_since >= config.settle_time:
            self._enter(now, _Posture.BALANCING)
        if self._posture is not _Posture.UPRIGHT:
            return Verdict(BridgeState.STANDING, self._posture.value, self._due_call(now))
        if self._complaint:
            return Verdict(BridgeState.DEGRADED, self._complaint)
        if now - self._seen > config.camera_timeout:
            return Verdict(BridgeState.DEGRADED, "no image from the robot: is its videohub service up?")
        if self._ignored_since is not None and now - self._ignored_since > config.follow_time:
            return Verdict(BridgeState.DEGRADED, "the robot ignores Move: still settling, or its remote control leads")
        return Verdict(BridgeState.READY, _Posture.UPRIGHT.value)

    def _due_call(self, now: float) -> str | None:
        call = _CALLS.get(self._posture)
        if call is None or now - self._called < self._config.answer_retry:
            return None
        self._called = now
        return call[0]

    def _enter(self, now: float, posture: _Posture) -> None:
        self._posture, self._posture_since, self._called = posture, now, -math.inf
