"""Records a run as an MCAP bag until SIGINT. A node of its own process, at a low priority: what is recorded is not
slowed by what records it. A robot that calls a topic differently remaps it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rcl_interfaces.msg import ParameterEvent
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.client import Client
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy
from rclpy.subscription import Subscription
from rclpy.task import Future
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String

from wam_controller import qos
from wam_controller.managed_node import ManagedNode, run
from wam_controller.parameters import Value
from wam_models.data.about import NOTE, TOPIC
from wam_msgs.msg import ControllerStatus, PlannerStatus, SafetyStatus, Trajectory, TrajectoryCandidates
from wam_tools.message_types import typestore
from wam_tools.recorder.recording import Recording, Topic
from wam_tools.recorder.settings import RECORDER, about, bag_path, check_room

try:
    from tf2_msgs.msg import TFMessage
except ModuleNotFoundError:  # not among the wheels; without it no bridge sends any
    TFMessage = None

# What the planner saw, decided and said, what became of it, and why: enough to explain any run afterwards.
TOPICS: tuple[tuple[str, type, QoSProfile], ...] = (
    ("instruction", String, qos.LATCHED),
    ("goal", PoseStamped, qos.LATCHED),
    ("planner/instruction", String, qos.LATCHED),
    ("planner/goal", PoseStamped, qos.LATCHED),
    ("trajectory", Trajectory, qos.PLAN),
    ("trajectory_candidates", TrajectoryCandidates, qos.PLAN),
    ("planned_path", PathMessage, qos.PLAN),
    ("cmd_vel_nav", TwistStamped, qos.COMMAND),
    ("cmd_vel", TwistStamped, qos.COMMAND),
    ("planner/status", PlannerStatus, qos.STATUS),
    ("controller/status", ControllerStatus, qos.STATUS),
    ("safety/status", SafetyStatus, qos.LATCHED_STATUS),
    ("/diagnostics", DiagnosticArray, qos.DIAGNOSTICS),
    ("/parameter_events", ParameterEvent, qos.STATUS),
    *((("/tf", TFMessage, qos.ODOMETRY), ("/tf_static", TFMessage, qos.LATCHED)) if TFMessage else ()),
)
_TEXT = "std_msgs/msg/String"
_LOOK_PERIOD = 1.0  # s
_TELL_PERIOD = 10  # looks
_EARLY = 1000  # messages that are kept until simulated time begins


class RecorderNode(ManagedNode):
    """Writes what comes over the wire, with the time it arrived, and complains when what must come does not."""

    parameters = RECORDER

    def __init__(self, **options: object) -> None:
        super().__init__("recorder", **options)
        self._types = typestore()

    def setup(self, settings: Mapping[str, Value]) -> None:
        """See ManagedNode. Raises ValueError when nothing can be recorded there."""
        self._settings, self._path = settings, bag_path(settings)
        self._free_disk = 1e9 * float(settings["free_disk"])
        check_room(self._path, self._free_disk)
        self._about = about(settings)

    def start(self) -> None:
        """See ManagedNode."""
        self._inputs: list[Subscription] = []
        self._early: list[tuple[Topic, bytes]] = []
        self._looks = 0
        # 1. A bag, and in it who records.
        self._open = ExitStack()
        self._recording = Recording(self._path, self._types, self._free_disk)
        self._open.enter_context(self._recording)
        self._said = self._recording.add(TOPIC, _TEXT, [_offered(qos.LATCHED)])
        self._say()
        # 2. The topics.
        cameras = [name.strip() for name in str(self._settings["cameras"]).split(",")]
        kind, suffix = (Image, "") if self._settings["pictures"] == "raw" else (CompressedImage, "/compressed")
        for camera in cameras:
            topic, rate = f"camera/{camera}/image{suffix}", float(self._settings["camera_rate"])
            self._record(topic, kind, qos.CAMERA, rate)
            self._record(f"camera/{camera}/camera_info", CameraInfo, qos.CAMERA)
        self._record("odom", Odometry, qos.ODOMETRY, float(self._settings["odometry_rate"]))
        self._record(f"{self._settings['bridge']}/state", String, qos.LATCHED)
        for topic, kind, profile in TOPICS:
            self._record(topic, kind, profile)
        # 3. A look now and then.
        self._asked = _Parameters(self, self._learned)
        timer = self.steady_timer(_LOOK_PERIOD, self._look)
        self._open.callback(self.destroy_timer, timer)
        self.get_logger().info(f"recording into {self._path}")

    def halt(self) -> None:
        """See ManagedNode. The bag gets its index."""
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._open.close()
        self.get_logger().info(self._recording.fault or f"{self._path} is complete")

    def _record(self, name: str, kind: type, profile: QoSProfile, minimum: float = 0.0) -> None:
        # Every message counts here: no burst may overwrite one.
        deep = QoSProfile(depth=50, reliability=profile.reliability, durability=profile.durability)
        message_type = f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"
        topic = self._recording.add(self.resolve_topic_name(name), message_type, [_offered(deep)], minimum)
        # Where the last messages are kept for whoever joins late, what is older counts as lost.
        latched = profile.durability is QoSDurabilityPolicy.TRANSIENT_LOCAL
        events = SubscriptionEventCallbacks(message_lost=None if latched else partial(self._lose, topic))
        take = partial(self._take, topic)
        self._inputs.append(self.create_subscription(kind, name, take, deep, raw=True, event_callbacks=events))

    def _take(self, topic: Topic, data: bytes) -> None:
        logged = self.get_clock().now().nanoseconds
        if not logged:  # simulated time that has not begun
            self._early.append((topic, data))
            del self._early[:-_EARLY]
            return
        for early in self._early:
            self._recording.take(early[0], logged, early[1], self.steady_now)
        self._early.clear()
        self._recording.take(topic, logged, data, self.steady_now)

    def _lose(self, topic: Topic, event: object) -> None:
        topic.lose(event.total_count_change, self.steady_now)  # type: ignore[attr-defined]

    def _look(self) -> None:
        for topic in self._recording.look(self.steady_now):
            if topic.too_slow:
                self.get_logger().warning(f"{topic.name}: {topic.rate:.1f} Hz, less than {topic.minimum:g}")
            else:
                self.get_logger().info(f"{topic.name}: {topic.rate:.1f} Hz, enough again")
        self._asked.ask()
        self._looks += 1
        counts = {topic.name: f"{topic.messages}, {topic.rate:.1f} Hz" for topic in self._recording.topics}
        said = f"{self._looks * _LOOK_PERIOD:.0f} s, {1e-6 * self._recording.size:.0f} MB"
        if fault := self._recording.fault:
            self.report_health(DiagnosticStatus.ERROR, f"not recording: {fault}", counts)
            self.get_logger().error(f"not recording: {fault}", once=True)
        elif dropped := [topic.name for topic in self._recording.topics if topic.dropped]:
            self.report_health(DiagnosticStatus.ERROR, f"the disk is too slow for {', '.join(dropped)}", counts)
        elif starved := [topic.name for topic in self._recording.topics if topic.too_slow]:
            self.report_health(DiagnosticStatus.WARN, f"recording, but too little on {', '.join(starved)}", counts)
        else:
            self.report_health(DiagnosticStatus.OK, f"recording, {said}", counts)
        if self._looks % _TELL_PERIOD == 0 and not fault:
            self.get_logger().info(f"{said} in {self._recording.path}")

    def _learned(self, node: str, parameters: Mapping[str, object]) -> None:
        self._about["parameters"][node] = parameters
        self._say()

    def _say(self) -> None:
        data = self._types.serialize_cdr(self._types.types[_TEXT](json.dumps(self._about)), _TEXT)
        self._take(self._said, bytes(data))
        self._recording.notes[NOTE] = json.dumps(self._about)


class _Parameters:
    """Asks every other node of the graph once what its parameters are."""

    def __init__(self, node: RecorderNode, learned: Callable[[str, Mapping[str, object]], None]) -> None:
        self._node, self._learned = node, learned
        self._known = {node.get_fully_qualified_name()}
        self._waiting: dict[str, tuple[Client, Client]] = {}

    def ask(self) -> None:
        """Those that are new, once their services are there."""
        for name, namespace in self._node.get_node_names_and_namespaces():
            whole = f"{namespace.rstrip('/')}/{name}"
            if whole in self._known or name.startswith("_"):
                continue
            if whole not in self._waiting:
                self._waiting[whole] = (
                    self._node.create_client(ListParameters, f"{whole}/list_parameters"),
                    self._node.create_client(GetParameters, f"{whole}/get_parameters"),
                )
            listing, getting = self._waiting[whole]
            if listing.service_is_ready() and getting.service_is_ready():
                self._known.add(whole)
                answer = listing.call_async(ListParameters.Request())
                answer.add_done_callback(partial(self._listed, whole))

    def _listed(self, node: str, answer: Future) -> None:
        listing, getting = self._waiting[node]
        self._node.destroy_client(listing)
        names = list(answer.result().result.names)
        values = getting.call_async(GetParameters.Request(names=names))
        values.add_done_callback(partial(self._valued, node, names))

    def _valued(self, node: str, names: Sequence[str], answer: Future) -> None:
        _, getting = self._waiting.pop(node)
        self._node.destroy_client(getting)
        values = [parameter_value_to_python(value) for value in answer.result().values]
        self._learned(node, dict(zip(names, values)))


def _offered(profile: QoSProfile) -> Qos:
    """As a bag says it, so that whoever plays the bag offers the same."""
    reliable = profile.reliability is QoSReliabilityPolicy.RELIABLE
    latched = profile.durability is QoSDurabilityPolicy.TRANSIENT_LOCAL
    unlimited = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        profile.depth,
        QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        unlimited,
        unlimited,
        QosLiveliness.AUTOMATIC,
        unlimited,
        False,
    )


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    os.nice(10)  # on two cores too, what is recorded comes first
    run(RecorderNode)


if __name__ == "__main__":
    main()
