"""The plans of a replay as a bag of their own, to be looked at beside the recording in Foxglove or RViz."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from wam_models.evaluation.replay import PlanOutcome, placed
from wam_tools.replay.job import BagReplay

_PATH = "nav_msgs/msg/Path"


def write_predictions(file: Path, replay: BagReplay) -> None:
    """An MCAP file with `/replay/<policy>/planned_path` of each plan that the robot would have driven, at the stamp of
    its picture, and `/replay/driven_path`, all in the odometry's frame."""
    types = get_typestore(Stores.ROS2_JAZZY)
    rows = [(replay.first_stamp, "driven_path", _path(types, replay, replay.track.stamps, replay.track.poses))]
    for name, ride in replay.models.items():
        topic = f"{re.sub('[^0-9A-Za-z_]', '_', name)}/planned_path"
        rows += [(each.stamp, topic, _plan(types, replay, each)) for each in ride.outcomes if each.driven]
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        bag = Path(folder) / file.stem
        with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            names = sorted({topic for _, topic, _ in rows})
            topics = {name: writer.add_connection(f"/replay/{name}", _PATH, typestore=types) for name in names}
            for stamp, topic, message in sorted(rows, key=lambda row: row[:2]):
                writer.write(topics[topic], round(stamp * 1e9), types.serialize_cdr(message, _PATH))
        (bag / f"{bag.name}.mcap").replace(file)


def _plan(types: Typestore, replay: BagReplay, outcome: PlanOutcome) -> Any:
    assert outcome.times is not None and outcome.poses is not None
    points = placed(outcome.pose, outcome.poses[:, :2])
    poses = np.column_stack([points, outcome.pose[2] + outcome.poses[:, 2]])
    return _path(types, replay, outcome.stamp + np.append(0.0, outcome.times), np.vstack([outcome.pose, poses]))


def _path(types: Typestore, replay: BagReplay, stamps: np.ndarray, poses: np.ndarray) -> Any:
    """stamps: (N,) s; poses: (N, 3) in odom."""
    t = types.types

    def header(stamp: float) -> Any:
        nanoseconds = round(stamp * 1e9)
        time = t["builtin_interfaces/msg/Time"](nanoseconds // 10**9, nanoseconds % 10**9)
        return t["std_msgs/msg/Header"](time, replay.frame)

    def stamped(stamp: float, pose: list[float]) -> Any:
        x, y, yaw = pose
        turned = t["geometry_msgs/msg/Quaternion"](0.0, 0.0, float(np.sin(yaw / 2)), float(np.cos(yaw / 2)))
        placed = t["geometry_msgs/msg/Pose"](t["geometry_msgs/msg/Point"](x, y, 0.0), turned)
        return t["geometry_msgs/msg/PoseStamped"](header(stamp), placed)

    line = [stamped(stamp, pose) for stamp, pose in zip(stamps.tolist(), poses.tolist(), strict=True)]
    return t[_PATH](header(float(stamps[0]) if len(stamps) else replay.first_stamp), line)
