"""Records a run as an MCAP bag: `python -m wam_tools.demo.recorder_node BAG`, ended by SIGINT.

A node of its own process, so that what is measured is not slowed by what measures it. A robot that calls a topic of the
table differently remaps it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, TwistStamped
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.qos import QoSProfile
from rosbags.rosbag2 import StoragePlugin, Writer
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import String

from wam_controller import qos
from wam_controller.managed_node import ManagedNode, run
from wam_controller.parameters import Value
from wam_msgs.msg import ControllerStatus, PlannerStatus, SafetyStatus, Trajectory, TrajectoryCandidates
from wam_tools.demo.bag import typestore

# What the planner saw, decided and said, what became of it, and why: enough to explain any run afterwards.
TOPICS: tuple[tuple[str, type, QoSProfile], ...] = (
    ("camera/front/image/compressed", CompressedImage, qos.CAMERA),
    ("camera/front/camera_info", CameraInfo, qos.CAMERA),
    ("odom", Odometry, qos.ODOMETRY),
    ("instruction", String, qos.LATCHED),
    ("goal", PoseStamped, qos.LATCHED),
    ("trajectory", Trajectory, qos.PLAN),
    ("trajectory_candidates", TrajectoryCandidates, qos.PLAN),
    ("planned_path", PathMessage, qos.PLAN),
    ("cmd_vel_nav", TwistStamped, qos.COMMAND),
    ("cmd_vel", TwistStamped, qos.COMMAND),
    ("planner/status", PlannerStatus, qos.STATUS),
    ("controller/status", ControllerStatus, qos.STATUS),
    ("safety/status", SafetyStatus, qos.LATCHED_STATUS),
    ("/diagnostics", DiagnosticArray, qos.DIAGNOSTICS),
)


class RecorderNode(ManagedNode):
    """Writes TOPICS and the state of that bridge, as they come over the wire, with the time they arrived."""

    def __init__(self, bag: Path, bridge: str, **options: object) -> None:
        super().__init__("recorder", **options)
        self._bag = bag
        self._topics = (*TOPICS, (f"{bridge}/state", String, qos.LATCHED))

    def setup(self, settings: Mapping[str, Value]) -> None:
        """See ManagedNode. Raises ValueError when the bag is there already."""
        if self._bag.exists():
            raise ValueError(f"{self._bag} exists: remove it or record into another folder")

    def start(self) -> None:
        """See ManagedNode."""
        types = typestore()
        self._writer = Writer(self._bag, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.open()
        self._inputs = []
        for topic, kind, profile in self._topics:
            name = f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}"
            connection = self._writer.add_connection(self.resolve_topic_name(topic), name, typestore=types)
            # What is recorded is also how often and how late something came: no burst may overwrite a message.
            deep = QoSProfile(depth=50, reliability=profile.reliability, durability=profile.durability)
            write = partial(self._write, connection)
            self._inputs.append(self.create_subscription(kind, topic, write, deep, raw=True))

    def halt(self) -> None:
        """See ManagedNode. A bag without its index is hard to read."""
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._writer.close()

    def _write(self, connection: object, data: bytes) -> None:
        self._writer.write(connection, self.get_clock().now().nanoseconds, data)


def main() -> None:
    """Run the node until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bag", type=Path, help="folder to make")
    parser.add_argument("--bridge", default="go2_bridge", help="name of the robot's bridge")
    arguments, _ = parser.parse_known_args()
    run(partial(RecorderNode, arguments.bag, arguments.bridge))


if __name__ == "__main__":
    main()
