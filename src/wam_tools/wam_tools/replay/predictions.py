"""The plans of a replay as a bag of their own, to be looked at beside the recording in Foxglove or RViz."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wam_models.data.bag_messages import BagMessages
from wam_models.data.bag_writer import whole_bag
from wam_models.evaluation.replay import PlanOutcome, placed
from wam_tools.replay.job import BagReplay
from wam_tools.replay.playback import pieces

_PATH = "nav_msgs/msg/Path"


def write_predictions(file: Path, replay: BagReplay) -> None:
    """An MCAP file with `/replay/<policy>/planned_path` of each plan that the robot would have driven, and
    `/replay/driven_path`, all in the odometry's frame. Each is stamped as its picture, and recorded when the recording
    had what it was planned from."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        bag = Path(folder) / file.stem
        with whole_bag(bag) as writer:
            driven = writer.add("/replay/driven_path", _PATH)
            topics = {
                name: writer.add(f"/replay/{word}/planned_path", _PATH) for name, word in _words(replay.models).items()
            }
            messages = BagMessages(writer.types)
            line = np.concatenate([np.zeros((0, 4)), *pieces(replay)])  # thinned: an hour of odometry is 10 MB
            way = _path(messages, replay, line[:, 0], line[:, 1:])
            writer.write_message(driven, round(replay.start * 1e9), way)
            for outcome, name in _plans(replay):
                message = _plan(messages, replay, outcome)
                writer.write_message(topics[name], round(outcome.logged * 1e9), message)
        (bag / f"{bag.name}.mcap").replace(file)


def _words(names: Iterable[str]) -> dict[str, str]:
    """Name -> what may stand in a topic: letters, digits and _, no digit first, none twice."""
    words: dict[str, str] = {}
    for name in names:
        word = re.sub("[^0-9A-Za-z_]", "_", name)
        word = f"_{word}" if word[:1].isdigit() else word or "_"
        while word in words.values():
            word += "_"
        words[name] = word
    return words


def _plans(replay: BagReplay) -> Iterator[tuple[PlanOutcome, str]]:
    """With the name of who made them, in the order of the recording."""
    pairs = [(each, name) for name, ride in replay.models.items() for each in ride.outcomes if each.driven]
    yield from sorted(pairs, key=lambda pair: pair[0].logged)


def _plan(messages: BagMessages, replay: BagReplay, outcome: PlanOutcome) -> Any:
    assert outcome.times is not None and outcome.poses is not None
    points = placed(outcome.pose, outcome.poses[:, :2])
    poses = np.column_stack([points, outcome.pose[2] + outcome.poses[:, 2]])
    return _path(messages, replay, outcome.stamp + np.append(0.0, outcome.times), np.vstack([outcome.pose, poses]))


def _path(messages: BagMessages, replay: BagReplay, stamps: np.ndarray, poses: np.ndarray) -> Any:
    """stamps: (N,) s; poses: (N, 3) in odom."""
    nanoseconds = [round(stamp * 1e9) for stamp in stamps.tolist()] or [round(replay.first_stamp * 1e9)]
    line = [messages.pose_stamped(stamp, replay.frame, pose) for stamp, pose in zip(nanoseconds, poses.tolist())]
    return messages.make(_PATH, messages.header(nanoseconds[0], replay.frame), line)
