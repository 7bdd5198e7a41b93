"""Limits keep the direction of a twist and only shorten it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wam_controller.limits import AccelerationLimits, HolonomicLimits, LimitHit, Motion, VelocityLimits

VELOCITY = VelocityLimits(vx_min=-0.3, vx_max=1.2, vy_max=0.4, yaw_rate_max=1.2)
ACCELERATION = AccelerationLimits(linear=1.5, angular=3.0)
component = st.floats(-10.0, 10.0)
twists = st.tuples(component, component, component).map(np.array)


@given(twists)
def test_a_limited_twist_is_within_every_bound(twist):
    limited, _ = VELOCITY.apply(twist)
    assert VELOCITY.excess(limited) <= 1e-9


@given(twists)
def test_a_twist_is_scaled_as_a_whole(twist):
    limited, hit = VELOCITY.apply(twist)
    assume(np.linalg.norm(twist) > 1e-3)
    ratio = np.linalg.norm(limited) / np.linalg.norm(twist)
    np.testing.assert_allclose(limited, ratio * twist, atol=1e-9)
    assert (hit is LimitHit.NONE) == (ratio == pytest.approx(1.0, abs=1e-12))


@pytest.mark.parametrize(
    ("twist", "expected", "hit"),
    [
        ([1.2, 0.4, -1.2], [1.2, 0.4, -1.2], LimitHit.NONE),
        ([2.4, 0.2, 0.6], [1.2, 0.1, 0.3], LimitHit.VX),
        ([-0.6, 0.0, 1.0], [-0.3, 0.0, 0.5], LimitHit.VX),
        ([0.5, -0.8, 0.0], [0.25, -0.4, 0.0], LimitHit.VY),
        ([0.6, 0.0, -2.4], [0.3, 0.0, -1.2], LimitHit.YAW_RATE),
        ([2.4, 0.8, 4.8], [0.6, 0.2, 1.2], LimitHit.VX | LimitHit.VY | LimitHit.YAW_RATE),
    ],
)
def test_the_report_names_each_limit_that_bit(twist, expected, hit):
    limited, reported = VELOCITY.apply(np.array(twist))
    np.testing.assert_allclose(limited, expected)
    assert reported == hit


def test_a_direction_the_robot_does_not_have_is_dropped_and_the_rest_kept():
    no_reverse_no_side = VelocityLimits(vx_min=0.0, vx_max=1.0, vy_max=0.0, yaw_rate_max=1.0)
    limited, hit = no_reverse_no_side.apply(np.array([-0.01, 0.2, 0.8]))
    np.testing.assert_allclose(limited, [0.0, 0.0, 0.8])
    assert hit == LimitHit.VX | LimitHit.VY


def test_limits_read_as_one_line():
    assert str(VELOCITY) == "vx -0.3 to 1.2 m/s, vy 0.4 m/s, yaw rate 1.2 rad/s"


def test_the_excess_is_that_of_the_worst_component():
    assert VELOCITY.excess(np.array([1.5, -0.9, 0.0])) == pytest.approx(0.5)
    assert VELOCITY.excess(np.array([0.0, 0.0, 0.0])) < 0.0


@given(twists, twists, st.floats(0.001, 0.1))
def test_no_component_changes_faster_than_its_acceleration(target, previous, seconds):
    following, _ = ACCELERATION.apply(target, previous, seconds)
    change = np.abs(following - previous)
    assert (change <= np.array([1.5, 1.5, 3.0]) * seconds + 1e-9).all()


@given(twists, twists, st.floats(0.001, 0.1))
def test_the_change_points_at_the_target_and_never_overshoots(target, previous, seconds):
    following, hit = ACCELERATION.apply(target, previous, seconds)
    remaining, whole = np.linalg.norm(target - following), np.linalg.norm(target - previous)
    travelled = np.linalg.norm(following - previous)
    assert travelled + remaining == pytest.approx(whole, abs=1e-9)
    assert (hit is LimitHit.NONE) == np.array_equal(following, target)


def test_a_ramp_to_zero_keeps_the_curvature_and_arrives():
    twist = np.array([1.2, 0.0, 0.6])
    for _ in range(39):
        twist, hit = ACCELERATION.apply(np.zeros(3), twist, 0.02)
        assert twist[2] / twist[0] == pytest.approx(0.5)
        assert hit is LimitHit.ACCELERATION
    twist, _ = ACCELERATION.apply(np.zeros(3), twist, 0.02)
    np.testing.assert_allclose(twist, 0.0, atol=1e-12)


def test_the_brake_of_a_robot_has_a_ramp_of_its_own_where_one_is_given():
    walking = Motion(np.array([1.0, 0.0, 0.0]))
    gentle, hard = HolonomicLimits(), HolonomicLimits(deceleration=AccelerationLimits(2.5, 6.0))
    for limits, rate in ((gentle, 1.5), (hard, 2.5)):
        motion, hit = limits.brake(walking, 0.02)
        np.testing.assert_allclose(motion.twist, [1.0 - rate * 0.02, 0.0, 0.0])
        assert hit is LimitHit.ACCELERATION
        again, _ = limits.ramp(np.array([1.0, 0.0, 0.0]), motion, 0.005)
        assert again.twist[0] == pytest.approx(motion.twist[0] + 1.5 * 0.005)
    assert str(hard) == str(VelocityLimits())


def test_no_time_allows_no_change():
    following, hit = ACCELERATION.apply(np.ones(3), np.zeros(3), 0.0)
    np.testing.assert_array_equal(following, np.zeros(3))
    assert hit is LimitHit.ACCELERATION


@pytest.mark.parametrize(
    "settings",
    [
        {"vx_min": 0.1},
        {"vx_max": -0.1},
        {"vx_max": math.inf},
        {"vx_min": math.nan},
        {"vy_max": -1.0},
        {"yaw_rate_max": math.nan},
    ],
)
def test_velocity_limits_that_limit_nothing_are_refused(settings):
    with pytest.raises(ValueError, match="got"):
        VelocityLimits(**settings)


@pytest.mark.parametrize("settings", [{"linear": 0.0}, {"angular": -1.0}, {"linear": math.inf}, {"angular": math.nan}])
def test_acceleration_limits_that_could_never_stop_are_refused(settings):
    with pytest.raises(ValueError, match="above 0"):
        AccelerationLimits(**settings)
