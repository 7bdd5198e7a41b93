"""Signs and units between CARLA and ROS: examples worked out by hand, there and back, and the wheel's own matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transforms3d.euler import euler2mat, euler2quat
from transforms3d.quaternions import quat2mat

from wam_carla import adapter
from wam_carla.adapter import CameraMount, Steering

NUMBER = st.floats(-1e4, 1e4)
VECTOR = st.tuples(NUMBER, NUMBER, NUMBER)
ANGLES = st.tuples(st.floats(-180.0, 180.0), st.floats(-89.0, 89.0), st.floats(-180.0, 180.0))
CURVE = ((0.0, 1.0), (5.0, 0.9), (17.0, 0.8))


def test_what_is_right_of_the_road_has_a_negative_y():
    assert adapter.mirrored((10.0, 3.0, 0.5)) == (10.0, -3.0, 0.5)


def test_a_turn_to_the_right_is_positive_in_carla_and_negative_in_ros():
    assert adapter.rotation_to_ros(0.0, 0.0, 90.0)[2] == pytest.approx(-math.pi / 2.0)


def test_a_nose_that_points_up_is_positive_in_carla_and_negative_in_ros():
    roll, pitch, _ = adapter.rotation_to_ros(5.0, 10.0, 0.0)
    assert pitch == pytest.approx(-math.radians(10.0))
    assert roll == pytest.approx(math.radians(5.0))  # the right side lower in both


def test_turning_right_at_ninety_degrees_a_second():
    assert adapter.spin_to_ros((0.0, 0.0, 90.0)) == pytest.approx((0.0, 0.0, -math.pi / 2.0))


@given(ANGLES, VECTOR, VECTOR)
def test_a_spin_moves_points_alike_in_both_worlds(angles, spin, lever):
    """v = w x r holds in a left-handed frame too, component by component; its mirror image must be that of ROS."""
    there = np.cross(np.radians(spin), lever)
    here = np.cross(adapter.spin_to_ros(spin), adapter.mirrored(lever))
    assert adapter.mirrored(tuple(there)) == pytest.approx(tuple(here), abs=1e-3)


def test_the_wheels_own_matrix_is_that_of_ros_in_a_mirror():
    carla = pytest.importorskip("carla")
    mirror = np.diag([1.0, -1.0, 1.0])
    for roll, pitch, yaw in [(10.0, 20.0, 30.0), (-40.0, 15.0, 170.0), (3.0, -80.0, -100.0)]:
        matrix = np.array(carla.Transform(carla.Location(), carla.Rotation(pitch, yaw, roll)).get_matrix())[:3, :3]
        assert mirror @ matrix @ mirror == pytest.approx(
            euler2mat(*adapter.rotation_to_ros(roll, pitch, yaw)), abs=1e-6
        )


@given(VECTOR)
def test_places_and_spins_there_and_back(vector):
    assert adapter.mirrored(adapter.mirrored(vector)) == vector
    assert adapter.spin_to_carla(adapter.spin_to_ros(vector)) == pytest.approx(vector)


@given(ANGLES)
def test_rotations_there_and_back(angles):
    assert adapter.rotation_to_carla(adapter.rotation_to_ros(*angles)) == pytest.approx(angles, abs=1e-9)


@given(ANGLES, VECTOR)
def test_into_a_body_and_out_again(angles, vector):
    rpy = adapter.rotation_to_ros(*angles)
    assert adapter.out_of_body(adapter.into_body(vector, rpy), rpy) == pytest.approx(vector, abs=1e-6)


@given(ANGLES)
def test_a_quaternion_is_the_rotation(angles):
    rpy = adapter.rotation_to_ros(*angles)
    assert quat2mat(adapter.quaternion(rpy)) == pytest.approx(euler2mat(*rpy), abs=1e-9)


def test_a_car_that_heads_south_and_drives_has_a_forward_velocity_only():
    """Yaw 90 in CARLA looks along its y, to the south; ROS calls that -90 degrees."""
    state = adapter.vehicle_state(
        (1.0, 2.0, 0.0), (0.0, 0.0, 90.0), (0.0, 5.0, 0.0), (0.0, 0.0, 10.0), (0.0, -2.0, 0.0)
    )
    assert state.position == (1.0, -2.0, 0.0)
    assert state.linear == pytest.approx((5.0, 0.0, 0.0), abs=1e-9)
    assert state.angular == pytest.approx((0.0, 0.0, -math.radians(10.0)))
    assert state.acceleration == pytest.approx((-2.0, 0.0, 0.0), abs=1e-9)


def test_a_car_that_slides_to_its_right_has_a_negative_lateral_velocity():
    state = adapter.vehicle_state((0.0,) * 3, (0.0, 0.0, 0.0), (3.0, 1.0, 0.0), (0.0,) * 3, (0.0,) * 3)
    assert state.linear == pytest.approx((3.0, -1.0, 0.0))


def test_a_state_with_nan_says_so():
    state = adapter.vehicle_state((math.nan, 0.0, 0.0), (0.0,) * 3, (0.0,) * 3, (0.0,) * 3, (0.0,) * 3)
    assert not state.finite


def camera(yaw: float = 0.0, pitch: float = 0.0) -> CameraMount:
    return CameraMount("front", (2.0, 0.5, 1.5), (0.0, pitch, yaw), 800, 600, math.radians(90.0))


def test_an_optical_frame_looks_along_z_with_y_down():
    turn = quat2mat(camera().optical)
    assert turn @ [0.0, 0.0, 1.0] == pytest.approx([1.0, 0.0, 0.0])  # forward
    assert turn @ [1.0, 0.0, 0.0] == pytest.approx([0.0, -1.0, 0.0])  # right
    assert turn @ [0.0, 1.0, 0.0] == pytest.approx([0.0, 0.0, -1.0])  # down


def test_the_left_camera_looks_left_in_both():
    left = camera(yaw=math.radians(60.0))
    assert left.carla_rotation[2] == pytest.approx(-60.0)
    assert (quat2mat(left.optical) @ [0.0, 0.0, 1.0])[1] == pytest.approx(math.sin(math.radians(60.0)))
    assert left.carla_location == (2.0, -0.5, 1.5)


def test_a_camera_that_looks_down_has_a_negative_pitch_in_carla():
    assert camera(pitch=math.radians(10.0)).carla_rotation[1] == pytest.approx(-10.0)


@given(ANGLES)
def test_an_optical_frame_is_the_body_turned_once(angles):
    rpy = adapter.rotation_to_ros(*angles)
    mount = CameraMount("front", (0.0,) * 3, rpy, 8, 6, 1.0)
    # Fixed-axis -90 degrees about x, then about z, is what REP-103 says of optical frames.
    fixed = euler2quat(-math.pi / 2.0, 0.0, -math.pi / 2.0)
    assert quat2mat(mount.optical) == pytest.approx(euler2mat(*rpy) @ quat2mat(fixed), abs=1e-9)


def test_a_matrix_of_ninety_degrees_has_half_the_width_as_focal_length():
    k = camera().matrix
    assert (k[0], k[4]) == pytest.approx((400.0, 400.0))
    assert (k[2], k[5]) == (400.0, 300.0)
    assert k[1] == k[3] == k[6] == k[7] == 0.0


def test_a_left_turn_is_a_negative_steer():
    steering = Steering(0.7, CURVE)
    assert steering.share(0.35, 0.0) == pytest.approx(-0.5)
    assert steering.angle(0.5, 0.0) == pytest.approx(-0.35)
    assert steering.share(0.35, 17.0) == pytest.approx(-0.35 / 0.56)  # the wheels turn less at speed


@given(st.floats(-1.0, 1.0), st.floats(-5.0, 60.0), st.floats(0.1, 1.5))
def test_steering_there_and_back(share, speed, most):
    steering = Steering(most, CURVE)
    assert steering.share(steering.angle(share, speed), speed) == pytest.approx(share, abs=1e-9)


@given(st.floats(-10.0, 10.0), st.floats(0.0, 60.0))
def test_a_share_is_never_above_one(angle, speed):
    assert -1.0 <= Steering(0.7, CURVE).share(angle, speed) <= 1.0


@pytest.mark.parametrize("curve", [(), ((0.0, 0.0),), ((5.0, 1.0), (0.0, 1.0)), ((0.0, 1.2),)])
def test_a_curve_that_cannot_be_is_refused(curve):
    with pytest.raises(ValueError, match="curve"):
        Steering(0.7, curve)


def test_physics_in_degrees_and_kilometres_an_hour():
    steering = adapter.steering_of([70.0, 70.0, 0.0, 0.0], [(0.0, 1.0), (36.0, 0.5)])
    assert steering.max_angle == pytest.approx(math.radians(70.0))
    assert steering.curve == ((0.0, 1.0), (10.0, 0.5))


def test_a_vehicle_that_does_not_steer_is_refused():
    with pytest.raises(ValueError, match="blueprint"):
        adapter.steering_of([0.0, 0.0], [])


@pytest.mark.parametrize("unit", [1.0, 100.0])
def test_a_wheelbase_in_metres_or_centimetres(unit):
    wheels = [(unit * x, unit * y, 0.0) for x, y in ((11.5, 4.0), (11.5, 6.0), (8.5, 4.0), (8.5, 6.0))]
    assert adapter.wheelbase_of(wheels) == pytest.approx(3.0)


def test_a_motorcycle_has_no_wheelbase_here():
    with pytest.raises(ValueError, match="four wheels"):
        adapter.wheelbase_of([(0.0, 0.0, 0.0)] * 2)


def test_pixels_come_in_the_order_blue_green_red_alpha():
    image = adapter.rgb(bytes([1, 2, 3, 255, 4, 5, 6, 255]), width=2, height=1)
    assert image.tolist() == [[[3, 2, 1], [6, 5, 4]]]


@given(st.integers(1, 6), st.integers(1, 6), st.randoms(use_true_random=False))
def test_pixels_there_and_back(width, height, random):
    image = np.array([random.randrange(256) for _ in range(3 * width * height)], np.uint8).reshape(height, width, 3)
    assert (adapter.rgb(adapter.bgra(image), width, height) == image).all()


def test_an_image_that_is_cut_off_is_refused():
    with pytest.raises(ValueError, match="needs 16 bytes, got 15"):
        adapter.rgb(bytes(15), width=2, height=2)
