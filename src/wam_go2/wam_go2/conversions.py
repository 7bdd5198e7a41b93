"""ROS messages from the bridge's values."""

from __future__ import annotations

from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry as OdometryMessage
from sensor_msgs.msg import CameraInfo, CompressedImage
from transforms3d.euler import euler2mat
from transforms3d.quaternions import mat2quat

from wam_go2.adapter import Odometry
from wam_go2.calibration import Calibration

ODOM, BASE, CAMERA = "odom", "base_link", "camera_front_optical_frame"
# From the optical frame (x right, y down, z forward) to a body's (x forward, y left, z up).
_OPTICAL = [[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]


def odometry_message(stamp: Time, value: Odometry) -> OdometryMessage:
    """odom -> base_link; covariances stay zero, which means unknown: the robot gives none."""
    message = OdometryMessage()
    message.header.stamp, message.header.frame_id, message.child_frame_id = stamp, ODOM, BASE
    position, orientation = message.pose.pose.position, message.pose.pose.orientation
    position.x, position.y, position.z = map(float, value.position)
    orientation.w, orientation.x, orientation.y, orientation.z = map(float, value.quaternion)
    linear = message.twist.twist.linear
    linear.x, linear.y, linear.z = map(float, value.linear)
    message.twist.twist.angular.z = value.yaw_rate
    return message


def transform_message(message: OdometryMessage) -> TransformStamped:
    """The pose of an odometry message as a transform."""
    transform = TransformStamped(header=message.header, child_frame_id=message.child_frame_id)
    position, translation = message.pose.pose.position, transform.transform.translation
    translation.x, translation.y, translation.z = position.x, position.y, position.z
    transform.transform.rotation = message.pose.pose.orientation
    return transform


def camera_transform_message(stamp: Time, calibration: Calibration) -> TransformStamped:
    """Where the camera sits: base_link -> its optical frame."""
    transform = TransformStamped(child_frame_id=CAMERA)
    transform.header.stamp, transform.header.frame_id = stamp, BASE
    translation, rotation = transform.transform.translation, transform.transform.rotation
    translation.x, translation.y, translation.z = map(float, calibration.position)
    turn = mat2quat(euler2mat(0.0, calibration.pitch, 0.0) @ _OPTICAL)
    rotation.w, rotation.x, rotation.y, rotation.z = map(float, turn)
    return transform


def image_message(stamp: Time, jpeg: bytes) -> CompressedImage:
    """A JPEG of the front camera."""
    message = CompressedImage(format="jpeg", data=jpeg)
    message.header.stamp, message.header.frame_id = stamp, CAMERA
    return message


def camera_info_message(stamp: Time, calibration: Calibration) -> CameraInfo:
    """The calibration of an image with the same stamp."""
    k = calibration.matrix
    message = CameraInfo(width=calibration.width, height=calibration.height, distortion_model="plumb_bob")
    message.header.stamp, message.header.frame_id = stamp, CAMERA
    message.d = calibration.distortion.tolist()
    message.k = k.ravel().tolist()
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [*k[0].tolist(), 0.0, *k[1].tolist(), 0.0, *k[2].tolist(), 0.0]
    return message
