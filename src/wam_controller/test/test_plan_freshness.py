"""A plan is trusted less as it ages, and never beyond its horizon."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_controller.plan_freshness import FreshnessLimits, Level

LIMITS = FreshnessLimits(slow_age=0.5, stop_age=1.0)
ages = st.floats(0.0, 3.0)
horizons = st.floats(0.1, 3.0)


@pytest.mark.parametrize(
    ("age", "level", "scale"),
    [
        (0.0, Level.FULL, 1.0),
        (0.5, Level.FULL, 1.0),
        (0.75, Level.SLOW, 0.5),
        (0.999, Level.SLOW, 0.002),
        (1.0, Level.STOP, 0.0),
        (-0.05, Level.FULL, 1.0),
        (-0.06, Level.STOP, 0.0),
        (math.nan, Level.STOP, 0.0),
        (math.inf, Level.STOP, 0.0),
        (-math.inf, Level.STOP, 0.0),
    ],
)
def test_the_level_follows_the_age(age, level, scale):
    verdict = LIMITS.assess(age, horizon=2.0)
    assert verdict.level is level
    assert verdict.scale == pytest.approx(scale)


def test_the_horizon_ends_a_plan_before_stop_age_does():
    assert LIMITS.assess(0.61, horizon=0.6).level is Level.STOP
    assert LIMITS.assess(0.31, horizon=0.3).level is Level.STOP


@given(ages, ages, horizons)
def test_an_older_plan_never_moves_the_robot_faster(one, other, horizon):
    younger, older = sorted((one, other))
    assert LIMITS.assess(older, horizon).scale <= LIMITS.assess(younger, horizon).scale


@given(ages, horizons)
def test_the_scale_is_a_ratio_and_zero_exactly_when_stopped(age, horizon):
    verdict = LIMITS.assess(age, horizon)
    assert 0.0 <= verdict.scale <= 1.0
    assert (verdict.scale == 0.0) == (verdict.level is Level.STOP)


@pytest.mark.parametrize(
    "settings",
    [
        {"slow_age": 0.0},
        {"slow_age": 1.5},
        {"stop_age": math.inf},
        {"slow_age": math.nan},
        {"future_tolerance": -0.1},
        {"future_tolerance": math.inf},
    ],
)
def test_limits_that_would_never_stop_are_refused(settings):
    with pytest.raises(ValueError, match=r"slow_age|future_tolerance"):
        FreshnessLimits(**settings)
