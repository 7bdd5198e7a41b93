"""The ablation's arithmetic, on trials whose scores can be told by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_models.evaluation.ablation import Trial, compare, mean_interval, score_variant
from wam_models.evaluation.yard import WalkOutcome, interval

Seed = tuple[float, list[bool]]
SCORES = st.floats(0.0, 10.0)
SEED = st.tuples(SCORES, st.lists(st.booleans(), min_size=6, max_size=6))


def walk(world: int, reached: bool) -> WalkOutcome:
    return WalkOutcome(f"val-{world}", reached, not reached, 20.0, 9.0, 8.0, 0.3, 5.0)


def trial(seed: int, ade: float, reached: list[bool], first_world: int = 0) -> Trial:
    return Trial(seed, ade, 2 * ade, [walk(world, it) for world, it in enumerate(reached, first_world)])


def variant(*seeds: Seed) -> list[Trial]:
    return [trial(number, ade, reached) for number, (ade, reached) in enumerate(seeds)]


def test_the_mean_of_three_has_student_s_interval() -> None:
    low, high = mean_interval([1.0, 2.0, 3.0])
    assert (low, high) == pytest.approx((2 - 4.30265 / math.sqrt(3), 2 + 4.30265 / math.sqrt(3)), abs=1e-4)
    assert mean_interval([5.0, 5.0]) == (5.0, 5.0)
    assert all(math.isnan(bound) for bound in mean_interval([5.0]))


@given(st.lists(SCORES, min_size=2, max_size=8), st.floats(-5.0, 5.0))
def test_an_interval_holds_its_mean_and_moves_with_it(values: list[float], shift: float) -> None:
    low, high = mean_interval(values)
    assert low - 1e-9 <= np.mean(values) <= high + 1e-9
    assert mean_interval([value + shift for value in values]) == pytest.approx((low + shift, high + shift), abs=1e-6)


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2000, 3))
    bounds = np.array([mean_interval(sample) for sample in draws])
    assert 0.93 < np.mean((bounds[:, 0] < 3.0) & (bounds[:, 1] > 3.0)) < 0.97


def test_scores_of_two_seeds() -> None:
    scores = score_variant(variant((0.1, [True, True, True, False]), (0.3, [True, False, False, False])))
    assert (scores.success, scores.contact) == (0.5, 0.5)
    assert scores.success_ci == interval(4, 8)
    assert scores.success_seeds_ci == (0.0, 1.0)  # 0.25 and 0.75 leave no rate out
    assert (scores.ade_m, scores.fde_m) == pytest.approx((0.2, 0.4))
    assert scores.ade_ci == pytest.approx((0.2 - 12.7062 * 0.1, 0.2 + 12.7062 * 0.1), abs=1e-4)
    assert [seed["success"] for seed in scores.seeds] == [0.75, 0.25]


def test_one_seed_has_no_interval_over_seeds() -> None:
    scores = score_variant(variant((0.1, [True, False])))
    assert math.isnan(scores.success_seeds_ci[0]) and math.isnan(scores.ade_ci[1])
    assert scores.success_ci == interval(1, 2)


def test_differences_are_of_pairs() -> None:
    better = variant((0.1, [True, True]), (0.2, [True, False]), (0.4, [True, True]))
    worse = variant((0.2, [False, True]), (0.3, [False, False]), (0.5, [False, True]))
    difference = compare(better, worse)
    assert difference.success == 0.5
    assert difference.success_seeds_ci == (0.5, 0.5)  # every seed gained one world of two
    assert difference.success_worlds_ci[0] < 0 < 1 < difference.success_worlds_ci[1]  # and it was the same one
    # the seeds differ by more than the variants, yet each seed differs by the same
    assert difference.ade_m == pytest.approx(-0.1) and difference.ade_ci == pytest.approx((-0.1, -0.1))
    assert difference.fde_m == pytest.approx(-0.2)


@given(st.lists(st.tuples(SEED, SEED), min_size=2, max_size=4))
def test_a_difference_is_that_of_the_means_and_knows_no_order(pairs: list[tuple[Seed, Seed]]) -> None:
    a, b = variant(*(ours for ours, _ in pairs)), variant(*(theirs for _, theirs in pairs))
    difference, back = compare(a, b), compare(b, a)
    assert difference.success == pytest.approx(score_variant(a).success - score_variant(b).success)
    assert difference.ade_m == pytest.approx(score_variant(a).ade_m - score_variant(b).ade_m)
    assert back.success == pytest.approx(-difference.success)
    assert back.ade_ci == pytest.approx((-difference.ade_ci[1], -difference.ade_ci[0]))
    shuffled = [Trial(it.seed, it.ade_m, it.fde_m, list(reversed(it.walks))) for it in reversed(a)]
    assert compare(shuffled, b) == difference


def test_what_cannot_be_paired_or_scored_is_refused() -> None:
    one, two = [trial(0, 0.1, [True])], [trial(0, 0.1, [True]), trial(1, 0.1, [True])]
    with pytest.raises(ValueError, match="same"):
        compare(one, two)
    with pytest.raises(ValueError, match="other worlds"):
        compare(one, [trial(0, 0.1, [True], first_world=7)])
    with pytest.raises(ValueError, match="at least one"):
        score_variant([])
    with pytest.raises(ValueError, match="at least one episode"):
        Trial(0, 0.1, 0.2, [])
