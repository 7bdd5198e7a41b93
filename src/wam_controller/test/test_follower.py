"""Which plans the controller follows, and when it keeps silent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wam_controller.control_loop import ControlLoop
from wam_controller.follower import Follower, FollowerConfig, Placed
from wam_controller.limits import HolonomicLimits
from wam_controller.plan_freshness import FreshnessLimits, Level
from wam_controller.tracker import HolonomicTracker, make_reference
from wam_models.types import Trajectory

TICK = 0.02


def straight(stamp: float, epoch: int = 7, frame: str = "odom") -> Placed:
    poses = np.array([[0.8 * 0.25 * (i + 1), 0.0, 0.0] for i in range(8)])
    return Placed(make_reference(Trajectory(stamp, 0.25, poses), np.zeros(3)), epoch, frame, "test@1+0")


class Controller:
    """A follower with a clock, and odometry that goes on by itself."""

    def __init__(self) -> None:
        loop = ControlLoop(HolonomicTracker(), FreshnessLimits(), HolonomicLimits())
        self.follower = Follower(loop, FollowerConfig())
        self.now = 100.0

    def run(self, seconds: float, odometry: bool = True, planners: int = 1, engaged: bool = True, frame: str = "odom"):
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            if odometry:
                self.follower.on_odometry(self.now, self.now, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), frame)
            output, reason = self.follower.step(self.now, planners, engaged)
        return output, reason

    def plan(self, **settings) -> str:
        return self.follower.on_plan(self.now, straight(self.now, **settings))


@pytest.fixture
def controller() -> Controller:
    return Controller()


def test_it_follows_a_plan_and_has_nothing_to_explain(controller):
    controller.plan()
    output, reason = controller.run(0.4)
    assert (output.level, reason) == (Level.FULL, "")
    assert output.twist[0] > 0.4
    assert controller.follower.model_id == "test@1+0"


def test_without_a_plan_it_says_so(controller):
    output, reason = controller.run(0.2)
    assert not output.twist.any()
    assert reason == "no plan yet"
    assert controller.follower.model_id == ""


def test_an_old_plan_is_named_with_its_age(controller):
    controller.plan()
    assert controller.run(0.8)[1] == "the plan is 0.80 s old"


@pytest.mark.parametrize(
    ("circumstance", "words"),
    [
        ({"odometry": False}, "odometry is 0."),
        ({"planners": 2}, "2 planners"),
        ({"frame": "map"}, "they must agree"),
    ],
)
def test_what_keeps_it_from_following_is_named_and_stops_it(controller, circumstance, words):
    controller.plan()
    before, _ = controller.run(0.4)
    controller.plan()
    output, reason = controller.run(0.5, **circumstance)
    assert words in reason
    assert output.level is Level.STOP
    assert output.twist[0] < before.twist[0] - 0.1


def test_before_the_first_odometry_it_says_so(controller):
    controller.plan()
    assert controller.run(0.1, odometry=False)[1] == "no odometry yet"


@pytest.mark.parametrize("where", range(7))
def test_odometry_with_one_nan_is_not_taken(controller, where):
    numbers = [controller.now] + [0.0] * 6
    numbers[where] = math.nan
    fault = controller.follower.on_odometry(controller.now, numbers[0], tuple(numbers[1:4]), tuple(numbers[4:]), "odom")
    assert "NaN" in fault
    controller.plan()
    assert controller.run(0.1, odometry=False)[1] == "no odometry yet"


def test_stamps_from_the_future_are_not_taken(controller):
    assert "future" in controller.follower.on_plan(controller.now, straight(controller.now + 1.0))
    zero = (0.0, 0.0, 0.0)
    assert "future" in controller.follower.on_odometry(controller.now, controller.now + 1.0, zero, zero, "odom")
    assert controller.follower.plans_dropped == 1


def test_a_plan_that_is_not_newer_is_dropped(controller):
    controller.plan()
    assert "not newer" in controller.plan()
    assert controller.follower.plans_dropped == 1


def test_after_a_reset_leftovers_are_dropped_and_new_plans_followed(controller):
    controller.plan(epoch=2**32 - 1)
    controller.run(0.1)
    assert controller.plan(epoch=0) == ""
    controller.run(0.1)
    assert "left over" in controller.plan(epoch=2**32 - 1)
    assert not controller.follower.silent
    assert controller.run(0.1)[0].level is Level.FULL


def test_several_resets_between_two_plans_are_still_the_same_planner(controller):
    controller.plan(epoch=7)
    controller.run(0.1)
    assert controller.plan(epoch=12) == ""
    assert not controller.follower.silent


def test_a_plan_of_another_planner_silences_it_until_the_gate_is_disengaged(controller):
    controller.plan(epoch=500_000)
    controller.run(0.5)
    assert controller.plan(epoch=123456) == ""
    output, reason = controller.run(0.6)
    assert controller.follower.silent
    assert not output.twist.any()
    assert "another planner" in reason
    controller.plan(epoch=123456)
    output, reason = controller.run(0.1, engaged=False)
    assert not controller.follower.silent
    assert (output.level, reason) == (Level.FULL, "")


def test_a_clock_that_went_back_does_not_block_new_plans(controller):
    controller.plan()
    controller.now = 3.0
    assert controller.plan() == ""


def test_after_a_reset_of_its_own_it_holds_nothing(controller):
    controller.plan()
    controller.run(0.3)
    controller.follower.reset()
    output, reason = controller.run(TICK)
    assert not output.twist.any()
    assert reason == "no plan yet"


@pytest.mark.parametrize("settings", [{"odometry_timeout": 0.0}, {"future_tolerance": -1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=r"must be"):
        FollowerConfig(**settings)
