"""Rules that a plan must keep before it may move a robot. What breaks one is reported, never repaired."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import Enum

import numpy as np

from wam_models.types import EgoState


class Rule(Enum):
    """The rules in the order they are checked; the value is what status messages show."""

    FINITE = "finite"
    TIME = "time_increases"
    START = "starts_at_robot"
    SPEED = "speed"
    YAW_RATE = "yaw_rate"
    CURVATURE = "curvature"
    ACCELERATION = "acceleration"


@dataclass(frozen=True)
class Violation:
    """value: the worst found, at point `index`; limit: what it may be. Units are those of the rule."""

    rule: Rule
    index: int
    value: float
    limit: float

    def __str__(self) -> str:
        return f"{self.rule.value}: {self.value:.2f} at point {self.index}, limit {self.limit:.2f}"


@dataclass(frozen=True)
class ValidatorLimits:
    """What a sane plan keeps; wider than what the controller drives, so that noise passes and nonsense does not.

    max_speed: m/s; max_yaw_rate: rad/s; max_curvature: 1/m, judged only where the robot moves faster than
    curvature_speed (m/s), since a robot may turn on the spot; max_acceleration: m/s^2 between intervals, the first one
    against the measured speed; max_start_distance: m between the robot and the first point, beyond what max_speed
    covers in its time. Raises ValueError unless each is above 0 and finite.
    """

    max_speed: float = 2.0
    max_yaw_rate: float = 3.0
    max_curvature: float = 5.0
    curvature_speed: float = 0.3
    max_acceleration: float = 6.0
    max_start_distance: float = 0.2

    def __post_init__(self) -> None:
        for each in fields(self):
            if not 0.0 < getattr(self, each.name) < math.inf:
                raise ValueError(f"{each.name} must be above 0 and finite, got {getattr(self, each.name)}")


def validate(times: np.ndarray, poses: np.ndarray, ego: EgoState, limits: ValidatorLimits) -> tuple[Violation, ...]:
    """Every rule that a plan breaks; empty when it may be driven.

    times: (H,) s after the stamp; poses: (H, 3) x, y m and yaw rad in base_link at the stamp. Where values are not
    finite or time does not increase, only that is reported: nothing else would mean anything.
    """
    finite = np.isfinite(poses).all(axis=1) & np.isfinite(times)
    if not finite.all():
        return (Violation(Rule.FINITE, int(np.argmin(finite)), math.nan, math.inf),)
    steps = np.diff(times, prepend=0.0)
    if not (steps > 0).all():
        return (Violation(Rule.TIME, int(np.argmin(steps)), float(steps.min()), 0.0),)

    moves = np.diff(poses, axis=0, prepend=np.zeros((1, 3)))
    lengths = np.hypot(moves[:, 0], moves[:, 1])
    turns = np.abs((moves[:, 2] + np.pi) % (2.0 * np.pi) - np.pi)
    velocities = moves[:, :2] / steps[:, None]
    speeds = lengths / steps
    changes = np.diff(velocities, axis=0, prepend=np.array([[ego.vx, ego.vy]]))
    # Velocities are means, so they lie from middle to middle apart. The first has its whole interval to be reached in:
    # a policy that says the speed it wants at once is not wrong, the controller's ramp sees to the rest.
    spans = np.concatenate([steps[:1], (steps[1:] + steps[:-1]) / 2.0])
    curvatures = np.where(speeds > limits.curvature_speed, turns / np.maximum(lengths, 1e-9), 0.0)

    start_limit = limits.max_speed * times[0] + limits.max_start_distance
    checks = (
        (Rule.START, lengths[:1], start_limit),
        (Rule.SPEED, speeds, limits.max_speed),
        (Rule.YAW_RATE, turns / steps, limits.max_yaw_rate),
        (Rule.CURVATURE, curvatures, limits.max_curvature),
        (Rule.ACCELERATION, np.hypot(changes[:, 0], changes[:, 1]) / spans, limits.max_acceleration),
    )
    return tuple(
        Violation(rule, int(np.argmax(values)), float(values.max()), limit)
        for rule, values, limit in checks
        if not values.max() <= limit
    )
