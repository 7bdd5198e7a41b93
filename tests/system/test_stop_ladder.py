"""Kills or spoils exactly one link of the chain in real processes and measures how long and how far the robot goes on.

The limits are those of docs/safety.md. A loaded machine may be SLACK seconds late; the way is what that costs at the
walking speed of the test.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from system.fake_robot import FakeRobot, Stop
from system.graph import NODES, Graph, graph, node_programs

from wam_controller import qos
from wam_controller.conversions import time_message
from wam_models.types import Trajectory as PolicyTrajectory
from wam_msgs.msg import PlannerStatus, SafetyStatus, Trajectory
from wam_planner.bringup import Go2Options
from wam_planner.conversions import trajectory_message
from wam_planner.processes import Processes

WALK = 0.75  # m/s, of baseline:straight
SLACK = 0.4  # s

# From the plan's age limit to the end of the controller's ramp and of the body's lag.
PLAN_STOPS = 1.3
# From silence to the end of the gate's ramp (WALK at 2.5 m/s^2) and of the body's lag.
GATE_RAMP = 0.3 + 0.3


@dataclass(frozen=True)
class Fault:
    """strike: what fails; heal: puts it right again, for the next test; seconds: the limit until the robot stands;
    state: what the gate says then."""

    name: str
    strike: Callable[[Graph], None]
    heal: Callable[[Graph], None]
    seconds: float
    state: int
    planner_verdict: int | None = None


PASSING = (
    Fault(
        "camera content frozen",
        lambda it: it.robot.send(frozen=True),
        lambda it: it.robot.send(frozen=False),
        0.5 + PLAN_STOPS,
        SafetyStatus.STATE_ACTIVE,
        PlannerStatus.VERDICT_FROZEN,
    ),
    Fault(
        "camera silent",
        lambda it: it.robot.send(camera=False),
        lambda it: it.robot.send(camera=True),
        PLAN_STOPS,
        SafetyStatus.STATE_ACTIVE,
        PlannerStatus.VERDICT_STALE,
    ),
    Fault(
        "camera pictures corrupt",
        lambda it: it.robot.send(corrupt=True),
        lambda it: it.robot.send(corrupt=False),
        PLAN_STOPS,
        SafetyStatus.STATE_ACTIVE,
        PlannerStatus.VERDICT_STALE,
    ),
    Fault(
        "planner hangs",
        lambda it: it.signal("planner", signal.SIGSTOP),
        lambda it: it.signal("planner", signal.SIGCONT),
        PLAN_STOPS,
        SafetyStatus.STATE_ACTIVE,
    ),
    Fault(
        "controller hangs",
        lambda it: it.signal("controller", signal.SIGSTOP),
        lambda it: it.signal("controller", signal.SIGCONT),
        0.25 + GATE_RAMP,
        SafetyStatus.STATE_STOPPING,
    ),
    Fault(
        "odometry silent",
        lambda it: it.robot.send(odometry=False),
        lambda it: it.robot.send(odometry=True),
        0.2 + GATE_RAMP,
        SafetyStatus.STATE_STOPPING,
    ),
    Fault(
        "odometry is NaN",
        lambda it: it.robot.send(spoilt=True),
        lambda it: it.robot.send(spoilt=False),
        0.2 + GATE_RAMP,
        SafetyStatus.STATE_STOPPING,
    ),
    Fault(
        "robot is not ready",
        lambda it: it.robot.say_ready(False),
        lambda it: it.robot.say_ready(True),
        GATE_RAMP,
        SafetyStatus.STATE_DISENGAGED,
    ),
    Fault(
        "user disengages",
        lambda it: it.robot.engage(False),
        lambda it: None,
        GATE_RAMP,
        SafetyStatus.STATE_DISENGAGED,
    ),
    Fault(
        "e-stop",
        lambda it: it.robot.trigger("safety_gate/estop"),
        lambda it: it.robot.trigger("safety_gate/clear"),
        0.4,
        SafetyStatus.STATE_ESTOP,
    ),
)


def walk(robot: FakeRobot) -> None:
    """Engage and wait until the robot walks at its speed."""
    robot.wait_for(lambda: robot.speed < 0.01, "the robot to stand still")
    robot.wait_for(lambda: robot.controller is not None and robot.controller.plan_age < 0.5, "a plan")
    robot.engage_when_ready()
    robot.wait_for(lambda: robot.speed > 0.9 * WALK, "the robot to walk")


def check(name: str, stop: Stop, seconds: float) -> None:
    """Within the limit in time, and in the way that this time allows."""
    print(f"\n{name}: {stop.seconds:.2f} s, {stop.metres:.2f} m (limit {seconds:.2f} s)")
    assert stop.seconds <= seconds + SLACK
    assert stop.metres <= WALK * (seconds + SLACK)


@pytest.fixture(scope="module")
def standing() -> Iterator[Graph]:
    """The whole graph, for faults that pass."""
    with graph() as it:
        yield it


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.name)
def test_a_fault_that_passes_stops_the_robot(standing: Graph, fault: Fault):
    robot = standing.robot
    walk(robot)
    moment = time.monotonic()
    fault.strike(standing)
    try:
        stop = robot.stop_since(moment)
        assert robot.safety.state == fault.state or robot.safety.reason == SafetyStatus.REASON_OUTAGE_TOO_LONG
        if fault.planner_verdict is not None:
            assert robot.planner.verdict == fault.planner_verdict
    finally:
        fault.heal(standing)
        robot.engage(False)
    check(fault.name, stop, fault.seconds)


def test_after_an_estop_nothing_moves_until_a_human_clears_and_engages(standing: Graph):
    robot = standing.robot
    walk(robot)
    robot.trigger("safety_gate/estop")
    robot.wait_for(lambda: robot.speed < 0.01, "the robot to stand still")
    assert not robot.engage().success
    robot.trigger("safety_gate/clear")
    way = robot.truth[-1].travelled
    time.sleep(1.0)  # what must not happen has no condition to wait for
    assert robot.truth[-1].travelled - way < 0.01
    walk(robot)
    robot.engage(False)


def test_a_reset_planner_goes_on_with_a_new_epoch(standing: Graph):
    robot = standing.robot
    walk(robot)
    epoch = robot.planner.epoch
    assert robot.trigger("planner/reset").success
    published = robot.planner.plans_published
    robot.wait_for(
        lambda: robot.planner.epoch == epoch + 1 and robot.planner.plans_published > published + 5, "new plans"
    )
    robot.wait_for(lambda: robot.speed > 0.9 * WALK, "the robot to walk on")
    robot.engage(False)


DEADLY = (
    ("planner", PLAN_STOPS),
    ("controller", 0.25 + GATE_RAMP),
    ("safety_gate", 0.3 + 0.4),  # the bridge's watchdog, here the fake robot's
)


@pytest.mark.parametrize(("victim", "seconds"), DEADLY, ids=[name for name, _ in DEADLY])
def test_a_killed_node_stops_the_robot_and_its_restart_does_not_move_it(victim: str, seconds: float):
    with graph() as it:
        robot = it.robot
        walk(robot)
        moment = time.monotonic()
        it.signal(victim, signal.SIGKILL)
        check(f"{victim} killed", robot.stop_since(moment), seconds)

        way = robot.truth[-1].travelled
        it.processes.watch()
        robot.wait_for(lambda: it.processes.watch() is None and victim in it.processes.running, "the restart")
        marker = robot.node.get_clock().now().nanoseconds * 1e-9
        robot.wait_for(lambda: spoke_since(robot, victim, marker), f"{victim} to speak again")
        robot.wait_for(lambda: robot.safety.state == SafetyStatus.STATE_DISENGAGED, "the gate to disengage")
        time.sleep(0.5)  # what must not happen has no condition to wait for
        assert robot.truth[-1].travelled - way < 0.02


def spoke_since(robot: FakeRobot, node: str, moment: float) -> bool:
    status = {"planner": robot.planner, "controller": robot.controller, "safety_gate": robot.safety}[node]
    return status is not None and status.header.stamp.sec + status.header.stamp.nanosec * 1e-9 > moment


@pytest.mark.parametrize("name", ["controller", "safety_gate"])
def test_a_node_that_is_asked_to_end_says_zero_first(name: str):
    with graph() as it:
        walk(it.robot)
        moment = time.monotonic()
        it.signal(name, signal.SIGTERM)
        stop = it.robot.stop_since(moment)
        check(f"{name} ends", stop, 0.4 if name == "safety_gate" else 0.5 + 0.3)


def test_a_second_planner_stops_the_robot_and_both_say_so():
    with graph() as it:
        robot = it.robot
        walk(robot)
        second = node_programs(("planner",), robot.domain, Go2Options(model="baseline:straight", goal="200,0"))
        with Processes(second, it.log.append):
            robot.wait_for(lambda: "planners publish" in robot.planner.error_text, "the planner to say so")
            check("a second planner", robot.stop_since(time.monotonic()), PLAN_STOPS)
            robot.wait_for(lambda: "planners" in robot.controller.reason_text, "the controller to say so")


class HandMadePlans:
    """A planner for one test: straight ahead, and NaN on demand."""

    def __init__(self, robot: FakeRobot) -> None:
        self._robot = robot
        self._publisher = robot.node.create_publisher(Trajectory, "trajectory", qos.PLAN)
        self.nan = False
        robot.node.create_timer(0.1, self._publish)

    def _publish(self) -> None:
        now = self._robot.node.get_clock().now().nanoseconds * 1e-9
        ahead = np.array([[WALK * 0.25 * (i + 1), 0.0, 0.0] for i in range(8)])
        message = trajectory_message(PolicyTrajectory(now, 0.25, ahead), self._robot.pose, "odom", "hand-made", 0)
        if self.nan:
            message.points[3].pose.position.y = math.nan
        message.header.stamp = time_message(now)
        self._publisher.publish(message)


def test_plans_with_nan_stop_the_robot_and_a_good_one_moves_it_again():
    with graph(("safety_gate", "controller")) as it:
        plans = HandMadePlans(it.robot)
        walk(it.robot)
        moment = time.monotonic()
        plans.nan = True
        check("plans are NaN", it.robot.stop_since(moment), PLAN_STOPS)
        plans.nan = False
        it.robot.wait_for(lambda: it.robot.speed > 0.9 * WALK, "the robot to walk again")


def test_at_its_goal_the_robot_stops_and_says_so():
    with graph(NODES, goal="1.5,0") as it:
        it.robot.engage_when_ready()
        it.robot.wait_for(lambda: it.robot.planner is not None, "the planner")
        it.robot.wait_for(lambda: it.robot.planner.outcome == PlannerStatus.OUTCOME_ARRIVED, "the goal")
        it.robot.wait_for(lambda: it.robot.speed < 0.01, "the robot to stand still")
        assert abs(it.robot.truth[-1].travelled - 1.5) < 0.5
        assert any("goal: 1.50, 0.00 m in odom" in line for line in it.log)
