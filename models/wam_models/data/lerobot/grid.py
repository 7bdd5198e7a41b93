"""A run on the regular grid of moments that LeRobot wants, each with a picture and what was so when it was taken."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from wam_models.data.bag_reader import BagError, BagReader
from wam_models.data.bags import Run, relative_poses
from wam_models.messages import seconds
from wam_models.se2 import advance

# s without a picture, over which the one before would be repeated as if the robot had stood there.
_GAP = 10.0


@dataclass(frozen=True)
class Episode:
    """pictures: (K,) the number of the run's picture at each frame; columns: what the frames say, by feature of
    layout.NUMBERS, (K,) or (K, values), without the indices over the whole dataset; told: K instructions."""

    pictures: np.ndarray
    columns: dict[str, np.ndarray]
    told: tuple[str, ...]

    @property
    def repeated(self) -> int:
        """Frames that show the picture of the frame before."""
        return len(self.pictures) - len(np.unique(self.pictures))


def on_grid(run: Run, fps: int) -> Episode:
    """Frame k shows the newest picture of the first (k + 1/2) / fps s, counted from the first picture: jitter below
    half a frame neither drops nor repeats one. State, goal and instruction are that picture's, at its own stamp.

    The action of a frame is the pose of the next one in base_link of this one; the last frame goes on with its twist.
    Raises BagError when the pictures stop for long in between.
    """
    order = np.argsort(run.stamps, kind="stable")
    since = run.stamps[order] - run.stamps[order[0]]
    gaps = np.diff(since)
    if gaps.size and gaps.max() > _GAP:
        at = since[gaps.argmax()]
        raise BagError(f"{run.name}: no picture for {gaps.max():.0f} s from {at:.1f} s on: `wam bag cut` it there")
    count = math.floor(since[-1] * fps + 0.5) + 1
    pictures = order[np.searchsorted(since, (np.arange(count) + 0.5) / fps) - 1]
    poses, twists = run.poses[pictures], run.twists[pictures]
    actions = np.empty((count, 3))
    actions[:-1] = relative_poses(poses[1:], poses[:-1])
    vx, vy, yaw_rate = twists[-1].tolist()
    actions[-1] = advance((vx, vy, yaw_rate), 1.0 / fps)
    columns = {
        "observation.state": np.column_stack([poses[:, :2], _wrapped(poses[:, 2]), twists]),
        "observation.goal": _goals(poses, run.goal),
        "action": actions,
        "pose": poses,
        "stamp": run.stamps[pictures] - run.stamps[order[0]],
        "timestamp": np.arange(count) / fps,
        "frame_index": np.arange(count),
    }
    return Episode(pictures, columns, tuple(run.instructions[picture] for picture in pictures.tolist()))


def picture_intervals(bag: BagReader, topic: str) -> np.ndarray:
    """(N - 1,) s between the pictures of an opened bag."""
    stamps = sorted(seconds(message.header.stamp) for _, _, message in bag.messages({topic}))
    return np.diff(np.array(stamps))


def rate(intervals: np.ndarray) -> int:
    """Whole frames/s that come nearest to the median interval, at least 1. intervals: (N,) s."""
    known = intervals[intervals > 0.0]
    return max(1, round(1.0 / float(np.median(known)))) if known.size else 1


def _goals(poses: np.ndarray, goal: tuple[float, float] | None) -> np.ndarray:
    """(K, 3): x, y m in base_link, 1; or zeros where there is none: NaN would spoil LeRobot's statistics."""
    if goal is None:
        return np.zeros((len(poses), 3))
    seen: Any = relative_poses(np.array([*goal, 0.0]), poses)
    return np.column_stack([seen[:, :2], np.ones(len(poses))])


def _wrapped(yaw: np.ndarray) -> np.ndarray:
    return (yaw + np.pi) % (2 * np.pi) - np.pi
