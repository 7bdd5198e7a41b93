"""Odometry is known at the instant of an image, or not at all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_models.se2 import advance, wrap
from wam_planner.odometry_history import Fault, OdometryHistory

CIRCLE = (0.8, 0.0, 0.6)


def driven(samples: int = 50, period: float = 0.02, twist=CIRCLE) -> OdometryHistory:
    """One second along a circle, stamped from 10.0 s on."""
    history = OdometryHistory(tolerance=0.1, future_tolerance=0.05)
    for i in range(samples):
        stamp = 10.0 + i * period
        assert history.add(stamp, stamp, advance(twist, i * period), twist) is None
    return history


@given(st.floats(0.0, 0.98))
def test_between_samples_it_follows_the_arc(seconds):
    motion = driven().at(10.0 + seconds)
    x, y, yaw = advance(CIRCLE, seconds)
    assert motion.pose[:2] == pytest.approx((x, y), abs=1e-9)
    assert wrap(motion.pose[2] - yaw) == pytest.approx(0.0, abs=1e-9)
    assert motion.twist == pytest.approx(CIRCLE)


def test_yaw_is_interpolated_the_short_way_round():
    history = OdometryHistory(0.1, 0.05)
    history.add(1.0, 1.0, (0.0, 0.0, math.pi - 0.01), (0.0, 0.0, 0.0))
    history.add(1.1, 1.1, (0.0, 0.0, -math.pi + 0.01), (0.0, 0.0, 0.0))
    assert abs(history.at(1.05).pose[2]) == pytest.approx(math.pi)


def test_a_little_past_the_newest_sample_the_twist_carries_on():
    assert driven().at(11.03).pose == pytest.approx(advance(CIRCLE, 1.03))


def test_far_from_every_sample_nothing_is_known():
    history = driven()
    assert history.at(11.2) is None
    assert history.at(9.99) is None
    history.add(20.0, 20.0, (0.0, 0.0, 0.0), CIRCLE)
    assert history.at(15.0) is None
    assert OdometryHistory(0.1, 0.05).at(1.0) is None


def test_the_acceleration_is_that_of_the_last_tenth_of_a_second():
    history = OdometryHistory(0.1, 0.05)
    for i in range(20):
        history.add(10.0, i * 0.02, (0.0, 0.0, 0.0), (1.5 * i * 0.02, 0.0, 0.0))
    assert history.at(0.30).acceleration == pytest.approx((1.5, 0.0, 0.0))
    assert history.at(0.05).acceleration == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("where", range(7))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_one_bad_number_refuses_the_sample(where, value):
    numbers = [1.0] * 7
    numbers[where] = value
    history = OdometryHistory(0.1, 0.05)
    assert history.add(1.0, numbers[0], tuple(numbers[1:4]), tuple(numbers[4:])) is Fault.NOT_FINITE
    assert len(history) == 0


def test_stamps_from_the_future_and_out_of_order_are_refused():
    history = driven()
    assert history.add(11.0, 11.2, (0.0, 0.0, 0.0), CIRCLE) is Fault.FUTURE
    assert history.add(11.0, 10.5, (0.0, 0.0, 0.0), CIRCLE) is Fault.OUT_OF_ORDER
    assert history.add(11.0, history.newest.stamp, (0.0, 0.0, 0.0), CIRCLE) is Fault.OUT_OF_ORDER
    assert len(history) == 50


def test_a_source_that_begins_anew_is_followed():
    history = driven()
    assert history.add(2.0, 2.0, (5.0, 0.0, 0.0), CIRCLE) is None
    assert (len(history), history.newest.stamp) == (1, 2.0)


def test_it_does_not_grow_without_end():
    assert len(driven(samples=1000)) < 260
