"""The bridge as a real node over DDS, with the virtual CARLA in a process of its own kind behind it."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("carla")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Twist, TwistStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Bool, Float32, String

from wam_carla.carla_bridge_node import CarlaBridgeNode
from wam_controller import qos
from wam_controller.conversions import time_message
from wam_models.messages import planar_pose, seconds
from wam_sim import virtual_carla
from wam_sim.town.criteria import Contact
from wam_sim.virtual_carla.empty_town import EmptyTown
from wam_sim.virtual_carla.faults import CameraFault, ServerFault
from wam_sim.virtual_carla.server import VirtualServer

DEADLINE = 30.0  # s
RELIABLE = QoSProfile(depth=10)  # as subscribers of CARLA's own bridge ask for it
TOPICS = {
    "/clock": (Clock, qos.CAMERA),
    "/carla/hero/odometry": (Odometry, RELIABLE),
    "/carla/hero/speedometer": (Float32, RELIABLE),
    "/carla/hero/rgb_front/image/compressed": (CompressedImage, RELIABLE),
    "/carla/hero/rgb_front/image": (Image, RELIABLE),
    "/carla/hero/rgb_front/camera_info": (CameraInfo, RELIABLE),
    "/carla/hero/collision": (DiagnosticArray, RELIABLE),
    "/diagnostics": (DiagnosticArray, qos.DIAGNOSTICS),
    "robot_ready": (Bool, qos.LATCHED_STATUS),
    "carla_bridge/state": (String, qos.LATCHED),
}


class Stage:
    """A virtual CARLA, the bridge to it, and a node that listens and commands; both nodes in one executor."""

    def __init__(self, **values: object) -> None:
        self.town = EmptyTown()
        port = random.SystemRandom().randint(20000, 60000)
        self.server = VirtualServer(self._make, port=port)
        values = {
            "port": port,
            "role_name": "hero",
            "server_timeout": 0.5,
            "tick_timeout": 0.5,
            "images": "both",
            "image_width": 64,
            "image_height": 48,
            **values,
        }
        overrides = [rclpy.Parameter(name, value=value) for name, value in values.items()]
        self.bridge = CarlaBridgeNode(virtual_carla, parameter_overrides=overrides)
        self.mine = Node("test")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.bridge)
        self._executor.add_node(self.mine)
        self.heard: dict[str, list] = {topic: [] for topic in TOPICS}
        for topic, (kind, profile) in TOPICS.items():
            self.mine.create_subscription(kind, topic, self.heard[topic].append, profile)
        self.twists = self.mine.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND)

    @property
    def now(self) -> float:
        return seconds(self.heard["/clock"][-1].clock)

    @property
    def ready(self) -> list[bool]:
        return [message.data for message in self.heard["robot_ready"]]

    @property
    def states(self) -> list[str]:
        return [message.data for message in self.heard["carla_bridge/state"]]

    def until(self, condition: Callable[[], object], *, speed: float | None = None, yaw_rate: float = 0.0) -> None:
        """Spin until it holds, with a command after each clock while `speed` is given."""
        deadline, said = time.monotonic() + DEADLINE, 0
        while not condition():
            assert time.monotonic() < deadline, (self.ready, self.states, self.town.state)
            self._executor.spin_once(timeout_sec=0.02)
            clocks = len(self.heard["/clock"])
            if speed is not None and clocks > said:
                said = clocks
                message = TwistStamped()
                message.header.stamp = time_message(self.now)
                message.twist.linear.x, message.twist.angular.z = speed, yaw_rate
                self.twists.publish(message)

    def diagnosed(self) -> dict[str, str]:
        mine = [it for array in self.heard["/diagnostics"] for it in array.status if it.name == "/carla_bridge"]
        return {pair.key: pair.value for pair in mine[-1].values} | {"message": mine[-1].message} if mine else {}

    def close(self) -> None:
        self.bridge.close()
        self._executor.shutdown()
        self.mine.destroy_node()
        self.server.close()

    def _make(self, _: str) -> EmptyTown:
        self.town = EmptyTown()
        return self.town


@pytest.fixture()
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    rclpy.init()
    made = Stage(**getattr(request, "param", {}))
    made.bridge.autostart()
    yield made
    made.close()
    rclpy.shutdown()


def test_everything_comes_with_the_same_simulated_stamp(stage):
    stage.until(lambda: all(stage.heard[topic] for topic in TOPICS if topic != "/carla/hero/collision"))
    assert stage.ready == [False, True]
    stage.until(lambda: len(stage.heard["/carla/hero/rgb_front/image"]) > 3)
    stamps = [
        {seconds(message.header.stamp) for message in stage.heard[f"/carla/hero/rgb_front/{name}"]}
        for name in ("image", "image/compressed", "camera_info")
    ]
    assert stamps[0] & stamps[1] & stamps[2]
    image, info = stage.heard["/carla/hero/rgb_front/image"][-1], stage.heard["/carla/hero/rgb_front/camera_info"][-1]
    assert (image.width, image.height, image.encoding, image.header.frame_id) == (64, 48, "rgb8", "hero/rgb_front")
    assert info.k[0] == pytest.approx(32.0) and info.k[2] == 32.0 and info.header.frame_id == "hero/rgb_front"
    clocks = [seconds(message.clock) for message in stage.heard["/clock"]]
    assert clocks == sorted(clocks)


def test_a_twist_drives_and_turns_and_the_odometry_tells_it_in_the_body(stage):
    stage.until(lambda: stage.ready == [False, True])
    stage.until(lambda: stage.town.state.speed > 3.5, speed=4.0, yaw_rate=0.3)
    stage.until(lambda: stage.heard["/carla/hero/odometry"][-1].twist.twist.linear.x > 3.6, speed=4.0, yaw_rate=0.3)
    odometry = stage.heard["/carla/hero/odometry"][-1]
    assert (odometry.header.frame_id, odometry.child_frame_id) == ("map", "hero")
    assert odometry.twist.twist.angular.z == pytest.approx(0.3, abs=0.05)
    x, y, yaw = planar_pose(odometry.pose.pose)
    there = stage.town.state.pose
    assert math.hypot(x - there[0], y - there[1]) < 2.0 and abs(math.remainder(yaw - there[2], math.tau)) < 0.3
    assert stage.heard["/carla/hero/speedometer"][-1].data == pytest.approx(odometry.twist.twist.linear.x, abs=0.3)


def test_silence_brakes_to_a_stop(stage):
    stage.until(lambda: stage.ready == [False, True])
    stage.until(lambda: stage.town.state.speed > 3.5, speed=4.0)
    began = stage.town.time
    stage.until(lambda: stage.town.state.speed == 0.0)
    assert stage.town.time - began < 2.0
    assert stage.server.control.brake == 1.0
    stage.until(lambda: stage.diagnosed().get("brakes_because") == "no command for 0.3 s")


def test_nan_brakes_and_is_counted(stage):
    stage.until(lambda: stage.ready == [False, True])
    stage.until(lambda: stage.town.state.speed > 2.0, speed=4.0)
    stage.until(lambda: stage.town.state.speed == 0.0, speed=math.nan)
    stage.until(lambda: int(stage.diagnosed().get("refused: not finite", 0)) > 0)


def test_a_stamp_of_the_machines_clock_is_refused_with_a_hint(stage):
    stage.until(lambda: stage.ready == [False, True])
    message = TwistStamped()
    message.header.stamp, message.twist.linear.x = time_message(time.time()), 5.0
    stage.twists.publish(message)
    stage.until(lambda: any("use_sim_time" in key for key in stage.diagnosed()))
    assert stage.town.state.speed == 0.0


def test_a_second_publisher_of_commands_makes_it_not_ready_until_it_is_gone(stage):
    stage.until(lambda: stage.ready == [False, True])
    rival = stage.mine.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND)
    stage.until(lambda: stage.ready == [False, True, False])
    stage.until(lambda: stage.states[-1:] == ["DEGRADED"])
    stage.mine.destroy_publisher(rival)
    stage.until(lambda: stage.ready == [False, True, False, True])


def test_a_server_that_crashes_is_lost_and_found_again(stage):
    stage.until(lambda: stage.ready == [False, True])
    stage.server.faults.server = ServerFault.GONE
    stage.until(lambda: stage.ready == [False, True, False])
    stage.until(lambda: stage.states[-1:] == ["LOST"])
    stage.server.faults.server = ServerFault.OK
    stage.until(lambda: stage.ready == [False, True, False, True])


def test_while_the_server_is_frozen_the_node_answers(stage):
    stage.until(lambda: stage.ready == [False, True])
    stage.server.faults.server = ServerFault.FROZEN
    client = stage.mine.create_client(ChangeState, "carla_bridge/change_state")
    stage.until(client.service_is_ready)
    before = len(stage.heard["/diagnostics"])
    stage.until(lambda: len(stage.heard["/diagnostics"]) > before)
    stage.server.faults.server = ServerFault.OK
    stage.until(lambda: stage.ready[-1])


def test_collisions_are_told(stage):
    stage.until(lambda: stage.ready == [False, True])
    stage.town.contacts = (Contact("vehicle", "van 3"),)
    stage.until(lambda: stage.heard["/carla/hero/collision"])
    [status] = stage.heard["/carla/hero/collision"][0].status
    assert status.name == "collision" and status.message.startswith("vehicle.")
    assert {pair.key for pair in status.values} == {"other_actor_id", "x", "y", "z"}


def test_without_pictures_it_is_degraded_and_still_drives(stage):
    stage.until(lambda: stage.ready == [False, True])
    stage.server.faults.camera = CameraFault.MISSING
    stage.until(lambda: stage.states[-1:] == ["DEGRADED"])
    stage.until(lambda: stage.town.state.speed > 1.0, speed=4.0)
    assert stage.ready == [False, True]


def test_an_active_bridge_is_shut_down_by_its_lifecycle_manager_and_leaves_nothing(stage):
    stage.until(lambda: stage.ready == [False, True])
    client = stage.mine.create_client(ChangeState, "carla_bridge/change_state")
    stage.until(client.service_is_ready)
    transition = Transition(id=Transition.TRANSITION_ACTIVE_SHUTDOWN)
    future = client.call_async(ChangeState.Request(transition=transition))
    stage.until(future.done)
    assert future.result().success
    stage.until(lambda: stage.ready == [False, True, False])
    assert stage.server.actors == {} and not stage.server.settings.synchronous_mode


@pytest.mark.parametrize("stage", [{"commands": "twist"}], indirect=True)
def test_an_unstamped_twist_drives_too(stage):
    twists = stage.mine.create_publisher(Twist, "/carla/hero/twist", qos.COMMAND)

    def moving() -> bool:
        message = Twist()
        message.linear.x = 3.0
        twists.publish(message)
        return stage.town.state.speed > 1.0

    stage.until(lambda: stage.ready == [False, True])
    stage.until(moving)


@pytest.mark.parametrize("stage", [{"camera_rate": 9.0}], indirect=True)
def test_a_parameter_that_cannot_be_is_refused_with_its_rule(stage):
    stage.until(lambda: "nearest rate is 10 Hz" in stage.diagnosed().get("message", ""))
    assert not stage.ready


@pytest.mark.parametrize("stage", [{"blueprint": "vehicle.none"}], indirect=True)
def test_what_a_human_must_change_is_said(stage):
    stage.until(lambda: stage.states and stage.states[-1] == "REFUSED")
    stage.until(lambda: "no blueprint 'vehicle.none'" in stage.diagnosed().get("message", ""))
    assert stage.ready == [False]


def test_an_ackermann_drive_is_a_speed_and_an_angle(stage):
    """ackermann_msgs may be missing here; what is read of its messages is this."""
    stage.until(lambda: stage.ready == [False, True])

    def moving() -> bool:
        stage.bridge._on_ackermann(SimpleNamespace(speed=3.0, steering_angle=0.2))
        return stage.town.state.speed > 2.0

    stage.until(moving)
    assert stage.town.state.steering == pytest.approx(0.2, abs=0.02)
