"""From one plan to the next: what of the last plan is being driven already, and how far the next one jumps off it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from wam_controller.tracker import Reference, make_reference
from wam_models.policy import Policy
from wam_models.se2 import Vector, relative
from wam_models.types import Observation, Plan, Refusal
from wam_planner.plan_validator import ValidatorLimits, Violation, validate

# m that tracking may be behind or beside a plan that is being driven.
_OFF_THE_PLAN = 0.15


@dataclass(frozen=True)
class CheckedPlan:
    """violations: why the plan may not be driven; empty when it may."""

    plan: Plan
    violations: tuple[Violation, ...]


class PlanChain:
    """Plans that follow one another: each is told the first points of the last one that may be driven.

    It belongs to the thread that plans. A plan is therefore checked there, before the next one begins, and not where it
    is published: by then the next one may have begun.
    """

    def __init__(self, policy: Policy, limits: ValidatorLimits, dt: float, commit: float) -> None:
        """dt: s between the policy's points; commit: s of the last plan that the next one keeps."""
        self._policy = policy
        self._limits = limits
        self._dt = dt
        self._commit = commit
        self._driven: Reference | None = None

    def plan(self, observation: Observation, pose: Vector) -> CheckedPlan | Refusal:
        """What the policy makes of the observation. pose: of base_link in odom at its stamp. After a refusal, or when
        the policy raises, the plan before goes on being driven; after one that breaks a rule none is."""
        answer = self._policy.plan(replace(observation, committed=self._committed(observation.stamp, pose)))
        if isinstance(answer, Refusal):
            return answer
        trajectory = answer.trajectory
        violations = validate(trajectory.times, trajectory.poses, observation.ego, self._limits)
        self._driven = None if violations else make_reference(trajectory, np.array(pose))
        return CheckedPlan(answer, violations)

    def reset(self, seed: int) -> None:
        """Continue no plan made so far, and reset the policy."""
        self._driven = None
        self._policy.reset(seed)

    def _committed(self, stamp: float, pose: Vector) -> np.ndarray | None:
        if self._driven is None or stamp < self._driven.stamp:  # a bag that begins anew is no continuation
            return None
        (x, y, _), _ = self._driven.sample(stamp - self._driven.stamp)
        # A robot that is held, or stands, drives nothing that could be kept.
        if math.hypot(x - pose[0], y - pose[1]) > _OFF_THE_PLAN:
            return None
        return committed_points(self._driven, stamp, pose, self._dt, self._commit)


def committed_points(reference: Reference, stamp: float, pose: Vector, dt: float, seconds: float) -> np.ndarray | None:
    """Of the plan to come, with points every dt s after `stamp`: the first ones, (P, 3) in base_link at `pose`, that
    lie within `seconds`, as the plan that is being driven has them. None where there are none, since the reference ends
    earlier or `seconds` hold no point."""
    lead = stamp - reference.stamp
    count = math.floor(min(seconds, reference.horizon - lead) / dt + 1e-6)
    if count < 1:
        return None
    poses = (reference.sample(lead + (i + 1) * dt)[0] for i in range(count))
    return np.array([relative(pose, each) for each in poses])


def jump(before: Reference, after: Reference, time: float) -> float:
    """Metres between where two plans want the robot at one time, at which the second takes over."""
    (x0, y0, _), (x1, y1, _) = (reference.sample(time - reference.stamp)[0] for reference in (before, after))
    return math.hypot(x1 - x0, y1 - y0)
