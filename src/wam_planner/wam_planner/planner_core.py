"""What the planner decides: when to plan, what to make of the answer, what to tell. No ROS, no torch, no clock."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from wam_models.se2 import Vector, compose
from wam_models.types import Observation, Plan, Refusal, RefusalReason
from wam_planner.continuity import CheckedPlan
from wam_planner.latency import LatencyStatistics
from wam_planner.observation_buffer import BufferConfig, Look, ObservationBuffer, Verdict
from wam_planner.odometry_history import Fault
from wam_planner.plan_validator import ValidatorLimits, Violation


class Outcome(IntEnum):
    """What came of the newest observation; the values are those of wam_msgs/PlannerStatus."""

    NONE = 0
    PUBLISHED = 1
    REFUSED = 2
    REJECTED = 3
    FAILED = 4
    ARRIVED = 5


@dataclass(frozen=True)
class PlannerConfig:
    """goal_tolerance: m, nearer than this the robot has arrived; max_rate: Hz, frames that come faster are skipped;
    dt: s between the policy's points; commit: s of the last plan that the next one keeps.
    Raises ValueError when one of the first three is not above 0 and finite."""

    buffer: BufferConfig
    limits: ValidatorLimits = field(default_factory=ValidatorLimits)
    goal_tolerance: float = 0.5
    max_rate: float = 10.0
    dt: float = 0.25
    commit: float = 0.0

    def __post_init__(self) -> None:
        for name in ("goal_tolerance", "max_rate", "dt"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")


@dataclass(frozen=True)
class PlanTask:
    """An observation to plan from, and the pose of base_link in odom at its stamp."""

    observation: Observation
    pose: Vector


@dataclass
class Report:
    """What PlannerStatus says besides the counts; see that message for the meaning of each."""

    verdict: Verdict = Verdict.WAITING
    detail: str = "just started"
    frame_age: float = math.nan
    outcome: Outcome = Outcome.NONE
    refusal: str = ""
    violations: tuple[str, ...] = ()
    error: str = ""
    stages: dict[str, float] = field(default_factory=dict)


class PlannerCore:
    """Feed it data, ask `consider` for something to plan, and `conclude` what the policy made of it."""

    def __init__(self, config: PlannerConfig) -> None:
        self._config = config
        self.buffer = ObservationBuffer(config.buffer)
        self.latency = LatencyStatistics()
        self.report = Report()
        self.counts: Counter[str] = Counter()
        self.instruction = ""
        self._goal: tuple[float, float] | None = None
        self._goal_from_start: tuple[float, float] | None = None
        self._considered = -math.inf

    @property
    def goal(self) -> tuple[float, float] | None:
        """(x, y) m in odom, or None while there is none."""
        return self._goal

    def aim(self, goal: tuple[float, float]) -> str:
        """A new goal, (x, y) m in odom. Why it was not taken, or an empty text."""
        if not all(map(math.isfinite, goal)):
            return "the goal holds NaN or infinity: the one before is kept"
        self._goal, self._goal_from_start = goal, None
        return ""

    def aim_from_start(self, forward: float, left: float) -> None:
        """A goal in metres from wherever the first odometry finds the robot."""
        self._goal, self._goal_from_start = None, (forward, left)

    def forget(self) -> None:
        """Start over: only the instruction and the goal outlive a reset."""
        self.buffer.clear()
        self.latency.clear()
        self.report = Report()
        self._considered = -math.inf

    def add_odometry(self, now: float, stamp: float, pose: Vector, twist: Vector) -> Fault | None:
        """See ObservationBuffer.add_odometry; the first one also fixes a goal given from the start."""
        fault = self.buffer.add_odometry(now, stamp, pose, twist)
        self.counts["odometry_invalid"] += fault is not None
        if fault is None and self._goal_from_start is not None:
            x, y, _ = compose(pose, (*self._goal_from_start, 0.0))
            self.aim((x, y))
        return fault

    def add_frame(self, camera: str, now: float, stamp: float, image: np.ndarray, content: bytes) -> Fault | None:
        """See ObservationBuffer.add_frame."""
        self.counts["frames_received"] += 1
        fault = self.buffer.add_frame(camera, now, stamp, image, content)
        self.counts["frames_invalid"] += fault is not None
        return fault

    def reject_frame(self, reason: str) -> None:
        """A frame came that could not be decoded."""
        self.counts["frames_received"] += 1
        self.counts["frames_invalid"] += 1
        self.report.error = reason

    def consider(self, now: float, rivals: int) -> PlanTask | None:
        """What to plan from now, if anything. rivals: how many other planners publish trajectories; with one of them
        nothing is planned, because the robot cannot serve two."""
        look = self.buffer.observe(now, self.instruction, self._goal)
        self._see(look)
        observation = look.observation
        if observation is None or look.pose is None:
            return None
        if rivals:
            self._settle(
                Outcome.FAILED,
                error=f"{rivals + 1} planners publish trajectories: stop all but one. "
                "One that was killed counts for up to 20 s.",
            )
            return None
        if observation.goal is not None and math.hypot(*observation.goal) <= self._config.goal_tolerance:
            self._settle(Outcome.ARRIVED)
            return None
        if observation.stamp < self._considered:  # simulated time began anew
            self._considered = -math.inf
        # A millisecond of slack, so that a camera at exactly the highest rate is not halved by jitter.
        if observation.stamp < self._considered + 1.0 / self._config.max_rate - 0.001:
            return None
        self._considered = observation.stamp
        return PlanTask(observation, look.pose)

    def conclude(self, now: float, task: PlanTask, answer: CheckedPlan | Refusal | BaseException) -> Plan | None:
        """The plan, when it may be published at `now`, or None; counts and the report say why."""
        if isinstance(answer, BaseException):
            self._settle(Outcome.FAILED, error=f"the policy failed: {type(answer).__name__}: {answer}")
            return None
        if isinstance(answer, Refusal):
            self.counts[f"refused_{answer.reason.value}"] += 1
            self.counts["plans_refused"] += 1
            # Any other observation may be answered; on a full machine none is, until somebody makes room.
            full = answer.reason is RefusalReason.OUT_OF_MEMORY
            outcome = Outcome.FAILED if full else Outcome.REFUSED
            self._settle(outcome, refusal=answer.reason.value, error=answer.message)
            return None
        self.buffer.mark_read(task.observation)
        if answer.violations:
            self._reject(answer.violations)
            return None
        self.counts["plans_published"] += 1
        self.latency.add(now - answer.plan.trajectory.stamp)
        self._settle(Outcome.PUBLISHED)
        self.report.stages = dict(answer.plan.timings)
        return answer.plan

    def _see(self, look: Look) -> None:
        self.report.verdict, self.report.detail, self.report.frame_age = look.verdict, look.detail, look.frame_age
        if look.verdict is not Verdict.FRESH:
            self._settle(Outcome.NONE, error=self.report.error)

    def _reject(self, violations: tuple[Violation, ...]) -> None:
        self.counts["plans_rejected"] += 1
        for violation in violations:
            self.counts[f"rejected_{violation.rule.value}"] += 1
        self._settle(Outcome.REJECTED, violations=tuple(map(str, violations)))

    def _settle(
        self, outcome: Outcome, *, refusal: str = "", violations: tuple[str, ...] = (), error: str = ""
    ) -> None:
        report = self.report
        report.outcome, report.refusal, report.violations, report.error = outcome, refusal, violations, error
