"""Replays in numbers: what is equal in every run of the same replay, and, apart from it, what took how long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from wam_models.evaluation.replay import OpenLoopScores, PlanErrors, Scored, score, side_by_side
from wam_tools.replay.job import BagReplay, Replayed

MOTIONS = ("straight", "left", "right", "backwards", "standing")


def policy_names(replays: Sequence[BagReplay]) -> list[str]:
    """In the order in which they were asked for; of plans that only some bags hold, last."""
    return list(dict.fromkeys(name for replay in replays for name in replay.models))


def scores_of(replays: Sequence[BagReplay], name: str) -> OpenLoopScores:
    """Over all bags. Jumps are of plans that follow one another in a bag."""
    rides = [replay.models[name] for replay in replays if name in replay.models]
    return score([ride.outcomes for ride in rides], [ride.compared for ride in rides])


def number(value: float | None, digits: int) -> str:
    """For people; a dash where nothing could be measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def reasons(policy: Mapping[str, Any]) -> dict[str, int]:
    """Of an entry of `metrics`: pictures without a plan and plans not to be driven, by why."""
    return {**policy["not_planned"], **policy["refusals"], **policy["violations"]}


def metrics(
    replays: Sequence[BagReplay], failed: Mapping[str, str], asked: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What metrics.json holds. Lengths in m, angles in deg, times in s. failed: bags that could not be replayed, and
    why; asked: how it was replayed."""
    return {
        "asked": dict(asked or {}),
        "failed": dict(sorted(failed.items())),
        "bags": [
            {
                "bag": replay.name,
                "seconds": round(replay.seconds, 3),
                "pictures": replay.pictures,
                "odometry": len(replay.track),
                "topics": asdict(replay.topics),
                "findings": [asdict(finding) for finding in replay.findings],
            }
            for replay in replays
        ],
        "policies": {name: _policy(replays, name) for name in policy_names(replays)},
        "together": _together(replays),
    }


def _together(replays: Sequence[BagReplay]) -> dict[str, Any]:
    """Each policy beside the first, at the moments that both planned from: {policy: {"moments", "seconds", "ade",
    "first_ade", "fde", "first_fde"}}."""
    names = policy_names(replays)
    found = {}
    for name in names[1:]:
        both = side_by_side(_scored(replays, names[0]), _scored(replays, name))
        if both is not None:
            (first_ade, ade), (first_fde, fde) = both.ades, both.fdes
            found[name] = {
                "moments": both.moments,
                "seconds": both.seconds,
                "ade": ade,
                "first_ade": first_ade,
                "fde": fde,
                "first_fde": first_fde,
            }
    return found


def _scored(replays: Sequence[BagReplay], name: str) -> Scored:
    rides = (replay.models.get(name) for replay in replays)
    return [list(zip(ride.outcomes, ride.compared, strict=True)) if ride else [] for ride in rides]


def same_moments(found: dict[str, Any]) -> tuple[str, tuple[str, ...], list[tuple[str, ...]]]:
    """Title, columns and rows of a table of metrics' `together`, for people."""
    first = next(iter(found["policies"]))
    rows = [
        (
            *(name, str(each["moments"]), f"{each['seconds']:g}"),
            *(number(each[key], 2) for key in ("ade", "first_ade", "fde", "first_fde")),
        )
        for name, each in found["together"].items()
    ]
    columns = ("policy", "moments", "s ahead", "ADE m", f"ADE m of {first}", "FDE m", f"FDE m of {first}")
    return f"at the same moments as {first}", columns, rows


def timings(replays: Sequence[BagReplay], wall_seconds: float, peak_mib: float) -> dict[str, Any]:
    """What timings.json holds: ms of a plan and of its stages, p50 and p99; and how much faster than the recording all
    of it was."""
    seconds = sum(replay.seconds for replay in replays)
    stages = {
        name: _stages(each for replay in replays if name in replay.models for each in replay.models[name].timings)
        for name in policy_names(replays)
    }
    return {
        "bag_seconds": seconds,
        "wall_seconds": wall_seconds,
        "x_real_time": seconds / wall_seconds,
        "peak_mib": peak_mib,
        "policies": {name: found for name, found in stages.items() if found},
    }


def _policy(replays: Sequence[BagReplay], name: str) -> dict[str, Any]:
    rides = {replay.name: replay.models[name] for replay in replays if name in replay.models}
    not_planned: Counter[str] = Counter()
    for ride in rides.values():
        not_planned.update(ride.not_planned)
    return {
        "model_id": next(iter(rides.values())).model_id,
        **scores_of(replays, name).to_dict(),
        "not_planned": dict(sorted(not_planned.items())),
        "motions": {motion: found for motion in MOTIONS if (found := _of_motion(rides.values(), motion))},
        "bags": {bag: score([ride.outcomes], [ride.compared]).to_dict() for bag, ride in rides.items()},
    }


def _of_motion(rides: Iterable[Replayed], motion: str) -> dict[str, Any] | None:
    """Of the plans while the robot moved so; None when it never did."""
    chosen = [
        (outcome, errors)
        for ride in rides
        for outcome, errors in zip(ride.outcomes, ride.compared, strict=True)
        if isinstance(errors, PlanErrors) and errors.motion == motion
    ]
    if not chosen:
        return None
    outcomes, compared = (list(each) for each in zip(*chosen))
    found = score([outcomes], [compared])
    return {"plans": found.scored, "ade": found.ade, "fde": found.fde, "maoe": found.maoe, "heading": found.heading}


def _stages(plans: Iterable[dict[str, float]]) -> dict[str, Any]:
    rows = list(plans)
    if not rows:
        return {}
    names = list(dict.fromkeys(stage for row in rows for stage in row))
    total = _spread([sum(row.values()) for row in rows])
    return {"plan_ms": total, "stages_ms": {name: _spread([row.get(name, 0.0) for row in rows]) for name in names}}


def _spread(values: Sequence[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, [50, 99])
    return {"p50": float(p50), "p99": float(p99)}
