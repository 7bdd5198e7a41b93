"""Closed loop in the town without ROS: the same tracker, limits and freshness as the controller node of a car."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from wam_controller.ackermann import AckermannTracker, steering_angle
from wam_controller.car_limits import CarLimits
from wam_controller.control_loop import ControlLoop
from wam_controller.limits import Motion
from wam_controller.plan_freshness import FreshnessLimits
from wam_controller.tracker import Reference, make_reference
from wam_models.evaluation.town import DriveOutcome
from wam_models.types import Trajectory
from wam_planner.plan_validator import ValidatorLimits
from wam_sim.town.criteria import Criteria
from wam_sim.town.expert import TownExpert
from wam_sim.town.simulation import TownSimulation

CONTROL_PERIOD = 0.05  # s, a tick of CARLA
PLAN_PERIOD = 0.25  # s: the frames of a context, 0.5 s apart, are then among those that were seen
_SPEED_GAIN = 2.5  # 1/s, from a speed that is missing to an acceleration
LATENCY = 0.1  # s from the image to the plan in the controller's hands
# What a plan for a car may ask: a stop in an emergency takes 8 m/s^2.
CAR_PLANS = ValidatorLimits(
    max_speed=14.0,
    max_yaw_rate=1.5,
    max_curvature=0.35,
    curvature_speed=1.0,
    max_acceleration=14.0,
    max_start_distance=1.0,
)
CAR_LIMITS = CarLimits(
    speed_max=10.0,
    lateral_acceleration=3.5,
    longitudinal_acceleration=3.0,
    braking=6.0,
    jerk=15.0,
    steering_rate=0.9,
    emergency_braking=8.0,
)


class Driver(Protocol):
    """Answers with a trajectory in base_link for what the simulation shows now, or None to say nothing."""

    def plan(self, simulation: TownSimulation, driven: Reference | None = None) -> Trajectory | None: ...


class ExpertDriver:
    """The privileged expert as a driver."""

    def __init__(self, expert: TownExpert) -> None:
        self._expert = expert

    def plan(self, simulation: TownSimulation, driven: Reference | None = None) -> Trajectory:
        return self._expert.plan()


Disturbance = Callable[[float, float, float], tuple[float, float]]


def drive(
    simulation: TownSimulation,
    driver: Driver,
    *,
    plan_period: float = PLAN_PERIOD,
    latency: float = LATENCY,
    time_limit: float | None = None,
    disturb: Disturbance | None = None,
    on_plan: Callable[[TownSimulation, Trajectory | None], None] | None = None,
) -> DriveOutcome:
    """Until the route is done, or the judge ends it.

    disturb: (time, steering, acceleration) -> the two, what pushes the car off its plan; on_plan: called at every plan
    with the simulation as it was observed.
    """
    began = perf_counter()
    world, model = simulation.world, simulation.model
    loop = ControlLoop(AckermannTracker(rear_axle=model.rear), FreshnessLimits(), CAR_LIMITS)
    loop.reset(Motion(simulation.twist))
    judge = Criteria(world.route, world.network, world.lights, model)
    reference: Reference | None = None
    coming: list[tuple[float, Reference]] = []
    next_plan, steering = simulation.time, 0.0
    while judge.ended is None and (time_limit is None or simulation.time < time_limit):
        if simulation.time >= next_plan - 1e-9:
            next_plan += plan_period
            trajectory = driver.plan(simulation, reference)
            if trajectory is not None:
                coming.append((simulation.time + latency, make_reference(trajectory, simulation.pose)))
            if on_plan is not None:
                on_plan(simulation, trajectory)
        while coming and coming[0][0] <= simulation.time + 1e-9:
            reference = coming.pop(0)[1]
        if reference is None and simulation.time < latency - 1e-9:
            acceleration = 0.0  # it rolls on until a plan can have been made
        else:
            twist = loop.step(simulation.time, reference, simulation.pose, simulation.twist).twist
            steering = steering_angle(tuple(twist.tolist()), model.wheelbase, steering)
            acceleration = _SPEED_GAIN * (float(twist[0]) - simulation.state.speed)
        if disturb is not None:
            steering, acceleration = disturb(simulation.time, steering, acceleration)
        simulation.step(steering, acceleration, CONTROL_PERIOD)
        judge.step(simulation.time, simulation.state, simulation.contacts, simulation.time_to_contact)
    return DriveOutcome(
        world=world.name,
        scenario=world.scenario,
        split=world.split,
        wall_seconds=perf_counter() - began,
        plan_seconds=tuple(getattr(driver, "plan_seconds", ())),
        refusals=tuple(getattr(driver, "refusals", ())),
        **vars(judge.finish()),
    )
