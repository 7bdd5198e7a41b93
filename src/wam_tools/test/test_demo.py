"""The pure parts of the demo: worlds, truth, bags, numbers, projection."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rosbags.rosbag2 import StoragePlugin, Writer

from wam_models.data.bag_reader import BagError
from wam_sim.body import WIDTH
from wam_tools.demo.bag import Plans, read_recording
from wam_tools.demo.course import choose
from wam_tools.demo.drawing import Mount, TopView, draw_plan
from wam_tools.demo.metrics import Spread, moving_window, sensor_to_command, spread
from wam_tools.demo.projection import NEAR, project, ribbon
from wam_tools.demo.report import failed, summarise
from wam_tools.demo.truth import TIME_LIMIT, Follower, Verdict, read_track
from wam_tools.message_types import typestore

CAMERA = np.array([[380.0, 0.0, 320.0], [0.0, 380.0, 180.0], [0.0, 0.0, 1.0]])
MOUNT = np.array([0.3, 0.0, 0.1])  # m in base_link


def test_the_course_is_one_indoors_one_outdoors_one_at_night_and_always_the_same():
    indoor, outdoor, night = choose(0)
    assert (indoor.kind, indoor.appearance.night) == ("indoor", False)
    assert (outdoor.kind, outdoor.appearance.night) == ("outdoor", False)
    assert night.appearance.night
    assert {world.split for world in (indoor, outdoor, night)} == {"unseen"}
    assert [world.name for world in choose(0)] == [world.name for world in (indoor, outdoor, night)]


def step(t: float, x: float, command: float = 0.5, contact: bool = False, reached: bool = False) -> str:
    values = {
        "t": t,
        "pose": [x, 0.0, 0.0],
        "twist": [command, 0.0, 0.0],
        "command": [command, 0.0, 0.0],
        "mode": 3,
        "contact": contact,
        "clearance": 0.0 if contact else 1.0,
        "reached": reached,
    }
    return json.dumps(values) + "\n"


def test_the_clock_of_a_walk_starts_with_its_first_motion(tmp_path):
    path = tmp_path / "truth.jsonl"
    follower = Follower(path, (4.0, 3.0))
    assert not follower.look().over
    path.write_text(json.dumps({"world": "w"}) + "\n" + step(100.0, 0.0, command=0.0) + step(107.0, 0.0))
    assert follower.look().seconds == 0.0
    assert follower.look().distance == pytest.approx(5.0)
    with path.open("a") as file:
        file.write(step(109.5, 4.0, reached=True) + step(110.0, 4.0, contact=True))
    assert follower.look() == Verdict(reached=True, contact=False, timeout=False, seconds=2.5, distance=3.0)


def test_a_line_that_is_still_being_written_waits_for_its_end(tmp_path):
    path = tmp_path / "truth.jsonl"
    line = step(100.0, 1.0, contact=True)
    path.write_text(line[:30])
    follower = Follower(path, (4.0, 0.0))
    assert not follower.look().contact
    with path.open("a") as file:
        file.write(line[30:])
    assert follower.look().contact


def test_a_walk_that_takes_too_long_is_a_timeout(tmp_path):
    path = tmp_path / "truth.jsonl"
    path.write_text(step(0.0, 0.0) + step(TIME_LIMIT + 0.1, 1.0))
    assert Follower(path, (4.0, 0.0)).look().timeout


def test_a_track_knows_its_length_and_its_least_clearance(tmp_path):
    path = tmp_path / "truth.jsonl"
    path.write_text(step(0.0, 0.0) + step(1.0, 2.0) + '{"camera": 0.5, "walkers": [[1.0, 2.0, 0.0]]}\n')
    track = read_track(path)
    assert track.path_length == pytest.approx(2.0) and track.clearance == 1.0
    assert track.frames.tolist() == [0.5] and track.walkers == [[[1.0, 2.0, 0.0]]]


def test_an_empty_truth_is_refused(tmp_path):
    path = tmp_path / "truth.jsonl"
    path.write_text('{"world": "w"}\n')
    with pytest.raises(ValueError, match="no step"):
        read_track(path)


def plans(stamps: list[float], arrivals: list[float]) -> Plans:
    return Plans(np.array(stamps), np.array(arrivals), [np.zeros((2, 3))] * len(stamps))


def test_a_command_reflects_a_plan_only_after_the_controller_could_know_it():
    late = sensor_to_command(
        plans([10.0, 10.1, 10.2], [10.05, 10.16, 10.9]),
        controller_stamps=np.array([10.04, 10.06, 10.08, 10.18]),
        command_stamps=np.array([10.05, 10.07, 10.09, 10.19]),
    )
    assert late[:2] == pytest.approx([0.07, 0.09])
    assert math.isnan(late[2])  # no command came after it


def test_no_plans_and_no_commands_are_no_numbers():
    assert sensor_to_command(plans([], []), np.empty(0), np.empty(0)).size == 0
    assert np.isnan(sensor_to_command(plans([1.0], [1.1]), np.empty(0), np.empty(0))).all()
    assert math.isnan(moving_window(np.empty((0, 4)))[0])
    assert math.isnan(spread(np.empty(0)).p50) and math.isnan(spread(np.array([np.nan])).p99)


def test_a_spread_leaves_out_what_was_not_measured():
    assert spread(np.array([1.0, np.nan, 3.0])) == Spread(2.0, pytest.approx(2.98))


def test_the_window_is_from_the_first_to_the_last_motion():
    commands = np.array([[1.0, 0, 0, 0], [2.0, 0.1, 0, 0], [3.0, 0, 0, 0], [4.0, 0, 0, -0.2], [5.0, 0, 0, 0]])
    assert moving_window(commands) == (2.0, 4.0)


def test_a_point_ahead_on_the_ground_is_below_the_middle_of_the_image():
    pose = np.array([1.0, 2.0, 0.3, math.pi / 2])  # facing +y
    pixels, depths = project(np.array([[1.0, 4.3, 0.0], [0.5, 4.3, 0.4]]), pose, CAMERA, MOUNT, pitch=0.0)
    assert depths == pytest.approx([2.0, 2.0])
    assert pixels[0] == pytest.approx([320.0, 180.0 + 380.0 * 0.4 / 2.0])
    assert pixels[1] == pytest.approx([320.0 - 380.0 * 0.5 / 2.0, 180.0])  # -x is left of a robot that faces +y


def test_what_is_behind_the_camera_has_no_pixel():
    pixels, _ = project(np.array([[-1.0, 0.0, 0.0], [0.3 + NEAR / 2, 0.0, 0.0]]), np.zeros(4), CAMERA, MOUNT, 0.0)
    assert np.isnan(pixels).all()


def test_a_camera_that_looks_down_sees_the_ground_in_its_middle():
    pitch = 0.3
    ahead = 0.3 + 0.4 / math.tan(pitch)
    pixels, _ = project(np.array([[ahead, 0.0, 0.0]]), np.array([0.0, 0.0, 0.3, 0.0]), CAMERA, MOUNT, pitch)
    assert pixels[0] == pytest.approx([320.0, 180.0], abs=1e-6)


@given(st.floats(-3.0, 3.0), st.floats(-3.0, 3.0), st.floats(-math.pi, math.pi), st.floats(-0.5, 0.5))
def test_turning_robot_and_point_together_changes_no_pixel(x, y, yaw, pitch):
    point = np.array([[2.0, 0.4, 0.0]])
    there, _ = project(point, np.array([0.0, 0.0, 0.3, 0.0]), CAMERA, MOUNT, pitch)
    cos, sin = math.cos(yaw), math.sin(yaw)
    moved = np.array([[x + cos * 2.0 - sin * 0.4, y + sin * 2.0 + cos * 0.4, 0.0]])
    here, _ = project(moved, np.array([x, y, 0.3, yaw]), CAMERA, MOUNT, pitch)
    assert here == pytest.approx(there, abs=1e-6)


def test_a_ribbon_is_as_wide_as_asked_all_along():
    poses = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.2], [2.0, 0.5, 0.6]])
    left, right = ribbon(poses, 0.4)
    assert len(left) > 20
    assert np.linalg.norm(left - right, axis=1) == pytest.approx(0.4)
    assert left[0] == pytest.approx([0.0, 0.2, 0.0]) and right[0] == pytest.approx([0.0, -0.2, 0.0])


def test_a_plan_that_stands_still_has_no_ribbon():
    left, right = ribbon(np.zeros((4, 3)), 0.4)
    assert left.size == right.size == 0


def test_the_plan_is_drawn_where_the_robot_will_walk():
    image = np.zeros((360, 640, 3), np.uint8)
    mount = Mount(CAMERA, MOUNT, 0.0)
    pose = np.array([0.0, 0.0, 0.3, 0.0])
    ahead = np.column_stack([np.linspace(0.4, 3.0, 8), np.zeros(8), np.zeros(8)])
    drawn = draw_plan(image, ahead, pose, mount).any(axis=2)
    assert drawn[181:].any() and not drawn[:178].any()  # on the ground, below the horizon
    columns = np.flatnonzero(drawn.any(axis=0))
    assert columns.mean() == pytest.approx(320.0, abs=3.0)
    edge = 380.0 * (WIDTH / 2) / 1.0  # px at 1 m from the camera
    row = drawn[round(180 + 380.0 * 0.4 / 1.0)]
    assert np.flatnonzero(row).min() == pytest.approx(320 - edge, abs=4.0)
    left = draw_plan(image, ahead + [0.0, 0.8, 0.0], pose, mount).any(axis=2)
    assert np.flatnonzero(left.any(axis=0)).mean() < 300.0


def test_the_top_view_shows_the_robot_where_it_is():
    world = choose(0)[1]
    view = TopView(world, (300, 300))
    nothing = np.empty((0, 3))
    here = view.draw(nothing, np.array([*world.start]), None, nothing)
    there = view.draw(nothing, np.array([*world.goal, 0.0]), None, nothing)
    changed = np.flatnonzero((here != there).any(axis=(1, 2)))
    assert changed.min() < 100 and changed.max() > 200  # x of odom is up the page, and the goal is ahead


def write_bag(path: Path) -> None:
    """A second of a run: images at 10 Hz, odometry and commands at 50 Hz, a plan for each image 60 ms after it."""
    types = typestore()

    def make(kind: str, **values):
        return types.types[kind](**values)

    def stamp(moment: float):
        return make("builtin_interfaces/msg/Time", sec=int(moment), nanosec=round(moment % 1.0 * 1e9))

    def header(moment: float, frame: str = "odom"):
        return make("std_msgs/msg/Header", stamp=stamp(moment), frame_id=frame)

    def vector(x: float = 0.0, y: float = 0.0, z: float = 0.0):
        return make("geometry_msgs/msg/Vector3", x=x, y=y, z=z)

    def twist(vx: float):
        return make("geometry_msgs/msg/Twist", linear=vector(vx), angular=vector())

    def pose(x: float):
        return make(
            "geometry_msgs/msg/Pose",
            position=make("geometry_msgs/msg/Point", x=x, y=0.0, z=0.3),
            orientation=make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
        )

    def point(time: float, x: float):
        return make(
            "wam_msgs/msg/TrajectoryPoint",
            time_from_start=make("builtin_interfaces/msg/Duration", sec=0, nanosec=round(time * 1e9)),
            pose=pose(x),
            velocity=twist(0.5),
            acceleration=make("geometry_msgs/msg/Accel", linear=vector(), angular=vector()),
        )

    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}

        def write(topic: str, kind: str, moment: float, **values):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=types)
            data = types.serialize_cdr(make(kind, **values), kind)
            writer.write(connections[topic], round(moment * 1e9), data)

        for i in range(50):
            now = 1000.0 + 0.02 * i
            odometry = {
                "header": header(now),
                "child_frame_id": "base_link",
                "pose": make("geometry_msgs/msg/PoseWithCovariance", pose=pose(0.01 * i), covariance=np.zeros(36)),
                "twist": make("geometry_msgs/msg/TwistWithCovariance", twist=twist(0.5), covariance=np.zeros(36)),
            }
            write("/odom", "nav_msgs/msg/Odometry", now, **odometry)
            command = {"header": header(now, "base_link"), "twist": twist(0.5)}
            write("/cmd_vel_nav", "geometry_msgs/msg/TwistStamped", now, **command)
            write("/cmd_vel", "geometry_msgs/msg/TwistStamped", now, **command)
            if i % 5 == 0:
                image = {"header": header(now), "format": "jpeg", "data": np.arange(9, dtype=np.uint8)}
                write("/camera/front/image/compressed", "sensor_msgs/msg/CompressedImage", now, **image)
                info = {
                    "header": header(now),
                    "height": 360,
                    "width": 640,
                    "distortion_model": "plumb_bob",
                    "d": np.zeros(5),
                    "k": CAMERA.ravel(),
                    "r": np.eye(3).ravel(),
                    "p": np.zeros(12),
                    "binning_x": 0,
                    "binning_y": 0,
                    "roi": make(
                        "sensor_msgs/msg/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
                    ),
                }
                write("/camera/front/camera_info", "sensor_msgs/msg/CameraInfo", now, **info)
                plan = {
                    "header": header(now),
                    "points": [point(0.25, 1.0), point(0.5, 2.0)],
                    "horizon": make("builtin_interfaces/msg/Duration", sec=0, nanosec=500_000_000),
                    "model_id": "m",
                    "epoch": 0,
                    "confidence": math.nan,
                }
                write("/trajectory", "wam_msgs/msg/Trajectory", now + 0.06, **plan)


def test_a_bag_of_a_run_is_read_back_as_arrays_and_numbers(tmp_path):
    write_bag(tmp_path / "bag")
    recording = read_recording(tmp_path / "bag")
    assert len(recording.frames) == 10 and recording.frames[1][0] == pytest.approx(1000.1)
    assert recording.camera == pytest.approx(CAMERA)
    assert recording.odometry[-1] == pytest.approx([1000.98, 0.49, 0.0, 0.0])
    assert recording.heights == pytest.approx(0.3)
    assert recording.plans.poses[0] == pytest.approx(np.array([[1.0, 0.0, 0.0], [2.0, 0.0, 0.0]]))
    assert recording.ages.shape == (0, 2) and recording.plan_seconds.shape == (0, 2)

    path = tmp_path / "truth.jsonl"
    path.write_text(step(1000.0, 0.0) + step(1001.0, 0.5))
    result = summarise("w", Verdict(True, False, False, 1.0, 0.3), recording, read_track(path))
    assert result.good and result.path_length == 0.5
    assert result.plan_rate == pytest.approx(10.0, rel=0.05)
    assert 0.0599 < result.sensor_to_command.p50 < 0.0801  # the plan's 60 ms and at most one tick of 20 ms
    assert result.entry()["plan_ms"]["p50"] != result.entry()["plan_ms"]["p50"]  # NaN: no planner status in this bag
    assert result.timing_row()[1] == "-"


@pytest.mark.parametrize(("reached", "oldest"), [(True, 0.14), (False, 0.8)])
def test_a_plan_that_is_walked_out_at_the_goal_is_not_an_old_one(tmp_path, reached, oldest):
    write_bag(tmp_path / "bag")
    recording = read_recording(tmp_path / "bag")
    last_plan = recording.plans.arrivals[-1]
    ages = np.array([[1000.3, 0.08], [1000.6, 0.14], [last_plan + 0.01, 0.8]])
    path = tmp_path / "truth.jsonl"
    path.write_text(step(1000.0, 0.0) + step(1001.0, 0.5))
    verdict = Verdict(reached, False, not reached, 1.0, 0.3)
    result = summarise("w", verdict, replace(recording, ages=ages), read_track(path))
    assert result.plan_age.p99 == pytest.approx(oldest, rel=0.02)


def test_a_bag_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BagError, match="nowhere"):
        read_recording(tmp_path / "nowhere")


def test_a_bag_without_a_camera_says_what_is_missing(tmp_path):
    types = typestore()
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/instruction", "std_msgs/msg/String", typestore=types)
        message = types.types["std_msgs/msg/String"](data="walk")
        writer.write(connection, 0, types.serialize_cdr(message, "std_msgs/msg/String"))
    with pytest.raises(BagError, match=r"/camera/front/image/compressed.*/odom"):
        read_recording(tmp_path / "bag")


def test_a_run_that_failed_is_no_good_run_and_its_row_says_why():
    result = failed("w", "waited 60 s: standing up")
    assert not result.good and "standing up" in result.walk_row()[1]


@pytest.mark.parametrize(
    ("verdict", "good"),
    [
        (Verdict(True, False, False, 10.0, 0.4), True),
        (Verdict(False, True, False, 3.0, 5.0), False),
        (Verdict(True, True, False, 3.0, 0.4), False),
        (Verdict(False, False, True, 60.0, 2.0), False),
    ],
)
def test_only_a_goal_reached_without_contact_is_good(tmp_path, verdict, good):
    write_bag(tmp_path / "bag")
    path = tmp_path / "truth.jsonl"
    path.write_text(step(1000.0, 0.0))
    assert summarise("w", verdict, read_recording(tmp_path / "bag"), read_track(path)).good == good
