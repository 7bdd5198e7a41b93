"""Which topics of a bag are a robot's cameras, odometry, instruction and goal: as a file says, or guessed by type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from wam_models.data.bag_reader import BagError, Channel

_PIXELS = ("sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image")
# What a robot has one of, with its type and what its name holds where it is not the only one of that type.
_SINGLE = {
    "odometry": ("nav_msgs/msg/Odometry", "odom"),
    "instruction": ("std_msgs/msg/String", "instruction"),
    "goal": ("geometry_msgs/msg/PoseStamped", "goal"),
    "plans": ("wam_msgs/msg/Trajectory", "trajectory"),
}
_KINDS = {
    "cameras": _PIXELS,
    "camera_info": ("sensor_msgs/msg/CameraInfo",),
    **{role: (kind,) for role, (kind, _) in _SINGLE.items()},
}
# Pictures for other eyes than a camera policy's.
_NOT_COLOUR = ("depth", "mask", "segment", "label", "infra", "disparity", "thermal", "overlay", "debug", "annotated")
_SIDES = ("front", "left", "right", "rear", "back")
_NONE = Channel("", "", 0, False)


@dataclass(frozen=True)
class Topics:
    """Names of topics; empty where there is none. cameras, camera_info: by the camera's name; plans: what a planner of
    this stack published when the bag was recorded."""

    cameras: Mapping[str, str]
    odometry: str = ""
    instruction: str = ""
    goal: str = ""
    plans: str = ""
    camera_info: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        single = (getattr(self, role) for role in _SINGLE)
        return tuple(filter(None, (*self.cameras.values(), *self.camera_info.values(), *single)))


def read_topics(path: Path, channels: Sequence[Channel]) -> Topics:
    """From a YAML whose keys are the fields of Topics; what it does not mention is guessed, and empty is none. Raises
    BagError when it cannot be read, has another key, or names a topic that the bag does not have, or has with another
    type."""
    try:
        said = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BagError(f"{path} cannot be read: {error}") from error
    known = [each.name for each in fields(Topics)]
    if not isinstance(said, dict) or not said.keys() <= set(known) or not said.get("cameras"):
        raise BagError(
            f"{path}: it must map {', '.join(known)} to topics, with `cameras: {{front: /topic}}` at the least"
        )
    filled: dict[str, Any] = {role: value for role, value in said.items() if value}
    for role, value in filled.items():
        several = role in ("cameras", "camera_info")
        names = list(value.values()) if several and isinstance(value, dict) else [value]
        if several is not isinstance(value, dict) or not all(isinstance(name, str) for name in names):
            raise BagError(
                f"{path}: {role} must be {'a map of cameras to topics' if several else 'the name of a topic'}"
            )
        for name in names:
            _check(path, name, _KINDS[role], channels)
    available = [channel for channel in channels if channel.count and channel.readable]
    guessed: dict[str, Any] = {role: _single(available, *wanted) for role, wanted in _SINGLE.items()}
    guessed["camera_info"] = _infos(filled["cameras"], available)
    return Topics(**{role: value for role, value in guessed.items() if role not in said}, **filled)


def _check(path: Path, name: str, kinds: Sequence[str], channels: Sequence[Channel]) -> None:
    found = next((channel for channel in channels if channel.topic == name), None)
    if found is None:
        has = _listed(channel.topic for channel in channels)
        raise BagError(f"{path} names {name}, which the bag does not have; it has {has}")
    if found.kind not in kinds or not found.readable:
        raise BagError(f"{path} names {name}, which holds {found.kind}; {' or '.join(kinds)} is needed there")


def guess_topics(channels: Sequence[Channel], cameras: Sequence[str] = ("front",)) -> Topics:
    """By type, and by name where several have it. cameras: those that are wanted, in this order. Raises BagError when
    one cannot be found."""
    found = [channel for channel in channels if channel.count and channel.readable]
    pictures = [channel for channel in found if channel.kind in _PIXELS and not _any_in(channel.topic, _NOT_COLOUR)]
    chosen: dict[str, str] = {}
    for camera in cameras:
        fitting = [channel for channel in pictures if _fits(channel.topic, camera, alone=len(cameras) == 1)]
        if not fitting:
            names = _listed(channel.topic for channel in pictures) or "no pictures at all"
            raise BagError(f"no camera {camera!r} in the bag, which has {names}: name it in a YAML, see `--topics`")
        chosen[camera] = min(fitting, key=lambda channel: _rank(channel, camera)).topic
    return Topics(
        cameras=chosen,
        camera_info=_infos(chosen, found),
        **{role: _single(found, *wanted) for role, wanted in _SINGLE.items()},
    )


def _single(found: Iterable[Channel], kind: str, word: str) -> str:
    """A text or a pose may be anything: it must also be called so."""
    alike = [channel for channel in found if channel.kind == kind]
    named = [channel for channel in alike if word in channel.topic.lower()]
    if not named and word in ("instruction", "goal"):
        return ""

    def rank(channel: Channel) -> tuple[object, ...]:
        """What the planner pursued, wherever it came from; else the shortest, which is the robot's own: /odom rather
        than /expert/what_if/odom."""
        return not channel.topic.endswith(f"/planner/{word}"), len(channel.topic), channel.topic

    return min(named or alike, key=rank, default=_NONE).topic


def _fits(topic: str, camera: str, alone: bool) -> bool:
    """With one camera wanted any will do that is not named after another side."""
    return camera in topic.lower() or (alone and not _any_in(topic, (side for side in _SIDES if side != camera)))


def _rank(channel: Channel, camera: str) -> tuple[object, ...]:
    topic = channel.topic.lower()
    return camera not in topic, channel.kind != _PIXELS[0], -channel.count, len(topic), topic


def _infos(cameras: Mapping[str, str], found: Iterable[Channel]) -> dict[str, str]:
    """Camera -> its camera_info, of those that have one."""
    infos = [channel.topic for channel in found if channel.kind == "sensor_msgs/msg/CameraInfo"]
    return {camera: info for camera, topic in cameras.items() if (info := _info_of(topic, infos))}


def _info_of(image: str, infos: Sequence[str]) -> str:
    """The camera_info beside an image topic, by image_transport's naming; the only one there is, otherwise."""
    base = image.removesuffix("/compressed").rpartition("/")[0]
    beside = [info for info in infos if info.rpartition("/")[0] in (base, base.rpartition("/")[0])]
    beside = beside or (list(infos) if len(infos) == 1 else [])
    return min(beside, key=lambda info: (-len(info), info), default="")


def _any_in(topic: str, words: Iterable[str]) -> bool:
    return any(word in topic.lower() for word in words)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def robot_in(channels: Iterable[Channel]) -> str:
    """Whose bag it is, go2 or carla: a car's topics are called after CARLA."""
    return "carla" if any(channel.topic.startswith("/carla/") for channel in channels) else "go2"


def describe(topics: Topics) -> list[tuple[str, Any]]:
    """Role and topic of each, for people."""
    rows = [(f"camera {name}", topic) for name, topic in topics.cameras.items()]
    rows += [(f"camera_info {name}", topic) for name, topic in topics.camera_info.items()]
    return rows + [(role, getattr(topics, role) or "none") for role in _SINGLE]
