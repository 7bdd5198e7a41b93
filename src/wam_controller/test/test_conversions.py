"""Messages to values and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")

from geometry_msgs.msg import Pose, Quaternion, Twist
from nav_msgs.msg import Odometry
from transforms3d.euler import euler2quat

from wam_controller.conversions import command_message, pose_message, reference_from, time_message, twist_message
from wam_models.messages import motion, planar_pose, planar_twist, seconds
from wam_models.se2 import wrap
from wam_msgs.msg import Trajectory, TrajectoryPoint

length = st.floats(-1e3, 1e3)


@given(st.floats(0.0, 4e9))
def test_a_time_survives_to_the_microsecond(moment):
    message = time_message(moment)
    assert 0 <= message.nanosec < 1_000_000_000
    assert seconds(message) == pytest.approx(moment, abs=1e-6)


def test_a_time_just_below_a_second_carries():
    message = time_message(1.9999999999)
    assert (message.sec, message.nanosec) == (2, 0)


@given(st.tuples(length, length, st.floats(-math.pi, math.pi)))
def test_a_pose_survives(pose):
    back = planar_pose(pose_message(pose))
    assert back[:2] == pose[:2]
    assert wrap(back[2] - pose[2]) == pytest.approx(0.0, abs=1e-9)


@given(st.floats(-3.1, 3.1), st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
def test_the_sway_of_a_gait_does_not_change_the_yaw(yaw, pitch, roll):
    w, x, y, z = euler2quat(yaw, pitch, roll, "rzyx")
    assert planar_pose(Pose(orientation=Quaternion(w=w, x=x, y=y, z=z)))[2] == pytest.approx(yaw, abs=1e-9)


@pytest.mark.parametrize("quaternion", [(0.0, 0.0, 0.0, 0.0), (math.nan, 0.0, 0.0, 0.0), (2.0, 0.0, 0.0, 0.0)])
def test_an_orientation_that_is_no_rotation_is_absent_not_zero(quaternion):
    w, x, y, z = quaternion
    assert math.isnan(planar_pose(Pose(orientation=Quaternion(w=w, x=x, y=y, z=z)))[2])


@given(st.tuples(length, length, length))
def test_a_twist_survives(twist):
    assert planar_twist(twist_message(np.array(twist))) == twist


def test_a_command_says_when_and_in_which_frame():
    message = command_message(np.array([1.0, 2.0, 3.0]), 12.5)
    assert seconds(message.header.stamp) == 12.5
    assert message.header.frame_id == "base_link"
    assert planar_twist(message.twist) == (1.0, 2.0, 3.0)


def test_odometry_gives_stamp_pose_and_twist():
    message = Odometry()
    message.header.stamp = time_message(7.25)
    message.pose.pose = pose_message((1.0, 2.0, 0.5))
    message.twist.twist = twist_message(np.array([0.1, 0.2, 0.3]))
    stamp, pose, twist = motion(message)
    assert (stamp, twist) == (7.25, (0.1, 0.2, 0.3))
    assert pose == pytest.approx((1.0, 2.0, 0.5))


def plan(points: list[tuple[float, tuple[float, float, float], float]]) -> Trajectory:
    message = Trajectory()
    message.header.stamp = time_message(100.0)
    for time, pose, speed in points:
        point = TrajectoryPoint(pose=pose_message(pose), velocity=twist_message(np.array([speed, 0.0, 0.0])))
        stamp = time_message(time)
        point.time_from_start.sec, point.time_from_start.nanosec = stamp.sec, stamp.nanosec
        message.points.append(point)
    return message


def test_a_plan_becomes_a_reference():
    reference = reference_from(plan([(0.5, (0.4, 0.0, 0.0), 0.8), (1.0, (0.8, 0.0, 0.0), 0.8)]))
    assert (reference.stamp, reference.horizon) == (100.0, 1.0)
    assert reference.sample(0.0)[0] == pytest.approx((0.0, 0.0, 0.0))
    pose, velocity = reference.sample(0.75)
    assert pose == pytest.approx((0.6, 0.0, 0.0))
    assert velocity == pytest.approx((0.8, 0.0, 0.0))


def test_velocities_that_are_absent_come_from_the_poses():
    reference = reference_from(plan([(0.5, (1.0, 0.0, 0.0), math.nan), (1.0, (1.4, 0.0, 0.0), math.nan)]))
    assert reference.velocities[:, 0] == pytest.approx([0.8, 0.8])
    assert reference.sample(0.0)[0] == pytest.approx((0.6, 0.0, 0.0))


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(0.0, (0.0, 0.0, 0.0), 0.0)],
        [(0.5, (0.0, 0.0, 0.0), 0.0), (0.5, (0.1, 0.0, 0.0), 0.0)],
        [(0.5, (0.0, 0.0, 0.0), math.nan), (0.5, (0.1, 0.0, 0.0), math.nan)],
        [(0.5, (math.nan, 0.0, 0.0), 0.0)],
        [(0.5, (math.inf, 0.0, 0.0), 0.0)],
        [(0.5, (0.1, 0.0, 0.0), math.nan)],
    ],
)
def test_a_plan_that_cannot_be_tracked_is_refused(points):
    with pytest.raises(ValueError, match=r"."):
        reference_from(plan(points))


def test_a_plan_without_an_orientation_is_refused():
    message = plan([(0.5, (0.1, 0.0, 0.0), 0.2)])
    message.points[0].pose.orientation = Quaternion(w=0.0)
    with pytest.raises(ValueError, match="finite"):
        reference_from(message)


def test_twist_fields_that_a_planar_robot_lacks_stay_zero():
    message = twist_message(np.array([1.0, 2.0, 3.0]))
    expected = Twist()
    expected.linear.x, expected.linear.y, expected.angular.z = 1.0, 2.0, 3.0
    assert message == expected
