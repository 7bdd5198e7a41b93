"""Where the robot was and how it moved at the instant an image was taken."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum

from wam_models.se2 import Vector, advance, compose, constant_twist, relative

# Older odometry than this is never asked for: no image that old is planned from.
_KEEP = 5.0
# Speeds this far apart in time give the acceleration: shorter is noise, longer is history.
_ACCELERATION_SPAN = 0.1


class Fault(Enum):
    """Why an input was not taken; the value is what people read."""

    NOT_FINITE = "holds NaN or infinity"
    FUTURE = "is stamped in the future: are the clocks synchronised?"
    OUT_OF_ORDER = "is not newer than the one before"


@dataclass(frozen=True)
class Motion:
    """Of base_link at one instant. pose: in odom; twist: in base_link; acceleration: its change, m/s^2 and rad/s^2."""

    stamp: float
    pose: Vector
    twist: Vector
    acceleration: tuple[float, float, float] = (0.0, 0.0, 0.0)


class OdometryHistory:
    """The last seconds of odometry. tolerance: s, how far from a sample an instant may lie and still be known;
    restart_jump: s, a stamp that much older than the newest means that the source began anew (a bag that loops, a
    simulator that was reset), so the past is forgotten."""

    def __init__(self, tolerance: float, future_tolerance: float, restart_jump: float = 1.0) -> None:
        self._tolerance = tolerance
        self._future_tolerance = future_tolerance
        self._restart_jump = restart_jump
        self._samples: deque[Motion] = deque()

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def newest(self) -> Motion | None:
        """The latest sample, or None."""
        return self._samples[-1] if self._samples else None

    def clear(self) -> None:
        """Forget everything."""
        self._samples.clear()

    def add(self, now: float, stamp: float, pose: Vector, twist: Vector) -> Fault | None:
        """Take one sample, or say why not. now, stamp: s of the node clock."""
        if not all(map(math.isfinite, (stamp, *pose, *twist))):
            return Fault.NOT_FINITE
        if stamp > now + self._future_tolerance:
            return Fault.FUTURE
        if self._samples and stamp <= self._samples[-1].stamp:
            if self._samples[-1].stamp - stamp < self._restart_jump:
                return Fault.OUT_OF_ORDER
            self.clear()
        self._samples.append(Motion(stamp, pose, twist))
        while self._samples[0].stamp < stamp - _KEEP:
            self._samples.popleft()
        return None

    def at(self, stamp: float) -> Motion | None:
        """The motion at `stamp`: between two samples along the arc that joins them, past the newest with its twist.
        None when no sample lies within the tolerance."""
        after = next((i for i, sample in enumerate(self._samples) if sample.stamp >= stamp), len(self._samples))
        if after == len(self._samples):
            return self._beyond_newest(stamp)
        b = self._samples[after]
        if after == 0:
            return b if b.stamp == stamp else None
        a = self._samples[after - 1]
        if min(stamp - a.stamp, b.stamp - stamp) > self._tolerance:
            return None
        part = (stamp - a.stamp) / (b.stamp - a.stamp)
        pose = compose(a.pose, advance(constant_twist(relative(a.pose, b.pose), 1.0), part))
        vx, vy, yaw_rate = ((1.0 - part) * before + part * later for before, later in zip(a.twist, b.twist))
        return Motion(stamp, pose, (vx, vy, yaw_rate), self._acceleration(stamp, (vx, vy, yaw_rate)))

    def _beyond_newest(self, stamp: float) -> Motion | None:
        newest = self.newest
        if newest is None or stamp - newest.stamp > self._tolerance:
            return None
        pose = compose(newest.pose, advance(newest.twist, stamp - newest.stamp))
        return Motion(stamp, pose, newest.twist, self._acceleration(newest.stamp, newest.twist))

    def _acceleration(self, stamp: float, twist: Vector) -> Vector:
        """From the twist about 0.1 s before; zero while the history is shorter."""
        earlier = next((s for s in reversed(self._samples) if s.stamp <= stamp - _ACCELERATION_SPAN), None)
        if earlier is None:
            return 0.0, 0.0, 0.0
        ax, ay, yaw = ((now - then) / (stamp - earlier.stamp) for now, then in zip(twist, earlier.twist))
        return ax, ay, yaw
