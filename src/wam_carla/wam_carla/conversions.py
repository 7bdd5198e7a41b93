"""ROS messages from the bridge's values."""

from __future__ import annotations

from array import array

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Float32

from wam_carla.adapter import CameraMount, VehicleState, quaternion
from wam_carla.sensors import Collision, Event
from wam_controller.conversions import time_message

MAP = "map"


def camera_frame(role_name: str, camera: str) -> str:
    """As CARLA's own bridge names it; its axes are optical."""
    return f"{role_name}/rgb_{camera}"


def clock_message(seconds: float) -> Clock:
    """Simulated time."""
    return Clock(clock=time_message(seconds))


def odometry_message(stamp: Time, role_name: str, state: VehicleState) -> Odometry:
    """map -> role name, twist in the latter; covariances stay zero, which means unknown."""
    message = Odometry()
    message.header.stamp, message.header.frame_id, message.child_frame_id = stamp, MAP, role_name
    position, orientation = message.pose.pose.position, message.pose.pose.orientation
    position.x, position.y, position.z = state.position
    orientation.w, orientation.x, orientation.y, orientation.z = quaternion(state.rpy)
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    linear.x, linear.y, linear.z = state.linear
    angular.x, angular.y, angular.z = state.angular
    return message


def transform_message(message: Odometry) -> TransformStamped:
    """The pose of an odometry message as a transform."""
    transform = TransformStamped(header=message.header, child_frame_id=message.child_frame_id)
    position, translation = message.pose.pose.position, transform.transform.translation
    translation.x, translation.y, translation.z = position.x, position.y, position.z
    transform.transform.rotation = message.pose.pose.orientation
    return transform


def camera_transform_message(stamp: Time, role_name: str, camera: CameraMount) -> TransformStamped:
    """Where a camera sits: role name -> its optical frame."""
    transform = TransformStamped(child_frame_id=camera_frame(role_name, camera.name))
    transform.header.stamp, transform.header.frame_id = stamp, role_name
    translation, rotation = transform.transform.translation, transform.transform.rotation
    translation.x, translation.y, translation.z = camera.position
    rotation.w, rotation.x, rotation.y, rotation.z = camera.optical
    return transform


def speed_message(state: VehicleState) -> Float32:
    """m/s, forwards positive."""
    return Float32(data=state.linear[0])


def jpeg_message(stamp: Time, frame: str, jpeg: bytes) -> CompressedImage:
    """A JPEG."""
    message = CompressedImage(format="jpeg", data=jpeg)
    message.header.stamp, message.header.frame_id = stamp, frame
    return message


def image_message(stamp: Time, frame: str, image: np.ndarray) -> Image:
    """Pixels; image: uint8 (H, W, 3) RGB."""
    height, width, _ = image.shape
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width, data=array("B", image.tobytes()))
    message.header.stamp, message.header.frame_id = stamp, frame
    return message


def camera_info_message(stamp: Time, frame: str, camera: CameraMount) -> CameraInfo:
    """The calibration of an image with the same stamp."""
    k = [float(value) for value in camera.matrix]
    message = CameraInfo(width=camera.width, height=camera.height, distortion_model="plumb_bob")
    message.header.stamp, message.header.frame_id = stamp, frame
    message.d = [0.0] * 5
    message.k = k
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [*k[0:3], 0.0, *k[3:6], 0.0, *k[6:9], 0.0]
    return message


def event_message(role_name: str, event: Event) -> DiagnosticArray:
    """A collision or lane invasion: when, with whom or over what, and the numbers by name."""
    if isinstance(event, Collision):
        values = {"other_actor_id": event.id, **dict(zip(("x", "y", "z"), event.impulse))}
        status = DiagnosticStatus(level=DiagnosticStatus.ERROR, name="collision", message=event.other)
    else:
        values = {str(number): kind for number, kind in enumerate(event.markings)}
        status = DiagnosticStatus(level=DiagnosticStatus.WARN, name="lane_invasion", message=", ".join(event.markings))
    status.hardware_id = role_name
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    message = DiagnosticArray(status=[status])
    message.header.stamp, message.header.frame_id = time_message(event.time), MAP
    return message
