"""From the robot's words to ROS conventions and back: odometry, the frame of its velocity, its clock, velocity limits.

Pure. Frames after REP-103 and REP-105: x forward, y left, z up; odom -> base_link. Quaternions are w, x, y, z, as both
the robot and transforms3d write them.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
from transforms3d.quaternions import quat2mat

VELOCITY_FRAMES = ("odom", "base_link")


@dataclass(frozen=True)
class Odometry:
    """position: (3,) m in odom; quaternion: (4,) w, x, y, z of base_link in odom, of length 1; linear: (3,) m/s and
    yaw_rate: rad/s in base_link."""

    position: np.ndarray
    quaternion: np.ndarray
    linear: np.ndarray
    yaw_rate: float

    @property
    def speed(self) -> float:
        """The larger of m/s over ground and rad/s."""
        return max(float(np.hypot(*self.linear[:2])), abs(self.yaw_rate))


def odometry(
    position: list[float], quaternion: list[float], velocity: list[float], yaw_rate: float, velocity_frame: str
) -> Odometry:
    """SportModeState as an odometry. velocity_frame: in which frame the robot's velocity is, one of VELOCITY_FRAMES.

    Raises ValueError when a value is not finite or the quaternion is no rotation: the robot sends zeros before its
    estimator has started.
    """
    values = np.array([*position, *quaternion, *velocity, yaw_rate], dtype=float)
    if values.shape != (11,) or not np.isfinite(values).all():
        raise ValueError("the robot's state is not finite")
    norm = float(np.linalg.norm(values[3:7]))
    if not 0.9 < norm < 1.1:
        raise ValueError(f"the robot's orientation is no rotation: its quaternion has length {norm:.2f}")
    unit = values[3:7] / norm
    linear = values[7:10]
    if velocity_frame == "odom":
        linear = quat2mat(unit).T @ linear
    elif velocity_frame != "base_link":
        raise ValueError(f"velocity_frame must be one of {VELOCITY_FRAMES}, got {velocity_frame!r}")
    return Odometry(values[:3], unit, linear, float(values[10]))


class VelocityFrameCheck:
    """Notices that `velocity_frame` is set wrong: compares what the robot says about its velocity with how its position
    changes. The vendor does not document the frame, and a wrong one turns every speed by the robot's yaw."""

    _INTERVAL = 0.2  # s between the positions that are compared
    _TELLING = 0.15  # m/s between the two readings: below it they cannot be told apart
    _ENOUGH = 15  # intervals before there is an opinion; 3 s of walking away from the axis

    def __init__(self, velocity_frame: str) -> None:
        self._set_to_odom = velocity_frame == "odom"
        self._last: tuple[float, np.ndarray] | None = None
        self._for = 0
        self._against = 0

    def offer(self, time: float, sample: Odometry) -> bool:
        """Whether the frame looks wrong so far. time: s of any steady clock; sample: as `odometry` returned it."""
        if self._last is None or time - self._last[0] > 3 * self._INTERVAL:
            self._last = (time, sample.position)
        elif time - self._last[0] >= self._INTERVAL:
            measured = (sample.position - self._last[1]) / (time - self._last[0])
            self._last = (time, sample.position)
            turn = quat2mat(sample.quaternion)
            as_set = float(np.linalg.norm((turn @ sample.linear - measured)[:2]))
            # Set to odom, the robot's own number was turn @ linear; had it been in base_link, it would want another
            # turn.
            reading = turn @ turn @ sample.linear if self._set_to_odom else sample.linear
            other = float(np.linalg.norm((reading - measured)[:2]))
            if abs(as_set - other) > self._TELLING:
                self._for, self._against = self._for + (as_set < other), self._against + (as_set > other)
        return self._for + self._against >= self._ENOUGH and self._against > 2 * self._for


class RobotClock:
    """Puts the robot's stamps on the host's steady clock, although the two clocks were never set alike.

    The smallest delay seen in the last seconds is taken as the offset: a message can be late, never early. What remains
    is the shortest way through the link, far below a millisecond on a cable.
    """

    _WINDOW = 10.0  # s; short enough to follow two drifting quartzes, long enough to see a quick message
    _JUMP = 0.5  # s; more is a restarted clock

    def __init__(self) -> None:
        self._stamp = -math.inf
        self._delays: deque[tuple[float, float]] = deque()  # (arrival, delay), delays increasing: the first is smallest

    def to_host(self, stamp: float, arrival: float) -> float:
        """When it was measured, s on the clock of `arrival` and never later than it. A stamp that does not advance
        tells nothing: then it is `arrival`."""
        delay = arrival - stamp
        if stamp <= self._stamp or (self._delays and abs(delay - self._delays[-1][1]) > self._JUMP):
            self._delays.clear()
        self._stamp = stamp
        while self._delays and self._delays[-1][1] >= delay:
            self._delays.pop()
        self._delays.append((arrival, delay))
        while self._delays[0][0] < arrival - self._WINDOW:
            self._delays.popleft()
        return stamp + self._delays[0][1]


@dataclass(frozen=True)
class BridgeLimits:
    """The bridge's own bounds, whatever the gate lets through. vx_min, vx_max, vy_max: m/s; yaw_rate_max: rad/s; all in
    base_link. Raises ValueError outside what the vendor allows (vx -2.5 to 3.8, vy 1, yaw rate 4)."""

    vx_min: float = -0.5
    vx_max: float = 1.5
    vy_max: float = 0.6
    yaw_rate_max: float = 1.5

    def __post_init__(self) -> None:
        for name, low, high in (
            ("vx_min", -2.5, 0.0), ("vx_max", 0.0, 3.8), ("vy_max", 0.0, 1.0), ("yaw_rate_max", 0.0, 4.0)
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}, got {getattr(self, name)}")

    def __str__(self) -> str:
        forward = f"vx {self.vx_min:g} to {self.vx_max:g} m/s"
        return f"{forward}, vy {self.vy_max:g} m/s, yaw rate {self.yaw_rate_max:g} rad/s"

    def apply(self, vx: float, vy: float, yaw_rate: float) -> tuple[tuple[float, float, float], bool]:
        """The twist scaled as a whole until it is within, so that the robot keeps its path, and whether it had to be. A
        direction whose bound is 0 is dropped instead. Raises ValueError when a number is not finite."""
        if not all(map(math.isfinite, (vx, vy, yaw_rate))):
            raise ValueError(f"command must be finite, got {vx}, {vy}, {yaw_rate}")
        values = [vx, vy, yaw_rate]
        bounds = [self.vx_max if vx >= 0.0 else -self.vx_min, self.vy_max, self.yaw_rate_max]
        limited = any(abs(value) > bound for value, bound in zip(values, bounds))
        kept = [value if bound > 0.0 else 0.0 for value, bound in zip(values, bounds)]
        ratio = min((bound / abs(value) for value, bound in zip(kept, bounds) if abs(value) > bound), default=1.0)
        return (kept[0] * ratio, kept[1] * ratio, kept[2] * ratio), limited
