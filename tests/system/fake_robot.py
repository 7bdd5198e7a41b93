"""A robot for tests of the graph: obeys cmd_vel as the bridge and a body would, and shows what it is asked to.

It speaks the topics of the Go2 bridge. Every stream can be cut, frozen or spoilt while it runs, and it keeps the truth:
how far and how fast the body really moved, on a steady clock.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from wam_controller import qos
from wam_controller.conversions import pose_message, time_message, twist_message
from wam_models.messages import planar_twist
from wam_models.se2 import Vector, advance, compose
from wam_msgs.msg import ControllerStatus, PlannerStatus, SafetyStatus

TICK = 0.02  # s
CAMERA_EVERY = 5  # ticks: 10 Hz
LAG = 0.1  # s, of the body behind a command
SILENCE = 0.3  # s without a command after which the bridge stops the robot
STILL = 0.03  # m/s or rad/s: slower is standing


@dataclass(frozen=True)
class Streams:
    """What the robot sends. frozen: the same picture again and again; corrupt: pictures that cannot be decoded;
    spoilt: odometry with NaN."""

    camera: bool = True
    odometry: bool = True
    frozen: bool = False
    corrupt: bool = False
    spoilt: bool = False


@dataclass(frozen=True)
class Truth:
    """At one instant of the steady clock: metres travelled since the start, and the body's twist."""

    time: float
    travelled: float
    twist: Vector


@dataclass(frozen=True)
class Stop:
    """What it took to stand still after a fault: seconds and metres; NaN when it never did."""

    seconds: float
    metres: float


class FakeRobot:
    """Runs in a thread of its own, on its own ROS domain. A context manager."""

    def __init__(self, domain: int) -> None:
        self.domain = domain
        self._context = Context()
        self._context.init(domain_id=domain)
        self.node = Node("fake_robot", context=self._context, enable_rosout=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._noise = np.random.default_rng(0)
        self._tick = 0
        self.pose: Vector = (0.0, 0.0, 0.0)
        self._command: Vector = (0.0, 0.0, 0.0)
        self._heard = -math.inf
        self.streams = Streams()
        self.camera_size = (96, 160)
        self.truth = [Truth(time.monotonic(), 0.0, (0.0, 0.0, 0.0))]
        self.planner: PlannerStatus | None = None
        self.controller: ControllerStatus | None = None
        self.safety: SafetyStatus | None = None
        self.health: dict[str, tuple[bytes, str]] = {}  # node -> level and message of /diagnostics

        self._camera = self.node.create_publisher(CompressedImage, "camera/front/image/compressed", qos.CAMERA)
        self._odometry = self.node.create_publisher(Odometry, "odom", qos.ODOMETRY)
        self._ready = self.node.create_publisher(Bool, "robot_ready", qos.LATCHED_STATUS)
        self.say_ready(True)
        self.node.create_subscription(TwistStamped, "cmd_vel", self._on_command, qos.COMMAND)
        self.node.create_subscription(PlannerStatus, "planner/status", self._keep("planner"), qos.STATUS)
        self.node.create_subscription(ControllerStatus, "controller/status", self._keep("controller"), qos.STATUS)
        self.node.create_subscription(SafetyStatus, "safety/status", self._keep("safety"), qos.LATCHED_STATUS)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS)
        self._engage = self.node.create_client(SetBool, "safety_gate/engage")
        self._triggers = {
            name: self.node.create_client(Trigger, name)
            for name in ("safety_gate/estop", "safety_gate/clear", "planner/reset")
        }
        self.node.create_timer(TICK, self._on_tick)

    def __enter__(self) -> FakeRobot:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # The executor first: a callback that meets a context which is gone already would raise.
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(timeout=5.0)
        self.node.destroy_node()
        self._context.try_shutdown()

    @property
    def speed(self) -> float:
        """The largest component of the body's twist, m/s or rad/s."""
        return max(map(abs, self.truth[-1].twist))

    def send(self, **streams: bool) -> None:
        """Change what is sent from now on."""
        self.streams = replace(self.streams, **streams)

    def say_ready(self, ready: bool) -> None:
        """Whether it can walk, as the bridge says it."""
        self._ready.publish(Bool(data=ready))

    def engage(self, wanted: bool = True) -> SetBool.Response:
        """Call safety_gate/engage."""
        return self._call(self._engage, SetBool.Request(data=wanted))

    def trigger(self, service: str) -> Trigger.Response:
        """Call a service of type Trigger."""
        return self._call(self._triggers[service], Trigger.Request())

    def engage_when_ready(self, patience: float = 30.0) -> None:
        """Engage as soon as the gate lets it."""
        deadline = time.monotonic() + patience
        answer = self.engage()
        while not answer.success:
            assert time.monotonic() < deadline, answer.message
            time.sleep(0.1)
            answer = self.engage()

    def wait_for(self, condition: Callable[[], bool], what: str, patience: float = 20.0) -> None:
        """Return as soon as `condition` holds; fail when it does not within `patience` seconds."""
        deadline = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < deadline, f"waited {patience} s for {what}; gate: {self.safety}"
            time.sleep(0.01)

    def stop_since(self, moment: float, patience: float = 6.0, settle: float = 0.5) -> Stop:
        """Time and way from `moment` until the robot stood, and stayed, still for `settle` seconds."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            time.sleep(0.05)
            since = [truth for truth in list(self.truth) if truth.time >= moment]
            moving = [truth for truth in since if max(map(abs, truth.twist)) > STILL]
            if since and since[-1].time - (moving[-1].time if moving else moment) >= settle:
                last = moving[-1] if moving else since[0]
                return Stop(last.time - moment, since[-1].travelled - since[0].travelled)
        return Stop(math.nan, math.nan)

    def _call(self, client: object, request: object) -> object:
        assert client.wait_for_service(timeout_sec=20.0), f"nobody serves {client.srv_name}"
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        assert done.wait(timeout=10.0), f"{client.srv_name} did not answer"
        return future.result()

    def _keep(self, name: str) -> Callable[[object], None]:
        return lambda message: setattr(self, name, message)

    def _on_command(self, message: TwistStamped) -> None:
        self._command, self._heard = planar_twist(message.twist), time.monotonic()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.health.update({status.name.lstrip("/"): (status.level, status.message) for status in message.status})

    def _on_tick(self) -> None:
        self._tick += 1
        self._move()
        if self.streams.odometry:
            self._publish_odometry()
        if self.streams.camera and self._tick % CAMERA_EVERY == 0:
            self._publish_image()

    def _move(self) -> None:
        now, last = time.monotonic(), self.truth[-1]
        seconds = now - last.time
        wanted = self._command if now - self._heard < SILENCE else (0.0, 0.0, 0.0)
        gain = 1.0 - math.exp(-seconds / LAG)
        vx, vy, yaw_rate = (v + gain * (w - v) for v, w in zip(last.twist, wanted))
        self.pose = compose(self.pose, advance((vx, vy, yaw_rate), seconds))
        travelled = last.travelled + math.hypot(vx, vy) * seconds
        self.truth.append(Truth(now, travelled, (vx, vy, yaw_rate)))

    def _publish_odometry(self) -> None:
        message = Odometry(child_frame_id="base_link")
        message.header.stamp = self._stamp()
        message.header.frame_id = "odom"
        message.pose.pose = pose_message(self.pose)
        message.twist.twist = twist_message(np.array(self.truth[-1].twist))
        if self.streams.spoilt:
            message.pose.pose.position.x = message.twist.twist.linear.x = math.nan
        self._odometry.publish(message)

    def _publish_image(self) -> None:
        if self.streams.frozen:
            picture = np.full((*self.camera_size, 3), 90, dtype=np.uint8)
        else:
            picture = self._noise.integers(0, 255, (*self.camera_size, 3), dtype=np.uint8)
        data = cv2.imencode(".jpg", picture)[1].tobytes()
        message = CompressedImage(format="jpeg", data=data[: len(data) // 2] if self.streams.corrupt else data)
        message.header.stamp = self._stamp()
        message.header.frame_id = "camera_front_optical_frame"
        self._camera.publish(message)

    def _stamp(self) -> object:
        return time_message(self.node.get_clock().now().nanoseconds * 1e-9)
