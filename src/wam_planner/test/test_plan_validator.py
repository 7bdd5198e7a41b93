"""A plan that breaks a rule is named with the rule; a sane one passes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_models.se2 import advance
from wam_models.types import EgoState
from wam_planner.plan_validator import Rule, ValidatorLimits, validate

TIMES = 0.25 * np.arange(1, 9)
WALK = EgoState(0.8, 0.0, 0.0)
LIMITS = ValidatorLimits()


def arc(speed: float, yaw_rate: float) -> np.ndarray:
    return np.array([advance((speed, 0.0, yaw_rate), time) for time in TIMES])


def rules(poses: np.ndarray, ego: EgoState = WALK, times: np.ndarray = TIMES) -> set[Rule]:
    return {violation.rule for violation in validate(times, poses, ego, LIMITS)}


@given(st.floats(0.0, 1.2), st.floats(-1.2, 1.2))
def test_every_arc_a_go2_walks_is_sane(speed, yaw_rate):
    assert rules(arc(speed, yaw_rate), EgoState(speed, 0.0, yaw_rate)) == set()


def test_standing_still_and_turning_on_the_spot_are_sane():
    assert rules(np.zeros((8, 3)), EgoState(0.0, 0.0, 0.0)) == set()
    assert rules(arc(0.0, 1.2), EgoState(0.0, 0.0, 0.0)) == set()


@given(st.integers(0, 7), st.integers(0, 2), st.sampled_from([math.nan, math.inf, -math.inf]))
def test_one_number_that_is_not_finite_is_found(row, column, value):
    poses = arc(0.8, 0.0)
    poses[row, column] = value
    (violation,) = validate(TIMES, poses, WALK, LIMITS)
    assert (violation.rule, violation.index) == (Rule.FINITE, row)


@pytest.mark.parametrize("times", [np.zeros(8), TIMES[::-1], np.full(8, 0.25)])
def test_time_must_increase(times):
    assert rules(arc(0.8, 0.0), times=times) == {Rule.TIME}


def test_a_plan_that_starts_elsewhere_is_refused():
    assert Rule.START in rules(arc(0.8, 0.0) + np.array([1.0, 0.0, 0.0]))


def test_a_plan_too_fast_names_the_worst_point():
    poses = arc(0.8, 0.0)
    poses[5:, 0] += 0.6
    violations = {violation.rule: violation for violation in validate(TIMES, poses, WALK, LIMITS)}
    assert violations[Rule.SPEED].index == 5
    assert violations[Rule.SPEED].value == pytest.approx(3.2)
    assert str(violations[Rule.SPEED]) == "speed: 3.20 at point 5, limit 2.00"


def test_turning_faster_than_a_robot_can_is_refused():
    assert rules(arc(0.1, 4.0), EgoState(0.1, 0.0, 4.0)) == {Rule.YAW_RATE}


def test_a_hairpin_at_walking_speed_is_refused():
    assert rules(arc(0.5, 2.8), EgoState(0.5, 0.0, 2.8)) == {Rule.CURVATURE}


def test_a_heading_that_crosses_pi_is_no_turn():
    poses = np.array([[-0.2 * (i + 1), 0.0, math.pi - 0.01 if i % 2 else -math.pi + 0.01] for i in range(8)])
    turned = {violation.index for violation in validate(TIMES, poses, WALK, LIMITS) if violation.rule is Rule.YAW_RATE}
    assert turned == {0}


def test_a_jerk_between_two_points_is_refused():
    poses = arc(0.8, 0.0)
    poses[4:, 1] += 0.45
    assert Rule.ACCELERATION in rules(poses)


def test_a_start_against_the_measured_motion_is_refused():
    assert Rule.ACCELERATION in rules(arc(-0.8, 0.0), EgoState(1.2, 0.0, 0.0))


def test_a_policy_that_says_its_cruising_speed_at_once_is_sane():
    assert rules(arc(0.8, 0.0), EgoState(0.0, 0.0, 0.0)) == set()


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_limit_that_limits_nothing_is_refused(value):
    with pytest.raises(ValueError, match="max_speed"):
        ValidatorLimits(max_speed=value)
