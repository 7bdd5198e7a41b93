"""Tracking a timed trajectory with a car, which can steer and drive but not step sideways.

A tracker for cars answers like any other with true velocities, the yaw rate being that of the wanted curvature at that
speed; a steering angle is made of them where the wheelbase is known. Curvatures are 1/m, left positive.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from wam_controller.tracker import Reference, TrackerOutput
from wam_models.se2 import Vector, advance, compose, relative


@dataclass(frozen=True)
class AckermannTracker:
    """Steers along the cubic that leads from where the car will be when the command acts to where the plan wants it
    `preview` seconds later, in place and heading.

    On a circle that is the plan's own curvature; beside it, lateral and heading error come back like a spring of
    damping 0.8. The error of this moment alone would not do: a plan begins where the robot is, so it is always small.

    rear_axle: m from base_link back to it, where a car moves as it heads; lead: s from a command to the wheels, the
    steering's lag included; shortest: m, of the cubic, so that slow cars do not saw at their wheel; kp_speed: 1/s, of
    the distance that the car is behind its plan; max_curvature: 1/m, of the car; max_lateral: m/s^2, for which it goes
    slower where the way bends. It never reverses.

    Raises ValueError unless all are above 0 and finite; rear_axle, lead and kp_speed may be 0.
    """

    rear_axle: float = 0.0
    lead: float = 0.2
    preview: float = 1.0
    shortest: float = 4.0
    kp_speed: float = 0.6
    max_curvature: float = 0.2
    max_lateral: float = 3.0

    def __post_init__(self) -> None:
        for name in ("preview", "shortest", "max_curvature", "max_lateral"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        for name in ("rear_axle", "lead", "kp_speed"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be 0 or more and finite, got {getattr(self, name)}")

    def command(self, reference: Reference, now: float, pose: np.ndarray, twist: np.ndarray) -> TrackerOutput:
        """See Tracker."""
        here: Vector = tuple(pose.tolist())
        age = now - reference.stamp
        present, _ = reference.sample(age)
        _, velocity = reference.sample(age + self.lead)
        behind, _, _ = relative(here, present)
        _, cross_track, heading_error = relative(present, here)
        speed = max(math.hypot(velocity[0], velocity[1]) + self.kp_speed * behind, 0.0) if velocity[0] > 0.0 else 0.0
        acting = compose(here, advance(tuple(twist.tolist()), self.lead))
        bend = _initial_curvature(self._target(reference, age + self.lead, acting), self.shortest)
        curvature = max(-self.max_curvature, min(self.max_curvature, bend))
        if speed * speed * abs(curvature) > self.max_lateral:
            speed = math.sqrt(self.max_lateral / abs(curvature))
        return TrackerOutput(np.array([speed, 0.0, speed * curvature]), cross_track, heading_error, age)

    def _target(self, reference: Reference, age: float, acting: Vector) -> Vector:
        """The plan's pose `preview` s later, or later still until it is `shortest` m ahead; as seen from `acting`."""
        time = age + self.preview
        target = self._axle_to_axle(acting, reference.sample(time)[0])
        while target[0] < self.shortest and time < reference.horizon:
            time = min(time + self.preview, reference.horizon)
            target = self._axle_to_axle(acting, reference.sample(time)[0])
        return target

    def _axle_to_axle(self, here: Vector, there: Vector) -> Vector:
        """The rear axle of a car there, as seen from that of a car here."""
        back = (-self.rear_axle, 0.0, 0.0)
        return relative(compose(here, back), compose(there, back))


class WaypointPid:
    """The steering law of LMDrive's agent and of InterFuser's, whose constants are the same: towards the middle of the
    waypoints 0.5 and 1.0 s ahead, by a PID on their bearing. Its speed is what those two waypoints are apart, and zero
    where that is less than 0.1 m/s or the car is a tenth too fast.

    Source: opendilab/LMDrive, leaderboard/team_code, pid_controller.py and lmdriver_config.py. What steers there is a
    share of the largest angle; max_steering: rad, that angle, 70 degrees for most cars of CARLA; wheelbase: m. The
    integral is the mean of 40 calls at 10 Hz there, and of `window` seconds here.

    Raises ValueError unless both are above 0 and finite.
    """

    gains = (1.25, 0.75, 0.3)
    window = 4.0
    applied = 0.8  # of the answer

    def __init__(self, wheelbase: float = 2.88, max_steering: float = 1.22) -> None:
        for name, value in (("wheelbase", wheelbase), ("max_steering", max_steering)):
            if not 0.0 < value < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {value}")
        self._wheelbase, self._max_steering = wheelbase, max_steering
        self._bearings: deque[tuple[float, float]] = deque()

    def command(self, reference: Reference, now: float, pose: np.ndarray, twist: np.ndarray) -> TrackerOutput:
        """See Tracker."""
        here: Vector = tuple(pose.tolist())
        age, measured = now - reference.stamp, float(twist[0])
        present, _ = reference.sample(age)
        first, second = (relative(here, reference.sample(age + seconds)[0]) for seconds in (0.5, 1.0))
        wanted = 2.0 * math.hypot(second[0] - first[0], second[1] - first[1])
        speed = 0.0 if wanted < 0.1 or measured > 1.1 * wanted else wanted
        aim = 0.5 * (first[0] + second[0]), 0.5 * (first[1] + second[1])
        bearing = math.atan2(aim[1], aim[0]) / (0.5 * math.pi) if measured >= 0.01 else 0.0
        share = max(-1.0, min(1.0, self._pid(now, bearing)))
        curvature = math.tan(self.applied * share * self._max_steering) / self._wheelbase
        _, cross_track, heading_error = relative(present, here)
        return TrackerOutput(np.array([speed, 0.0, speed * curvature]), cross_track, heading_error, age)

    def _pid(self, now: float, error: float) -> float:
        """The derivative is the change over a tenth of a second, as of two calls there."""
        if self._bearings and now < self._bearings[-1][0]:
            self._bearings.clear()  # the clock began anew
        self._bearings.append((now, error))
        while self._bearings[0][0] < now - self.window:
            self._bearings.popleft()
        before = next((value for time, value in reversed(self._bearings) if time <= now - 0.1), error)
        mean = sum(value for _, value in self._bearings) / len(self._bearings)
        proportional, integral, derivative = self.gains
        return proportional * error + integral * mean + derivative * (error - before)


def _initial_curvature(target: Vector, shortest: float) -> float:
    """Of the cubic to a pose ahead. Nearer than half of `shortest` it is a straight line: a plan that ends there stops,
    and a car that hardly moves need not steer."""
    x, y, yaw = target
    if x < 0.5 * shortest:
        return 0.0
    return 6.0 * y / x**2 - 2.0 * math.tan(max(-1.2, min(1.2, yaw))) / x


def steering_angle(twist: Vector, wheelbase: float, before: float) -> float:
    """rad at the front wheels, left positive, of a car that moves so; before: the angle it has, which it keeps while it
    stands, for nothing can be told then."""
    if abs(twist[0]) < 0.1:
        return before
    return math.atan(wheelbase * twist[2] / twist[0])
