"""The benchmark's arithmetic, on walks whose scores can be told by hand."""

from __future__ import annotations

import numpy as np
import pytest

from wam_models.evaluation.oracle import Oracle
from wam_models.evaluation.yard import WalkOutcome, interval, score
from wam_models.types import Trajectory


def outcome(reached: bool = True, contact: bool = False, path: float = 10.0, **more: object) -> WalkOutcome:
    return WalkOutcome("world", reached, contact, 20.0, path, 8.0, 0.3, 5.0, **more)  # type: ignore[arg-type]


def test_scores_of_four_walks() -> None:
    walks = [
        outcome(path=8.0, plan_seconds=(0.02, 0.04)),
        outcome(path=16.0),
        outcome(reached=False, contact=True),
        outcome(reached=False, refusals=("ego_not_finite",)),
    ]
    scores = score(walks)
    assert (scores.success, scores.contact, scores.timeout) == (0.5, 0.25, 0.25)
    assert scores.spl == pytest.approx((1.0 + 0.5) / 4)
    assert scores.clearance_m == pytest.approx(0.3)
    assert scores.seconds_mean == 20.0 and scores.realtime == 4.0
    assert scores.plan_ms == pytest.approx({"p50": 30.0, "p99": 39.8})
    assert scores.refusals == 1


def test_jumps_are_those_of_all_walks() -> None:
    scores = score([outcome(jumps=(0.0, 0.1)), outcome(jumps=(0.2,))])
    assert scores.jump_m == pytest.approx({"p50": 0.1, "p95": 0.19})
    assert score([outcome()]).jump_m is None


def test_an_oracle_takes_the_candidate_nearest_to_the_truth() -> None:
    candidates = np.zeros((3, 4, 3))
    candidates[:, :, 1] = np.array([-0.4, 0.3, 0.1])[:, None]
    oracle = Oracle(dt=0.25)
    with pytest.raises(ValueError, match="until it is told"):
        oracle(candidates, None)
    oracle.truth = Trajectory(1.0, 0.25, np.tile([0.0, 0.25, 0.0], (6, 1)))
    assert oracle(candidates, None) == pytest.approx([-0.65, -0.05, -0.15])
    oracle.truth = Trajectory(1.0, 0.5, np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"every 0\.5 s"):
        oracle(candidates, None)


def test_a_path_shorter_than_the_shortest_known_counts_as_it() -> None:
    assert score([outcome(path=7.5)]).spl == 1.0


def test_nobody_arrived() -> None:
    scores = score([outcome(reached=False)])
    assert scores.spl == 0.0 and scores.seconds_mean != scores.seconds_mean and scores.plan_ms is None


def test_intervals_are_wilson_s() -> None:
    low, high = interval(85, 100)
    assert (low, high) == pytest.approx((0.767, 0.907), abs=1e-3)
    assert interval(0, 10)[0] == 0.0 and interval(10, 10)[1] == pytest.approx(1.0)


def test_no_walk_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        score([])
