"""What is being driven, seen from where the robot is now; how far a new plan jumps off it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_controller.tracker import make_reference
from wam_models.se2 import compose
from wam_models.types import Trajectory
from wam_planner.continuity import committed_points, jump


def bend(stamp: float = 10.0, speed: float = 0.8, rate: float = 0.4, points: int = 8, dt: float = 0.25) -> Trajectory:
    times = dt * np.arange(1, points + 1)
    x, y = speed / rate * np.sin(rate * times), speed / rate * (1 - np.cos(rate * times))
    return Trajectory(stamp, dt, np.stack([x, y, rate * times], axis=1))


@given(
    x=st.floats(-20, 20),
    y=st.floats(-20, 20),
    yaw=st.floats(-3, 3),
    lead=st.floats(0.0, 1.0),
    slip=st.floats(-0.2, 0.2),
)
def test_committed_points_are_the_same_places_from_another_pose(x, y, yaw, lead, slip):
    reference = make_reference(bend(), np.array([x, y, yaw]))
    pose = (x + 0.3 + slip, y - slip, yaw + slip)
    points = committed_points(reference, 10.0 + lead, pose, 0.25, 0.5)
    assert points.shape == (2, 3)
    for number, point in enumerate(points):
        wanted, _ = reference.sample(lead + 0.25 * (number + 1))
        assert compose(pose, tuple(point))[:2] == pytest.approx(wanted[:2], abs=1e-9)


def test_a_robot_on_its_plan_finds_the_rest_of_it_ahead():
    reference = make_reference(bend(), np.zeros(3))
    pose, _ = reference.sample(0.5)
    points = committed_points(reference, 10.5, pose, 0.25, 0.75)
    assert points == pytest.approx(bend().poses[:3], abs=1e-9)


@pytest.mark.parametrize(("lead", "seconds", "count"), [(0.0, 0.2, 0), (0.0, 0.25, 1), (1.6, 1.0, 1), (3.0, 1.0, 0)])
def test_only_whole_points_that_the_plan_reaches_are_committed(lead, seconds, count):
    points = committed_points(make_reference(bend(), np.zeros(3)), 10.0 + lead, (0.0, 0.0, 0.0), 0.25, seconds)
    assert (0 if points is None else len(points)) == count


def test_a_jump_is_measured_where_the_second_plan_takes_over():
    first = make_reference(bend(), np.zeros(3))
    pose, _ = first.sample(0.2)
    same = make_reference(Trajectory(10.2, 0.2, np.array([[0.16, 0.0, 0.08]])), np.array(pose))
    assert jump(first, first, 10.7) == 0.0
    assert jump(first, same, 10.2) == pytest.approx(0.0, abs=1e-9)
    aside = make_reference(bend(), np.array([0.0, 0.3, 0.0]))
    assert jump(first, aside, 10.9) == pytest.approx(0.3)
    assert math.isfinite(jump(first, aside, 99.0))
