"""What happened in a recorded run, one after the other: what the robot saw, did, was told and planned."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from wam_models.data.bag_reader import BagReader
from wam_models.data.topics import Topics
from wam_models.messages import motion, planar_pose, seconds
from wam_models.se2 import Vector


@dataclass(frozen=True)
class Event:
    """logged: s since 1970, when it was recorded."""

    logged: float


@dataclass(frozen=True)
class Picture(Event):
    """message: an Image or CompressedImage; stamp: s, when it was taken."""

    stamp: float
    camera: str
    message: Any


@dataclass(frozen=True)
class Moved(Event):
    """pose: of base_link in `frame`; twist: in base_link; height: m, of base_link in `frame`; stamp: s."""

    stamp: float
    frame: str
    pose: Vector
    twist: Vector
    height: float = 0.0


@dataclass(frozen=True)
class Told(Event):
    """A new instruction."""

    text: str


@dataclass(frozen=True)
class Aimed(Event):
    """A new goal, (x, y) m in `frame`."""

    goal: tuple[float, float]
    frame: str


@dataclass(frozen=True)
class Planned(Event):
    """What the robot planned then. stamp: s, of its picture; times: (H,) s after it; poses: (H, 3) x, y m and yaw rad
    in the odometry's frame."""

    stamp: float
    times: np.ndarray
    poses: np.ndarray
    model_id: str


@dataclass(frozen=True)
class Calibrated(Event):
    """matrix: (3, 3) K of a camera, in px of a picture of size (height, width); frame: its own, which says whose camera
    it is."""

    camera: str
    matrix: np.ndarray
    size: tuple[int, int]
    frame: str


def stamp_of(event: Event) -> float:
    """s, of a picture or odometry: when it was so. NaN of anything else."""
    return event.stamp if isinstance(event, (Picture, Moved)) else math.nan


def read_events(
    bag: BagReader, topics: Topics, start: float | None = None, end: float | None = None
) -> Iterator[Event]:
    """In the order of recording. start, end: s since 1970; what was told before the start still holds, so instructions
    and goals come from the beginning of the bag."""
    makers: dict[str, Callable[[float, Any], Event]] = {
        **{topic: _picture(camera) for camera, topic in topics.cameras.items()},
        **{topic: _calibrated(camera) for camera, topic in topics.camera_info.items()},
        topics.odometry: _moved,
        topics.instruction: _told,
        topics.goal: _aimed,
        topics.plans: _planned,
    }
    makers.pop("", None)
    if start is not None:
        for topic, logged, message in bag.messages({topics.instruction, topics.goal} & makers.keys(), None, start):
            yield makers[topic](1e-9 * logged, message)
    for topic, logged, message in bag.messages(makers.keys(), start, end):
        yield makers[topic](1e-9 * logged, message)


def _picture(camera: str) -> Callable[[float, Any], Picture]:
    return lambda logged, message: Picture(logged, seconds(message.header.stamp), camera, message)


def _calibrated(camera: str) -> Callable[[float, Any], Calibrated]:
    return lambda logged, message: Calibrated(
        logged,
        camera,
        np.array(message.k, dtype=float).reshape(3, 3),
        (message.height, message.width),
        message.header.frame_id,
    )


def _moved(logged: float, message: Any) -> Moved:
    stamp, pose, twist = motion(message)
    return Moved(logged, stamp, message.header.frame_id, pose, twist, message.pose.pose.position.z)


def _told(logged: float, message: Any) -> Told:
    return Told(logged, message.data)


def _aimed(logged: float, message: Any) -> Aimed:
    x, y, _ = planar_pose(message.pose)
    return Aimed(logged, (x, y), message.header.frame_id)


def _planned(logged: float, message: Any) -> Planned:
    times = np.array([seconds(point.time_from_start) for point in message.points])
    poses = np.array([planar_pose(point.pose) for point in message.points]).reshape(-1, 3)
    return Planned(logged, seconds(message.header.stamp), times, poses, message.model_id)
