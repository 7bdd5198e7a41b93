"""What a robot's ROS messages say in numbers, whichever library has read them."""

from __future__ import annotations

import math
from typing import Any

from wam_models.se2 import Vector


def seconds(stamp: Any) -> float:
    """Of a builtin_interfaces Time or Duration."""
    return float(stamp.sec) + stamp.nanosec * 1e-9


def planar_pose(pose: Any) -> Vector:
    """(x m, y m, yaw rad) of a geometry_msgs Pose. A quaternion that is no rotation gives a yaw of NaN."""
    q = pose.orientation
    norm = math.sqrt(q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z)
    yaw = math.nan
    # A driver that never fills the orientation sends zeros; "facing forward" would be a lie.
    if abs(norm - 1.0) < 0.01:
        yaw = math.atan2(2.0 * (q.w * q.z + q.x * q.y), q.w * q.w + q.x * q.x - q.y * q.y - q.z * q.z)
    return pose.position.x, pose.position.y, yaw


def planar_twist(twist: Any) -> Vector:
    """(vx m/s, vy m/s, yaw rate rad/s) of a geometry_msgs Twist."""
    return twist.linear.x, twist.linear.y, twist.angular.z


def motion(odometry: Any) -> tuple[float, Vector, Vector]:
    """Stamp in s, pose of base_link in odom and twist in base_link of a nav_msgs Odometry."""
    return (
        seconds(odometry.header.stamp),
        planar_pose(odometry.pose.pose),
        planar_twist(odometry.twist.twist),
    )
