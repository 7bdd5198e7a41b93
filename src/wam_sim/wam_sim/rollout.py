"""Closed loop without ROS: the same tracker, limits and freshness as the controller node, in simulated time."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Protocol

import numpy as np

from wam_controller.control_loop import ControlLoop
from wam_controller.limits import HolonomicLimits
from wam_controller.plan_freshness import FreshnessLimits
from wam_controller.tracker import Reference, make_reference
from wam_controller.trackers import make_tracker
from wam_models.evaluation.yard import WalkOutcome
from wam_models.types import Trajectory
from wam_planner.continuity import jump
from wam_sim.expert import YardExpert
from wam_sim.policy_driver import PLAN_PERIOD
from wam_sim.simulation import GOAL_RADIUS, YardSimulation

CONTROL_PERIOD = 0.02  # s, the controller's 50 Hz
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
    loop = ControlLoop(make_tracker(tracker), FreshnessLimits(), HolonomicLimits())
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
