"""ROS messages of a recording's clock and odometry, and the types that a recording is played as."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import PoseStamped, TransformStamped, TwistStamped
from nav_msgs.msg import Odometry, Path
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import String

from wam_controller.conversions import time_message
from wam_models.messages import seconds
from wam_msgs.msg import Trajectory

# By the names that bags know them under.
KINDS = {
    f"{kind.__module__.partition('.')[0]}/msg/{kind.__name__}": kind
    for kind in (
        CameraInfo,
        CompressedImage,
        Image,
        Odometry,
        Path,
        PoseStamped,
        String,
        Trajectory,
        TwistStamped,
    )
}


def clock_message(moment: float) -> Clock:
    """moment: s."""
    return Clock(clock=time_message(moment))


def transform_message(odometry: Any) -> TransformStamped:
    """The pose of a recorded Odometry as a transform."""
    transform = TransformStamped(child_frame_id=odometry.child_frame_id)
    transform.header.stamp = time_message(seconds(odometry.header.stamp))
    transform.header.frame_id = odometry.header.frame_id
    position, translation = odometry.pose.pose.position, transform.transform.translation
    translation.x, translation.y, translation.z = position.x, position.y, position.z
    turned, rotation = odometry.pose.pose.orientation, transform.transform.rotation
    rotation.w, rotation.x, rotation.y, rotation.z = turned.w, turned.x, turned.y, turned.z
    return transform
