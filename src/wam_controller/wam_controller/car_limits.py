"""Limits of a car, which steers and drives: what it may be commanded, and how fast that may change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wam_controller.limits import LimitHit, Motion

# m/s, slower is standing: the curvature of such a command is noise, and the wheels stay where they are.
_STANDING = 0.01
# s, in less than this nothing changes.
_NO_TIME = 1e-6
# What rounding may put a lateral acceleration above its limit by.
_ROUNDING = 1.0 + 1e-9


@dataclass(frozen=True)
class CarLimits:
    """Twists are true velocities: yaw rates, never steering angles. No sideways velocity is commanded; that of a
    base_link before the rear axle follows from the turning. A car does not reverse here.

    speed_max: m/s; curvature_max: 1/m; lateral_acceleration: m/s^2, speed times yaw rate;
    longitudinal_acceleration, braking: m/s^2; jerk: m/s^3, of both, infinity for none; steering_rate: rad/s at the
    front wheels, which `wheelbase`, m, turns into curvature; emergency_braking: m/s^2, of `brake`, as braking if None.

    Raises ValueError unless all are above 0 and, but for jerk, finite; or when emergency_braking is below braking: what
    stops the car in need may not be the gentler of the two.
    """

    speed_max: float = 8.0
    curvature_max: float = 0.2
    lateral_acceleration: float = 3.0
    longitudinal_acceleration: float = 1.5
    braking: float = 3.0
    jerk: float = 10.0
    steering_rate: float = 0.8
    wheelbase: float = 2.88
    emergency_braking: float | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is None:
                continue
            if not (0.0 < value < math.inf or (name == "jerk" and value == math.inf)):
                raise ValueError(f"{name} must be above 0 and finite, got {value}")
        if self.emergency_braking is not None and self.emergency_braking < self.braking:
            raise ValueError(f"need braking <= emergency_braking, got {self.braking} and {self.emergency_braking}")

    def __str__(self) -> str:
        across = f"lateral acceleration {self.lateral_acceleration:g} m/s^2, curvature {self.curvature_max:g} 1/m"
        return f"speed {self.speed_max:g} m/s, {across}, braking {self.braking:g} m/s^2"

    def within(self, twist: np.ndarray) -> tuple[np.ndarray, LimitHit]:
        """See Limits. Too sharp a curvature cannot be kept and becomes the sharpest; every other limit slows the car on
        its path. A twist that is not finite, or that reverses, stands still."""
        speed, sideways, turn = twist.tolist()
        hit = LimitHit.VY if sideways else LimitHit.NONE
        if not speed > 0.0 or not np.isfinite(twist).all():
            hit |= LimitHit.VX if speed else LimitHit.NONE
            return np.zeros(3), hit | (LimitHit.CURVATURE if turn else LimitHit.NONE)
        if abs(turn) > self.curvature_max * speed * _ROUNDING:
            hit |= LimitHit.CURVATURE
            turn = math.copysign(self.curvature_max * speed, turn)
        curvature = turn / speed
        if speed > self.speed_max:
            hit |= LimitHit.VX
        if speed * abs(turn) > self.lateral_acceleration * _ROUNDING:
            hit |= LimitHit.LATERAL_ACCELERATION
        speed = min(speed, self._fastest(curvature))
        return _twist(speed, curvature), hit

    def excess(self, twist: np.ndarray) -> float:
        """See Limits. A measured sideways velocity is what a car has that turns, and breaks no limit."""
        speed, _, turn = twist.tolist()
        along = abs(speed)
        sharpest = min(self.curvature_max * along, self.lateral_acceleration / along) if along else 0.0
        return max(-speed, speed - self.speed_max, abs(turn) - sharpest)

    def ramp(self, target: np.ndarray, before: Motion, seconds: float) -> tuple[Motion, LimitHit]:
        """See Limits. The lateral acceleration goes before the others: for its sake the car brakes at once, as hard as
        `braking`, and turns its wheels later."""
        wanted, _, turn = target.tolist()
        if seconds < _NO_TIME:
            return before, LimitHit.NONE if (target == before.twist).all() else LimitHit.ACCELERATION
        earlier = float(before.twist[0])
        speed, hit = self._next_speed(wanted, before, seconds)
        curvature, steering_hit = self._next_curvature(
            turn / wanted if wanted > _STANDING else before.curvature, before.curvature, seconds
        )
        hit |= steering_hit
        if speed * speed * abs(curvature) > self.lateral_acceleration * _ROUNDING:
            hit |= LimitHit.LATERAL_ACCELERATION
            speed = max(earlier - self.braking * seconds, self._fastest(curvature))
            curvature = math.copysign(min(abs(curvature), self.lateral_acceleration / (speed * speed)), curvature)
        acceleration = (speed - earlier) / seconds if speed > 0.0 else 0.0
        return Motion(_twist(speed, curvature), acceleration, curvature), hit

    def brake(self, before: Motion, seconds: float) -> tuple[Motion, LimitHit]:
        """See Limits. The wheels stay where they are, and no jerk is too much."""
        rate = self.braking if self.emergency_braking is None else self.emergency_braking
        speed = float(before.twist[0]) - rate * seconds
        if speed <= 0.0:
            return before.halted(), LimitHit.NONE
        return Motion(_twist(speed, before.curvature), -rate, before.curvature), LimitHit.ACCELERATION

    def _fastest(self, curvature: float) -> float:
        """m/s, the speed at which a curvature may be driven."""
        if curvature == 0.0:
            return self.speed_max
        return min(self.speed_max, math.sqrt(self.lateral_acceleration / abs(curvature)))

    def _next_speed(self, wanted: float, before: Motion, seconds: float) -> tuple[float, LimitHit]:
        earlier = float(before.twist[0])
        gap = wanted - earlier
        # The largest acceleration that, let go at the jerk from tick to tick, is gone just when the gap is.
        step = self.jerk * seconds
        ticks = math.floor(0.5 * (math.sqrt(1.0 + 8.0 * abs(gap) / (step * seconds)) - 1.0))
        eager = math.copysign((0.5 * ticks * step if ticks else 0.0) + abs(gap) / ((ticks + 1) * seconds), gap)
        acceleration = max(before.acceleration - step, min(before.acceleration + step, eager))
        acceleration = max(-self.braking, min(self.longitudinal_acceleration, acceleration))
        if acceleration == gap / seconds:
            return wanted, LimitHit.NONE
        bounded = acceleration in (-self.braking, self.longitudinal_acceleration)
        speed = max(0.0, min(earlier + acceleration * seconds, self.speed_max))
        return speed, LimitHit.ACCELERATION if bounded else LimitHit.JERK

    def _next_curvature(self, wanted: float, earlier: float, seconds: float) -> tuple[float, LimitHit]:
        angle = math.atan(self.wheelbase * earlier)
        change, most = math.atan(self.wheelbase * wanted) - angle, self.steering_rate * seconds
        if abs(change) <= most:
            return wanted, LimitHit.NONE
        return math.tan(angle + math.copysign(most, change)) / self.wheelbase, LimitHit.STEERING_RATE


def _twist(speed: float, curvature: float) -> np.ndarray:
    return np.array([speed, 0.0, speed * curvature])
