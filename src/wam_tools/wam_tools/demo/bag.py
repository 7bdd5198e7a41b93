"""The demo's bags without ROS: what the metrics and the video need of them as arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wam_models.data.bag_reader import BagError, BagReader
from wam_models.messages import planar_pose, planar_twist, seconds
from wam_tools.message_types import typestore


@dataclass(frozen=True)
class Names:
    """Topics that robots call differently."""

    images: str
    camera_info: str
    odometry: str


GO2 = Names("/camera/front/image/compressed", "/camera/front/camera_info", "/odom")
CAR = Names(
    "/carla/ego_vehicle/rgb_front/image/compressed",
    "/carla/ego_vehicle/rgb_front/camera_info",
    "/carla/ego_vehicle/odometry",
)


@dataclass(frozen=True)
class Plans:
    """Published trajectories. stamps: (N,) s of the images they were made from; arrivals: (N,) s when the recorder got
    them; poses: N arrays (H, 3) of x, y m and yaw rad in odom."""

    stamps: np.ndarray
    arrivals: np.ndarray
    poses: list[np.ndarray]


@dataclass(frozen=True)
class Recording:
    """One run, times in s since 1970. frames: (stamp, JPEG); camera: (3, 3) K of the images in px; odometry: (N, 4)
    stamp, x, y m, yaw rad and heights (N,) m of base_link; controller_stamps: (C,) of cmd_vel_nav; commands: (G, 4)
    stamp, vx, vy m/s, yaw rate rad/s of cmd_vel; ages: (S, 2) stamp and plan age s at the controller; plan_seconds: (P,
    2) stamp and s that a plan took."""

    frames: list[tuple[float, bytes]]
    camera: np.ndarray
    odometry: np.ndarray
    heights: np.ndarray
    plans: Plans
    controller_stamps: np.ndarray
    commands: np.ndarray
    ages: np.ndarray
    plan_seconds: np.ndarray


def read_recording(path: Path, names: Names = GO2) -> Recording:
    """The bag in the folder `path`. Raises BagError when it cannot be read or holds no camera or odometry."""
    rows: dict[str, list[Any]] = {}
    readers = _READERS | {getattr(names, field): read for field, read in _NAMED.items()}
    with BagReader(path, typestore) as bag:
        for topic, arrival, message in bag.messages(readers.keys()):
            rows.setdefault(topic, []).append(readers[topic](message, arrival * 1e-9))
    missing = [topic for topic in (names.images, names.camera_info, names.odometry) if topic not in rows]
    if missing:
        raise BagError(f"{path} holds nothing on {', '.join(missing)}")
    plans = rows.get("/trajectory", [])
    odometry = _table(rows[names.odometry], 5)
    statuses = _table([row for row in rows.get("/planner/status", []) if row[2] > 0.0], 3)
    fresh = np.diff(statuses[:, 1], prepend=-1.0) > 0.0  # a status repeats the newest plan until there is another
    return Recording(
        frames=rows[names.images],
        camera=rows[names.camera_info][0],
        odometry=odometry[:, :4],
        heights=odometry[:, 4],
        plans=Plans(
            stamps=np.array([row[0] for row in plans]),
            arrivals=np.array([row[1] for row in plans]),
            poses=[row[2] for row in plans],
        ),
        controller_stamps=np.array([row[0] for row in rows.get("/cmd_vel_nav", [])]),
        commands=_table(rows.get("/cmd_vel", []), 4),
        ages=_table(rows.get("/controller/status", []), 2),
        plan_seconds=statuses[fresh][:, [0, 2]],
    )


def _twist(message: Any) -> tuple[float, float, float, float]:
    return seconds(message.header.stamp), *planar_twist(message.twist)


def _table(rows: list[Any], columns: int) -> np.ndarray:
    return np.array(rows, dtype=float).reshape(-1, columns)


# Field of Names, or topic -> what is kept of a message and the time it arrived.
_NAMED: dict[str, Callable[[Any, float], Any]] = {
    "images": lambda m, t: (seconds(m.header.stamp), m.data.tobytes()),
    "camera_info": lambda m, t: np.array(m.k, dtype=float).reshape(3, 3),
    "odometry": lambda m, t: (seconds(m.header.stamp), *planar_pose(m.pose.pose), m.pose.pose.position.z),
}
_READERS: dict[str, Callable[[Any, float], Any]] = {
    "/trajectory": lambda m, t: (seconds(m.header.stamp), t, np.array([planar_pose(point.pose) for point in m.points])),
    "/cmd_vel_nav": lambda m, t: _twist(m),
    "/cmd_vel": lambda m, t: _twist(m),
    "/controller/status": lambda m, t: (seconds(m.header.stamp), m.plan_age),
    "/planner/status": lambda m, t: (seconds(m.header.stamp), m.plans_published, float(np.nansum(m.stage_latency))),
}
