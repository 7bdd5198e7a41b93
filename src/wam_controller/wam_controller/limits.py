"""Velocity and acceleration limits that scale the whole twist, so the robot keeps the path and only slows along it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import IntFlag
from typing import Protocol

import numpy as np

_ZERO = np.zeros(3)


class LimitHit(IntFlag):
    """Which limits bit; the bits are those of wam_msgs/ControllerStatus and SafetyStatus."""

    NONE = 0
    VX = 1
    VY = 2
    YAW_RATE = 4
    ACCELERATION = 8
    CURVATURE = 16
    LATERAL_ACCELERATION = 32
    STEERING_RATE = 64
    JERK = 128


@dataclass(frozen=True)
class Motion:
    """What was commanded last. twist: (3,) in base_link; of a car also acceleration: m/s^2 along, and curvature: 1/m,
    left positive, where its wheels stand: a twist of zero no longer tells."""

    twist: np.ndarray
    acceleration: float = 0.0
    curvature: float = 0.0

    def halted(self) -> Motion:
        """Standing, the wheels as they are."""
        return replace(self, twist=_ZERO, acceleration=0.0)


class Limits(Protocol):
    """What the controller and the safety gate need to know of how a robot may move. Twists are (3,) in base_link."""

    def within(self, twist: np.ndarray) -> tuple[np.ndarray, LimitHit]:
        """The twist, made slower until the robot may have it, and which limits bit."""

    def excess(self, twist: np.ndarray) -> float:
        """How far the worst component lies beyond its bound, in m/s or rad/s; 0 or less is within."""

    def ramp(self, target: np.ndarray, before: Motion, seconds: float) -> tuple[Motion, LimitHit]:
        """The motion nearest to a target that is within the limits, `seconds` after `before`: a Motion at rest, or
        the answer to the call before."""

    def brake(self, before: Motion, seconds: float) -> tuple[Motion, LimitHit]:
        """The same towards standing still, along the path, when something is wrong: nothing that is there for comfort
        holds it up."""


@dataclass(frozen=True)
class VelocityLimits:
    """Bounds in base_link. vx_min, vx_max, vy_max: m/s, yaw_rate_max: rad/s. The defaults are a walk; the Go2's vendor
    allows vx -2.5 to 3.8, vy 1, yaw rate 4.

    Raises ValueError unless vx_min <= 0 <= vx_max, the others are 0 or more, and all are finite.
    """

    vx_min: float = -0.3
    vx_max: float = 1.2
    vy_max: float = 0.4
    yaw_rate_max: float = 1.2

    def __post_init__(self) -> None:
        if not -math.inf < self.vx_min <= 0.0 <= self.vx_max < math.inf:
            raise ValueError(f"need vx_min <= 0 <= vx_max, got {self.vx_min} and {self.vx_max}")
        if not (0.0 <= self.vy_max < math.inf and 0.0 <= self.yaw_rate_max < math.inf):
            raise ValueError(f"vy_max and yaw_rate_max must be 0 or more, got {self.vy_max} and {self.yaw_rate_max}")

    def __str__(self) -> str:
        forward = f"vx {self.vx_min:g} to {self.vx_max:g} m/s"
        return f"{forward}, vy {self.vy_max:g} m/s, yaw rate {self.yaw_rate_max:g} rad/s"

    def bounds(self, twist: list[float]) -> tuple[float, float, float]:
        """The largest magnitude allowed of each component, in the direction it has."""
        return (self.vx_max if twist[0] >= 0.0 else -self.vx_min, self.vy_max, self.yaw_rate_max)

    def excess(self, twist: np.ndarray) -> float:
        """How far the worst component lies beyond its bound, in m/s or rad/s; 0 or less is within."""
        values: list[float] = twist.tolist()
        return max(abs(value) - bound for value, bound in zip(values, self.bounds(values)))

    def apply(self, twist: np.ndarray) -> tuple[np.ndarray, LimitHit]:
        """The twist scaled as a whole until it is within, and which limits bit. A direction whose bound is 0 is one the
        robot does not have: that component alone is dropped, or nothing could move."""
        values = twist.tolist()
        hit = LimitHit.NONE
        ratio = 1.0
        for i, (bound, flag) in enumerate(zip(self.bounds(values), _COMPONENTS)):
            if abs(values[i]) <= bound:
                continue
            hit |= flag
            if bound == 0.0:
                values[i] = 0.0
            else:
                ratio = min(ratio, bound / abs(values[i]))
        return np.array([ratio * value for value in values]), hit


_COMPONENTS = (LimitHit.VX, LimitHit.VY, LimitHit.YAW_RATE)


@dataclass(frozen=True)
class AccelerationLimits:
    """The largest change of velocity: linear m/s^2 (vx and vy each), angular rad/s^2. Raises ValueError unless both are
    above 0 and finite: with 0 the robot could never stop."""

    linear: float = 1.5
    angular: float = 3.0

    def __post_init__(self) -> None:
        if not (0.0 < self.linear < math.inf and 0.0 < self.angular < math.inf):
            raise ValueError(f"accelerations must be above 0, got {self.linear} and {self.angular}")

    def apply(self, twist: np.ndarray, previous: np.ndarray, seconds: float) -> tuple[np.ndarray, LimitHit]:
        """The twist that can be had `seconds` after `previous`: the whole change is scaled, so a ramp to zero keeps the
        curvature."""
        change = (twist - previous).tolist()
        bounds = (self.linear * seconds, self.linear * seconds, self.angular * seconds)
        ratio = min((bound / abs(c) for c, bound in zip(change, bounds) if abs(c) > bound), default=1.0)
        if ratio == 1.0:
            return twist, LimitHit.NONE
        return previous + ratio * np.array(change), LimitHit.ACCELERATION


@dataclass(frozen=True)
class HolonomicLimits:
    """Limits of a robot that walks or rolls in every direction. deceleration: of `brake`; None: as acceleration."""

    velocity: VelocityLimits = field(default_factory=VelocityLimits)
    acceleration: AccelerationLimits = field(default_factory=AccelerationLimits)
    deceleration: AccelerationLimits | None = None

    def __str__(self) -> str:
        return str(self.velocity)

    def within(self, twist: np.ndarray) -> tuple[np.ndarray, LimitHit]:
        """See Limits."""
        return self.velocity.apply(twist)

    def excess(self, twist: np.ndarray) -> float:
        """See Limits."""
        return self.velocity.excess(twist)

    def ramp(self, target: np.ndarray, before: Motion, seconds: float) -> tuple[Motion, LimitHit]:
        """See Limits."""
        twist, hit = self.acceleration.apply(target, before.twist, seconds)
        return Motion(twist), hit

    def brake(self, before: Motion, seconds: float) -> tuple[Motion, LimitHit]:
        """See Limits."""
        twist, hit = (self.deceleration or self.acceleration).apply(_ZERO, before.twist, seconds)
        return Motion(twist), hit
