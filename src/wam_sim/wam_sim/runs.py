"""Many recorded runs in one folder, made by several processes: in the yard or in the town."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from wam_models.checkpoint import open_checkpoint
from wam_models.policy import Policy, load_policy
from wam_planner.plan_validator import ValidatorLimits
from wam_sim import recording as yard
from wam_sim.policy_driver import PolicyDriver
from wam_sim.run_recorder import RecordedRun
from wam_sim.starts import STARTS
from wam_sim.town import recording as town
from wam_sim.town.rollout import CAR_PLANS


@dataclass(frozen=True)
class Place:
    """Where runs are made. version: counts up whenever a world and an episode give another run; each: runs that a world
    gives, by how they start; record: see record_run of the yard; limits: of the plans that a policy may drive there."""

    version: int
    each: Mapping[str, int]
    record: Callable[..., RecordedRun]
    limits: ValidatorLimits


PLACES = {
    "yard": Place(
        yard.RECORDER, {name: each.each for name, each in STARTS.items()}, yard.record_run, ValidatorLimits()
    ),
    "town": Place(
        town.RECORDER, {name: len(drives) for name, drives in town.STARTS.items()}, town.record_drive, CAR_PLANS
    ),
}


@dataclass(frozen=True)
class _Job:
    place: str
    path: Path
    split: str
    seed: int
    episode: int
    starts: str
    what_ifs: int
    checkpoint: Path | None


def record_runs(
    folder: Path,
    split: str,
    runs: int,
    *,
    place: str = "yard",
    workers: int = 1,
    first_seed: int = 0,
    starts: str = "lane",
    what_ifs: int = 0,
    policy: Path | None = None,
) -> Iterator[RecordedRun]:
    """Runs as bags in `folder`; those that are there already are kept and skipped.

    The expert drives; or the policy of a checkpoint does, and the expert says at each frame what it would have done.
    place: a key of PLACES; starts: of its `each`; what_ifs: questions to the expert at each frame. Raises
    FileExistsError when the folder holds runs of another policy, with other starts or questions, or of another version
    of this recorder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    driver = "expert" if policy is None else open_checkpoint(policy).model_id
    ours = {"place": place, "recorder": PLACES[place].version, "driver": driver, "starts": starts, "what_ifs": what_ifs}
    _claim(folder, ours)
    missing = missing_runs(folder, split, runs, first_seed, starts, place)
    jobs = [_Job(place, path, split, seed, episode, starts, what_ifs, policy) for path, seed, episode in missing]
    # spawn: a forked child would share its parent's GL context
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_record_one, jobs)  # in order, and so mostly the same world again


def missing_runs(
    folder: Path, split: str, runs: int, first_seed: int, starts: str, place: str = "yard"
) -> list[tuple[Path, int, int]]:
    """Of the runs that `record_runs` makes, those that are not there: path, seed of the world, and which in it."""
    each = PLACES[place].each[starts]
    wanted = [(first_seed + number // each, number % each) for number in range(runs)]
    paths = [(folder / f"{split}-{seed:05d}-{episode}", seed, episode) for seed, episode in wanted]
    return [(path, seed, episode) for path, seed, episode in paths if not path.exists()]


def _record_one(job: _Job) -> RecordedRun:
    place, checkpoint = PLACES[job.place], job.checkpoint
    how: dict[str, Any] = {"episode": job.episode, "starts": job.starts, "what_ifs": job.what_ifs}
    if checkpoint is not None:
        how["driver"] = lambda _: PolicyDriver(_student(checkpoint), limits=place.limits)
    return place.record(job.path, job.split, job.seed, **how)


@lru_cache(maxsize=1)
def _student(checkpoint: Path) -> Policy:
    return load_policy(checkpoint, threads=1)  # the workers share the cores


def _claim(folder: Path, ours: dict[str, object]) -> None:
    """Runs are known by their names alone, so a folder says whose they are."""
    note = folder / "made_by.json"
    if not note.exists():
        note.write_text(json.dumps(ours) + "\n")
        return
    theirs = {"place": "yard", "what_ifs": 0, **json.loads(note.read_text())}  # older notes: there was nothing else
    if theirs != ours:
        raise FileExistsError(
            f"{folder} holds runs made by {_said(theirs)}; wanted are runs by {_said(ours)}: "
            "delete the folder, or record into another one"
        )


def _said(claim: dict[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in claim.items())
