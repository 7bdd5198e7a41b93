"""The robot's words in ROS conventions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transforms3d.euler import euler2quat

from wam_go2.adapter import BridgeLimits, RobotClock, VelocityFrameCheck, odometry

finite = st.floats(-50.0, 50.0)
angle = st.floats(-math.pi, math.pi)


def test_turned_left_and_walking_along_odom_y_is_walking_forward():
    quaternion = euler2quat(0.0, 0.0, math.pi / 2).tolist()
    sample = odometry([1.0, 2.0, 0.3], quaternion, [0.0, 0.6, 0.0], 0.1, "odom")
    assert sample.linear == pytest.approx([0.6, 0.0, 0.0])
    assert sample.yaw_rate == 0.1
    assert odometry([1.0, 2.0, 0.3], quaternion, [0.6, 0.0, 0.0], 0.1, "base_link").linear == pytest.approx([0.6, 0, 0])


@given(angle, finite, finite)
def test_turning_the_velocity_changes_its_direction_only(yaw, vx, vy):
    sample = odometry([0.0] * 3, euler2quat(0.0, 0.0, yaw).tolist(), [vx, vy, 0.0], 0.0, "odom")
    assert math.hypot(*sample.linear[:2]) == pytest.approx(math.hypot(vx, vy), abs=1e-9)
    forward = np.array([math.cos(yaw), math.sin(yaw)])
    assert sample.linear[0] == pytest.approx(forward @ [vx, vy], abs=1e-9)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("field", range(4))
def test_a_state_that_is_not_finite_gives_no_odometry(field, value):
    state = [[0.0] * 3, [1.0, 0.0, 0.0, 0.0], [0.0] * 3, 0.0]
    state[field] = value if field == 3 else [value, *state[field][1:]]
    with pytest.raises(ValueError, match="not finite"):
        odometry(*state, "odom")


def test_an_orientation_of_zeros_gives_no_odometry():
    with pytest.raises(ValueError, match="no rotation"):
        odometry([0.0] * 3, [0.0] * 4, [0.0] * 3, 0.0, "odom")


def test_an_unknown_frame_is_refused():
    with pytest.raises(ValueError, match="velocity_frame"):
        odometry([0.0] * 3, [1.0, 0.0, 0.0, 0.0], [0.0] * 3, 0.0, "world")


@pytest.mark.parametrize("truth", ["odom", "base_link"])
@pytest.mark.parametrize("setting", ["odom", "base_link"])
def test_a_wrong_velocity_frame_is_noticed_while_walking(truth, setting):
    check, wrong, yaw, position = VelocityFrameCheck(setting), [], 1.2, np.zeros(3)
    for i in range(500):
        forward = np.array([math.cos(yaw), math.sin(yaw), 0.0])
        velocity = 0.6 * forward if truth == "odom" else np.array([0.6, 0.0, 0.0])
        sample = odometry(position.tolist(), euler2quat(0.0, 0.0, yaw).tolist(), velocity.tolist(), 0.2, setting)
        wrong.append(check.offer(0.02 * i, sample))
        position, yaw = position + 0.02 * 0.6 * forward, yaw + 0.02 * 0.2
    assert not wrong[50]
    assert wrong[-1] == (truth != setting)


def test_a_robot_at_rest_gives_no_opinion_on_the_frame():
    check = VelocityFrameCheck("odom")
    sample = odometry([0.0] * 3, euler2quat(0.0, 0.0, 1.0).tolist(), [0.01, 0.02, 0.0], 0.0, "odom")
    assert not any(check.offer(0.02 * i, sample) for i in range(1000))


def test_stamps_of_the_robot_lose_the_jitter_of_their_arrival():
    clock, rng = RobotClock(), np.random.default_rng(0)
    arrivals = []
    for i in range(1000):
        measured = 0.02 * i
        arrival = measured + 0.001 + rng.exponential(0.01)
        arrivals.append((measured, clock.to_host(measured + 5e8, arrival), arrival))
    settled = arrivals[200:]
    assert max(abs(host - measured - 0.001) for measured, host, _ in settled) < 2e-3
    assert all(host <= arrival + 1e-6 for _, host, arrival in arrivals)


def test_a_restarted_robot_clock_is_followed_at_once():
    clock = RobotClock()
    for i in range(100):
        clock.to_host(1000.0 + 0.02 * i, 0.02 * i)
    assert clock.to_host(3.0, 2.5) == pytest.approx(2.5)
    assert clock.to_host(3.02, 2.52) == pytest.approx(2.52)


def test_a_stamp_that_stands_still_counts_as_measured_on_arrival():
    clock = RobotClock()
    assert [clock.to_host(0.0, arrival) for arrival in (1.0, 1.5, 2.0)] == [1.0, 1.5, 2.0]


@given(finite, finite, finite)
def test_limited_commands_are_within_and_keep_their_path(vx, vy, yaw_rate):
    limits = BridgeLimits()
    (x, y, r), limited = limits.apply(vx, vy, yaw_rate)
    assert limits.vx_min - 1e-9 <= x <= limits.vx_max + 1e-9
    assert abs(y) <= limits.vy_max + 1e-9 and abs(r) <= limits.yaw_rate_max + 1e-9
    assert x * yaw_rate == pytest.approx(r * vx, abs=1e-6) and x * vy == pytest.approx(y * vx, abs=1e-6)
    assert limited == ((x, y, r) != (vx, vy, yaw_rate))


def test_limits_read_as_one_line():
    assert str(BridgeLimits()) == "vx -0.5 to 1.5 m/s, vy 0.6 m/s, yaw rate 1.5 rad/s"


def test_a_direction_the_robot_may_not_use_is_dropped_and_the_rest_kept():
    assert BridgeLimits(vy_max=0.0).apply(0.5, 0.3, 0.1) == ((0.5, 0.0, 0.1), True)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_command_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="finite"):
        BridgeLimits().apply(0.1, value, 0.0)


@pytest.mark.parametrize("limits", [{"vx_max": 4.0}, {"vy_max": -0.1}, {"yaw_rate_max": math.nan}, {"vx_min": 0.1}])
def test_limits_beyond_the_vendors_are_refused(limits):
    with pytest.raises(ValueError, match=next(iter(limits))):
        BridgeLimits(**limits)
