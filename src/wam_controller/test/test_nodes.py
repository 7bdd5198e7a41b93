"""Gate and controller as real nodes: what a lifecycle manager, a robot and an operator have of them."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("rclpy")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry
from rclpy.node import Node
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from wam_controller import qos
from wam_controller.controller_node import ControllerNode
from wam_controller.conversions import time_message
from wam_controller.executor import StaticSingleThreadedExecutor
from wam_controller.managed_node import ManagedNode
from wam_controller.safety_gate_node import SafetyGateNode
from wam_msgs.msg import SafetyStatus

DEADLINE = 20.0  # s
NODES = [SafetyGateNode, ControllerNode]


class Stage:
    """A node and, beside it, one for the test, both in one executor."""

    def __init__(self, make: Callable[[], ManagedNode]) -> None:
        self.node, self.mine = make(), Node("test")
        self._executor = StaticSingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._executor.add_node(self.mine)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline
            self._executor.spin_once(timeout_sec=0.02)

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def call(self, kind: type, name: str, request: object) -> object:
        client = self.mine.create_client(kind, name)
        self.until(client.service_is_ready)
        future = client.call_async(request)
        self.until(future.done)
        return future.result()

    def close(self) -> None:
        self.node.close()
        self._executor.shutdown()
        self.mine.destroy_node()


@pytest.fixture(autouse=True)
def ros() -> Iterator[None]:
    rclpy.init()
    yield
    rclpy.shutdown()


@pytest.fixture()
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    made = Stage(request.param)
    made.node.autostart()
    yield made
    made.close()


@pytest.mark.parametrize("stage", NODES, indirect=True)
def test_an_active_node_is_shut_down_by_its_lifecycle_manager_and_then_keeps_quiet(stage):
    name = stage.node.get_name()
    heard: list[TwistStamped] = []
    topic = "cmd_vel" if name == "safety_gate" else "cmd_vel_nav"
    stage.mine.create_subscription(TwistStamped, topic, heard.append, qos.COMMAND)
    stage.until(lambda: heard)
    transition = Transition(id=Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert stage.call(ChangeState, f"{name}/change_state", ChangeState.Request(transition=transition)).success
    stage.run(0.2)
    heard.clear()
    stage.run(0.5)  # a timer that had been left behind would speak, or fail
    assert heard == [] and stage.mine.count_publishers(topic) == 0


@pytest.mark.parametrize("stage", NODES, indirect=True)
def test_an_active_node_says_again_and_again_how_it_is(stage):
    heard: list[DiagnosticArray] = []
    stage.mine.create_subscription(DiagnosticArray, "/diagnostics", heard.append, qos.DIAGNOSTICS)
    stage.run(1.0)  # what it says because it changes
    heard.clear()
    stage.until(lambda: len(heard) >= 2)


@pytest.mark.parametrize("stage", NODES, indirect=True)
def test_a_node_that_is_deactivated_leaves_nothing_running_and_can_be_activated_again(stage):
    active = len(list(stage.node.timers)), len(list(stage.node.services))
    for _ in range(2):
        stage.node.trigger_deactivate()
        assert len(list(stage.node.timers)) == active[0] - 2
        stage.node.trigger_activate()
        assert (len(list(stage.node.timers)), len(list(stage.node.services))) == active


class Upstream:
    """A robot at rest and a controller that wants to walk."""

    def __init__(self, stage: Stage) -> None:
        self._stage, node = stage, stage.mine
        self._command = node.create_publisher(TwistStamped, "cmd_vel_nav", qos.COMMAND)
        self._odometry = node.create_publisher(Odometry, "odom", qos.ODOMETRY)
        self._ready = node.create_publisher(Bool, "robot_ready", qos.LATCHED_STATUS)
        self.status, self.turn = SafetyStatus(), 0.0
        node.create_subscription(SafetyStatus, "safety/status", self._on_status, qos.LATCHED_STATUS)
        self.timer = node.create_timer(0.02, self.publish)

    def say_ready(self, *words: bool) -> None:
        for word in words:
            self._ready.publish(Bool(data=word))

    def engage(self) -> SetBool.Response:
        return self._stage.call(SetBool, "safety_gate/engage", SetBool.Request(data=True))

    def _on_status(self, message: SafetyStatus) -> None:
        self.status = message

    def publish(self) -> None:
        stamp = time_message(self._stage.mine.get_clock().now().nanoseconds * 1e-9)
        command, odometry = TwistStamped(), Odometry()
        command.header.stamp = odometry.header.stamp = stamp
        command.twist.linear.x, command.twist.angular.z = 0.5, self.turn
        self._command.publish(command)
        self._odometry.publish(odometry)


@pytest.mark.parametrize("stage", [SafetyGateNode], indirect=True)
def test_a_gate_hears_its_robot_however_short_its_no_is_and_however_early_it_spoke(stage):
    upstream = Upstream(stage)
    stage.until(lambda: "robot_ready" in upstream.engage().message)
    upstream.say_ready(False, True)
    stage.until(lambda: upstream.engage().success)
    upstream.say_ready(False, True)
    stage.until(lambda: upstream.status.state == SafetyStatus.STATE_DISENGAGED)
    assert upstream.status.reason == SafetyStatus.REASON_ROBOT_NOT_READY
    stage.node.trigger_deactivate()
    stage.node.trigger_activate()
    stage.until(lambda: upstream.engage().success)


def slow_gate() -> SafetyGateNode:
    """One that ticks every 40 ms."""
    return SafetyGateNode(parameter_overrides=[rclpy.Parameter("rate", value=25.0)])


@pytest.mark.parametrize("stage", [slow_gate], indirect=True)
def test_a_gate_passes_a_command_on_at_once_but_never_many_in_a_tick(stage):
    upstream, passed = Upstream(stage), []
    stage.mine.create_subscription(TwistStamped, "cmd_vel", lambda _: passed.append(time.monotonic()), qos.COMMAND)
    stage.until(lambda: len(passed) > 2)
    stage.mine.destroy_timer(upstream.timer)
    stage.run(0.3)
    delays = []
    for _ in range(25):
        given = time.monotonic()
        upstream.publish()
        stage.run(0.053)
        delays.append(min(moment - given for moment in passed if moment >= given))
    assert sorted(delays)[9] < 0.008  # at ticks of its own a fifth of them would be
    before = len(passed)
    stage.run(1.0)
    assert 20 <= len(passed) - before <= 27  # without commands it speaks all the same
    owed = []
    for number in range(5):
        before = len(passed)
        upstream.publish()
        stage.until(lambda before=before: len(passed) > before)
        upstream.publish()  # too soon after the other, but not forgotten: the newest command is what counts
        stage.until(lambda before=before: len(passed) >= before + 2)
        owed.append(passed[-1] - passed[-2])
        stage.run(0.1 + 0.009 * number)  # each at another moment between two ticks
    assert sorted(owed)[2] < 0.047  # at the next tick; one that was forgotten is spoken of after 50 ms at the soonest
    before = len(passed)
    stage.mine.create_timer(0.002, upstream.publish)
    stage.run(1.0)
    assert 20 <= len(passed) - before <= 79  # three a tick: two at once, and the one that was owed


def car_gate() -> SafetyGateNode:
    """That of a car, which has a wheelbase of 2.5 m and another message too."""
    settings = {"kinematics": "ackermann", "wheelbase": 2.5, "ackermann_drive": True}
    return SafetyGateNode(parameter_overrides=[rclpy.Parameter(name, value=value) for name, value in settings.items()])


@pytest.mark.parametrize("stage", [car_gate], indirect=True)
def test_a_car_is_told_its_speed_and_the_angle_of_its_wheels_beside_its_true_velocities(stage):
    pytest.importorskip("ackermann_msgs")
    from ackermann_msgs.msg import AckermannDriveStamped

    upstream, twists, drives = Upstream(stage), [], []
    upstream.turn = 0.05
    upstream.say_ready(True)
    stage.mine.create_subscription(TwistStamped, "cmd_vel", twists.append, qos.COMMAND)
    stage.mine.create_subscription(AckermannDriveStamped, "ackermann_cmd", drives.append, qos.COMMAND)
    stage.until(lambda: upstream.engage().success)
    stage.until(lambda: twists and twists[-1].twist.linear.x == 0.5 and twists[-1].twist.angular.z == 0.05)
    stage.until(lambda: drives[-1].drive.speed == 0.5)
    angle = math.atan(2.5 * 0.05 / 0.5)
    stage.until(lambda: drives[-1].drive.steering_angle == pytest.approx(angle))
    assert drives[-1].header.frame_id == "base_link" and drives[-1].header.stamp.sec > 0
    assert stage.call(Trigger, "safety_gate/estop", Trigger.Request()).success
    stage.until(lambda: drives[-1].drive.speed == 0.0 and not twists[-1].twist.linear.x)
    assert drives[-1].drive.steering_angle == pytest.approx(angle)
    drives.clear()
    stage.node.trigger_deactivate()
    stage.until(lambda: drives)
    assert drives[-1].drive.speed == 0.0 and drives[-1].drive.steering_angle == pytest.approx(angle)


def test_a_gate_that_lacks_the_message_it_shall_publish_names_the_fix_and_leaves_nothing_behind(monkeypatch):
    monkeypatch.setitem(sys.modules, "ackermann_msgs.msg", None)  # as if it were not installed
    stage, heard = Stage(car_gate), []
    stage.mine.create_subscription(DiagnosticArray, "/diagnostics", heard.append, qos.DIAGNOSTICS)
    try:
        stage.node.autostart()
        stage.until(lambda: any(message.status[0].level == DiagnosticStatus.ERROR for message in heard))
        assert "apt install ros-$ROS_DISTRO-ackermann-msgs" in heard[-1].status[0].message
        assert stage.mine.count_publishers("cmd_vel") == stage.mine.count_publishers("ackermann_cmd") == 0
    finally:
        stage.close()
