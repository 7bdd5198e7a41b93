"""Open-loop scores: plans against what the robot then did, as its recorded odometry has it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from wam_models.data.bags import relative_poses
from wam_models.data.track import Track

# CityWalker scores angles only where the last point of the truth is farther away than this (section 3.2 of its code).
_MOVES = 1.0  # m
_SAME_MOMENT = 0.25  # s
_STANDS, _TURNS = 0.1, 0.35  # m and rad over a horizon


@dataclass(frozen=True)
class PlanOutcome:
    """What became of one observation. stamp: s of its newest frame; pose: (3,) of base_link in odom then; times: (H,) s
    after the stamp and poses: (H, 3) in base_link, or None where there is no plan; refusal: why the policy would not;
    violations: names of the rules that the plan breaks, which the robot would then not have driven; logged: s, when the
    bag has it, by the recorder's clock."""

    stamp: float
    pose: np.ndarray
    times: np.ndarray | None = None
    poses: np.ndarray | None = None
    refusal: str = ""
    violations: tuple[str, ...] = ()
    logged: float = math.nan

    @property
    def driven(self) -> bool:
        """Whether the robot would have had a plan."""
        return self.poses is not None and not self.violations


@dataclass(frozen=True)
class PlanErrors:
    """One plan against the truth. errors: (H,) m between the points; angles: (H,) deg between the directions to them,
    NaN where the robot moved less than a metre; headings: (H,) deg between the yaws, unsigned; motion: standing,
    straight, left, right or backwards, what the robot did; truth: (H, 3) in base_link."""

    errors: np.ndarray
    angles: np.ndarray
    headings: np.ndarray
    motion: str
    truth: np.ndarray


@dataclass(frozen=True)
class OpenLoopScores:
    """Over plans that may be driven. ade, fde: mean over plans of the mean and of the last displacement, m; error: by
    whole seconds, m; maoe: mean over plans of the largest angle between the directions to a point and to the truth, deg
    (CityWalker, which leaves out who stands); heading: mean difference of yaw, deg; jump: m between a plan and the one
    before it, mean over the instants that both speak of, p50 and p95. None where nothing could be scored."""

    plans: int
    scored: int
    ade: float | None = None
    fde: float | None = None
    error: dict[str, float] = field(default_factory=dict)
    maoe: float | None = None
    heading: float | None = None
    jump: dict[str, float] | None = None
    refusals: dict[str, int] = field(default_factory=dict)
    violations: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def compare(outcome: PlanOutcome, track: Track) -> PlanErrors | None:
    """None where the robot would have had no plan, and where the recording does not say where it was at each of its
    points."""
    if not outcome.driven or outcome.times is None or outcome.poses is None:
        return None
    places = track.at(outcome.stamp + outcome.times)
    if not np.isfinite(places).all():
        return None
    truth = relative_poses(places, outcome.pose)
    planned = outcome.poses
    errors = np.hypot(*(planned[:, :2] - truth[:, :2]).T)
    angles = np.full(len(errors), math.nan)
    if np.hypot(*truth[-1, :2]) > _MOVES:
        angles = _angles(planned[:, :2], truth[:, :2])
    headings = np.degrees(np.abs((planned[:, 2] - truth[:, 2] + np.pi) % (2.0 * np.pi) - np.pi))
    return PlanErrors(errors, angles, headings, _motion(truth), truth)


def score(runs: Sequence[Sequence[PlanOutcome]], compared: Sequence[Sequence[PlanErrors | None]]) -> OpenLoopScores:
    """runs: outcomes of each run, one after the other; compared: of each outcome, see `compare`."""
    outcomes = [outcome for run in runs for outcome in run]
    found = [errors for run in compared for errors in run]
    scored = [(outcome, errors) for outcome, errors in zip(outcomes, found, strict=True) if errors is not None]
    plans = [[outcome for outcome in run if outcome.driven] for run in runs]
    counts: dict[str, Any] = {
        "plans": sum(map(len, plans)),
        "scored": len(scored),
        "jump": _spread(np.concatenate([np.zeros(0), *map(jumps, plans)])),
        "refusals": _counted(outcome.refusal for outcome in outcomes if outcome.refusal),
        "violations": _counted(rule for outcome in outcomes for rule in outcome.violations),
    }
    if not scored:
        return OpenLoopScores(**counts)
    angles = [float(errors.angles.max()) for _, errors in scored if np.isfinite(errors.angles).all()]
    return OpenLoopScores(
        ade=float(np.mean([errors.errors.mean() for _, errors in scored])),
        fde=float(np.mean([errors.errors[-1] for _, errors in scored])),
        error=_by_second(scored),
        maoe=float(np.mean(angles)) if angles else None,
        heading=float(np.mean([errors.headings.mean() for _, errors in scored])),
        **counts,
    )


Scored = Sequence[Sequence[tuple[PlanOutcome, PlanErrors | None]]]


@dataclass(frozen=True)
class SideBySide:
    """Two policies where both have a plan that can be scored at the same moment, or nearly, up to the shorter of their
    horizons, seconds. ades, fdes: m, of the one and of the other."""

    moments: int
    seconds: float
    ades: tuple[float, float]
    fdes: tuple[float, float]


def side_by_side(one: Scored, other: Scored) -> SideBySide | None:
    """one, other: outcomes of each run, which are the same runs; None where there is no such moment. Policies that plan
    less often than there are pictures need not choose the same ones."""
    pairs = [pair for runs in zip(one, other, strict=True) for pair in _met(*map(_curves, runs))]
    if not pairs:
        return None
    seconds = min(float(times[-1]) for pair in pairs for _, times, _ in pair)
    grid = np.linspace(0.0, seconds, 21)[1:]
    errors = [np.array([np.interp(grid, *pair[which][1:]) for pair in pairs]) for which in (0, 1)]
    ades, fdes = ([float(part.mean()) for part in parts] for parts in (errors, [each[:, -1] for each in errors]))
    return SideBySide(len(pairs), round(seconds, 6), (ades[0], ades[1]), (fdes[0], fdes[1]))


_Curve = tuple[float, np.ndarray, np.ndarray]  # stamp, s; times after it, s, and errors then, m


def _curves(run: Sequence[tuple[PlanOutcome, PlanErrors | None]]) -> list[_Curve]:
    found = [
        (outcome.stamp, np.append(0.0, outcome.times), np.append(0.0, errors.errors))
        for outcome, errors in run
        if errors is not None and outcome.times is not None
    ]
    return sorted(found, key=lambda curve: curve[0])


def _met(one: list[_Curve], other: list[_Curve]) -> list[tuple[_Curve, _Curve]]:
    """Pairs, each the other's nearest, less than _SAME_MOMENT apart."""
    if not one or not other:
        return []
    stamps = [np.array([curve[0] for curve in curves]) for curves in (one, other)]
    there, back = _nearest(*stamps), _nearest(*reversed(stamps))
    return [
        (one[mine], other[theirs])
        for mine, theirs in enumerate(there.tolist())
        if back[theirs] == mine and abs(stamps[0][mine] - stamps[1][theirs]) < _SAME_MOMENT
    ]


def _nearest(stamps: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(N,) the number of the nearest of `others` (M,) to each of `stamps` (N,), both ascending."""
    after = np.clip(np.searchsorted(others, stamps), 1, max(len(others) - 1, 1))
    before, after = after - 1, np.minimum(after, len(others) - 1)
    return np.where(np.abs(stamps - others[before]) <= np.abs(stamps - others[after]), before, after)


def jumps(plans: Sequence[PlanOutcome]) -> np.ndarray:
    """(N,) m, of each plan to the one before it, where their times overlap: mean distance between where the two want
    the robot at the later one's points."""
    out = []
    for before, after in zip(plans, plans[1:]):
        assert before.times is not None and before.poses is not None
        assert after.times is not None and after.poses is not None
        ahead = after.stamp + after.times - before.stamp
        common = ahead <= before.times[-1] + 1e-9
        if not common.any() or after.stamp <= before.stamp:
            continue
        times, line = np.append(0.0, before.times), np.vstack([np.zeros(2), before.poses[:, :2]])
        wanted = np.stack([np.interp(ahead[common], times, line[:, axis]) for axis in (0, 1)], axis=1)
        there = placed(before.pose, wanted) - placed(after.pose, after.poses[common, :2])
        out.append(float(np.hypot(*there.T).mean()))
    return np.array(out)


def placed(pose: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (N, 2) of base_link at `pose` in the frame of that pose."""
    cos, sin = np.cos(pose[2]), np.sin(pose[2])
    return pose[:2] + points @ np.array([[cos, sin], [-sin, cos]])


def _angles(planned: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(H,) deg. A point that is not moved at all counts 90 degrees, as CityWalker's cosine similarity has it."""
    lengths = np.hypot(*planned.T) * np.hypot(*truth.T)
    cosines = np.where(lengths > 1e-8, (planned * truth).sum(axis=1) / np.maximum(lengths, 1e-8), 0.0)
    return np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))


def _motion(truth: np.ndarray) -> str:
    away = float(np.hypot(*truth[:, :2].T).max())
    if away < _STANDS and abs(truth[-1, 2]) < _STANDS:
        return "standing"
    if abs(truth[-1, 2]) > _TURNS:
        return "left" if truth[-1, 2] > 0 else "right"
    return "straight" if truth[-1, 0] >= 0 else "backwards"


def _by_second(scored: Sequence[tuple[PlanOutcome, PlanErrors]]) -> dict[str, float]:
    """Whole seconds -> mean m, of the plans that reach so far."""
    found: dict[str, list[float]] = {}
    for outcome, errors in scored:
        assert outcome.times is not None
        for second in range(1, math.floor(outcome.times[-1] + 1e-6) + 1):
            found.setdefault(str(second), []).append(float(np.interp(second, outcome.times, errors.errors)))
    return {second: float(np.mean(values)) for second, values in found.items()}


def _spread(values: np.ndarray) -> dict[str, float] | None:
    if not values.size:
        return None
    p50, p95 = np.percentile(values, [50, 95])
    return {"p50": float(p50), "p95": float(p95)}


def _counted(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
