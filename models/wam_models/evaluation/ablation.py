"""The arithmetic of an ablation: variants of a model, each trained from several seeds, walked through the same worlds.

Two things vary by chance: the seed that a variant was trained from, and the world that it walks in. An interval over
seeds says what training once more would give; one over walks or worlds, what other worlds would give these weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from wam_models.evaluation.yard import WalkOutcome, interval

Interval = tuple[float, float]


@dataclass(frozen=True)
class Trial:
    """A variant trained from one seed. ade_m, fde_m: displacement errors (m) on the held-out windows, the mean over the
    points and that of the last one; walks: closed loop, at least one."""

    seed: int
    ade_m: float
    fde_m: float
    walks: Sequence[WalkOutcome]

    def __post_init__(self) -> None:
        if not self.walks:
            raise ValueError(f"seed {self.seed} has no walk to score: ask for at least one episode")

    @property
    def success(self) -> float:
        return sum(walk.reached for walk in self.walks) / len(self.walks)

    @property
    def contact(self) -> float:
        return sum(walk.contact for walk in self.walks) / len(self.walks)


@dataclass(frozen=True)
class VariantScores:
    """success_ci, contact_ci: 95 % Wilson intervals of all walks together; success_seeds_ci, ade_ci, fde_ci: 95 %
    t-intervals over the seeds; seeds: what each of them scored."""

    success: float
    success_ci: Interval
    success_seeds_ci: Interval
    contact: float
    contact_ci: Interval
    ade_m: float
    ade_ci: Interval
    fde_m: float
    fde_ci: Interval
    seeds: list[dict[str, float]]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Difference:
    """What a variant scored more than another, of pairs that have the seed and the world in common. success_worlds_ci:
    95 % t-interval over the worlds, each the mean of its seeds; the others are over the seeds."""

    success: float
    success_worlds_ci: Interval
    success_seeds_ci: Interval
    ade_m: float
    ade_ci: Interval
    fde_m: float
    fde_ci: Interval

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def mean_interval(values: Sequence[float] | np.ndarray) -> Interval:
    """95 % t-interval of a mean; NaN where there is but one value, which says nothing of any other."""
    sample = np.asarray(values, dtype=float)
    if len(sample) < 2:
        return math.nan, math.nan
    half = stats.t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / math.sqrt(len(sample))
    return float(sample.mean() - half), float(sample.mean() + half)


def score_variant(trials: Sequence[Trial]) -> VariantScores:
    """Raises ValueError without a trial."""
    if not trials:
        raise ValueError("no seed to score: ask for at least one")
    walks = [walk for trial in trials for walk in trial.walks]
    reached, touched = sum(walk.reached for walk in walks), sum(walk.contact for walk in walks)
    return VariantScores(
        success=reached / len(walks),
        success_ci=interval(reached, len(walks)),
        success_seeds_ci=_share(mean_interval([trial.success for trial in trials])),
        contact=touched / len(walks),
        contact_ci=interval(touched, len(walks)),
        ade_m=float(np.mean([trial.ade_m for trial in trials])),
        ade_ci=mean_interval([trial.ade_m for trial in trials]),
        fde_m=float(np.mean([trial.fde_m for trial in trials])),
        fde_ci=mean_interval([trial.fde_m for trial in trials]),
        seeds=[
            {
                "seed": trial.seed,
                "success": trial.success,
                "contact": trial.contact,
                "ade_m": trial.ade_m,
                "fde_m": trial.fde_m,
            }
            for trial in trials
        ],
    )


def compare(trials: Sequence[Trial], others: Sequence[Trial]) -> Difference:
    """`trials` less `others`. Raises ValueError when they have not the same seeds, or not walked the same worlds."""
    ours, theirs = sorted(trials, key=lambda trial: trial.seed), sorted(others, key=lambda trial: trial.seed)
    if [trial.seed for trial in ours] != [trial.seed for trial in theirs]:
        raise ValueError("variants of other seeds cannot be paired: train both from the same")
    worlds = sorted({walk.world for walk in ours[0].walks})
    success = _reached(ours, worlds) - _reached(theirs, worlds)
    ade = np.array([a.ade_m - b.ade_m for a, b in zip(ours, theirs)])
    fde = np.array([a.fde_m - b.fde_m for a, b in zip(ours, theirs)])
    return Difference(
        success=float(success.mean()),
        success_worlds_ci=mean_interval(success.mean(axis=0)),
        success_seeds_ci=mean_interval(success.mean(axis=1)),
        ade_m=float(ade.mean()),
        ade_ci=mean_interval(ade),
        fde_m=float(fde.mean()),
        fde_ci=mean_interval(fde),
    )


def _reached(trials: Sequence[Trial], worlds: Sequence[str]) -> np.ndarray:
    """(seeds, worlds) 1.0 where the goal was reached."""
    rows = []
    for trial in trials:
        reached = {walk.world: float(walk.reached) for walk in trial.walks}
        if sorted(reached) != list(worlds):
            raise ValueError("walks in other worlds cannot be paired: walk all variants through the same")
        rows.append([reached[world] for world in worlds])
    return np.array(rows)


def _share(bounds: Interval) -> Interval:
    """The part of an interval in which a rate can be."""
    low, high = np.clip(bounds, 0.0, 1.0)
    return float(low), float(high)
