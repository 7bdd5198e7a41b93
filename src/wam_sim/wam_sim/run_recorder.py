"""Writes runs as MCAP bags, with the topics and types a robot records: raw material for training.

Beside what a robot has, a bag holds `expert/trajectory`: what the expert would have done at each frame, whoever drove.
`scan` is what a flat lidar beside the camera would have measured, and `expert/stop_line` how far it is to where a light
tells to stop; only training reads them. `expert/what_if/...` is there when it was asked for: the expert's answers to
questions about the same view.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from wam_controller.tracker import make_reference
from wam_models.data.bag_messages import BagMessages
from wam_models.types import Trajectory

JPEG_QUALITY = 92
_CAMERA = "camera_front_optical_frame"

_TRAJECTORY_TYPES = {
    "wam_msgs/msg/TrajectoryPoint": (
        "builtin_interfaces/Duration time_from_start\ngeometry_msgs/Pose pose\n"
        "geometry_msgs/Twist velocity\ngeometry_msgs/Accel acceleration\n"
    ),
    "wam_msgs/msg/Trajectory": (
        "std_msgs/Header header\nwam_msgs/TrajectoryPoint[] points\nbuiltin_interfaces/Duration horizon\n"
        "string model_id\nuint32 epoch\nfloat32 confidence\n"
    ),
}


def bag_types() -> Typestore:
    """Types of ROS 2 Jazzy and this project's trajectory."""
    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in _TRAJECTORY_TYPES.items():
        store.register(get_types_from_msg(text, name))
    return store


@dataclass(frozen=True)
class Sensors:
    """Of a robot. field_of_view: rad, from left to right, of its rectified front camera; bearings: (B,) rad, left
    positive, evenly apart, and max_range: m, of the lidar beside it; period: s between two frames."""

    field_of_view: float
    bearings: np.ndarray
    max_range: float
    period: float


@dataclass(frozen=True)
class RecordedRun:
    """The bag, its number of frames, and how the run ended."""

    path: Path
    frames: int
    reached: bool
    contact: bool


@dataclass(frozen=True)
class WhatIf:
    """An answer of the expert for where the robot is: had it moved with `twist` (3,), vx, vy m/s and yaw rate rad/s in
    base_link, been told `instruction`, or had to go to `goal`, (x, y) m in odom, where they are given, this were its
    plan."""

    twist: np.ndarray
    plan: Trajectory
    goal: tuple[float, float] | None = None
    instruction: str | None = None


class RunRecorder:
    """Writes one run, of which `note` says what made it. Raises FileExistsError when the bag is there already; a run
    that dies leaves no half bag."""

    def __init__(self, path: Path, sensors: Sensors, note: dict[str, object]) -> None:
        if path.exists():
            raise FileExistsError(f"{path} exists: give another folder or remove it")
        self._final = path
        self._partial = path.parent / ".partial" / path.name
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.parent.mkdir(parents=True, exist_ok=True)
        self._types = bag_types()
        self._messages = BagMessages(self._types)
        self._writer = Writer(self._partial, version=9, storage_plugin=StoragePlugin.MCAP)
        self._writer.set_custom_data("run", json.dumps(note))
        self._sensors = sensors
        self._told: str | None = None
        self._connections: dict[str, object] = {}

    def __enter__(self) -> RunRecorder:
        self._writer.open()
        for topic, kind in (
            ("camera/front/image/compressed", "sensor_msgs/msg/CompressedImage"),
            ("camera/front/camera_info", "sensor_msgs/msg/CameraInfo"),
            ("odom", "nav_msgs/msg/Odometry"),
            ("instruction", "std_msgs/msg/String"),
            ("goal", "geometry_msgs/msg/PoseStamped"),
            ("expert/trajectory", "wam_msgs/msg/Trajectory"),
            ("scan", "sensor_msgs/msg/LaserScan"),
            ("expert/stop_line", "sensor_msgs/msg/Range"),
            ("expert/what_if/odom", "nav_msgs/msg/Odometry"),
            ("expert/what_if/goal", "geometry_msgs/msg/PoseStamped"),
            ("expert/what_if/instruction", "std_msgs/msg/String"),
            ("expert/what_if/trajectory", "wam_msgs/msg/Trajectory"),
        ):
            self._connections[topic] = self._writer.add_connection(f"/{topic}", kind, typestore=self._types)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._writer.close()
        if kind is None:
            self._partial.rename(self._final)
        else:
            shutil.rmtree(self._partial, ignore_errors=True)

    def goal(self, time: float, goal: tuple[float, float]) -> None:
        """Where the robot is to go, (x, y) m in odom."""
        self._write("goal", time, self._messages.pose_stamped(_stamp(time), "odom", (*goal, 0.0)))

    def frame(
        self,
        time: float,
        image: np.ndarray,
        pose: np.ndarray,
        twist: np.ndarray,
        instruction: str,
        plan: Trajectory,
        ranges: np.ndarray,
        stop_line: float | None = None,
    ) -> None:
        """One camera frame (uint8 (H, W, 3) RGB) with pose, twist, what the robot is told, the expert's plan, the
        lidar's ranges (m, on its bearings) and the way to where a light tells to stop (m, inf where none does) of the
        same instant."""
        stamp = _stamp(time)
        picture = self._messages.jpeg(stamp, _CAMERA, image[..., ::-1], JPEG_QUALITY)
        self._write("camera/front/image/compressed", time, picture)
        self._write("camera/front/camera_info", time, self._camera_info(stamp, image.shape[:2]))
        self._write("odom", time, self._messages.odometry(stamp, pose, twist))
        if instruction != self._told:
            self._write("instruction", time, self._messages.make("std_msgs/msg/String", instruction))
            self._told = instruction
        self._write("expert/trajectory", time, self._trajectory(stamp, plan, pose))
        self._write("scan", time, self._scan(stamp, ranges))
        if stop_line is not None:
            self._write("expert/stop_line", time, self._range(stamp, stop_line))

    def what_if(self, time: float, pose: np.ndarray, answer: WhatIf) -> None:
        """One answer about the frame of this instant: messages with its stamp, what was asked about and the plan."""
        stamp = _stamp(time)
        self._write("expert/what_if/odom", time, self._messages.odometry(stamp, pose, answer.twist))
        if answer.goal is not None:
            goal = self._messages.pose_stamped(stamp, "odom", (*answer.goal, 0.0))
            self._write("expert/what_if/goal", time, goal)
        if answer.instruction is not None:
            text = self._messages.make("std_msgs/msg/String", answer.instruction)
            self._write("expert/what_if/instruction", time, text)
        self._write("expert/what_if/trajectory", time, self._trajectory(stamp, answer.plan, pose))

    def _write(self, topic: str, time: float, message: object) -> None:
        kind = self._connections[topic].msgtype  # type: ignore[attr-defined]
        data = self._types.serialize_cdr(message, kind)
        self._writer.write(self._connections[topic], _stamp(time), data)  # type: ignore[arg-type]

    def _camera_info(self, stamp: int, size: tuple[int, int]) -> object:
        height, width = size
        focal = width / 2 / np.tan(self._sensors.field_of_view / 2)
        matrix = np.array([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
        return self._messages.camera_info(stamp, _CAMERA, size, matrix)

    def _scan(self, stamp: int, ranges: np.ndarray) -> object:
        bearings, period, most = self._sensors.bearings, self._sensors.period, self._sensors.max_range
        first, last, step = float(bearings[0]), float(bearings[-1]), float(bearings[1] - bearings[0])
        header, nothing = self._messages.header(stamp, "camera_front_link"), np.zeros(0, np.float32)
        values = (first, last, step, 0.0, period, 0.0, most, ranges.astype(np.float32), nothing)
        return self._messages.make("sensor_msgs/msg/LaserScan", header, *values)

    def _range(self, stamp: int, metres: float) -> object:
        header = self._messages.header(stamp, "base_link")
        return self._messages.make("sensor_msgs/msg/Range", header, 1, 0.0, 0.0, float("inf"), metres, float("nan"))

    def _trajectory(self, stamp: int, plan: Trajectory, pose: np.ndarray) -> object:
        made = self._messages
        reference = make_reference(plan, pose)
        nan = made.make("geometry_msgs/msg/Vector3", *(float("nan"),) * 3)
        absent = made.make("geometry_msgs/msg/Accel", nan, nan)
        points = [
            made.make(
                "wam_msgs/msg/TrajectoryPoint", made.duration(time), made.pose(point), made.twist(velocity), absent
            )
            for time, point, velocity in zip(reference.times, reference.poses, reference.velocities, strict=True)
        ]
        values = (points, made.duration(plan.horizon), "expert", 0, float("nan"))
        return made.make("wam_msgs/msg/Trajectory", made.header(stamp, "odom"), *values)


def _stamp(time: float) -> int:
    """ns."""
    return round(time * 1e9)
