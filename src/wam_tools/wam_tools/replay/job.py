"""One bag through several models: who sits on it, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wam_controller.parameters import Value
from wam_models.data.bag_reader import BagError, BagReader
from wam_models.data.bags import relative_poses
from wam_models.data.events import Aimed, Calibrated, Event, Moved, Planned, Told, read_events
from wam_models.data.findings import Findings
from wam_models.data.topics import Topics, guess_topics, read_topics
from wam_models.data.track import Track
from wam_models.evaluation.replay import PlanErrors, PlanOutcome, compare
from wam_planner.policy_loading import ready_policy
from wam_planner.settings import make_config, parse_goal
from wam_tools.message_types import typestore
from wam_tools.replay.offline_planner import OfflinePlanner
from wam_tools.replay.ride import Ride

if TYPE_CHECKING:
    from wam_models.policy import Policy

RECORDED = "recorded"  # the plans that are in the bag already
THE_END = "end"  # as a goal: where the robot was when the recording ended


@dataclass(frozen=True)
class Job:
    """name: of the bag, by which it is told from the others; models: name -> checkpoint directory or baseline;
    settings: of the planner, see wam_planner.settings.PLANNER; topics: a file of them, or None to guess; start, end: s
    after the first message; every: of the observations that the robot would plan from, one in so many; instruction,
    goal: instead of what the settings and the bag say, a goal also THE_END."""

    bag: Path
    name: str
    models: Mapping[str, str]
    settings: Mapping[str, Value]
    topics: Path | None = None
    start: float | None = None
    end: float | None = None
    every: int = 1
    instruction: str | None = None
    goal: str | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """Whatever makes it another replay than that of another job on the same bag, for people."""
        named = {name: getattr(self, name) for name in ("start", "end", "instruction", "goal")}
        chosen = {name: self.settings[name] for name in ("steps", "seed") if self.settings.get(name)}
        every = {"every": self.every} if self.every > 1 else {}
        return {**{name: value for name, value in named.items() if value is not None}, **every, **chosen}


@dataclass
class Replayed:
    """What one model made of a bag. compared: of each outcome, see wam_models.evaluation.replay; not_planned: pictures
    that were not planned from, by reason; timings: ms by stage of each plan."""

    model_id: str
    outcomes: list[PlanOutcome]
    compared: list[PlanErrors | None]
    not_planned: dict[str, int] = field(default_factory=dict)
    timings: list[dict[str, float]] = field(default_factory=list)


@dataclass
class BagReplay:
    """name: see Job; start: s since 1970, and seconds, of the part that was replayed; pictures: in it; height: m, of
    base_link in `frame`, that of the odometry, the median; camera: what the bag says of the first camera, or None;
    models: by name, the recorded plans among them where the bag has any."""

    bag: Path
    name: str
    topics: Topics
    start: float
    seconds: float
    pictures: int
    track: Track
    height: float
    frame: str
    camera: Calibrated | None
    findings: Findings
    models: dict[str, Replayed]

    @property
    def first_stamp(self) -> float:
        """s, of the first odometry or plan."""
        plans = [ride.outcomes[0].stamp for ride in self.models.values() if ride.outcomes]
        return min([*plans, *self.track.stamps[:1].tolist()], default=self.start)


def replay(job: Job, progress: Callable[[float, float], None] = lambda done, seconds: None) -> BagReplay:
    """progress: called with the seconds of the bag that are done, and all of them. Raises ValueError when a model
    cannot be loaded, and BagError, which is one, when nothing in the bag can be replayed."""
    policies = {name: ready_policy({**job.settings, "model": model}) for name, model in job.models.items()}
    cameras = tuple(dict.fromkeys(camera for policy in policies.values() for camera in policy.spec.cameras))
    with BagReader(job.bag, typestore) as bag:
        topics = read_topics(job.topics, bag.channels) if job.topics else guess_topics(bag.channels, cameras)
        span = _span(bag, job)
        missing = [camera for camera in cameras if camera not in topics.cameras]
        if missing:
            raise BagError(f"{job.topics} names no camera {missing[0]!r}, which the models want")
        end = _end(job.bag, topics, span) if job.goal == THE_END else None
        planners = {name: _planner(policy, job, end) for name, policy in policies.items()}
        # Nothing is left out where no span was asked for; as floats, its ends are a fraction of a microsecond off.
        asked = (None if job.start is None else span[0], None if job.end is None else span[1])
        ride = Ride(planners, topics, ignored=_ignored(job))
        ride.go(read_events(bag, topics, *asked), lambda logged: progress(logged - span[0], span[1] - span[0]))
        ride.findings.extend(bag.findings)
    if not ride.pictures:
        raise BagError(f"{job.bag} has no picture on {', '.join(topics.cameras.values())} in this span")
    return _judged(job, topics, span, planners, ride)


def _span(bag: BagReader, job: Job) -> tuple[float, float]:
    """s since 1970."""
    start = bag.start + (job.start or 0.0)
    end = bag.end if job.end is None else min(bag.start + job.end, bag.end)
    if job.end is not None and job.end <= (job.start or 0.0):
        raise BagError(f"the part ends at {job.end:g} s, which is not after its start at {job.start or 0:g} s")
    if not start < end:
        raise BagError(f"{job.bag} has nothing from {job.start or 0:g} s on: it is {bag.end - bag.start:.1f} s long")
    return start, end


def _end(path: Path, topics: Topics, span: tuple[float, float]) -> tuple[float, float] | None:
    """(x, y) m of base_link in odom when the recording ended; with a reader of its own, which counts for itself."""
    with BagReader(path, typestore) as bag:
        last = None
        for event in read_events(bag, Topics({}, topics.odometry), *span):
            last = event if isinstance(event, Moved) else last
    return None if last is None else last.pose[:2]


def _ignored(job: Job) -> tuple[type[Event], ...]:
    """What the bag says of something that was asked for otherwise."""
    return (*((Aimed,) if job.goal is not None else ()), *((Told,) if job.instruction is not None else ()))


def _planner(policy: Policy, job: Job, end: tuple[float, float] | None) -> OfflinePlanner:
    planner = OfflinePlanner(policy, make_config(job.settings, policy.spec), job.every)
    planner.core.instruction = str(job.settings["instruction"]) if job.instruction is None else job.instruction
    if end is not None:
        planner.core.aim(end)
    goal = str(job.settings["goal"]) if job.goal is None else job.goal
    if goal != THE_END and (wanted := parse_goal(goal)) is not None:
        planner.core.aim_from_start(*wanted)
    return planner


def _judged(
    job: Job,
    topics: Topics,
    span: tuple[float, float],
    planners: Mapping[str, OfflinePlanner],
    ride: Ride,
) -> BagReplay:
    """Every plan against where the robot then was."""
    moved = ride.moved
    track = Track(moved[:, 0], moved[:, 1:4], ride.findings)
    models = {
        name: Replayed(
            planner.policy.spec.model_id,
            planner.outcomes,
            [compare(outcome, track) for outcome in planner.outcomes],
            planner.not_planned,
            planner.timings,
        )
        for name, planner in planners.items()
    }
    if ride.recorded:
        outcomes = _placed(ride.recorded, track)
        compared = [compare(outcome, track) for outcome in outcomes]
        models[RECORDED] = Replayed(ride.recorded[-1].model_id, outcomes, compared)
    return BagReplay(
        bag=job.bag,
        name=job.name,
        topics=topics,
        start=span[0],
        seconds=span[1] - span[0],
        pictures=ride.pictures,
        track=track,
        height=float(np.median(moved[:, 4])) if len(moved) else 0.0,
        frame=ride.frame,
        camera=ride.camera,
        findings=ride.findings,
        models=models,
    )


def _placed(recorded: Sequence[Planned], track: Track) -> list[PlanOutcome]:
    """Plans of the recording, which are in odom, as seen from where the robot was at their stamps."""
    places = track.at(np.array([plan.stamp for plan in recorded]))
    return [
        PlanOutcome(plan.stamp, place, plan.times, relative_poses(plan.poses, place), logged=plan.logged)
        for plan, place in zip(recorded, places)
        if np.isfinite(place).all() and np.isfinite(plan.poses).all() and len(plan.times)
    ]
