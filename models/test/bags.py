"""A bag as a robot would record it: a robot that walks an arc past coloured noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

TYPES = get_typestore(Stores.ROS2_JAZZY)
IMAGE = "/camera/front/image/compressed"


def write_bag(
    path: Path,
    *,
    frames: int = 24,
    period: float = 0.25,
    speed: float = 0.8,
    yaw_rate: float = 0.3,
    seed: int = 0,
    scan: bool = False,
    odometry_until: float = np.inf,
    nan_at: int | None = None,
    turned: bool = False,
    told: dict[int, str] | None = None,
    stop_at: float | None = None,
    names: Mapping[str, str] | None = None,
    raw: bool = False,
    storage: StoragePlugin = StoragePlugin.MCAP,
    stamp_offset: float = 0.0,
    goal_frame: str = "odom",
    broken_at: int | None = None,
    camera_frame: str = "camera_front_optical_frame",
) -> None:
    """Images and odometry every `period` s, one instruction, one goal 6 m ahead. told: instructions by the frame that
    they come with, in its stead; stop_at: m along the way of the line at which a light tells to stop, while it is
    ahead. scan: of a wall 2 m away that only the
    left half of the picture sees, 30 degrees to either side, with one ray too short to be true; turned: from a lidar
    that turns clockwise and counts from 0 to 2 pi; odometry_until: s; nan_at: a frame whose odometry is not finite.
    names: other names of topics, empty for one that is left out; raw: pixels in place of JPEGs, on a topic without
    /compressed; storage: sqlite3 as Humble writes it, without definitions; stamp_offset: s that stamps lie ahead of
    the recording; broken_at: a frame whose JPEG is cut off; camera_frame: of pictures and camera_info."""
    t = TYPES.types
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 255, (72, 108, 3), dtype=np.uint8)
    version = 9 if storage is StoragePlugin.MCAP else 8
    with Writer(path, version=version, storage_plugin=storage) as writer:
        topics = {
            IMAGE: f"sensor_msgs/msg/{'Image' if raw else 'CompressedImage'}",
            "/odom": "nav_msgs/msg/Odometry",
            "/instruction": "std_msgs/msg/String",
            "/goal": "geometry_msgs/msg/PoseStamped",
            "/scan": "sensor_msgs/msg/LaserScan",
            "/camera/front/camera_info": "sensor_msgs/msg/CameraInfo",
            "/expert/stop_line": "sensor_msgs/msg/Range",
        }
        called = {IMAGE: IMAGE.removesuffix("/compressed")} if raw else {}
        called |= names or {}
        connections = {
            topic: writer.add_connection(called.get(topic, topic), kind, typestore=TYPES)
            for topic, kind in topics.items()
            if called.get(topic, topic)
        }

        def write(topic: str, nanoseconds: int, message: object) -> None:
            if topic in connections:
                writer.write(connections[topic], nanoseconds, TYPES.serialize_cdr(message, topics[topic]))

        def pose(x: float, y: float, yaw: float) -> object:
            half = yaw / 2
            return t["geometry_msgs/msg/Pose"](
                t["geometry_msgs/msg/Point"](x, y, 0.0),
                t["geometry_msgs/msg/Quaternion"](0.0, 0.0, float(np.sin(half)), float(np.cos(half))),
            )

        for i in range(frames):
            nanoseconds = int(i * period * 1e9)
            stamped = nanoseconds + round(stamp_offset * 1e9)
            stamp = t["builtin_interfaces/msg/Time"](stamped // 10**9, stamped % 10**9)
            yaw = yaw_rate * i * period
            x, y = speed / yaw_rate * np.sin(yaw), speed / yaw_rate * (1 - np.cos(yaw))
            header = t["std_msgs/msg/Header"](stamp, camera_frame)
            seen = np.roll(picture, 2 * i, axis=1)
            if raw:
                image = t["sensor_msgs/msg/Image"](header, 72, 108, "bgr8", 0, 3 * 108, seen.ravel())
            else:
                jpeg = cv2.imencode(".jpg", seen)[1].ravel()
                jpeg = jpeg[: len(jpeg) // 2] if i == broken_at else jpeg
                image = t["sensor_msgs/msg/CompressedImage"](header, "jpeg", jpeg)
            write(IMAGE, nanoseconds, image)
            vector = t["geometry_msgs/msg/Vector3"]
            twist = t["geometry_msgs/msg/Twist"](vector(speed, 0.0, 0.0), vector(0.0, 0.0, yaw_rate))
            odometry = t["nav_msgs/msg/Odometry"](
                t["std_msgs/msg/Header"](stamp, "odom"),
                "base_link",
                t["geometry_msgs/msg/PoseWithCovariance"](pose(float(x), float(y), yaw), np.zeros(36)),
                t["geometry_msgs/msg/TwistWithCovariance"](twist, np.zeros(36)),
            )
            if i == nan_at:
                odometry.pose.pose.position.x = float("nan")
            if i * period <= odometry_until:
                write("/odom", nanoseconds, odometry)
            if scan:
                bearings = np.deg2rad(np.arange(-30, 31)).astype(np.float32)
                ranges = np.where(bearings > 0, 2.0, np.inf).astype(np.float32)
                ranges[46] = 0.0  # a driver's "no return", 16 degrees to the left
                step, none = float(bearings[1] - bearings[0]), np.zeros(0, np.float32)
                first, last = float(bearings[0]), float(bearings[-1])
                if turned:
                    first, last, step, ranges = last + 2 * np.pi, first + 2 * np.pi, -step, ranges[::-1].copy()
                scanned = t["sensor_msgs/msg/LaserScan"](
                    header, first, last, step, 0.0, period, 0.1, 12.0, ranges, none
                )
                write("/scan", nanoseconds, scanned)
                k = np.array([54.0, 0, 54, 0, 54, 36, 0, 0, 1])  # 90 degrees wide
                region = t["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
                rest = (np.zeros(5), k, np.eye(3).ravel(), np.zeros(12), 0, 0, region)
                info = t["sensor_msgs/msg/CameraInfo"](header, 72, 108, "plumb_bob", *rest)
                write("/camera/front/camera_info", nanoseconds, info)
            if i in (told or {0: "walk to the goal"}):
                text = (told or {0: "walk to the goal"})[i]
                write("/instruction", nanoseconds, t["std_msgs/msg/String"](text))
            if stop_at is not None:
                left = stop_at - speed * i * period
                metres = left if left > 0 else float("inf")
                line = t["sensor_msgs/msg/Range"](header, 1, 0.0, 0.0, float("inf"), metres, float("nan"))
                write("/expert/stop_line", nanoseconds, line)
            if i == 0:
                goal = t["geometry_msgs/msg/PoseStamped"](
                    t["std_msgs/msg/Header"](stamp, goal_frame), pose(6.0, 0.0, 0.0)
                )
                write("/goal", nanoseconds, goal)
