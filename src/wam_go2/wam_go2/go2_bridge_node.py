"""The Go2 as ROS 2 knows robots: camera and odometry out, cmd_vel in. README.md has the whole interface."""

from __future__ import annotations

from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from wam_controller import qos
from wam_controller.conversions import time_message
from wam_controller.managed_node import ManagedNode, run
from wam_controller.parameters import Value
from wam_go2.bridge import Bridge, Measured, Picture
from wam_go2.conversions import (
    camera_info_message,
    camera_transform_message,
    image_message,
    odometry_message,
    transform_message,
)
from wam_go2.protocol import Fault
from wam_go2.readiness import BridgeState, Verdict
from wam_go2.sdk_link import SdkLink
from wam_go2.settings import BRIDGE, make_config
from wam_models.messages import planar_twist, seconds

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # the one package of these that ROS wheels do not have
    TFMessage = None

_STEP_PERIOD = 0.05  # s
_TF = QoSProfile(depth=100)
_LEVELS = {
    BridgeState.READY: DiagnosticStatus.OK,
    BridgeState.STANDING: DiagnosticStatus.WARN,
    BridgeState.DEGRADED: DiagnosticStatus.WARN,
    BridgeState.CONNECTING: DiagnosticStatus.ERROR,
    BridgeState.LOST: DiagnosticStatus.ERROR,
}


class Go2BridgeNode(ManagedNode):
    """cmd_vel -> camera/front/*, odom, robot_ready, go2_bridge/state; services stand_up, stand_down."""

    parameters = BRIDGE

    def __init__(self, **options: object) -> None:
        super().__init__("go2_bridge", **options)
        # The link's thread only leaves messages and rings; everything of ROS happens in the executor's thread.
        self._bell = self.create_guard_condition(self._on_news)
        self._link: SdkLink | None = None

    def setup(self, settings: Mapping[str, Value]) -> None:
        """See ManagedNode."""
        self._config = make_config(settings)
        self.get_logger().info(f"limits: {self._config.limits}")
        self._transforms = self._config.publish_tf and TFMessage is not None
        if self._config.publish_tf and TFMessage is None:
            self.get_logger().info("no /tf: tf2_msgs is not installed here; odom says the same")

    def start(self) -> None:
        """See ManagedNode. Publishers of robot data are made when there are robot data."""
        self._bridge = Bridge(self._config, self.steady_now)
        self._verdict: Verdict | None = None
        self._data: dict[str, Publisher] = {}
        self._state = self.create_publisher(String, "go2_bridge/state", qos.LATCHED)
        # Deeper than its newest value: a no that is followed at once by a yes must disengage the gate all the same.
        self._ready = self.create_publisher(Bool, "robot_ready", qos.LATCHED_STATUS)
        self._say_ready(False)
        self._commands = self.create_subscription(TwistStamped, "cmd_vel", self._on_command, qos.COMMAND)
        self._own_services = [
            self.create_service(Trigger, "go2_bridge/stand_up", self._on_stand_up),
            self.create_service(Trigger, "go2_bridge/stand_down", self._on_stand_down),
        ]
        self._link = SdkLink(self._config.link, self._bell.trigger)
        self._timer = self.steady_timer(_STEP_PERIOD, self._on_step)

    def halt(self) -> None:
        """See ManagedNode. The SDK process stops the robot before it ends."""
        if self._link is None:
            return
        self._say_ready(False)
        self._link.close()
        self._link = None
        self.destroy_timer(self._timer)
        self.destroy_subscription(self._commands)
        for service in self._own_services:
            self.destroy_service(service)
        for publisher in (self._state, self._ready, *self._data.values()):
            self.destroy_publisher(publisher)

    def _on_news(self) -> None:
        for message in self._link.poll() if self._link else ():
            if isinstance(message, Fault):
                self.get_logger().error(message.text)
            given = self._bridge.on_message(self.steady_now, message)
            if isinstance(given, Measured):
                self._publish_odometry(given)
            elif isinstance(given, Picture):
                self._publish_picture(given)

    def _publish_odometry(self, measured: Measured) -> None:
        message = odometry_message(self._stamp(measured.time), measured.odometry)
        self._publisher("odom", Odometry, qos.ODOMETRY).publish(message)
        if self._transforms:
            self._publisher("/tf", TFMessage, _TF).publish(TFMessage(transforms=[transform_message(message)]))

    def _publish_picture(self, picture: Picture) -> None:
        stamp = self._stamp(picture.time)
        if self._transforms and "/tf_static" not in self._data:
            mount = camera_transform_message(stamp, picture.calibration)
            self._publisher("/tf_static", TFMessage, qos.LATCHED).publish(TFMessage(transforms=[mount]))
        info = camera_info_message(stamp, picture.calibration)
        self._publisher("camera/front/camera_info", CameraInfo, qos.CAMERA).publish(info)
        image = image_message(stamp, picture.jpeg)
        self._publisher("camera/front/image/compressed", CompressedImage, qos.CAMERA).publish(image)

    def _on_command(self, message: TwistStamped) -> None:
        age = self.now - seconds(message.header.stamp)
        move = self._bridge.on_command(self.steady_now, age, *planar_twist(message.twist))
        if move is not None:
            self._link.send(move)

    def _on_stand_up(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._bridge.stand_up(self.steady_now)
        return response

    def _on_stand_down(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = self._bridge.stand_down(self.steady_now)
        return response

    def _on_step(self) -> None:
        self._link.step(self.steady_now)
        publishers = self.count_publishers(self._commands.topic_name)
        self._bridge.on_publishers(publishers)
        verdict, messages = self._bridge.step(self.steady_now)
        for message in messages:
            self._link.send(message)
        before, self._verdict = self._verdict, verdict
        if verdict.may_move is not self._said_ready:
            self._say_ready(verdict.may_move)
        text = f"{verdict.state.value}: {verdict.reason}"
        if before is None or before.state is not verdict.state:
            self._state.publish(String(data=verdict.state.value))
        if before is None or (before.state, before.reason) != (verdict.state, verdict.reason):
            self.get_logger().info(text)
        numbers = {"cmd_vel_publishers": publishers, **self._bridge.numbers(self.steady_now)}
        level = DiagnosticStatus.ERROR if verdict.held_back else _LEVELS[verdict.state]
        self.report_health(level, text, numbers)

    def _say_ready(self, ready: bool) -> None:
        self._said_ready = ready
        self._ready.publish(Bool(data=ready))

    def _stamp(self, moment: float) -> Time:
        """A moment of the steady clock on the node's clock."""
        return time_message(self.now - (self.steady_now - moment))

    def _publisher(self, topic: str, kind: type, profile: QoSProfile) -> Publisher:
        if topic not in self._data:
            self._data[topic] = self.create_publisher(kind, topic, profile)
        return self._data[topic]


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    run(Go2BridgeNode)


if __name__ == "__main__":
    main()
