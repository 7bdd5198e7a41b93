"""One tick of the controller: what it commands with a plan, without one, and with data it must not use."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wam_controller.control_loop import ControlLoop
from wam_controller.limits import HolonomicLimits, LimitHit, Motion
from wam_controller.plan_freshness import FreshnessLimits, Level
from wam_controller.tracker import make_reference
from wam_controller.trackers import make_tracker
from wam_models.types import Trajectory

ZERO = np.zeros(3)
TICK = 0.02


def straight(speed: float = 0.8, stamp: float = 0.0):
    poses = np.array([[speed * 0.25 * (i + 1), 0.0, 0.0] for i in range(8)])
    return make_reference(Trajectory(stamp, 0.25, poses), ZERO)


@pytest.fixture
def loop() -> ControlLoop:
    return ControlLoop(make_tracker("holonomic"), FreshnessLimits(), HolonomicLimits())


def drive(loop: ControlLoop, seconds: float, reference=None, start: float = 0.0):
    """Ticks along the reference (the robot is always where the plan says) and returns every output."""
    outputs = []
    for i in range(round(seconds / TICK)):
        now = start + i * TICK
        here, moving = (ZERO, ZERO) if reference is None else map(np.array, reference.sample(now - reference.stamp))
        outputs.append(loop.step(now, reference, here, moving))
    return outputs


def test_it_ramps_up_to_the_planned_speed(loop):
    outputs = drive(loop, 0.5, straight())
    speeds = [output.twist[0] for output in outputs]
    assert speeds[0] == 0.0
    assert max(np.diff(speeds)) <= 1.5 * TICK + 1e-9
    assert outputs[1].limits_hit is LimitHit.ACCELERATION
    assert speeds[-1] == pytest.approx(outputs[-1].requested[0] * 1.0, abs=0.1)


def test_an_ageing_plan_slows_then_stops_the_robot(loop):
    outputs = drive(loop, 1.6, straight())
    levels = [output.level for output in outputs]
    assert [levels[round(t / TICK)] for t in (0.4, 0.8, 1.2)] == [Level.FULL, Level.SLOW, Level.STOP]
    assert outputs[round(0.8 / TICK)].twist[0] < 0.5
    np.testing.assert_array_equal(outputs[-1].twist, ZERO)


def test_without_a_plan_it_says_zero_and_has_nothing_to_report(loop):
    output = drive(loop, 0.1)[-1]
    np.testing.assert_array_equal(output.twist, ZERO)
    assert output.level is Level.STOP
    assert math.isnan(output.plan_age)
    assert math.isnan(output.cross_track)


def test_when_the_plan_is_taken_away_it_ramps_to_zero(loop):
    drive(loop, 0.5, straight())
    speeds = [output.twist[0] for output in drive(loop, 0.8, None, start=0.5)]
    assert speeds[0] > 0.5
    assert min(np.diff(speeds)) >= -1.5 * TICK - 1e-9
    assert speeds[-1] == 0.0


@pytest.mark.parametrize("bad", [np.array([math.nan, 0.0, 0.0]), np.array([0.0, math.inf, 0.0])])
def test_a_pose_or_twist_that_is_not_finite_is_never_tracked(loop, bad):
    for pose, twist in ((bad, ZERO), (ZERO, bad)):
        output = loop.step(0.1, straight(), pose, twist)
        assert output.level is Level.STOP
        np.testing.assert_array_equal(output.twist, ZERO)


def test_the_twist_is_limited_as_a_whole_and_says_so(loop):
    output = drive(loop, 1.0, straight(speed=3.0, stamp=0.6))[-1]
    assert output.requested[0] > 2.0
    assert output.twist[0] <= 1.2
    assert LimitHit.VX in output.limits_hit


def test_a_clock_that_jumps_changes_the_command_by_one_late_tick_at_most(loop):
    outputs = drive(loop, 0.3, straight())
    back = loop.step(-50.0, None, ZERO, ZERO)
    np.testing.assert_array_equal(back.twist, outputs[-1].twist)
    forward = loop.step(5000.0, None, ZERO, ZERO)
    assert forward.twist[0] >= outputs[-1].twist[0] - 1.5 * 0.1 - 1e-9


def test_after_a_reset_it_starts_from_zero(loop):
    drive(loop, 0.5, straight())
    loop.reset()
    np.testing.assert_array_equal(loop.step(0.5, straight(), ZERO, ZERO).twist, ZERO)


def test_a_robot_that_moves_already_is_not_braked_at_its_first_plan(loop):
    moving = np.array([0.8, 0.0, 0.0])
    assert loop.step(0.0, straight(), ZERO, moving).twist[0] == 0.0
    loop.reset(Motion(moving))
    assert loop.step(0.0, straight(), ZERO, moving).twist[0] == pytest.approx(0.8)
