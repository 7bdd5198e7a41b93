"""Policies that know nothing, so that a score means something: stop, straight to the goal, keep the velocity, and for a
car straight ahead at the speed of a town."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from wam_models.policy import Policy, PolicySpec
from wam_models.types import Observation, Plan, Refusal, RefusalReason, Trajectory

_POINTS, _DT = 8, 0.25  # the bundled model's, so that plans compare point by point
_SPEED, _TURN = 0.75, 1.0  # m/s and rad/s at most, straight to the goal
_TOWN_SPEED, _TOWN_PUSH = 7.0, 2.0  # m/s and m/s^2, of the car that sees no lanes


class Baseline(Policy):
    """A policy made of one function from an observation to poses (8, 3)."""

    def __init__(self, name: str, poses: Callable[[Observation], np.ndarray], needs_goal: bool) -> None:
        self._poses = poses
        self.spec = PolicySpec(
            model_id=f"baseline:{name}",
            cameras=("front",),
            context_frames=1,
            context_dt=_DT,
            image_size=(96, 160),
            horizon=_POINTS,
            dt=_DT,
            needs_goal=needs_goal,
            blind=True,
        )

    def plan(self, observation: Observation) -> Plan | Refusal:
        if not np.isfinite(observation.ego.as_array()).all():
            return Refusal(RefusalReason.EGO_NOT_FINITE, "odometry is not finite: check the odometry source")
        if self.spec.needs_goal:
            if observation.goal is None:
                return Refusal(RefusalReason.GOAL_MISSING, "no goal: publish one or set the parameter goal")
            if not all(map(math.isfinite, observation.goal)):
                return Refusal(RefusalReason.GOAL_NOT_FINITE, f"the goal {observation.goal} is not finite")
        poses = self._poses(observation)
        return Plan(
            Trajectory(observation.stamp, _DT, poses), poses[None], np.zeros(1), {"total": 0.0}, self.spec.model_id
        )


def _stop(observation: Observation) -> np.ndarray:
    return np.zeros((_POINTS, 3))


def _constant_velocity(observation: Observation) -> np.ndarray:
    ego = observation.ego
    return _roll_out(lambda pose: (ego.vx, ego.vy, ego.yaw_rate))


def _lane_blind(observation: Observation) -> np.ndarray:
    times = _DT * np.arange(1, _POINTS + 1)
    speeds = np.minimum(max(observation.ego.vx, 0.0) + _TOWN_PUSH * times, _TOWN_SPEED)
    return np.column_stack([np.cumsum(speeds) * _DT, np.zeros((_POINTS, 2))])


def _straight(observation: Observation) -> np.ndarray:
    assert observation.goal is not None
    gx, gy = observation.goal

    def towards(pose: np.ndarray) -> tuple[float, float, float]:
        dx, dy = gx - pose[0], gy - pose[1]
        distance = math.hypot(dx, dy)
        bearing = (math.atan2(dy, dx) - pose[2] + math.pi) % (2 * math.pi) - math.pi
        speed = min(_SPEED, distance / _DT) * max(math.cos(bearing), 0.0)
        return speed, 0.0, float(np.clip(2.0 * bearing, -_TURN, _TURN)) if distance > 0.1 else 0.0

    return _roll_out(towards)


def _roll_out(velocity: Callable[[np.ndarray], tuple[float, float, float]]) -> np.ndarray:
    """Poses (8, 3) of following a velocity (vx, vy, yaw rate) in the body, given the pose."""
    pose, poses, step = np.zeros(3), [], 0.05
    for i in range(1, int(round(_POINTS * _DT / step)) + 1):
        vx, vy, w = velocity(pose)
        c, s = math.cos(pose[2] + 0.5 * w * step), math.sin(pose[2] + 0.5 * w * step)
        pose = pose + np.array([c * vx - s * vy, s * vx + c * vy, w]) * step
        if i % int(round(_DT / step)) == 0:
            poses.append(pose)
    return np.array(poses)


_BASELINES: dict[str, tuple[Callable[[Observation], np.ndarray], bool]] = {
    "stop": (_stop, False),
    "straight": (_straight, True),
    "constant_velocity": (_constant_velocity, False),
    "lane_blind": (_lane_blind, False),
}


def make_baseline(name: str) -> Baseline:
    """A baseline by name. Raises ValueError on an unknown one."""
    if name not in _BASELINES:
        raise ValueError(f"no baseline is called {name!r}: choose one of {', '.join(_BASELINES)}")
    poses, needs_goal = _BASELINES[name]
    return Baseline(name, poses, needs_goal)
