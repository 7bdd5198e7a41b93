"""What is being driven, seen from where the robot is now; how far a new plan jumps off it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_controller.tracker import make_reference
from wam_models.policy import Policy
from wam_models.se2 import compose
from wam_models.types import EgoState, Observation, Plan, Refusal, RefusalReason, Trajectory
from wam_planner.continuity import PlanChain, committed_points, jump
from wam_planner.plan_validator import Rule, ValidatorLimits


def bend(stamp: float = 10.0, speed: float = 0.8, rate: float = 0.4, points: int = 8, dt: float = 0.25) -> Trajectory:
    times = dt * np.arange(1, points + 1)
    x, y = speed / rate * np.sin(rate * times), speed / rate * (1 - np.cos(rate * times))
    return Trajectory(stamp, dt, np.stack([x, y, rate * times], axis=1))


class Scripted(Policy):
    """Gives its answers one after the other. told: what it was to keep, each time."""

    def __init__(self, *answers: Plan | Refusal | Exception) -> None:
        self._answers = list(answers)
        self.told: list[np.ndarray | None] = []
        self.seeds: list[int] = []

    def plan(self, observation: Observation) -> Plan | Refusal:
        self.told.append(observation.committed)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def reset(self, seed: int = 0) -> None:
        self.seeds.append(seed)


def chain(policy: Policy, commit: float = 0.5) -> PlanChain:
    return PlanChain(policy, ValidatorLimits(), dt=0.25, commit=commit)


def seen(stamp: float) -> Observation:
    frames = np.zeros((1, 1, 4, 6, 3), np.uint8)
    return Observation(frames, np.array([stamp]), ("front",), EgoState(0.8, 0.0, 0.0, 0.0, 0.0), "walk")


def plan(trajectory: Trajectory) -> Plan:
    return Plan(trajectory, trajectory.poses[None], np.ones(1), {}, "test@1+0")


ORIGIN = (0.0, 0.0, 0.0)
TOO_FAST = plan(bend(10.1, speed=9.0, rate=0.1))
REFUSAL = Refusal(RefusalReason.GOAL_MISSING, "publish one on `goal`")


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


def test_a_plan_is_told_what_of_the_last_one_is_being_driven():
    reference = make_reference(bend(10.0), np.zeros(3))
    policy = Scripted(plan(bend(10.0)), plan(bend(10.2)))
    plans = chain(policy)
    assert plans.plan(seen(10.0), ORIGIN).violations == ()
    pose, _ = reference.sample(0.2)
    plans.plan(seen(10.2), pose)
    assert policy.told[0] is None
    assert policy.told[1] == pytest.approx(committed_points(reference, 10.2, pose, 0.25, 0.5))


@pytest.mark.parametrize("commit", [0.0, 0.2])
def test_nothing_is_told_of_the_last_plan_where_no_point_of_it_is_to_be_kept(commit):
    policy = Scripted(plan(bend(10.0)), plan(bend(10.1)))
    plans = chain(policy, commit)
    plans.plan(seen(10.0), ORIGIN)
    plans.plan(seen(10.1), (0.08, 0.0, 0.0))
    assert policy.told == [None, None]


@pytest.mark.parametrize(("lead", "kept"), [(0.1, True), (0.2, False)])  # s; the plan is 0.08 or 0.16 m ahead
def test_a_robot_that_is_held_keeps_nothing_of_a_plan_it_does_not_drive(lead, kept):
    policy = Scripted(plan(bend(10.0)), plan(bend(10.0 + lead)))
    plans = chain(policy)
    plans.plan(seen(10.0), ORIGIN)
    plans.plan(seen(10.0 + lead), ORIGIN)
    assert (policy.told[1] is not None) == kept


def test_a_plan_that_was_rejected_leaves_nothing_to_keep():
    policy = Scripted(plan(bend(10.0)), TOO_FAST, plan(bend(10.1)))
    plans = chain(policy)
    plans.plan(seen(10.0), ORIGIN)
    rejected = plans.plan(seen(10.1), ORIGIN)
    assert rejected.plan is TOO_FAST
    assert Rule.SPEED in [violation.rule for violation in rejected.violations]
    plans.plan(seen(10.1), ORIGIN)
    assert policy.told[2] is None


def test_a_policy_without_an_answer_leaves_the_plan_before_being_driven():
    policy = Scripted(plan(bend(10.0)), REFUSAL, RuntimeError("CUDA error"), plan(bend(10.1)))
    plans = chain(policy)
    plans.plan(seen(10.0), ORIGIN)
    assert plans.plan(seen(10.1), ORIGIN) is REFUSAL
    with pytest.raises(RuntimeError, match="CUDA"):
        plans.plan(seen(10.1), ORIGIN)
    plans.plan(seen(10.1), ORIGIN)
    assert policy.told[3] == pytest.approx(policy.told[1])


def test_a_reset_reaches_the_policy_and_nothing_from_before_it_is_continued():
    policy = Scripted(plan(bend(10.0)), plan(bend(10.1)))
    plans = chain(policy)
    plans.plan(seen(10.0), ORIGIN)
    plans.reset(7)
    plans.plan(seen(10.1), ORIGIN)
    assert policy.seeds == [7]
    assert policy.told[1] is None


def test_a_bag_that_begins_anew_continues_no_plan_of_its_last_time_round():
    policy = Scripted(plan(bend(10.0)), plan(bend(4.0)))
    plans = chain(policy)
    plans.plan(seen(10.0), ORIGIN)
    plans.plan(seen(4.0), ORIGIN)
    assert policy.told == [None, None]
