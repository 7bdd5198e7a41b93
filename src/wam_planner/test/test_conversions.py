"""Images in, trajectories out."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import CompressedImage, Image

from wam_controller.conversions import reference_from
from wam_models.messages import planar_pose, planar_twist, seconds
from wam_models.se2 import advance, compose
from wam_models.types import Plan, Trajectory
from wam_planner.conversions import (
    candidates_message,
    image_from,
    path_message,
    stage_seconds,
    trajectory_message,
)
from wam_planner.images import ImageError

ORIGIN = (3.0, -1.0, 2.0)
ORANGE = (230, 120, 20)


def jpeg(picture: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", picture[..., ::-1])[1].tobytes()


def test_a_jpeg_comes_out_in_rgb():
    image = image_from(CompressedImage(format="jpeg", data=jpeg(np.full((96, 160, 3), ORANGE, dtype=np.uint8))))
    assert (image.shape, image.dtype) == ((96, 160, 3), np.uint8)
    np.testing.assert_allclose(image[40, 40], ORANGE, atol=4)


def test_a_png_is_read_too():
    data = cv2.imencode(".png", np.full((8, 8, 3), ORANGE, dtype=np.uint8)[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(image_from(CompressedImage(format="png", data=data))[0, 0], ORANGE)


def test_a_raw_image_comes_out_in_rgb():
    picture = np.full((4, 6, 3), ORANGE[::-1], dtype=np.uint8)
    message = Image(height=4, width=6, encoding="bgr8", step=18, data=picture.tobytes())
    np.testing.assert_array_equal(image_from(message)[2, 3], ORANGE)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        b"\xff\xd8\xff\xd9",
        jpeg(np.random.default_rng(0).integers(0, 255, (96, 160, 3), dtype=np.uint8))[:-2000],
    ],
    ids=["empty", "text", "no content", "cut off"],
)
def test_a_picture_that_cannot_be_decoded_is_an_image_error(data):
    with pytest.raises(ImageError, match=r"empty|cannot be decoded|cut off"):
        image_from(CompressedImage(format="jpeg", data=data))


def test_a_raw_image_with_too_little_data_is_an_image_error():
    with pytest.raises(ImageError):
        image_from(Image(height=480, width=640, encoding="rgb8", step=1920, data=b"\x00" * 100))


def arc() -> Trajectory:
    return Trajectory(50.25, 0.25, np.array([advance((0.8, 0.0, 0.5), 0.25 * (i + 1)) for i in range(8)]))


def test_a_trajectory_is_placed_in_odom_with_its_twists_and_the_stamp_of_the_image():
    message = trajectory_message(arc(), ORIGIN, "odom", "metis@1.0+abcdef01", 7)
    assert seconds(message.header.stamp) == 50.25
    assert (message.header.frame_id, message.model_id, message.epoch) == ("odom", "metis@1.0+abcdef01", 7)
    assert math.isnan(message.confidence)
    assert seconds(message.horizon) == 2.0
    for i, point in enumerate(message.points):
        assert seconds(point.time_from_start) == pytest.approx(0.25 * (i + 1))
        assert planar_pose(point.pose) == pytest.approx(compose(ORIGIN, tuple(arc().poses[i])))
        assert planar_twist(point.velocity) == pytest.approx((0.8, 0.0, 0.5))
        assert math.isnan(point.acceleration.linear.x)


def test_the_controller_reads_the_pose_at_the_stamp_back_from_a_trajectory():
    reference = reference_from(trajectory_message(arc(), ORIGIN, "odom", "", 0))
    assert reference.sample(0.0)[0] == pytest.approx(ORIGIN, abs=1e-6)


def test_candidates_that_are_not_finite_stay_behind_and_the_chosen_one_is_named():
    chosen = arc().poses
    broken = np.full_like(chosen, math.nan)
    plan = Plan(arc(), np.stack([broken, chosen * 0.5, chosen]), np.array([3.0, 1.0, 2.0]), {}, "test@1+0")
    message = candidates_message(plan, ORIGIN, "odom", 0)
    assert len(message.candidates) == 2
    assert list(message.scores) == [1.0, 2.0]
    assert message.selected == 1


def test_the_path_has_the_same_poses():
    trajectory = trajectory_message(arc(), ORIGIN, "odom", "", 0)
    path = path_message(trajectory)
    assert path.header == trajectory.header
    assert [pose.pose for pose in path.poses] == [point.pose for point in trajectory.points]


def test_stages_are_told_in_seconds():
    assert stage_seconds({"encode": 3.0, "denoise": 9.0}) == (["encode", "denoise"], [0.003, 0.009])
