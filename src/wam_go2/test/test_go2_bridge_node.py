"""The bridge as a real node, with a process at the other end of its socket that plays SDK and robot."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

import rclpy
from geometry_msgs.msg import TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from std_msgs.msg import Bool, String

from wam_controller import qos
from wam_go2.go2_bridge_node import Go2BridgeNode

DEADLINE = 20.0  # s
CALIBRATION = Path(__file__).parents[3] / "config" / "go2_camera_sim.yaml"
# Stands balanced, says so 50 times a second, and ends with the node.
ROBOT = f"""#!{sys.executable}
import socket, sys, time
from wam_go2.protocol import Channel, Health, Hello, RobotState
channel = Channel(socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1])))
channel.send(Hello("3.11", "0.10.2"))
while channel.send(Health(1, "idle", 0, 0, 0, 0)):
    now = time.monotonic()
    channel.send(RobotState(now, now, 1, 0, [0.0] * 3, [1.0, 0.0, 0.0, 0.0], [0.0] * 3, 0.0, 0.3))
    time.sleep(0.02)
"""


class Stage:
    """A bridge, and a node that listens to it; both in one executor."""

    def __init__(self, sdk_python: Path) -> None:
        values = {"interface": "lo", "calibration_file": str(CALIBRATION), "sdk_python": str(sdk_python)}
        overrides = [rclpy.Parameter(name, value=value) for name, value in values.items()]
        self.bridge, self.mine = Go2BridgeNode(parameter_overrides=overrides), Node("test")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.bridge)
        self._executor.add_node(self.mine)
        self.ready: list[bool] = []
        self.states: list[str] = []
        self.mine.create_subscription(Bool, "robot_ready", lambda it: self.ready.append(it.data), qos.LATCHED_STATUS)
        self.mine.create_subscription(String, "go2_bridge/state", lambda it: self.states.append(it.data), qos.LATCHED)

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + DEADLINE
        while not condition():
            assert time.monotonic() < deadline, (self.ready, self.states)
            self._executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        self.bridge.close()
        self._executor.shutdown()
        self.mine.destroy_node()


@pytest.fixture()
def stage(tmp_path: Path) -> Iterator[Stage]:
    rclpy.init()
    robot = tmp_path / "python"
    robot.write_text(ROBOT)
    robot.chmod(0o755)
    made = Stage(robot)
    made.bridge.autostart()
    yield made
    made.close()
    rclpy.shutdown()


def test_it_says_first_that_the_robot_is_not_ready_and_then_that_it_is(stage):
    stage.until(lambda: len(stage.ready) >= 2)
    assert stage.ready == [False, True]


def test_a_second_publisher_of_commands_makes_it_not_ready_until_it_is_gone(stage):
    stage.until(lambda: stage.ready == [False, True])
    gate, rival = (stage.mine.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND) for _ in range(2))
    stage.until(lambda: stage.ready == [False, True, False])
    assert stage.states[-1] == "DEGRADED"
    stage.mine.destroy_publisher(rival)
    stage.until(lambda: stage.ready == [False, True, False, True])
    stage.mine.destroy_publisher(gate)


def test_an_sdk_process_that_dies_makes_it_not_ready_until_its_successor_is_up(stage):
    stage.until(lambda: stage.ready == [False, True])
    stage.bridge._link._session.process.kill()
    stage.until(lambda: stage.ready == [False, True, False, True])
    assert "LOST" in stage.states


def test_an_active_bridge_is_shut_down_by_its_lifecycle_manager_and_says_that_it_is_not_ready(stage):
    stage.until(lambda: stage.ready == [False, True])
    process = stage.bridge._link._session.process
    client = stage.mine.create_client(ChangeState, "go2_bridge/change_state")
    stage.until(client.service_is_ready)
    transition = Transition(id=Transition.TRANSITION_ACTIVE_SHUTDOWN)
    future = client.call_async(ChangeState.Request(transition=transition))
    stage.until(future.done)
    assert future.result().success and process.poll() is not None
    stage.until(lambda: stage.ready == [False, True, False])
