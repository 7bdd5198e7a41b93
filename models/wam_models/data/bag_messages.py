"""ROS messages made of numbers, for bags that no ROS has written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from rosbags.typesys.store import Typestore

Numbers = Sequence[float] | np.ndarray


class BagMessages:
    """Makes messages of a typestore. Stamps are ns since 1970; poses are x, y m and yaw rad; twists are vx, vy m/s and
    yaw rate rad/s."""

    def __init__(self, types: Typestore) -> None:
        self._types = types.types

    def make(self, kind: str, *values: Any) -> Any:
        """Any message, by its fields in order. kind: such as std_msgs/msg/String."""
        return self._types[kind](*values)

    def header(self, stamp: int, frame: str) -> Any:
        """std_msgs/msg/Header."""
        time = self.make("builtin_interfaces/msg/Time", *divmod(stamp, 10**9))
        return self.make("std_msgs/msg/Header", time, frame)

    def duration(self, seconds: float) -> Any:
        """builtin_interfaces/msg/Duration."""
        return self.make("builtin_interfaces/msg/Duration", *divmod(round(seconds * 1e9), 10**9))

    def pose(self, pose: Numbers) -> Any:
        """geometry_msgs/msg/Pose."""
        x, y, yaw = map(float, pose)
        turned = self.make("geometry_msgs/msg/Quaternion", 0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))
        return self.make("geometry_msgs/msg/Pose", self.make("geometry_msgs/msg/Point", x, y, 0.0), turned)

    def twist(self, twist: Numbers) -> Any:
        """geometry_msgs/msg/Twist."""
        vx, vy, yaw_rate = map(float, twist)
        vector = self._types["geometry_msgs/msg/Vector3"]
        return self.make("geometry_msgs/msg/Twist", vector(vx, vy, 0.0), vector(0.0, 0.0, yaw_rate))

    def pose_stamped(self, stamp: int, frame: str, pose: Numbers) -> Any:
        """geometry_msgs/msg/PoseStamped."""
        return self.make("geometry_msgs/msg/PoseStamped", self.header(stamp, frame), self.pose(pose))

    def odometry(self, stamp: int, pose: Numbers, twist: Numbers) -> Any:
        """nav_msgs/msg/Odometry: pose in odom, twist in base_link."""
        return self.make(
            "nav_msgs/msg/Odometry",
            self.header(stamp, "odom"),
            "base_link",
            self.make("geometry_msgs/msg/PoseWithCovariance", self.pose(pose), np.zeros(36)),
            self.make("geometry_msgs/msg/TwistWithCovariance", self.twist(twist), np.zeros(36)),
        )

    def jpeg(self, stamp: int, frame: str, image: np.ndarray, quality: int) -> Any:
        """sensor_msgs/msg/CompressedImage. image: uint8 (H, W, 3) BGR; quality: of 100. Raises ValueError when it
        cannot be encoded."""
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if not done:
            raise ValueError(f"an image of shape {image.shape} could not be encoded as JPEG")
        return self.make("sensor_msgs/msg/CompressedImage", self.header(stamp, frame), "jpeg", data.ravel())

    def camera_info(self, stamp: int, frame: str, size: tuple[int, int], matrix: np.ndarray) -> Any:
        """sensor_msgs/msg/CameraInfo of a straight lens. size: (height, width) px; matrix: (3, 3) K in px."""
        projection = np.column_stack([matrix, np.zeros(3)]).ravel()
        everything = self.make("sensor_msgs/msg/RegionOfInterest", 0, 0, 0, 0, False)
        values = ("plumb_bob", np.zeros(5), matrix.ravel(), np.eye(3).ravel(), projection, 0, 0, everything)
        return self.make("sensor_msgs/msg/CameraInfo", self.header(stamp, frame), *size, *values)
