"""The planner without its node: fed with a recording, on the recording's own clock."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from wam_models.data.events import Aimed, Event, Moved, Picture, Told
from wam_models.evaluation.replay import PlanOutcome
from wam_models.policy import Policy
from wam_models.types import Plan, Refusal
from wam_planner.continuity import CheckedPlan, PlanChain
from wam_planner.images import ImageError
from wam_planner.observation_buffer import Verdict
from wam_planner.planner_core import Outcome, PlannerConfig, PlannerCore, PlanTask

# s between two looks at what there is to plan from, as the node's status timer has it.
_LOOK_PERIOD = 0.1
_ODOMETRY_LACKS = (Verdict.WAITING.name.lower(), Verdict.UNSYNCED.name.lower())


class OfflinePlanner:
    """One policy on a recording. outcomes: of each observation that was planned from; timings: ms by stage, of each
    plan."""

    def __init__(self, policy: Policy, config: PlannerConfig, every: int = 1) -> None:
        """every: plans from one in so many of the observations that the robot would plan from."""
        self.policy = policy
        self.outcomes: list[PlanOutcome] = []
        self.timings: list[dict[str, float]] = []
        self.config = config
        self.core = PlannerCore(config)
        self._chain = PlanChain(policy, config.limits, config.dt, config.commit)
        self._every, self._asked = every, 0
        self._lost: Counter[str] = Counter()
        self._waits = ""  # why the newest picture has not been planned from, while it still may be
        self._looked = -math.inf
        self._logged = math.nan

    @property
    def not_planned(self) -> dict[str, int]:
        """How many pictures were not planned from, by what was wrong. One between two that the robot plans from, at its
        own rate, is not lost."""
        return dict(sorted((self._lost + Counter([self._waits] if self._waits else [])).items()))

    def see(self, event: Event, now: float, image: np.ndarray | ImageError | None) -> PlanTask | None:
        """What to plan from after this event, if anything. image: of a Picture, or why it has none."""
        self._logged = event.logged
        if isinstance(event, Moved):
            self.core.add_odometry(now, event.stamp, event.pose, event.twist)
            # The node looks again from time to time: a picture whose odometry came after it is not lost.
            again = self._waits in _ODOMETRY_LACKS or now - self._looked >= _LOOK_PERIOD
            return self._consider(now) if self._waits and again else None
        if isinstance(event, Told):
            self.core.instruction = event.text
        elif isinstance(event, Aimed):
            self.core.aim(event.goal)
        elif isinstance(event, Picture) and event.camera in self.policy.spec.cameras:
            if event.camera == self.policy.spec.cameras[0]:  # the others complete it
                self._lost.update([self._waits] if self._waits else [])
                self._waits = ""
            if self._take(event, now, image):
                return self._consider(now)
        return None

    def plan(self, task: PlanTask, now: float) -> None:
        """Plan, and keep what came of it."""
        answer: CheckedPlan | Refusal | Exception
        try:
            answer = self._chain.plan(task.observation, task.pose)
        except Exception as error:  # noqa: BLE001  a policy may raise anything; the node goes on as well
            answer = error
        self.core.conclude(now, task, answer)
        stamp, pose = task.observation.stamp, np.array(task.pose)
        if isinstance(answer, CheckedPlan):
            self._keep(stamp, pose, answer.plan, tuple(each.rule.value for each in answer.violations))
            return
        why = answer.reason.value if isinstance(answer, Refusal) else f"failed: {type(answer).__name__}"
        self.outcomes.append(PlanOutcome(stamp, pose, refusal=why, logged=self._logged))

    def _take(self, picture: Picture, now: float, image: np.ndarray | ImageError | None) -> bool:
        """Whether the buffer has it."""
        if not isinstance(image, np.ndarray):
            self.core.reject_frame(str(image))
            self._lost["unreadable"] += 1
            return False
        fault = self.core.add_frame(picture.camera, now, picture.stamp, image, bytes(picture.message.data))
        if fault is not None:
            self._lost[fault.name.lower()] += 1
        return fault is None

    def _consider(self, now: float) -> PlanTask | None:
        self._looked = now
        task = self.core.consider(now, rivals=0)
        report = self.core.report
        self._waits = "" if report.verdict is Verdict.FRESH else report.verdict.name.lower()
        if report.outcome is Outcome.ARRIVED:
            self._waits = "arrived"
        if task is None:
            return None
        self._asked += 1
        return task if (self._asked - 1) % self._every == 0 else None

    def _keep(self, stamp: float, pose: np.ndarray, plan: Plan, violations: tuple[str, ...]) -> None:
        trajectory = plan.trajectory
        self.outcomes.append(
            PlanOutcome(stamp, pose, trajectory.times, trajectory.poses, violations=violations, logged=self._logged)
        )
        self.timings.append(dict(plan.timings))
