"""From a timed trajectory and where the robot is now to the velocity it should have: the trackers.

A reference is a chain of constant twists: over each interval base_link moves with one velocity expressed in itself, so
the sampled velocity is exactly the derivative of the sampled pose. Every call takes the time explicitly, so the node
and a closed loop without ROS run the same code. Poses and twists are those of wam_models.se2.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from wam_models.se2 import Vector, advance, compose, constant_twist, relative, wrap
from wam_models.types import Trajectory


@dataclass(frozen=True)
class Reference:
    """A trajectory placed in odom. stamp: s; times: (H,) s after the stamp, increasing, all above 0; poses: (H, 3) of
    base_link in odom; velocities: (H, 3) in base_link, row i the constant twist of the interval that ends at point i.

    Raises ValueError when a shape is wrong, times do not increase or a value is not finite.
    """

    stamp: float
    times: np.ndarray
    poses: np.ndarray
    velocities: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.times), 3)
        if not len(self.times) or self.poses.shape != shape or self.velocities.shape != shape:
            raise ValueError(f"{len(self.times)} times need as many poses and velocities of 3, at least one")
        if self.times[0] <= 0 or np.any(np.diff(self.times) <= 0):
            raise ValueError("times must increase and be above 0: they count from the stamp")
        if not (np.isfinite(self.poses).all() and np.isfinite(self.velocities).all() and np.isfinite(self.times).all()):
            raise ValueError("times, poses and velocities must be finite")

    @property
    def horizon(self) -> float:
        """Seconds from the stamp to the last point."""
        return float(self.times[-1])

    @cached_property
    def _knots(self) -> tuple[list[float], list[Vector], list[Vector]]:
        """Times, poses and interval twists as plain floats, the origin (the pose at the stamp) first."""
        times = [0.0, *self.times.tolist()]
        poses = [tuple(row) for row in self.poses.tolist()]
        velocities = [tuple(row) for row in self.velocities.tolist()]
        origin = compose(poses[0], advance(velocities[0], -times[1]))
        return times, [origin, *poses], velocities

    def sample(self, time: float) -> tuple[Vector, Vector]:
        """Pose in odom and twist in that pose's base_link, `time` seconds after the stamp.

        Before the stamp it is the origin and the first twist. Beyond the horizon nothing is invented: the last pose
        and a twist of zero.
        """
        times, poses, velocities = self._knots
        if time > times[-1]:
            return poses[-1], (0.0, 0.0, 0.0)
        if time <= 0.0:
            return poses[0], velocities[0]
        i = bisect_left(times, time) - 1
        return compose(poses[i], advance(velocities[i], time - times[i])), velocities[i]


def make_reference(trajectory: Trajectory, origin: np.ndarray) -> Reference:
    """A policy's trajectory placed in odom. origin: (3,) pose of base_link in odom at the trajectory's stamp; it is the
    pose at time 0, where the first interval begins."""
    local = [(0.0, 0.0, 0.0), *(tuple(row) for row in trajectory.poses.tolist())]
    x, y, yaw = origin.tolist()
    steps = [constant_twist(relative(a, b), trajectory.dt) for a, b in zip(local, local[1:])]
    poses = [compose((x, y, yaw), pose) for pose in local[1:]]
    return Reference(trajectory.stamp, trajectory.times, np.array(poses), np.array(steps))


@dataclass(frozen=True)
class TrackerOutput:
    """twist: (3,) wanted velocity in the current base_link, before any limit; cross_track: m, and heading_error:
    rad, are the robot's as seen from the reference at the plan's age, left and anticlockwise positive; age: s since
    the stamp."""

    twist: np.ndarray
    cross_track: float
    heading_error: float
    age: float


class Tracker(Protocol):
    """What the control loop needs of a tracker."""

    def command(self, reference: Reference, now: float, pose: np.ndarray, twist: np.ndarray) -> TrackerOutput:
        """now: s, the clock of the stamp; pose: (3,) in odom; twist: (3,) measured, in base_link."""


@dataclass(frozen=True)
class HolonomicTracker:
    """Feed-forward plus PD for a robot that can also step sideways.

    The feed-forward is the reference's velocity `lead` seconds ahead, when the command will act: lead is the command
    delay of the robot (Go2: 0.02 to 0.05 s) and the lag of its gait. The error compares now with now: the reference at
    the plan's age, in the current base_link. kp: 1/s and kd: no unit, for (x, y, yaw).
    """

    lead: float = 0.08
    kp: Vector = (1.5, 1.5, 2.0)
    kd: Vector = (0.1, 0.1, 0.1)

    def command(self, reference: Reference, now: float, pose: np.ndarray, twist: np.ndarray) -> TrackerOutput:
        """See Tracker."""
        here = tuple(pose.tolist())
        age = now - reference.stamp
        target, target_velocity = reference.sample(age)
        error = relative(here, target)
        ahead, feed_forward = reference.sample(age + self.lead)
        wanted = _turn(feed_forward, ahead[2] - here[2])
        rate = _turn(target_velocity, error[2])
        measured = twist.tolist()
        command = [w + p * e + d * (r - m) for w, p, e, d, r, m in zip(wanted, self.kp, error, self.kd, rate, measured)]
        return TrackerOutput(np.array(command), relative(target, here)[1], -error[2], age)


@dataclass(frozen=True)
class InternNavPd:
    """The PD law of InternNav's real-robot client, which the Metis paper adapted: drive along the heading by the
    distance ahead, turn by the heading error, no integral and no sideways step. Gains and speeds are that client's.

    Its target here is the reference `lookahead` seconds ahead, faced rather than copied: the law does not steer by a
    lateral error, so the caller must turn it into a heading. With kp_forward 2 a lookahead of 0.5 s commands the
    planned speed. Reversing is cut to zero, as in the client.
    """

    lookahead: float = 0.5
    kp_forward: float = 2.0
    kd_forward: float = 0.0
    kp_turn: float = 1.5
    kd_turn: float = 0.0
    max_speed: float = 0.6
    max_turn: float = 0.5

    # Closer than this the bearing of the target is noise: keep the reference's own heading.
    face_distance: float = 0.10

    def law(self, ahead: float, turn: float, speed: float, yaw_rate: float) -> tuple[float, float]:
        """(v m/s, w rad/s) from the target's distance along the heading (m), its heading error (rad) and the measured
        speed and yaw rate; both errors are clipped to 1."""
        ahead, turn = _clip(ahead, 1.0), _clip(wrap(turn), 1.0)
        return (
            _clip(self.kp_forward * ahead - self.kd_forward * speed, self.max_speed),
            _clip(self.kp_turn * turn - self.kd_turn * yaw_rate, self.max_turn),
        )

    def command(self, reference: Reference, now: float, pose: np.ndarray, twist: np.ndarray) -> TrackerOutput:
        """See Tracker."""
        here = tuple(pose.tolist())
        age = now - reference.stamp
        present, _ = reference.sample(age)
        target = relative(here, reference.sample(age + self.lookahead)[0])
        far = math.hypot(target[0], target[1]) > self.face_distance
        turn = math.atan2(target[1], target[0]) if far else target[2]
        speed, yaw_rate = self.law(target[0], turn, float(twist[0]), float(twist[2]))
        command = np.array([max(speed, 0.0), 0.0, yaw_rate])
        offset = relative(present, here)
        return TrackerOutput(command, offset[1], offset[2], age)


def _turn(velocity: Vector, angle: float) -> Vector:
    """A velocity given in a frame turned by `angle` against ours, in ours."""
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * velocity[0] - sin * velocity[1], sin * velocity[0] + cos * velocity[1], velocity[2]


def _clip(value: float, bound: float) -> float:
    return max(-bound, min(bound, value))
