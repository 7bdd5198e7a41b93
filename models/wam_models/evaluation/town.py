"""Scores of drives through the town: what the benchmark prints and writes.

Completion and driving score are those of the CARLA leaderboard 1.0; the shares beside them ask what NAVSIM's PDMS asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum

import numpy as np

from wam_models.evaluation.yard import interval

_RESAMPLES = 2000


class InfractionKind(Enum):
    COLLISION_PEDESTRIAN = "collision_pedestrian"
    COLLISION_VEHICLE = "collision_vehicle"
    COLLISION_STATIC = "collision_static"
    RED_LIGHT = "red_light"
    OUTSIDE_LANES = "outside_lanes"


COLLISIONS = (InfractionKind.COLLISION_PEDESTRIAN, InfractionKind.COLLISION_VEHICLE, InfractionKind.COLLISION_STATIC)
# What each leaves of the driving score, leaderboard 1.0; metres outside the lanes count by their share instead.
COEFFICIENTS = {
    InfractionKind.COLLISION_PEDESTRIAN: 0.50,
    InfractionKind.COLLISION_VEHICLE: 0.60,
    InfractionKind.COLLISION_STATIC: 0.65,
    InfractionKind.RED_LIGHT: 0.70,
}


class Ended(Enum):
    """Why a drive was over. blocked: it stood too long; off_route: it had left its route."""

    COMPLETED = "completed"
    TIMEOUT = "timeout"
    BLOCKED = "blocked"
    OFF_ROUTE = "off_route"


@dataclass(frozen=True)
class Infraction:
    """time: s into the drive; detail: what was hit, or which light; share: of the way that was made, only of what was
    driven outside the lanes."""

    kind: InfractionKind
    time: float
    detail: str = ""
    share: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"share must be in [0, 1], got {self.share}")

    @property
    def factor(self) -> float:
        """What it leaves of the driving score."""
        return COEFFICIENTS.get(self.kind, 1.0 - self.share)


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one drive. route_length: m; completion: share of the route; seconds: simulated;
    time_to_contact: s, the smallest, inf where nothing came near; ttc, drivable_area: shares of the frames that keep
    those bounds, comfort: of the stretches; lateral_acceleration, jerk: m/s^2 and m/s^3, the largest."""

    route_length: float
    completion: float
    ended: Ended
    infractions: tuple[Infraction, ...]
    seconds: float
    time_to_contact: float = math.inf
    ttc: float = 1.0
    drivable_area: float = 1.0
    comfort: float = 1.0
    lateral_acceleration: float = 0.0
    jerk: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.completion <= 1.0:
            raise ValueError(f"completion must be in [0, 1], got {self.completion}")


@dataclass(frozen=True, kw_only=True)
class DriveOutcome(Verdict):
    """With what was driven: DriveOutcome(world=..., ..., **vars(verdict)). wall_seconds: real time; plan_seconds: real
    time of each plan; refusals: why there was none."""

    world: str
    scenario: str
    split: str
    wall_seconds: float
    plan_seconds: tuple[float, ...] = ()
    refusals: tuple[str, ...] = ()


def infraction_score(outcome: Verdict) -> float:
    """In [0, 1]: what all infractions together leave."""
    return math.prod(infraction.factor for infraction in outcome.infractions)


def driving_score(outcome: Verdict) -> float:
    """In percent, as the leaderboard has it. Why a drive ended costs nothing beyond the way that it did not make."""
    return 100.0 * outcome.completion * infraction_score(outcome)


@dataclass(frozen=True)
class TownScores:
    """Means over drives. route_completion, driving_score: percent, with 95 % bootstrap intervals; infraction_score:
    in [0, 1]; success: share of drives completed without an infraction, with its 95 % Wilson interval; infractions: by
    kind, their count and how many a kilometre of completed route, None without one; ended: drives by why they ended.

    no_collision: share of drives; drivable_area, ttc, comfort: see Verdict; progress: in [0, 1], beside the expert's,
    None without one; ttc_min_s: of all drives, None where nothing came near; lateral_acceleration, jerk: means of the
    largest of each drive; seconds_mean: of completed drives, None without one; realtime: simulated seconds per wall
    second; plan_ms: p50 and p99, None where nothing was planned by a policy."""

    drives: int
    route_completion: float
    route_completion_ci: tuple[float, float]
    driving_score: float
    driving_score_ci: tuple[float, float]
    infraction_score: float
    success: float
    success_ci: tuple[float, float]
    infractions: dict[str, dict[str, float | None]]
    ended: dict[str, int]
    no_collision: float
    drivable_area: float
    ttc: float
    progress: float | None
    comfort: float
    ttc_min_s: float | None
    lateral_acceleration: float
    jerk: float
    seconds_mean: float | None
    realtime: float
    plan_ms: dict[str, float] | None
    refusals: int

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def score(outcomes: Sequence[DriveOutcome], expert: Sequence[DriveOutcome] = ()) -> TownScores:
    """expert: drives of the same worlds and scenarios, beside which progress is measured. Raises ValueError without a
    drive, or where the expert did not drive what another did."""
    if not outcomes:
        raise ValueError("no drive to score: ask for at least one episode")
    count = len(outcomes)
    completions = np.array([100.0 * drive.completion for drive in outcomes])
    driving = np.array([driving_score(drive) for drive in outcomes])
    finished = [drive for drive in outcomes if drive.ended is Ended.COMPLETED]
    flawless = sum(not drive.infractions for drive in finished)
    nearest = min(drive.time_to_contact for drive in outcomes)
    plans = 1e3 * np.array([seconds for drive in outcomes for seconds in drive.plan_seconds])
    return TownScores(
        drives=count,
        route_completion=float(completions.mean()),
        route_completion_ci=bootstrap(completions),
        driving_score=float(driving.mean()),
        driving_score_ci=bootstrap(driving),
        infraction_score=_mean([infraction_score(drive) for drive in outcomes]),
        success=flawless / count,
        success_ci=interval(flawless, count),
        infractions=_by_kind(outcomes),
        ended={end.value: sum(drive.ended is end for drive in outcomes) for end in Ended},
        no_collision=_mean([not any(each.kind in COLLISIONS for each in drive.infractions) for drive in outcomes]),
        drivable_area=_mean([drive.drivable_area for drive in outcomes]),
        ttc=_mean([drive.ttc for drive in outcomes]),
        progress=_progress(outcomes, expert) if expert else None,
        comfort=_mean([drive.comfort for drive in outcomes]),
        ttc_min_s=nearest if math.isfinite(nearest) else None,
        lateral_acceleration=_mean([drive.lateral_acceleration for drive in outcomes]),
        jerk=_mean([drive.jerk for drive in outcomes]),
        seconds_mean=_mean([drive.seconds for drive in finished]) if finished else None,
        realtime=sum(drive.seconds for drive in outcomes) / max(sum(drive.wall_seconds for drive in outcomes), 1e-9),
        plan_ms={"p50": float(np.median(plans)), "p99": float(np.quantile(plans, 0.99))} if len(plans) else None,
        refusals=sum(len(drive.refusals) for drive in outcomes),
    )


def score_by_scenario(outcomes: Sequence[DriveOutcome], expert: Sequence[DriveOutcome] = ()) -> dict[str, TownScores]:
    """The same for the drives of each scenario, in the order in which they first come."""
    groups: dict[str, list[DriveOutcome]] = {}
    for drive in outcomes:
        groups.setdefault(drive.scenario, []).append(drive)
    return {scenario: score(drives, expert) for scenario, drives in groups.items()}


def bootstrap(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """95 % percentile interval of the mean of (n,) values, n >= 1; the same for the same values."""
    chosen = np.random.default_rng(seed).integers(len(values), size=(_RESAMPLES, len(values)))
    low, high = np.quantile(values[chosen].mean(axis=1), (0.025, 0.975))
    return float(low), float(high)


def _by_kind(outcomes: Sequence[DriveOutcome]) -> dict[str, dict[str, float | None]]:
    kilometres = sum(drive.completion * drive.route_length for drive in outcomes) / 1e3
    counts = {
        kind: sum(each.kind is kind for drive in outcomes for each in drive.infractions) for kind in InfractionKind
    }
    return {
        kind.value: {"count": count, "per_km": count / kilometres if kilometres > 0.0 else None}
        for kind, count in counts.items()
    }


def _progress(outcomes: Sequence[DriveOutcome], expert: Sequence[DriveOutcome]) -> float:
    """Mean of how far each came beside how far the expert had come in the same time; a drive that ended before the
    expert's would have come no farther."""
    by_place = {(drive.world, drive.scenario): drive for drive in expert}
    shares = []
    for drive in outcomes:
        known = by_place.get((drive.world, drive.scenario))
        if known is None:
            raise ValueError(f"the expert did not drive {drive.world} {drive.scenario}: let it drive the same episodes")
        farther = min(drive.completion / known.completion, 1.0) if known.completion > 0.0 else 1.0
        shares.append(farther * min(known.seconds / max(drive.seconds, 1e-9), 1.0))
    return _mean(shares)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
