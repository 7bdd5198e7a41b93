"""Bags that no robot has recorded, with the names of this stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wam_models.data.bag_messages import BagMessages
from wam_models.data.bag_reader import BagError
from wam_models.data.bag_writer import BagWriter

_BASE, _FRAME = "/camera/front", "camera_front_optical_frame"
_QUALITY = 90  # of 100


class MadeBag:
    """Writes messages as a robot of this stack records them. Times are s since the beginning. pictures, moves: how many
    were written."""

    def __init__(self, writer: BagWriter, begin: float) -> None:
        """begin: s since 1970."""
        self.pictures = self.moves = 0
        self._writer, self._begin = writer, round(begin * 1e9)
        self._messages = BagMessages(writer.types)

    def tell(self, text: str) -> None:
        """An instruction, at the beginning."""
        self._write("/instruction", "std_msgs/msg/String", 0.0, self._messages.make("std_msgs/msg/String", text))

    def aim(self, goal: tuple[float, float]) -> None:
        """A goal at the beginning, (x, y) m in odom."""
        message = self._messages.pose_stamped(self._stamp(0.0), "odom", (*goal, 0.0))
        self._write("/goal", "geometry_msgs/msg/PoseStamped", 0.0, message)

    def see(self, seconds: float, image: np.ndarray) -> None:
        """A picture, uint8 (H, W, 3) BGR, as JPEG."""
        message = self._messages.jpeg(self._stamp(seconds), _FRAME, image, _QUALITY)
        self._write(f"{_BASE}/image/compressed", "sensor_msgs/msg/CompressedImage", seconds, message)
        self.pictures += 1

    def calibrate(self, seconds: float, size: tuple[int, int], matrix: np.ndarray) -> None:
        """Of the picture of that time, through a straight lens. size: (height, width) px; matrix: (3, 3) K in px."""
        message = self._messages.camera_info(self._stamp(seconds), _FRAME, size, matrix)
        self._write(f"{_BASE}/camera_info", "sensor_msgs/msg/CameraInfo", seconds, message)

    def move(self, seconds: float, pose: Sequence[float], twist: Sequence[float]) -> None:
        """Odometry. pose: x, y m and yaw rad in odom; twist: vx, vy m/s and yaw rate rad/s in base_link."""
        message = self._messages.odometry(self._stamp(seconds), pose, twist)
        self._write("/odom", "nav_msgs/msg/Odometry", seconds, message)
        self.moves += 1

    def _write(self, topic: str, kind: str, seconds: float, message: Any) -> None:
        self._writer.write_message(self._writer.add(topic, kind), self._stamp(seconds), message)

    def _stamp(self, seconds: float) -> int:
        since_1970 = self._begin + round(seconds * 1e9)
        if since_1970 < 0:
            raise BagError(f"{seconds:g} s from the beginning is before 1970: give a later --begin")
        return since_1970
