"""A car from the plan to the gate's output, made of the nodes' own parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wam_controller.car_limits import CarLimits
from wam_controller.control_loop import ControlLoop
from wam_controller.follower import Follower, Placed
from wam_controller.limits import LimitHit
from wam_controller.parameters import Value
from wam_controller.plan_freshness import FreshnessLimits, Level
from wam_controller.safety_gate import GateOutput, GateState, SafetyGate
from wam_controller.settings import CONTROLLER, GATE, make_follower, make_gate
from wam_controller.tracker import Reference, make_reference
from wam_controller.trackers import CAR_TRACKERS, make_tracker
from wam_models.se2 import Vector, advance, compose, relative
from wam_models.types import Trajectory

TICK = 0.02
ZERO = np.zeros(3)
CURVATURE = 1.0 / 25.0


def settings(table, **changes: Value) -> dict[str, Value]:
    return {each.name: each.default for each in table} | {"kinematics": "ackermann"} | changes


def follower(tracker: str, **changes: Value) -> Follower:
    return make_follower(settings(CONTROLLER, tracker=tracker, rear_axle=0.0, **changes))


def gate(**changes: Value) -> SafetyGate:
    made = make_gate(settings(GATE, require_ready=False, **changes))
    made.on_command(0.0, ZERO)
    made.on_odometry(0.0, ZERO)
    assert made.engage(0.0).ok
    return made


def circle(pose: Vector, stamp: float, speed: float) -> Reference:
    """A plan of 4 s along the circle of CURVATURE about (0, 1 / CURVATURE), from where the car is nearest to it."""
    x, y, _ = pose
    turned = math.atan2(x, 1.0 / CURVATURE - y)
    here = advance((1.0, 0.0, CURVATURE), turned / CURVATURE)
    poses = [relative(pose, compose(here, advance((speed, 0.0, speed * CURVATURE), 0.5 * (i + 1)))) for i in range(8)]
    return make_reference(Trajectory(stamp, 0.5, np.array(poses)), np.array(pose))


class Car:
    """A follower, a gate, and a car that moves as the gate says; planned for anew every 0.2 s."""

    def __init__(self, tracker: str, speed: float) -> None:
        self.follower, self.gate, self.speed = follower(tracker), gate(), speed
        self.now, self.pose, self.twist = 0.0, (0.0, 0.0, 0.0), ZERO
        self._ticks = 0

    def run(self, seconds: float, planned: bool = True) -> list[GateOutput]:
        outputs = []
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            if planned and self._ticks % 10 == 0:
                self.follower.on_plan(self.now, Placed(circle(self.pose, self.now, self.speed), 7, "odom", "test@1+0"))
            self._ticks += 1
            self.follower.on_odometry(self.now, self.now, self.pose, tuple(self.twist.tolist()), "odom")
            command, _ = self.follower.step(self.now, 1, True)
            self.gate.on_odometry(self.now, self.twist)
            self.gate.on_command(self.now, command.twist)
            outputs.append(self.gate.step(self.now))
            self.twist = outputs[-1].twist
            self.pose = compose(self.pose, advance(tuple(self.twist.tolist()), TICK))
        return outputs

    @property
    def beside(self) -> float:
        """m from the circle, either way."""
        return abs(math.hypot(self.pose[0], self.pose[1] - 1.0 / CURVATURE) - 1.0 / CURVATURE)


@pytest.mark.parametrize(("tracker", "bound"), [("ackermann", 0.15), ("waypoint_pid", 0.6)])
def test_it_keeps_to_its_way_with_true_yaw_rates_and_within_its_limits(tracker, bound):
    car = Car(tracker, 6.0)
    beside = []
    for _ in range(20):
        outputs = car.run(1.0)
        assert {output.state for output in outputs} == {GateState.ACTIVE}
        assert max(output.twist[0] * abs(output.twist[2]) for output in outputs) <= 3.0 + 1e-6
        beside.append(car.beside)
    assert max(beside) < bound
    assert car.twist[0] == pytest.approx(6.0, abs=0.5)
    assert car.twist[2] == pytest.approx(6.0 * CURVATURE, abs=0.05)
    assert math.atan(2.88 * outputs[-1].curvature) == pytest.approx(math.atan(2.88 * CURVATURE), abs=0.03)


def test_it_slows_where_its_way_bends_too_much_for_its_speed():
    car = Car("ackermann", 10.0)  # 4 m/s^2 on this circle
    car.follower = follower("ackermann", speed_max=12.0)
    car.gate = gate(speed_max=12.0)
    car.run(12.0)
    assert car.beside < 0.3
    assert car.twist[0] == pytest.approx(math.sqrt(3.0 / CURVATURE), abs=0.3)


def test_a_car_whose_plans_end_brakes_to_a_stand_on_its_way():
    car = Car("ackermann", 6.0)
    car.run(8.0)
    outputs = car.run(1.0 + 6.0 / 3.0 + 0.5, planned=False)
    assert not outputs[-1].twist.any()
    assert car.beside < 0.2
    assert outputs[-1].curvature == pytest.approx(CURVATURE, abs=0.01)


@pytest.mark.parametrize("jerk", [0.5, 5.0])
def test_a_plan_that_is_too_old_stops_a_car_at_once_whatever_its_jerk(jerk):
    limits = CarLimits(jerk=jerk)
    loop = ControlLoop(make_tracker("ackermann"), FreshnessLimits(), limits)
    poses = np.array([[4.0 * (i + 1), 0.0, 0.0] for i in range(8)])
    for tick in range(100):
        now = tick * TICK
        reference = make_reference(Trajectory(now, 0.5, poses), ZERO)
        driven = loop.step(now, reference, ZERO, ZERO)
    assert driven.twist[0] > 0.8 and driven.limits_hit in (LimitHit.JERK, LimitHit.ACCELERATION)
    stopping = loop.step(now + TICK, None, ZERO, ZERO)
    assert stopping.level is Level.STOP
    assert stopping.twist[0] == pytest.approx(driven.twist[0] - 3.0 * TICK)


def test_a_gate_brakes_at_once_when_the_controller_says_so():
    made, speeds = gate(), []
    for tick, command in enumerate([np.array([6.0, 0.0, 0.0])] * 100 + [ZERO] * 3):
        made.on_command(tick * TICK, command)
        made.on_odometry(tick * TICK, ZERO)
        speeds.append(made.step(tick * TICK).twist[0])
    assert np.diff(speeds)[-4:] == pytest.approx([1.5 * TICK, *[-3.0 * TICK] * 3])


def test_a_car_refuses_a_tracker_that_steps_sideways_or_turns_on_the_spot_and_names_the_others():
    for tracker in ("holonomic", "internnav_pd"):
        with pytest.raises(ValueError, match=f"{tracker}.*choose one of {', '.join(CAR_TRACKERS)}"):
            follower(tracker)


def test_settings_of_a_car_that_contradict_each_other_are_refused_with_the_rule():
    with pytest.raises(ValueError, match="need braking <= emergency_braking"):
        make_gate(settings(GATE, braking=8.0))
    with pytest.raises(ValueError, match="ackermann_drive is for a car"):
        make_gate(settings(GATE, kinematics="holonomic", ackermann_drive=True))


def test_the_defaults_of_a_cars_parameters_are_those_of_its_limits():
    defaults = {each.name: each.default for each in (*CONTROLLER, *GATE)}
    own = vars(CarLimits())
    assert own.pop("emergency_braking") is None
    assert {name: defaults[name] for name in own} == own
