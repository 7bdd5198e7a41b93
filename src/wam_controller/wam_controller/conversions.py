"""ROS messages to the values of the pure modules, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, Quaternion, Twist, TwistStamped
from transforms3d.euler import euler2quat

from wam_controller.tracker import Reference
from wam_models.messages import planar_pose, planar_twist, seconds
from wam_models.se2 import Vector, constant_twist, relative
from wam_msgs.msg import Trajectory

_NANOSECONDS = 1_000_000_000


def time_message(moment: float) -> Time:
    """Seconds as a stamp, to the nanosecond that a float64 can tell (about 0.2 us today)."""
    whole, nanoseconds = divmod(round(moment * _NANOSECONDS), _NANOSECONDS)
    return Time(sec=whole, nanosec=nanoseconds)


def pose_message(pose: Vector) -> Pose:
    """The inverse of planar_pose, on the ground."""
    message = Pose()
    message.position.x, message.position.y = pose[0], pose[1]
    w, x, y, z = euler2quat(pose[2], 0.0, 0.0, "rzyx")
    message.orientation = Quaternion(w=w, x=x, y=y, z=z)
    return message


def twist_message(twist: np.ndarray) -> Twist:
    """The inverse of planar_twist; twist: (3,)."""
    message = Twist()
    message.linear.x, message.linear.y, message.angular.z = (float(value) for value in twist)
    return message


def command_message(twist: np.ndarray, moment: float) -> TwistStamped:
    """A command in base_link; twist: (3,); moment: s, when it was decided."""
    message = TwistStamped(twist=twist_message(twist))
    message.header.stamp = time_message(moment)
    message.header.frame_id = "base_link"
    return message


def drive_type() -> type:
    """AckermannDriveStamped. Raises ValueError with the fix where its package is missing: no wheel brings it."""
    try:
        from ackermann_msgs.msg import AckermannDriveStamped
    except ImportError as error:
        raise ValueError(
            "ackermann_drive needs the package ackermann_msgs, which is missing: apt install "
            "ros-$ROS_DISTRO-ackermann-msgs, or set ackermann_drive to false and let the car use cmd_vel"
        ) from error
    return AckermannDriveStamped


def drive_message(speed: float, steering: float, moment: float) -> Any:
    """The command of a car as an AckermannDriveStamped. speed: m/s; steering: rad at the wheels, left positive; moment:
    s, when it was decided. Its rates are left at 0, as quickly as possible: the limits are in the command already."""
    message = drive_type()()
    message.header.stamp = time_message(moment)
    message.header.frame_id = "base_link"
    message.drive.speed, message.drive.steering_angle = speed, steering
    return message


def reference_from(message: Trajectory) -> Reference:
    """The trajectory to track. Velocities that are absent (NaN) are taken from the poses; the first one, for which a
    pose is missing, is then that of the second interval.

    Raises ValueError when it is empty, not finite, or its times do not increase.
    """
    times = [seconds(point.time_from_start) for point in message.points]
    poses = [planar_pose(point.pose) for point in message.points]
    velocities = [planar_twist(point.velocity) for point in message.points]
    if np.isnan(velocities).any():
        if len(times) < 2:
            raise ValueError("one point without a velocity is no trajectory")
        spans = [later - earlier for earlier, later in zip(times, times[1:])]
        if min(spans) <= 0.0:
            raise ValueError("times must increase")
        joined = [constant_twist(relative(a, b), span) for a, b, span in zip(poses, poses[1:], spans)]
        velocities = [joined[0], *joined]
    rows = (len(times), 3)
    return Reference(
        seconds(message.header.stamp),
        np.array(times, dtype=float),
        np.array(poses, dtype=float).reshape(rows),
        np.array(velocities, dtype=float).reshape(rows),
    )
