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
    STANDING = "STANDING"  # heard, but not ready to walk: lying, rising, settling, or it does not obey
    READY = "READY"
    DEGRADED = "DEGRADED"  # could walk, but something is missing or wrong; the reason says what
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
_LIMP = (Mode.LIE_DOWN, Mode.DAMPING)


@dataclass(frozen=True)
class ReadinessConfig:
    """Seconds unless said otherwise. state_timeout: silence of the state topic that means LOST; camera_timeout: age of
    the newest image that means DEGRADED; settle_time: between the robot's yes to StandUp and the first Move;
    answer_retry: before an unanswered posture call is repeated; answer_limit: after so long without a yes it is not
    repeated any more; follow_time: how long the robot may ignore a command above follow_speed (m/s or rad/s) before it
    counts as not ready. Raises ValueError when one is not above 0 and finite."""

    state_timeout: float = 0.3
    camera_timeout: float = 1.0
    settle_time: float = 10.0
    answer_retry: float = 0.5
    answer_limit: float = 10.0
    follow_time: float = 2.0
    follow_speed: float = 0.15

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {value}")


@dataclass(frozen=True)
class Verdict:
    """state, a sentence that says why and what to do, the posture call to send now, if any, and whether commands are
    held back although the robot could walk."""

    state: BridgeState
    reason: str
    action: str | None = None
    held_back: bool = False

    @property
    def may_move(self) -> bool:
        """Whether commands may pass to the robot."""
        return self.state in (BridgeState.READY, BridgeState.DEGRADED) and not self.held_back


class _Posture(Enum):
    UNKNOWN = "lying, or standing with locked joints: call go2_bridge/stand_up"
    RISING = "asked to stand up, no answer yet"
    SETTLING = "standing up; it ignores Move for some seconds"
    BALANCING = "standing; asked to balance, no answer yet"
    UPRIGHT = "ready to walk"
    LOWERING = "asked to lie down, no answer yet"
    DOWN = "lying: call go2_bridge/stand_up"
    # What only stand_up or stand_down ends, whatever the robot says meanwhile.
    NOT_RISEN = "the robot did not answer StandUp with a yes: is its sport service up? Call go2_bridge/stand_up again"
    NOT_BALANCED = "the robot did not answer BalanceStand with a yes: call go2_bridge/stand_up again"
    NOT_LOWERED = "the robot did not answer StandDown with a yes: call go2_bridge/stand_down again"
    DISOBEDIENT = (
        "the robot ignores Move: it fell, was damped, had not settled, or its remote control leads; "
        "let go of the sticks, then call go2_bridge/stand_up"
    )


@dataclass(frozen=True)
class _Call:
    """A posture call that is repeated until the robot says yes: its name, and the posture after a yes and after
    answer_limit."""

    name: str
    answered: _Posture
    unanswered: _Posture


_CALLS = {
    _Posture.RISING: _Call("stand_up", _Posture.SETTLING, _Posture.NOT_RISEN),
    _Posture.BALANCING: _Call("balance_stand", _Posture.UPRIGHT, _Posture.NOT_BALANCED),
    _Posture.LOWERING: _Call("stand_down", _Posture.DOWN, _Posture.NOT_LOWERED),
}
_GETTING_UP = (_Posture.RISING, _Posture.SETTLING, _Posture.BALANCING)
_STUCK = (_Posture.NOT_RISEN, _Posture.NOT_BALANCED, _Posture.NOT_LOWERED, _Posture.DISOBEDIENT)


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
        if now - self._heard > self._config.state_timeout and self._posture not in _STUCK:
            self._enter(now, _Posture.UNKNOWN)  # the first word, or one after an outage: it may have been restarted
        self._heard = now
        if self._posture is _Posture.UNKNOWN and mode in _WALKING:
            self._enter(now, _Posture.UPRIGHT)
        elif mode != self._mode and self._contradicts(mode):
            self._enter(now, _Posture.UNKNOWN)  # its remote control, or a fall
        self._mode = mode
        follows = self._commanded < self._config.follow_speed or speed > 0.3 * self._config.follow_speed
        if follows or self._posture is not _Posture.UPRIGHT:
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
        if call is not None and call.name == action and code == 0:
            self._enter(now, call.answered)

    def complain(self, text: str) -> None:
        """Something the caller found wrong with the robot's data; empty when it is good again. Means DEGRADED."""
        self._complaint = text

    def stand_up(self, now: float) -> tuple[bool, str]:
        """Begin to stand up: whether it was begun, and a sentence for whoever asked."""
        if now - self._heard > self._config.state_timeout:
            return False, "the robot is not connected"
        if self._posture is _Posture.UPRIGHT:
            return True, "already standing"
        if self._posture not in _GETTING_UP:
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
        call = _CALLS.get(self._posture)
        if call is not None and now - self._posture_since >= config.answer_limit:
            self._enter(now, call.unanswered)
        if self._ignored_since is not None and now - self._ignored_since > config.follow_time:
            self._enter(now, _Posture.DISOBEDIENT)
        if self._posture is not _Posture.UPRIGHT:
            return Verdict(BridgeState.STANDING, self._posture.value, self._due_call(now))
        if self._complaint:
            return Verdict(BridgeState.DEGRADED, self._complaint)
        if now - self._seen > config.camera_timeout:
            return Verdict(BridgeState.DEGRADED, "no image from the robot: is its videohub service up?")
        return Verdict(BridgeState.READY, _Posture.UPRIGHT.value)

    def _due_call(self, now: float) -> str | None:
        call = _CALLS.get(self._posture)
        if call is None or now - self._called < self._config.answer_retry:
            return None
        self._called = now
        return call.name

    def _contradicts(self, mode: int) -> bool:
        """Whether a mode that has just come says that the robot is not what it is taken for. Getting up begins in a
        limp mode, so only a change into one means that somebody let it down meanwhile."""
        if self._posture in _GETTING_UP:
            return mode in _LIMP
        return self._posture is _Posture.UPRIGHT and mode not in _NOT_CONTRADICTING

    def _enter(self, now: float, posture: _Posture) -> None:
        self._posture, self._posture_since, self._called = posture, now, -math.inf
        self._ignored_since = None
