"""Bags that no robot has recorded, in the messages and names of this stack."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from wam_models.data.bag_reader import BagError
from wam_models.data.bag_writer import BagWriter
from wam_tools.bag.video_input import Lens

_BASE, _FRAME = "/camera/front", "camera_front_optical_frame"
_QUALITY = 90  # of 100


class MadeBag:
    """Writes messages as a robot of this stack records them. Times are s since the beginning. pictures, moves: how many
    were written."""

    def __init__(self, writer: BagWriter, begin: float) -> None:
        """begin: s since 1970."""
        self.pictures = self.moves = 0
        self._writer, self._begin = writer, round(begin * 1e9)
        self._types = writer.types.types

    def tell(self, text: str) -> None:
        """An instruction, at the beginning."""
        self._write("/instruction", "std_msgs/msg/String", 0.0, text)

    def aim(self, goal: tuple[float, float]) -> None:
        """A goal at the beginning, (x, y) m in odom."""
        header, pose = self._header(0.0, "odom"), self._pose((*goal, 0.0))
        self._write("/goal", "geometry_msgs/msg/PoseStamped", 0.0, header, pose)

    def see(self, seconds: float, image: np.ndarray) -> None:
        """A picture, uint8 (H, W, 3) BGR, as JPEG."""
        jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].ravel()
        header = self._header(seconds, _FRAME)
        self._write(f"{_BASE}/image/compressed", "sensor_msgs/msg/CompressedImage", seconds, header, "jpeg", jpeg)
        self.pictures += 1

    def calibrate(self, seconds: float, lens: Lens) -> None:
        """Of the picture of that time."""
        k = lens.matrix
        projection = np.column_stack([k, np.zeros(3)]).ravel()
        whole = self._types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        header = self._header(seconds, _FRAME)
        values = (*lens.size, "plumb_bob", lens.distortion, k.ravel(), np.eye(3).ravel(), projection, 0, 0, whole)
        self._write(f"{_BASE}/camera_info", "sensor_msgs/msg/CameraInfo", seconds, header, *values)

    def move(self, seconds: float, pose: Sequence[float], twist: Sequence[float]) -> None:
        """Odometry. pose: x, y m and yaw rad in odom; twist: vx, vy m/s and yaw rate rad/s in base_link."""
        t = self._types
        vector = t["geometry_msgs/msg/Vector3"]
        moved = t["geometry_msgs/msg/Twist"](vector(twist[0], twist[1], 0.0), vector(0.0, 0.0, twist[2]))
        self._write(
            "/odom",
            "nav_msgs/msg/Odometry",
            seconds,
            self._header(seconds, "odom"),
            "base_link",
            t["geometry_msgs/msg/PoseWithCovariance"](self._pose(pose), np.zeros(36)),
            t["geometry_msgs/msg/TwistWithCovariance"](moved, np.zeros(36)),
        )
        self.moves += 1

    def _write(self, topic: str, kind: str, seconds: float, *values: Any) -> None:
        connection = self._writer.add(topic, kind)
        self._writer.write_message(connection, self._nanoseconds(seconds), self._types[kind](*values))

    def _nanoseconds(self, seconds: float) -> int:
        since_1970 = self._begin + round(seconds * 1e9)
        if since_1970 < 0:
            raise BagError(f"{seconds:g} s from the beginning is before 1970: give a later --begin")
        return since_1970

    def _header(self, seconds: float, frame: str) -> Any:
        stamp = self._types["builtin_interfaces/msg/Time"](*divmod(self._nanoseconds(seconds), 10**9))
        return self._types["std_msgs/msg/Header"](stamp, frame)

    def _pose(self, pose: Sequence[float]) -> Any:
        half, t = 0.5 * pose[2], self._types
        turned = t["geometry_msgs/msg/Quaternion"](0.0, 0.0, math.sin(half), math.cos(half))
        return t["geometry_msgs/msg/Pose"](t["geometry_msgs/msg/Point"](pose[0], pose[1], 0.0), turned)
