"""A car in CARLA as ROS 2 knows robots: cameras, odometry, clock out, commands in. README.md has all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Twist, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Bool, Float32, String

from wam_carla.connection import BridgeState, Verdict
from wam_carla.conversions import (
    camera_frame,
    camera_info_message,
    camera_transform_message,
    clock_message,
    event_message,
    image_message,
    jpeg_message,
    odometry_message,
    speed_message,
    transform_message,
)
from wam_carla.sensors import Collision
from wam_carla.session import Seen, Session
from wam_carla.settings import BRIDGE, make_config
from wam_carla.world import Car
from wam_controller import qos
from wam_controller.conversions import time_message
from wam_controller.managed_node import ManagedNode, run
from wam_controller.parameters import Value
from wam_controller.shared_memory import make_room_for_pictures
from wam_models.messages import seconds

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # the ROS wheels have none
    TFMessage = None
try:
    from ackermann_msgs.msg import AckermannDrive, AckermannDriveStamped
except ImportError:  # nor these
    AckermannDrive = AckermannDriveStamped = None

_STEP_PERIOD = 0.1  # s
# Subscribers of CARLA's own bridge ask for reliable ones, which a best-effort publisher would never reach.
_DATA, _TF = QoSProfile(depth=10), QoSProfile(depth=100)
_RAW = QoSProfile(depth=40)
_LEVELS = {
    BridgeState.READY: DiagnosticStatus.OK,
    BridgeState.DEGRADED: DiagnosticStatus.WARN,
    BridgeState.CONNECTING: DiagnosticStatus.ERROR,
    BridgeState.LOST: DiagnosticStatus.ERROR,
    BridgeState.REFUSED: DiagnosticStatus.ERROR,
}


class CarlaBridgeNode(ManagedNode):
    """cmd_vel or /carla/<role>/* -> /clock, /carla/<role>/*, robot_ready, carla_bridge/state.

    carla: what plays the module of that name; None imports it; told: what the driver is told now, from a simulator that
    knows the route, published as `instruction`.
    """

    parameters = BRIDGE

    def __init__(
        self, carla: ModuleType | None = None, told: Callable[[], str] | None = None, **options: object
    ) -> None:
        super().__init__("carla_bridge", **options)
        self._carla, self._told = carla, told
        # The session's thread only leaves reports and rings; everything of ROS happens in the executor's thread.
        self._bell = self.create_guard_condition(self._on_news)
        self._session: Session | None = None

    def setup(self, settings: Mapping[str, Value]) -> None:
        """See ManagedNode."""
        self._config = make_config(settings)
        self._role = self._config.car.role_name
        self._cameras = {camera.name: camera for camera in self._config.car.cameras}
        self._transforms = self._config.publish_tf and TFMessage is not None
        self._inputs = {
            "twist_stamped": (TwistStamped, "cmd_vel", self._on_twist_stamped),
            "twist": (Twist, f"/carla/{self._role}/twist", self._on_twist),
            "ackermann": (AckermannDrive, f"/carla/{self._role}/ackermann_cmd", self._on_ackermann),
            "ackermann_stamped": (
                AckermannDriveStamped,
                f"/carla/{self._role}/ackermann_cmd_stamped",
                self._on_ackermann_stamped,
            ),
        }
        if self._inputs[self._config.commands][0] is None:
            raise ValueError(
                f"parameter commands is {self._config.commands}: install ackermann_msgs, or take twist_stamped"
            )
        if self._config.publish_tf and TFMessage is None:
            self.get_logger().info("no /tf: tf2_msgs is not installed here; the odometry says the same")

    def start(self) -> None:
        """See ManagedNode. Publishers of the car's data are made when there are data."""
        self._verdict: Verdict | None = None
        self._data: dict[str, Publisher] = {}
        self._state = self.create_publisher(String, "carla_bridge/state", qos.LATCHED)
        # Deeper than its newest value: a no that is followed at once by a yes must disengage the gate all the same.
        self._ready = self.create_publisher(Bool, "robot_ready", qos.LATCHED_STATUS)
        self._say_ready(False)
        self._said = ""
        kind, topic, callback = self._inputs[self._config.commands]
        self._commands = self.create_subscription(kind, topic, callback, qos.COMMAND)
        self._session = Session(self._config, self._bell.trigger, self._carla)
        self._timer = self.steady_timer(_STEP_PERIOD, self._on_step)

    def halt(self) -> None:
        """See ManagedNode. The session brakes and takes its car away before it ends."""
        if self._session is None:
            return
        session, self._session = self._session, None
        self._say_ready(False)
        self.destroy_timer(self._timer)
        self.destroy_subscription(self._commands)
        try:
            if left := session.close():
                self.get_logger().warning(left)
        finally:
            for publisher in (self._state, self._ready, *self._data.values()):
                self.destroy_publisher(publisher)

    def _on_news(self) -> None:
        if self._session is None:
            return
        for report in self._session.poll():
            if isinstance(report, Car):
                self._on_car(report)
            else:
                self._publish(report)
        self._tell()

    def _on_car(self, car: Car) -> None:
        angle = car.steering.max_angle
        self.get_logger().info(
            f"{car.blueprint} in {car.town}: wheelbase {car.wheelbase:.2f} m, wheels up to {angle:.2f} rad"
        )

    def _publish(self, seen: Seen) -> None:
        tick = seen.tick
        stamp, base = time_message(tick.time), f"/carla/{self._role}"
        if self._config.publish_clock:
            self._publisher("/clock", Clock, _DATA).publish(clock_message(tick.time))
        if tick.state.finite:
            odometry = odometry_message(stamp, self._role, tick.state)
            self._publisher(f"{base}/odometry", Odometry, _DATA).publish(odometry)
            self._publisher(f"{base}/speedometer", Float32, _DATA).publish(speed_message(tick.state))
            if self._transforms:
                self._publisher("/tf", TFMessage, _TF).publish(TFMessage(transforms=[transform_message(odometry)]))
        if self._told is not None and (text := self._told()) != self._said:
            self._said = text
            self._publisher("instruction", String, qos.LATCHED).publish(String(data=text))
        for event in tick.events:
            name = "collision" if isinstance(event, Collision) else "lane_invasion"
            self._publisher(f"{base}/{name}", DiagnosticArray, _DATA).publish(event_message(self._role, event))
        for name, picture in tick.pictures.items():
            camera, frame = self._cameras[name], camera_frame(self._role, name)
            topic = partial("{}/rgb_{}/{}".format, base, name)
            info = camera_info_message(stamp, frame, camera)
            self._publisher(topic("camera_info"), CameraInfo, _DATA).publish(info)
            if name in seen.jpegs:
                jpeg = jpeg_message(stamp, frame, seen.jpegs[name])
                self._publisher(topic("image/compressed"), CompressedImage, _DATA).publish(jpeg)
            if self._config.raw_images:
                self._publisher(topic("image"), Image, _RAW).publish(image_message(stamp, frame, picture.image))
        if self._transforms and "/tf_static" not in self._data:
            mounts = [camera_transform_message(stamp, self._role, camera) for camera in self._cameras.values()]
            self._publisher("/tf_static", TFMessage, qos.LATCHED).publish(TFMessage(transforms=mounts))

    def _on_twist_stamped(self, message: TwistStamped) -> None:
        self._twist(seconds(message.header.stamp), message.twist)

    def _on_twist(self, message: Twist) -> None:
        self._twist(None, message)

    def _twist(self, stamp: float | None, twist: Twist) -> None:
        if self._session is not None:
            self._session.twist(stamp, twist.linear.x, twist.angular.z)

    def _on_ackermann_stamped(self, message: object) -> None:
        self._drive(seconds(message.header.stamp), message.drive)

    def _on_ackermann(self, message: object) -> None:
        self._drive(None, message)

    def _drive(self, stamp: float | None, drive: object) -> None:
        if self._session is not None:
            self._session.drive(stamp, drive.speed, drive.steering_angle)

    def _on_step(self) -> None:
        if not self._session.alive:
            raise RuntimeError("the thread that drives the car has ended: see the error above")
        topic = self._commands.topic_name
        count = self.count_publishers(topic)
        several = f"{count} nodes publish {topic}: stop all but one. One that was killed counts for up to 20 s."
        self._session.hold(several if count > 1 else "")
        self._tell()

    def _tell(self) -> None:
        verdict = self._session.verdict
        before, self._verdict = self._verdict, verdict
        if verdict.may_move is not self._said_ready:
            self._say_ready(verdict.may_move)
        text = f"{verdict.state.value}: {verdict.reason}"
        if before is None or before.state is not verdict.state:
            self._state.publish(String(data=verdict.state.value))
        if before is None or (before.state, before.reason) != (verdict.state, verdict.reason):
            self.get_logger().info(text)
        held = verdict.state is BridgeState.DEGRADED and not verdict.may_move
        level = DiagnosticStatus.ERROR if held else _LEVELS[verdict.state]
        self.report_health(level, text, self._session.numbers())

    def _say_ready(self, ready: bool) -> None:
        self._said_ready = ready
        self._ready.publish(Bool(data=ready))

    def _publisher(self, topic: str, kind: type, profile: QoSProfile) -> Publisher:
        if topic not in self._data:
            self._data[topic] = self.create_publisher(kind, topic, profile)
        return self._data[topic]


def run_bridge(make: Callable[..., CarlaBridgeNode] = CarlaBridgeNode) -> None:
    """Run a bridge until SIGINT or SIGTERM."""
    make_room_for_pictures()
    run(make)


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run_bridge()


if __name__ == "__main__":
    main()
