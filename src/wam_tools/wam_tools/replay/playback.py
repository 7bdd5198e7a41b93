"""A replay seen again: each picture of the first camera with what was told, planned and driven at that time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wam_models.data.bag_reader import BagReader
from wam_models.data.bags import relative_poses
from wam_models.data.events import Aimed, Picture, Told, read_events
from wam_models.data.topics import Topics
from wam_models.evaluation.replay import PlanErrors, PlanOutcome, placed
from wam_planner.settings import parse_goal
from wam_tools.message_types import typestore
from wam_tools.replay.job import THE_END, BagReplay, Job, Replayed

_PLAN_AGE = 1.0  # s; an older plan is not followed
_TRACK_STEP = 0.1  # s between two points of the path that is drawn
_ROUNDING = 1e-6  # s; the ends of a replay are floats, and off by a fraction of it


@dataclass(frozen=True)
class Instant:
    """pose: (3,) of base_link in the odometry's frame when the picture was taken, the last one that is known in a hole;
    goal: (x, y) m in that frame, or None; instruction: as the policies had it."""

    picture: Picture
    pose: np.ndarray
    goal: tuple[float, float] | None
    instruction: str


def instants(replay: BagReplay, job: Job) -> Iterator[Instant]:
    """In the order of recording, one picture at a time. job: what was replayed, with the user's goal and
    instruction."""
    camera, topic = next(iter(replay.topics.cameras.items()))
    topics = Topics({camera: topic}, instruction=replay.topics.instruction, goal=replay.topics.goal)
    instruction = str(job.settings["instruction"]) if job.instruction is None else job.instruction
    goal, pose = _first_goal(replay, job), np.zeros(3)
    end = replay.start + replay.seconds + _ROUNDING
    with BagReader(replay.bag, typestore) as bag:
        for event in read_events(bag, topics, replay.start - _ROUNDING, end):
            if isinstance(event, Told) and job.instruction is None:
                instruction = event.text
            elif isinstance(event, Aimed) and job.goal is None and event.frame == replay.frame:
                goal = event.goal
            elif isinstance(event, Picture):
                now = replay.track.at(np.array([event.stamp]))[0]
                pose = now if np.isfinite(now).all() else pose
                yield Instant(event, pose, goal, instruction)


class Timeline:
    """The plans of one policy by time."""

    def __init__(self, ride: Replayed) -> None:
        rows = zip(ride.outcomes, ride.compared, strict=True)
        self._rows = sorted(rows, key=lambda row: row[0].stamp)
        self._stamps = np.array([outcome.stamp for outcome, _ in self._rows])

    def newest(self, stamp: float) -> tuple[PlanOutcome, PlanErrors | None] | None:
        """What came of the newest picture up to `stamp`, with its errors; None where that was too long ago."""
        index = int(np.searchsorted(self._stamps, stamp, side="right")) - 1
        return self._rows[index] if index >= 0 and stamp - self._stamps[index] <= _PLAN_AGE else None


def ahead(outcome: PlanOutcome, stamp: float, pose: np.ndarray) -> np.ndarray:
    """(N, 3) in base_link at `pose`: the points of a plan that are still to come at `stamp`."""
    assert outcome.times is not None and outcome.poses is not None
    left = outcome.poses[outcome.stamp + outcome.times > stamp]
    return relative_poses(in_odometry(outcome.pose, left), pose)


def driven(replay: BagReplay, outcome: PlanOutcome, stamp: float, pose: np.ndarray) -> np.ndarray:
    """(N, 3) in base_link at `pose`: where the robot was at those points' times, as far as it is known."""
    assert outcome.times is not None
    times = outcome.stamp + outcome.times
    places = replay.track.at(times[times > stamp])
    known = np.isfinite(places).all(axis=1)
    return relative_poses(places[: len(known) if known.all() else int(np.argmin(known))], pose)


def in_odometry(pose: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Poses (N, 3) of base_link at `pose` in the frame of that pose."""
    return np.column_stack([placed(pose, poses[:, :2]), pose[2] + poses[:, 2]])


def pieces(replay: BagReplay) -> list[np.ndarray]:
    """The driven path, thinned and cut at its holes: arrays (N, 4) of stamp, s, and pose in the odometry's frame."""
    stamps = replay.track.stamps
    between = replay.track.at(0.5 * (stamps[1:] + stamps[:-1]))
    holes = np.flatnonzero(~np.isfinite(between).all(axis=1)) + 1
    found = []
    for part in np.split(np.column_stack([stamps, replay.track.poses]), holes):
        _, kept = np.unique(np.floor((part[:, 0] - part[:1, 0]) / _TRACK_STEP), return_index=True)
        found.append(part[kept])
    return [piece for piece in found if len(piece) > 1]


def _first_goal(replay: BagReplay, job: Job) -> tuple[float, float] | None:
    """Before the bag says any."""
    said = str(job.settings["goal"]) if job.goal is None else job.goal
    line = replay.track.poses if len(replay.track) else np.zeros((1, 3))
    if said == THE_END:
        return float(line[-1, 0]), float(line[-1, 1])
    wanted = parse_goal(said)
    if wanted is None:
        return None
    x, y = placed(line[0], np.array([wanted]))[0]
    return float(x), float(y)
