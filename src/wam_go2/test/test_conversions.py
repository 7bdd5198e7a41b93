"""The bridge's ROS messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from transforms3d.euler import euler2quat
from transforms3d.quaternions import quat2mat

pytest.importorskip("rclpy", reason="the messages come with ROS")

from wam_controller.conversions import time_message
from wam_go2.adapter import odometry
from wam_go2.calibration import load_calibration
from wam_go2.conversions import (
    camera_info_message,
    camera_transform_message,
    image_message,
    odometry_message,
    transform_message,
)
from wam_models.messages import motion

STAMP = time_message(1234.5)
CALIBRATION = load_calibration(Path(__file__).parents[3] / "config" / "go2_camera.yaml")


def test_odometry_says_the_same_after_the_message():
    value = odometry([1.0, 2.0, 0.3], euler2quat(0.0, 0.0, 0.7).tolist(), [0.4, 0.1, 0.0], 0.2, "base_link")
    message = odometry_message(STAMP, value)
    stamp, pose, twist = motion(message)
    assert stamp == 1234.5
    assert pose == pytest.approx((1.0, 2.0, 0.7))
    assert twist == pytest.approx((0.4, 0.1, 0.2))
    assert (message.header.frame_id, message.child_frame_id) == ("odom", "base_link")
    transform = transform_message(message)
    assert (transform.header, transform.child_frame_id) == (message.header, "base_link")
    assert transform.transform.translation.y == 2.0
    assert transform.transform.rotation == message.pose.pose.orientation


def test_image_and_camera_info_share_stamp_and_frame():
    image, info = image_message(STAMP, b"jpeg"), camera_info_message(STAMP, CALIBRATION)
    assert image.header == info.header and image.header.frame_id == "camera_front_optical_frame"
    assert (image.format, bytes(image.data)) == ("jpeg", b"jpeg")
    assert np.reshape(info.k, (3, 3)) == pytest.approx(CALIBRATION.matrix)
    assert np.reshape(info.p, (3, 4))[:, :3] == pytest.approx(CALIBRATION.matrix)
    assert (info.width, info.height, info.distortion_model) == (1280, 720, "plumb_bob")
    assert list(info.d) == pytest.approx([-0.355, 0.102, 0.0, 0.0, 0.0])


def test_the_optical_frame_looks_forward_and_down_is_down():
    transform = camera_transform_message(STAMP, CALIBRATION).transform
    turn = quat2mat([transform.rotation.w, transform.rotation.x, transform.rotation.y, transform.rotation.z])
    assert turn @ [0.0, 0.0, 1.0] == pytest.approx([1.0, 0.0, 0.0], abs=1e-9)  # optical z is forward
    assert turn @ [1.0, 0.0, 0.0] == pytest.approx([0.0, -1.0, 0.0], abs=1e-9)  # optical x is right
    assert transform.translation.x == pytest.approx(0.33)
