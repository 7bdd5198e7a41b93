"""Scores of walks in the yard: what the benchmark prints and writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import binomtest


@dataclass(frozen=True)
class WalkOutcome:
    """One walk. seconds: simulated; path_length, shortest: m driven and m of the shortest way to the goal's radius;
    clearance: m, the smallest of the walk; wall_seconds: real time; plan_seconds: real time of each plan; jumps: m
    between where a plan and the one before it want the robot, at the moment at which the second takes over."""

    world: str
    reached: bool
    contact: bool
    seconds: float
    path_length: float
    shortest: float
    clearance: float
    wall_seconds: float
    plan_seconds: tuple[float, ...] = ()
    refusals: tuple[str, ...] = ()
    jumps: tuple[float, ...] = ()


@dataclass(frozen=True)
class YardScores:
    """Rates in [0, 1] with 95 % Wilson intervals; spl: success weighted by path length (Anderson et al. 2018);
    clearance_m: mean over walks of the smallest clearance; seconds_mean: of the walks that arrived;
    realtime: simulated seconds per wall second; plan_ms: p50 and p99, None where nothing was planned by a policy;
    jump_m: p50 and p95 of the jumps from plan to plan, None where there was one plan at the most."""

    success: float
    success_ci: tuple[float, float]
    contact: float
    contact_ci: tuple[float, float]
    timeout: float
    spl: float
    clearance_m: float
    seconds_mean: float
    realtime: float
    plan_ms: dict[str, float] | None
    refusals: int
    jump_m: dict[str, float] | None

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def score(walks: Sequence[WalkOutcome]) -> YardScores:
    """Raises ValueError without a walk."""
    if not walks:
        raise ValueError("no walk to score: ask for at least one episode")
    count = len(walks)
    reached = sum(walk.reached for walk in walks)
    contact = sum(walk.contact for walk in walks)
    jumps = np.array([metres for walk in walks for metres in walk.jumps])
    plans = 1e3 * np.array([seconds for walk in walks for seconds in walk.plan_seconds])
    return YardScores(
        success=reached / count,
        success_ci=interval(reached, count),
        contact=contact / count,
        contact_ci=interval(contact, count),
        timeout=sum(not walk.reached and not walk.contact for walk in walks) / count,
        spl=float(np.mean([w.reached * w.shortest / max(w.path_length, w.shortest, 1e-9) for w in walks])),
        clearance_m=float(np.mean([walk.clearance for walk in walks])),
        seconds_mean=float(np.mean([walk.seconds for walk in walks if walk.reached])) if reached else float("nan"),
        realtime=sum(walk.seconds for walk in walks) / max(sum(walk.wall_seconds for walk in walks), 1e-9),
        plan_ms={"p50": float(np.median(plans)), "p99": float(np.quantile(plans, 0.99))} if len(plans) else None,
        refusals=sum(len(walk.refusals) for walk in walks),
        jump_m={"p50": float(np.median(jumps)), "p95": float(np.quantile(jumps, 0.95))} if len(jumps) else None,
    )


def interval(successes: int, count: int) -> tuple[float, float]:
    """95 % Wilson interval of a rate."""
    bounds = binomtest(successes, count).proportion_ci(method="wilson")
    return float(bounds.low), float(bounds.high)
