"""The last word before the robot: a small state machine that passes only commands it has a reason to trust.

It believes nothing above it and never plans anything: it passes a command, ramps to zero, or says zero. Times are
seconds of a steady clock given by the caller; the age of a message on arrival is measured by the caller on the node's
clock. A twist is (3,): vx, vy m/s and yaw rate rad/s in base_link.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, IntEnum

import numpy as np

from wam_controller.limits import AccelerationLimits, HolonomicLimits, LimitHit, Limits, Motion

_ZERO = np.zeros(3)
# A tick that comes later than this (a stalled process) may not change the velocity by more than a late one.
_LONGEST_TICK = 0.1


class GateState(IntEnum):
    """The values are those of wam_msgs/SafetyStatus. Only ACTIVE lets a command through."""

    DISENGAGED = 0
    ACTIVE = 1
    STOPPING = 2
    ESTOP = 3


class Reason(Enum):
    """Why the gate is in its state; the value is the sentence that people read."""

    STARTED = "just started: a human must engage"
    ENGAGED = "engaged"
    USER = "disengaged by the user"
    COMMAND_STALE = "no finite, fresh command"
    ODOMETRY_STALE = "no finite, fresh odometry"
    OUTAGE_TOO_LONG = "the outage outlasted the resume window: engage again"
    UPSTREAM_CHANGED = "another source of commands appeared while engaged: engage again"
    ESTOP_REQUESTED = "e-stop: call clear, then engage"
    COMMAND_OVER_LIMIT = "commands stayed above the limits: call clear, then engage"
    ROBOT_OVER_LIMIT = "the robot stayed above the speed limits: call clear, then engage"
    CLEARED = "e-stop cleared: engage to move"
    ROBOT_NOT_READY = "the robot is not ready to move: engage again when it is"


@dataclass(frozen=True)
class GateConfig:
    """Seconds unless said otherwise. limits: of what passes; their `brake` is the ramp to zero when something fails;
    command_timeout, odometry_timeout: oldest data that still lets the robot move; future_tolerance: how far a stamp may
    lie ahead of the clock; over_limit_time: how long a limit may stay broken before it latches; command_margin,
    robot_margin: m/s or rad/s beyond the limit that do not count as broken (the robot's covers gait sway in the
    odometry); engage_speed: m/s or rad/s, engaging never takes over a robot that moves faster; resume_window: a longer
    outage needs a human; require_ready: engage only once the robot has said that it is ready, which False leaves out
    for a robot that never says so.

    Raises ValueError when a time is not above 0 and finite, or a margin is below 0.
    """

    limits: Limits = field(default_factory=lambda: HolonomicLimits(deceleration=AccelerationLimits(2.5, 6.0)))
    command_timeout: float = 0.25
    odometry_timeout: float = 0.2
    future_tolerance: float = 0.05
    over_limit_time: float = 0.5
    command_margin: float = 0.05
    robot_margin: float = 0.5
    engage_speed: float = 0.3
    resume_window: float = 1.0
    require_ready: bool = True

    def __post_init__(self) -> None:
        for name in ("command_timeout", "odometry_timeout", "over_limit_time", "engage_speed", "resume_window"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        for name in ("future_tolerance", "command_margin", "robot_margin"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")


@dataclass(frozen=True)
class Answer:
    """What a request got: ok, and a sentence that says why or what to do."""

    ok: bool
    message: str


@dataclass(frozen=True)
class GateOutput:
    """twist: (3,) issued, always finite; requested: (3,) the newest command, NaN when there was none; curvature: 1/m,
    left positive, that the wheels of a car are to have, standing or not; 0 of another robot."""

    twist: np.ndarray
    requested: np.ndarray
    state: GateState
    reason: Reason
    limits_hit: LimitHit
    curvature: float = 0.0


class _Watch:
    """The newest valid sample of one input (NaN: none yet) and when it was measured, on the steady clock."""

    def __init__(self, timeout: float, future_tolerance: float) -> None:
        self._timeout = timeout
        self._future_tolerance = future_tolerance
        self.twist = np.full(3, math.nan)
        self.rejected = 0
        self._measured = math.nan

    def offer(self, now: float, twist: np.ndarray, age: float) -> None:
        """Keep the sample if it is finite and its age believable. One that is not leaves the last good one to age."""
        if np.isfinite(twist).all() and -self._future_tolerance <= age <= self._timeout:
            self.twist, self._measured = twist, now - max(age, 0.0)
        else:
            self.rejected += 1

    def age(self, now: float) -> float:
        return now - self._measured

    def fresh(self, now: float) -> bool:
        return self.age(now) <= self._timeout


class _Persistence:
    """How long a condition has held without a break."""

    def __init__(self) -> None:
        self._since: float | None = None

    def lasts(self, now: float, condition: bool) -> float:
        """Seconds that `condition` has been true by `now`; 0 when it is not."""
        if not condition:
            self._since = None
        elif self._since is None:
            self._since = now
        return 0.0 if self._since is None else now - self._since


class SafetyGate:
    """Feed it what arrives, ask it at every tick. It starts DISENGAGED and only `engage` makes it ACTIVE."""

    def __init__(self, config: GateConfig) -> None:
        self._config = config
        self._command = _Watch(config.command_timeout, config.future_tolerance)
        self._odometry = _Watch(config.odometry_timeout, config.future_tolerance)
        self._ready: bool | None = None
        self._publishers: frozenset[str] = frozenset()
        self._trusted: frozenset[str] = frozenset()
        self._issued = Motion(_ZERO)
        self._stepped: float | None = None
        self._state, self._reason = GateState.DISENGAGED, Reason.STARTED
        self._outage, self._command_over, self._robot_over = _Persistence(), _Persistence(), _Persistence()

    @property
    def state(self) -> GateState:
        """The state after the last call."""
        return self._state

    @property
    def commands_rejected(self) -> int:
        """Commands since the start that were not finite, too old on arrival, or from the future."""
        return self._command.rejected

    def command_age(self, now: float) -> float:
        """Seconds since the newest valid command was stamped; NaN before the first."""
        return self._command.age(now)

    def odometry_age(self, now: float) -> float:
        """Seconds since the newest valid odometry was stamped; NaN before the first."""
        return self._odometry.age(now)

    def on_command(self, now: float, twist: np.ndarray, age: float = 0.0) -> None:
        """A command arrived, `age` seconds after its stamp."""
        self._command.offer(now, twist, age)

    def on_odometry(self, now: float, twist: np.ndarray, age: float = 0.0) -> None:
        """The robot's measured twist arrived, `age` seconds after its stamp."""
        self._odometry.offer(now, twist, age)

    def on_ready(self, ready: bool) -> None:
        """The robot says whether it can move. A no disengages: a robot that was damped or lay down must not walk off as
        soon as it stands again."""
        self._ready = ready
        if not ready and self._state in (GateState.ACTIVE, GateState.STOPPING):
            self._enter(GateState.DISENGAGED, Reason.ROBOT_NOT_READY)

    def on_publishers(self, publishers: frozenset[str]) -> None:
        """Who publishes commands now, by any stable identity. One that was not there at `engage`, a controller that was
        restarted or a second one, disengages: a restart never resumes motion."""
        self._publishers = publishers
        if self._state in (GateState.ACTIVE, GateState.STOPPING) and publishers - self._trusted:
            self._enter(GateState.DISENGAGED, Reason.UPSTREAM_CHANGED)

    def engage(self, now: float) -> Answer:
        """Let commands through, from DISENGAGED only. Commands and odometry must be fresh, or the gate would stop at
        once; the robot must be ready to move; and it must stand still, so that the ramp from zero is the truth and
        nobody else's motion is taken."""
        if self._state is GateState.ACTIVE:
            return Answer(True, "already engaged")
        if self._state is not GateState.DISENGAGED:
            return Answer(False, f"not engaged: {self._reason.value}")
        if not self._odometry.fresh(now):
            return Answer(False, "not engaged: no fresh odometry; is the bridge up?")
        if self._ready is False:
            return Answer(False, "not engaged: the robot is not ready to move; its bridge says why in /diagnostics")
        if self._ready is None and self._config.require_ready:
            return Answer(False, "not engaged: nobody says on robot_ready that the robot can move; is its bridge up?")
        if not self._command.fresh(now):
            return Answer(False, "not engaged: no fresh command; is the controller up?")
        if np.abs(self._odometry.twist).max() > self._config.engage_speed:
            return Answer(False, "not engaged: the robot is moving; let it stand still first")
        self._trusted = self._publishers
        self._enter(GateState.ACTIVE, Reason.ENGAGED)
        return Answer(True, Reason.ENGAGED.value)

    def disengage(self) -> Answer:
        """Stop along the deceleration ramp and stay stopped. Always granted; a latched e-stop stays latched."""
        if self._state is not GateState.ESTOP:
            self._enter(GateState.DISENGAGED, Reason.USER)
        return Answer(True, self._reason.value)

    def estop(self) -> Answer:
        """Zero at once, latched until `clear`. Always granted."""
        self._latch(Reason.ESTOP_REQUESTED)
        return Answer(True, self._reason.value)

    def clear(self) -> Answer:
        """Release the latch into DISENGAGED: clearing alone never moves the robot."""
        if self._state is not GateState.ESTOP:
            return Answer(True, "no e-stop was latched")
        self._enter(GateState.DISENGAGED, Reason.CLEARED)
        return Answer(True, self._reason.value)

    def step(self, now: float) -> GateOutput:
        """The command to issue at `now`. Call it at every command and, whatever arrives or not, steadily."""
        seconds = 0.0 if self._stepped is None else min(max(now - self._stepped, 0.0), _LONGEST_TICK)
        self._stepped = now
        self._watch(now)
        hit = LimitHit.NONE
        if self._state is GateState.ACTIVE:
            target, hit = self._config.limits.within(self._command.twist)
            self._issued, ramp_hit = self._config.limits.ramp(target, self._issued, seconds)
            hit |= ramp_hit
        elif self._state is not GateState.ESTOP:
            self._issued, hit = self._config.limits.brake(self._issued, seconds)
        issued = self._issued
        return GateOutput(issued.twist, self._command.twist, self._state, self._reason, hit, issued.curvature)

    def _watch(self, now: float) -> None:
        """The transitions that need no human: an outage begins, ends or lasts too long; a limit stays broken."""
        if self._state not in (GateState.ACTIVE, GateState.STOPPING):
            return
        outage = None
        if not self._command.fresh(now):
            outage = Reason.COMMAND_STALE
        elif not self._odometry.fresh(now):
            outage = Reason.ODOMETRY_STALE
        if self._outage.lasts(now, outage is not None) > self._config.resume_window:
            self._enter(GateState.DISENGAGED, Reason.OUTAGE_TOO_LONG)
        elif outage is not None:
            self._state, self._reason = GateState.STOPPING, outage
        else:
            self._state, self._reason = GateState.ACTIVE, Reason.ENGAGED
            self._watch_limits(now)

    def _watch_limits(self, now: float) -> None:
        limits, config = self._config.limits, self._config
        command_over = limits.excess(self._command.twist) > config.command_margin
        robot_over = limits.excess(self._odometry.twist) > config.robot_margin
        if self._command_over.lasts(now, command_over) > config.over_limit_time:
            self._latch(Reason.COMMAND_OVER_LIMIT)
        elif self._robot_over.lasts(now, robot_over) > config.over_limit_time:
            self._latch(Reason.ROBOT_OVER_LIMIT)

    def _latch(self, reason: Reason) -> None:
        self._enter(GateState.ESTOP, reason)
        self._issued = self._issued.halted()

    def _enter(self, state: GateState, reason: Reason) -> None:
        self._state, self._reason = state, reason
        self._outage, self._command_over, self._robot_over = _Persistence(), _Persistence(), _Persistence()
