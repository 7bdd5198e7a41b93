"""Open-loop scores against truths that are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_models.data.findings import Findings
from wam_models.data.track import Track
from wam_models.evaluation.replay import PlanOutcome, compare, jumps, score, side_by_side

TIMES = 0.25 * np.arange(1, 9)


def arc(times, speed=1.0, yaw_rate=0.0, start=(0.0, 0.0, 0.0)):
    """(T, 3) of who drives a circle from `start` on."""
    yaw = start[2] + yaw_rate * times
    if abs(yaw_rate) < 1e-9:
        x, y = start[0] + speed * times * math.cos(start[2]), start[1] + speed * times * math.sin(start[2])
    else:
        x = start[0] + speed / yaw_rate * (np.sin(yaw) - math.sin(start[2]))
        y = start[1] - speed / yaw_rate * (np.cos(yaw) - math.cos(start[2]))
    return np.stack([x, y, yaw], axis=1)


def track(**motion):
    stamps = np.arange(0.0, 10.0, 0.01)
    return Track(stamps, arc(stamps, **motion))


def outcome(poses, stamp=1.0, pose=None, **more):
    return PlanOutcome(stamp, np.array([stamp, 0.0, 0.0]) if pose is None else pose, TIMES, poses, **more)


@given(st.floats(0.5, 2.0), st.floats(-1.0, 1.0), st.floats(-3.0, 3.0))
def test_the_plan_that_was_driven_has_no_error(speed, yaw_rate, heading):
    driven = track(speed=speed, yaw_rate=yaw_rate, start=(2.0, -1.0, heading))
    found = compare(outcome(arc(TIMES, speed, yaw_rate), pose=driven.at(np.array([1.0]))[0]), driven)
    assert found.errors.max() < 2e-4 and found.headings.max() < 0.02
    assert np.isnan(found.angles).all() or found.angles.max() < 0.1


def test_a_plan_to_the_side_is_off_by_its_distance_and_its_angle():
    found = score([[plan := outcome(arc(TIMES, start=(0, 0, math.pi / 4)))]], [[compare(plan, track())]])
    chord = 2 * math.sin(math.pi / 8)
    assert found.fde == pytest.approx(2.0 * chord) and found.ade == pytest.approx(1.125 * chord)
    assert found.error == {"1": pytest.approx(chord), "2": pytest.approx(2.0 * chord)}
    assert found.maoe == pytest.approx(45.0) and found.heading == pytest.approx(45.0)


def test_the_largest_angle_counts_and_not_the_mean():
    poses = arc(TIMES)
    poses[2, 1] = poses[2, 0]  # 45 degrees at one point
    found = score([[outcome(poses)]], [[compare(outcome(poses), track())]])
    assert found.maoe == pytest.approx(45.0)


def test_who_stands_has_an_error_but_no_angle():
    found = score([[plan := outcome(arc(TIMES), pose=np.zeros(3))]], [[compare(plan, track(speed=0.0))]])
    assert found.maoe is None and found.fde == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("motion", "name"),
    [
        ({}, "straight"),
        ({"speed": 0.0}, "standing"),
        ({"yaw_rate": 0.4}, "left"),
        ({"yaw_rate": -0.4}, "right"),
        ({"speed": -0.5}, "backwards"),
    ],
)
def test_what_the_robot_did_has_a_name(motion, name):
    driven = track(**motion)
    assert compare(outcome(arc(TIMES), pose=driven.at(np.array([1.0]))[0]), driven).motion == name


def test_plans_beyond_the_recording_or_into_a_hole_are_not_scored():
    stamps = np.concatenate([np.arange(0.0, 3.0, 0.1), np.arange(5.0, 9.0, 0.1)])
    findings = Findings()
    driven = Track(stamps, arc(stamps), findings)
    starts = (0.5, 2.0, 5.5, 8.0)
    assert [compare(outcome(arc(TIMES), stamp=at), driven) is not None for at in starts] == [True, False, True, False]
    assert [(each.kind, each.count) for each in findings] == [("odometry_gap", 1)]


def test_odometry_that_is_wrong_is_named_and_left_out():
    stamps = [0.0, 0.1, 0.2, 0.15, 0.3, 0.4, 0.5]
    poses = [(float(10 * stamp), 0.0, 0.0) for stamp in stamps]
    poses[2], poses[5] = (math.nan, 0.0, 0.0), (500.0, 0.0, 0.0)
    findings = Findings()
    driven = Track(stamps, poses, findings)
    assert {each.kind: each.count for each in findings} == {"odometry_not_finite": 1, "odometry_leap": 2}
    assert driven.at(np.array([0.05, 0.35]))[0, 0] == pytest.approx(0.5)
    assert np.isnan(driven.at(np.array([0.35]))).all()


def test_one_plan_that_the_next_one_continues_makes_no_jump():
    first, second = outcome(arc(TIMES), stamp=1.0), outcome(arc(TIMES), stamp=1.5)
    beside = outcome(arc(TIMES, start=(0.0, 0.3, 0.0)), stamp=2.0)
    assert jumps([first, second, beside]) == pytest.approx([0.0, 0.3])
    assert len(jumps([first, outcome(arc(TIMES), stamp=9.0)])) == 0


def test_what_is_refused_or_rejected_is_counted_and_not_scored():
    runs = [
        outcome(arc(TIMES)),
        outcome(arc(TIMES), violations=("speed", "start")),
        PlanOutcome(1.0, np.zeros(3), refusal="goal_missing"),
    ]
    found = score([runs], [[compare(each, track()) for each in runs]])
    assert (found.plans, found.scored) == (1, 1)
    assert found.refusals == {"goal_missing": 1} and found.violations == {"speed": 1, "start": 1}


def test_policies_are_held_against_each_other_where_both_have_a_plan_and_as_far_as_both_reach():
    driven = track()
    exact = [outcome(arc(TIMES), stamp, np.array([stamp, 0.0, 0.0])) for stamp in (1.0, 2.0, 3.0)]
    short = TIMES[:4]
    aside = arc(short) + np.array([0.0, 0.5, 0.0])
    late = [PlanOutcome(stamp, np.array([stamp, 0.0, 0.0]), short, aside) for stamp in (2.0, 3.0, 4.0)]
    silent = [outcome(None, 2.0, refusal="goal_missing")]
    one, other, third = ([[(each, compare(each, driven)) for each in outcomes]] for outcomes in (exact, late, silent))
    found = side_by_side(one, other)
    assert (found.moments, found.seconds) == (2, 1.0)
    assert found.ades == (pytest.approx(0.0, abs=1e-3), pytest.approx(0.46, abs=0.03))
    assert found.fdes[1] == pytest.approx(0.5)
    assert side_by_side(one, third) is None
