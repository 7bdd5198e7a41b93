"""The trackers against worked examples, a kinematic robot, and the geometry they are built on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_controller.tracker import HolonomicTracker, InternNavPd, Reference, make_reference
from wam_controller.trackers import make_tracker
from wam_models.se2 import advance, compose, constant_twist, relative, wrap
from wam_models.types import Trajectory

ZERO = np.zeros(3)
DT = 0.25

distance = st.floats(-3.0, 3.0)
turn = st.floats(-2.5, 2.5)
pose = st.tuples(distance, distance, turn)
step = st.tuples(st.floats(-0.3, 0.3), st.floats(-0.1, 0.1), st.floats(-0.3, 0.3))


def arc(speed: float, yaw_rate: float, points: int = 8, stamp: float = 100.0) -> Trajectory:
    """A trajectory along a circle (or a line), as a policy would give it."""
    poses = [advance((speed, 0.0, yaw_rate), DT * (i + 1)) for i in range(points)]
    return Trajectory(stamp, DT, np.array(poses))


@given(pose, st.lists(step, min_size=1, max_size=8))
def test_a_reference_passes_through_its_points_and_its_origin(origin, steps):
    poses = [(0.0, 0.0, 0.0)]
    for move in steps:
        poses.append(compose(poses[-1], move))
    reference = make_reference(Trajectory(5.0, DT, np.array(poses[1:])), np.array(origin))
    for i, local in enumerate(poses):
        expected = compose(origin, local)
        sampled, _ = reference.sample(i * DT)
        assert sampled[:2] == pytest.approx(expected[:2], abs=1e-8)
        assert wrap(sampled[2] - expected[2]) == pytest.approx(0.0, abs=1e-8)


def test_the_sampled_velocity_is_the_derivative_of_the_sampled_pose():
    reference = make_reference(arc(0.8, 0.6), np.array([1.0, -2.0, 2.0]))
    (before, velocity), (after, _) = reference.sample(0.60), reference.sample(0.601)
    assert constant_twist(relative(before, after), 0.001) == pytest.approx(velocity, abs=1e-6)
    assert velocity == pytest.approx((0.8, 0.0, 0.6), abs=1e-9)


def test_beyond_the_horizon_nothing_is_extrapolated():
    reference = make_reference(arc(0.8, 0.0), ZERO)
    assert reference.horizon == 2.0
    assert reference.sample(2.5) == (reference.sample(2.0)[0], (0.0, 0.0, 0.0))


@pytest.mark.parametrize(
    ("times", "poses", "rule"),
    [
        ([0.25, 0.25], np.zeros((2, 3)), "increase"),
        ([0.0, 0.25], np.zeros((2, 3)), "above 0"),
        ([0.25], np.full((1, 3), math.nan), "finite"),
        ([0.25], np.zeros((2, 3)), "as many"),
        ([], np.zeros((0, 3)), "at least one"),
    ],
)
def test_a_malformed_reference_is_refused_with_its_rule(times, poses, rule):
    with pytest.raises(ValueError, match=rule):
        Reference(0.0, np.array(times), poses, np.zeros((len(poses), 3)))


def test_on_the_reference_the_holonomic_tracker_commands_the_planned_velocity():
    reference = make_reference(arc(0.8, 0.6), np.array([1.0, 2.0, 0.5]))
    here, velocity = reference.sample(0.4)
    output = HolonomicTracker(lead=0.0).command(reference, 100.4, np.array(here), np.array(velocity))
    np.testing.assert_allclose(output.twist, [0.8, 0.0, 0.6], atol=1e-9)
    assert (output.cross_track, output.heading_error, output.age) == pytest.approx((0.0, 0.0, 0.4), abs=1e-9)


def test_the_feed_forward_is_taken_where_the_command_will_act():
    stop_after_half = Trajectory(0.0, 0.5, np.array([[0.4, 0.0, 0.0], [0.4, 0.0, 0.0]]))
    reference = make_reference(stop_after_half, ZERO)
    here, moving = np.array([0.32, 0.0, 0.0]), np.array([0.8, 0.0, 0.0])
    late = HolonomicTracker(lead=0.0).command(reference, 0.4, here, moving)
    early = HolonomicTracker(lead=0.2).command(reference, 0.4, here, moving)
    assert late.twist[0] == pytest.approx(0.8)
    assert early.twist[0] == pytest.approx(0.0)


def test_a_robot_left_of_the_plan_steps_right_in_its_own_frame():
    reference = make_reference(arc(0.8, 0.0), np.array([0.0, 0.0, math.pi / 2]))
    left_of_it = np.array([-0.2, 0.32, math.pi / 2])
    output = HolonomicTracker(lead=0.0).command(reference, 100.4, left_of_it, np.array([0.8, 0.0, 0.0]))
    assert output.cross_track == pytest.approx(0.2)
    np.testing.assert_allclose(output.twist, [0.8, -0.3, 0.0], atol=1e-9)


def test_the_planned_velocity_is_turned_into_the_robots_frame():
    reference = make_reference(arc(0.8, 0.0), ZERO)
    turned_left = np.array([0.32, 0.0, math.pi / 2])
    output = HolonomicTracker(lead=0.0, kp=(0, 0, 0), kd=(0, 0, 0)).command(reference, 100.4, turned_left, ZERO)
    np.testing.assert_allclose(output.twist, [0.0, -0.8, 0.0], atol=1e-9)
    assert output.heading_error == pytest.approx(math.pi / 2)


def test_the_velocity_error_is_damped_in_the_robots_frame():
    reference = make_reference(arc(0.8, 0.0), ZERO)
    turned_left, still = np.array([0.32, 0.0, math.pi / 2]), ZERO
    damped = HolonomicTracker(lead=0.0, kp=(0, 0, 0), kd=(0.5, 0.5, 0.0)).command(reference, 100.4, turned_left, still)
    np.testing.assert_allclose(damped.twist, [0.0, -0.8 - 0.4, 0.0], atol=1e-9)


@pytest.mark.parametrize(("name", "bound"), [("holonomic", 0.05), ("internnav_pd", 0.15)])
def test_a_tracker_pulls_a_displaced_robot_onto_a_curve(name, bound):
    tracker = make_tracker(name)
    reference = make_reference(arc(0.4, 0.1, points=24, stamp=0.0), ZERO)
    here, twist = (0.0, 0.3, 0.3), ZERO
    for tick in range(250):
        output = tracker.command(reference, tick * 0.02, np.array(here), twist)
        twist = twist + 0.2 * (output.twist - twist)  # a body with a lag of 0.1 s
        here = compose(here, advance(tuple(twist.tolist()), 0.02))
    assert abs(output.cross_track) < bound


@pytest.mark.parametrize(
    ("ahead", "turn_error", "expected"),
    [
        (0.25, 0.0, (0.5, 0.0)),
        (1.0, 0.0, (0.6, 0.0)),
        (-1.0, 0.0, (-0.6, 0.0)),
        (0.0, 0.0, (0.0, 0.0)),
        (0.0, math.radians(15), (0.0, 0.392699)),
        (0.0, math.radians(30), (0.0, 0.5)),
        (0.0, math.pi, (0.0, -0.5)),
    ],
)
def test_the_pd_law_with_the_clients_gains(ahead, turn_error, expected):
    assert InternNavPd().law(ahead, turn_error, 0.3, 0.2) == pytest.approx(expected, abs=1e-6)


def test_the_pd_law_with_derivative_gains():
    law = InternNavPd(kp_forward=1.0, kd_forward=0.1, kp_turn=1.0, kd_turn=1.0, max_speed=1.0, max_turn=1.2).law
    assert law(0.5, 0.2, 0.4, 0.1) == pytest.approx((0.46, 0.1))


def test_the_pd_tracker_never_reverses_and_never_steps_sideways():
    backwards = Trajectory(0.0, DT, np.array([[-0.1 * (i + 1), 0.0, 0.0] for i in range(8)]))
    output = InternNavPd().command(make_reference(backwards, ZERO), 0.1, ZERO, ZERO)
    assert output.twist[0] == 0.0
    assert output.twist[1] == 0.0


def test_the_pd_tracker_commands_the_planned_speed_on_the_plan():
    output = InternNavPd().command(make_reference(arc(0.5, 0.0), ZERO), 100.0, ZERO, ZERO)
    np.testing.assert_allclose(output.twist, [0.5, 0.0, 0.0], atol=1e-9)


def test_the_pd_tracker_turns_towards_a_target_beside_it_whatever_the_planned_yaw():
    sideways = Trajectory(0.0, DT, np.array([[0.0, 0.1 * (i + 1), 0.0] for i in range(8)]))
    output = InternNavPd().command(make_reference(sideways, ZERO), 0.0, ZERO, ZERO)
    assert output.twist[2] == 0.5


def test_an_unknown_tracker_is_named_with_the_choices():
    with pytest.raises(ValueError, match="holonomic, internnav_pd"):
        make_tracker("pid")
