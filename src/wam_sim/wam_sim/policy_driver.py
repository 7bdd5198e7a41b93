"""A policy at the wheel of a simulation: it is shown what a robot would see, and its plans are judged as on a robot."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Protocol

import numpy as np

from wam_controller.tracker import Reference
from wam_models.evaluation.oracle import Oracle
from wam_models.policy import Policy
from wam_models.types import EgoState, Observation, Refusal, Trajectory
from wam_planner.continuity import committed_points
from wam_planner.plan_validator import ValidatorLimits, validate

PLAN_PERIOD = 0.2  # s, the 5 Hz a planner must reach


class Robot(Protocol):
    """What a robot knows, and a simulation shows. time: s; pose, twist: (3,) in odom and in base_link; instruction;
    goal_in_base: (x, y) m in base_link, or None."""

    time: float

    @property
    def pose(self) -> np.ndarray: ...

    @property
    def twist(self) -> np.ndarray: ...

    @property
    def instruction(self) -> str: ...

    @property
    def goal_in_base(self) -> tuple[float, float] | None: ...

    def render(self, camera: str = "front") -> np.ndarray:
        """uint8 (H, W, 3) RGB of a camera, now."""


class Teacher(Protocol):
    """Who knows what to do."""

    def plan(self, simulation: Any) -> Trajectory: ...


class PolicyDriver:
    """A policy that sees only what the robot would: frames, its own motion, the instruction, the goal. Its plans pass
    the planner node's validator or are dropped. commit: s of the plan that is being driven which the next one keeps;
    oracle: with the expert whose plan it is told, the scorer of the policy, which then sees more than a robot would;
    limits: of the validator, default those of a walk; refusals: why it refused or was rejected; plan_seconds: real
    time."""

    def __init__(
        self,
        policy: Policy,
        *,
        commit: float = 0.0,
        oracle: tuple[Oracle, Teacher] | None = None,
        limits: ValidatorLimits | None = None,
    ) -> None:
        self._policy, self._commit, self._told = policy, commit, oracle
        self._limits = limits or ValidatorLimits()
        self._frames: list[tuple[float, np.ndarray]] = []
        self._last: tuple[float, np.ndarray] | None = None
        self.refusals: list[str] = []
        self.plan_seconds: list[float] = []

    def plan(self, simulation: Robot, driven: Reference | None = None) -> Trajectory | None:
        """For what the simulation shows now; None when the policy refuses, or its plan is not to be driven."""
        spec = self._policy.spec
        self._frames.append((simulation.time, self._frame(simulation)))
        keep = simulation.time - (spec.context_frames - 1) * spec.context_dt - PLAN_PERIOD
        while self._frames[0][0] < keep:
            self._frames.pop(0)
        observation = self._observe(simulation, driven)
        if self._told is not None:
            oracle, teacher = self._told
            oracle.truth = teacher.plan(simulation)
        began = perf_counter()
        answer = self._policy.plan(observation)
        self.plan_seconds.append(perf_counter() - began)
        if isinstance(answer, Refusal):
            self.refusals.append(answer.reason.value)
            return None
        trajectory = answer.trajectory
        violations = validate(trajectory.times, trajectory.poses, observation.ego, self._limits)
        self.refusals += [violation.rule.value for violation in violations]
        return None if violations else trajectory

    def _frame(self, simulation: Robot) -> np.ndarray:
        """uint8 (V, H, W, 3) of the cameras that the policy wants."""
        spec = self._policy.spec
        if spec.blind:
            return np.zeros((len(spec.cameras), *spec.image_size, 3), np.uint8)
        return np.stack([simulation.render(camera) for camera in spec.cameras])

    def _observe(self, simulation: Robot, driven: Reference | None) -> Observation:
        spec, now = self._policy.spec, simulation.time
        wanted = now - spec.context_dt * np.arange(spec.context_frames)[::-1]
        times = np.array([time for time, _ in self._frames])
        # Before it moves the robot has seen nothing but its first view.
        chosen = [self._frames[int(np.abs(times - time).argmin())][1] for time in wanted]
        twist, acceleration = simulation.twist, np.zeros(3)
        if self._last is not None:
            acceleration = (twist - self._last[1]) / (simulation.time - self._last[0])
        self._last = simulation.time, twist
        x, y, yaw = simulation.pose.tolist()
        committed = None if driven is None else committed_points(driven, now, (x, y, yaw), spec.dt, self._commit)
        return Observation(
            frames=np.stack(chosen),
            stamps=wanted,
            cameras=spec.cameras,
            ego=EgoState(twist[0], twist[1], twist[2], acceleration[0], acceleration[1]),
            instruction=simulation.instruction,
            goal=simulation.goal_in_base,
            committed=committed,
        )
