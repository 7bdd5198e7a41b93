"""Closed loop without ROS: the same tracker, limits and freshness as the controller node, in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import numpy as np

from wam_controller.control_loop import ControlLoop
from wam_controller.limits import AccelerationLimits, VelocityLimits
from wam_controller.plan_freshness import FreshnessLimits
from wam_controller.tracker import Reference, make_reference, make_tracker
from wam_models.evaluation.oracle import Oracle
from wam_models.evaluation.yard import WalkOutcome
from wam_models.policy import Policy
from wam_models.types import EgoState, Observation, Refusal, Trajectory
from wam_planner.continuity import committed_points, jump
from wam_planner.plan_validator import ValidatorLimits, validate
from wam_sim.expert import YardExpert
from wam_sim.simulation import GOAL_RADIUS, YardSimulation

CONTROL_PERIOD = 0.02  # s, the controller's 50 Hz
PLAN_PERIOD = 0.2  # s, the 5 Hz a planner must reach
LATENCY = 0.1  # s from the image to the plan in the controller's hands: on a quiet machine of two cores it is less
TIME_LIMIT = 60.0  # s


class Driver(Protocol):
    """Answers with a trajectory in base_link for what the simulation shows now, or None to say nothing. driven: the
    plan that the robot follows, if there is one."""

    def plan(self, simulation: YardSimulation, driven: Reference | None = None) -> Trajectory | None: ...


class ExpertDriver:
    """The privileged expert as a driver."""

    def __init__(self, expert: YardExpert) -> None:
        self._expert = expert

    def plan(self, simulation: YardSimulation, driven: Reference | None = None) -> Trajectory:
        return self._expert.plan(
            simulation.pose, simulation.twist, simulation.walkers, simulation.walker_velocities, simulation.time
        )


class PolicyDriver:
    """A policy that sees only what the robot would: frames, its own motion, the instruction, the goal. Its plans pass
    the planner node's validator or are dropped. commit: s of the plan that is being driven which the next one keeps;
    oracle: with the expert whose plan it is told, the scorer of the policy, which then sees more than a robot would;
    refusals: why it refused or was rejected; plan_seconds: real time."""

    def __init__(
        self,
        policy: Policy,
        instruction: str,
        *,
        commit: float = 0.0,
        oracle: tuple[Oracle, YardExpert] | None = None,
    ) -> None:
        self._policy, self._commit = policy, commit
        self._told = None if oracle is None else (oracle[0], ExpertDriver(oracle[1]))
        self._instruction = instruction
        self._frames: list[tuple[float, np.ndarray]] = []
        self._last: tuple[float, np.ndarray] | None = None
        self._limits = ValidatorLimits()
        self.refusals: list[str] = []
        self.plan_seconds: list[float] = []

    def plan(self, simulation: YardSimulation, driven: Reference | None = None) -> Trajectory | None:
        spec = self._policy.spec
        frame = np.zeros((*spec.image_size, 3), np.uint8) if spec.blind else simulation.render()
        self._frames.append((simulation.time, frame))
        keep = simulation.time - (spec.context_frames - 1) * spec.context_dt - PLAN_PERIOD
        while self._frames[0][0] < keep:
            self._frames.pop(0)
        observation = self._observe(simulation, driven)
        if self._told is not None:
            oracle, expert = self._told
            oracle.truth = expert.plan(simulation)
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

    def _observe(self, simulation: YardSimulation, driven: Reference | None) -> Observation:
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
            frames=np.stack(chosen)[:, None],
            stamps=wanted,
            cameras=spec.cameras,
            ego=EgoState(twist[0], twist[1], twist[2], acceleration[0], acceleration[1]),
            instruction=self._instruction,
            goal=goal_in_base(simulation),
            committed=committed,
        )


def goal_in_base(simulation: YardSimulation) -> tuple[float, float]:
    """The goal (x, y) m as base_link sees it."""
    x, y, yaw = simulation.pose
    dx, dy = simulation.world.goal[0] - x, simulation.world.goal[1] - y
    c, s = np.cos(yaw), np.sin(yaw)
    return float(c * dx + s * dy), float(-s * dx + c * dy)


Disturbance = Callable[[float, np.ndarray], np.ndarray]


def walk(
    simulation: YardSimulation,
    driver: Driver,
    *,
    tracker: str = "holonomic",
    plan_period: float = PLAN_PERIOD,
    latency: float = LATENCY,
    time_limit: float = TIME_LIMIT,
    disturb: Disturbance | None = None,
    on_plan: Callable[[YardSimulation, Trajectory | None], None] | None = None,
) -> WalkOutcome:
    """Drive until the goal, a contact or the time limit.

    disturb: (time, command) -> command, what pushes the robot off its plan; on_plan: called at every plan with the
    simulation as it was observed.
    """
    began = perf_counter()
    loop = ControlLoop(make_tracker(tracker), FreshnessLimits(), VelocityLimits(), AccelerationLimits())
    reference: Reference | None = None
    coming: list[tuple[float, Reference]] = []
    jumps: list[float] = []
    next_plan = simulation.time
    clearance = simulation.clearance
    while simulation.time < time_limit and not simulation.reached and not simulation.in_contact:
        if simulation.time >= next_plan - 1e-9:
            next_plan += plan_period
            trajectory = driver.plan(simulation, reference)
            if trajectory is not None:
                placed = make_reference(trajectory, simulation.pose)
                coming.append((simulation.time + latency, placed))
            if on_plan is not None:
                on_plan(simulation, trajectory)
        while coming and coming[0][0] <= simulation.time + 1e-9:
            before, reference = reference, coming.pop(0)[1]
            if before is not None:
                jumps.append(jump(before, reference, simulation.time))
        command = loop.step(simulation.time, reference, simulation.pose, simulation.twist).twist
        if disturb is not None:
            command = disturb(simulation.time, command)
        simulation.step(command, CONTROL_PERIOD)
        clearance = min(clearance, simulation.clearance)
    start = simulation.world.start
    return WalkOutcome(
        world=simulation.world.name,
        reached=simulation.reached and not simulation.in_contact,
        contact=simulation.in_contact,
        seconds=simulation.time,
        path_length=simulation.path_length,
        shortest=simulation.world.field.shortest_way((start[0], start[1])) - GOAL_RADIUS,
        clearance=clearance,
        wall_seconds=perf_counter() - began,
        plan_seconds=tuple(getattr(driver, "plan_seconds", ())),
        refusals=tuple(getattr(driver, "refusals", ())),
        jumps=tuple(jumps),
    )
