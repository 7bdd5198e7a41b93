"""How far a plan of a given age may still be trusted. The age counts from the stamp of the image it was made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple


class Level(IntEnum):
    """What the age of the plan allows; the values are those of wam_msgs/ControllerStatus."""

    STOP = 0
    SLOW = 1
    FULL = 2


class Freshness(NamedTuple):
    """level, and the factor (0 to 1) that the tracked twist is multiplied by."""

    level: Level
    scale: float


@dataclass(frozen=True)
class FreshnessLimits:
    """Ages in seconds: full speed up to slow_age, then linearly less, zero from stop_age. future_tolerance: how far a
    stamp may lie ahead of the clock (machines that are not quite synchronised) before it is not believed.

    Raises ValueError unless 0 < slow_age <= stop_age, both finite, and future_tolerance >= 0.
    """

    slow_age: float = 0.5
    stop_age: float = 1.0
    future_tolerance: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.slow_age <= self.stop_age < math.inf:
            raise ValueError(f"need 0 < slow_age <= stop_age, got {self.slow_age} and {self.stop_age}")
        if not 0.0 <= self.future_tolerance < math.inf:
            raise ValueError(f"future_tolerance must be 0 or more, got {self.future_tolerance}")

    def assess(self, age: float, horizon: float) -> Freshness:
        """The verdict on a plan `age` seconds old that reaches `horizon` seconds: never beyond the horizon, whatever
        stop_age says. An age that is NaN or too far below 0 stops."""
        stop = min(self.stop_age, horizon)
        slow = min(self.slow_age, stop)
        if not -self.future_tolerance <= age < stop:
            return Freshness(Level.STOP, 0.0)
        if age <= slow:
            return Freshness(Level.FULL, 1.0)
        return Freshness(Level.SLOW, (stop - age) / (stop - slow))
