"""What a bag gives to learn from: frames, odometry, scans, words and answers, window by window."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bags import IMAGE, TYPES, write_bag
from nano import nano_config
from rosbags.rosbag2 import StoragePlugin, Writer

from wam_models.data.bag_reader import BagError
from wam_models.data.bags import WhatIfs, read_run
from wam_models.data.store import open_store
from wam_models.data.windows import make_windows


def test_windows_without_a_teacher_are_what_was_driven(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", frames=24, speed=0.8, yaw_rate=0.3)
    config = nano_config()
    windows = make_windows(read_run(tmp_path / "bag"), config, use_acceleration=False)
    times = config.action.dt * np.arange(1, config.action.points + 1)
    arc = np.stack([0.8 / 0.3 * np.sin(0.3 * times), 0.8 / 0.3 * (1 - np.cos(0.3 * times)), 0.3 * times], axis=-1)
    assert len(windows.actions) == 24 - 8  # the last two seconds have no future to learn from
    assert np.abs(windows.actions - arc).max() < 0.01  # linear between odometry messages
    assert windows.imitated.all()
    assert windows.context[0].tolist() == [0, 0] and windows.context[5].tolist() == [3, 5]
    assert windows.future[0].tolist() == [2, 4, 6, 8]
    assert windows.states[0, :3] == pytest.approx([0.8, 0.0, 0.3])
    assert windows.states[0, 5:] == pytest.approx([1.0, 1.0, 0.0])


def test_answers_to_what_ifs_are_windows_of_their_frame_that_show_no_future_of_theirs(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", frames=24, speed=0.8, yaw_rate=0.3)
    config, run = nano_config(), read_run(tmp_path / "bag")
    run = replace(run, labels=np.zeros((24, 2, 3)), label_times=np.array([1.0, 2.0]))
    ahead = np.array([[0.5, 0.0, 0.0], [1.0, 0.0, 0.0]])
    twists, goals = np.array([[0.2, 0.0, 0.0], [0.1, 0.0, -0.3]]), np.array([[6.0, 0.0], [0.0, -50.0]])
    asked = WhatIfs(np.array([5, 5]), twists, np.stack([ahead, -ahead]), goals)
    plain = make_windows(run, config, use_acceleration=True)
    windows = make_windows(replace(run, what_ifs=asked), config, use_acceleration=True)
    assert len(windows.actions) == 26
    for name in ("context", "future", "states", "actions", "imitated"):
        assert np.array_equal(getattr(windows, name)[:24], getattr(plain, name))
    assert windows.context[24].tolist() == windows.context[25].tolist() == plain.context[5].tolist()
    assert not windows.imitated[24:].any()
    assert windows.states[24:, :3] == pytest.approx(twists)
    assert windows.states[24:, 3:5] == pytest.approx(0.0)  # nobody accelerated
    assert windows.states[25, 5] == 1.0 and windows.states[25, 7] < -0.9  # the goal to the right
    assert windows.actions[24, -1, 0] == pytest.approx(0.5 * config.action.dt * config.action.points)
    assert windows.actions[25] == pytest.approx(-windows.actions[24])


def test_answers_told_something_else_are_windows_with_those_words(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", told={0: "follow the road"})
    run = replace(read_run(tmp_path / "bag"), labels=np.zeros((24, 2, 3)), label_times=np.array([1.0, 2.0]), goal=None)
    asked = WhatIfs(np.array([5, 7]), np.zeros((2, 3)), np.ones((2, 2, 3)), instructions=("turn left", "turn right"))
    windows = make_windows(replace(run, what_ifs=asked), nano_config(), use_acceleration=False)
    assert windows.instructions[24:].tolist() == ["turn left", "turn right"]
    assert (windows.instructions[:24] == "follow the road").all() and not windows.states[:, 5:].any()


def test_a_frame_goes_with_the_instruction_that_was_in_force(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", told={2: "follow the road", 9: "turn left"})
    run = read_run(tmp_path / "bag")
    assert run.instructions == ("follow the road",) * 9 + ("turn left",) * 15
    windows = make_windows(run, nano_config(), use_acceleration=False)
    last = windows.context[:, -1]
    assert (windows.instructions == np.array(run.instructions)[last]).all() and len(set(windows.instructions)) == 2


@pytest.mark.parametrize("turned", [False, True])
def test_a_scan_is_read_by_column_and_unknown_where_the_lidar_does_not_measure(tmp_path: Path, turned: bool) -> None:
    write_bag(tmp_path / "bag", frames=4, scan=True, turned=turned)
    scan = read_run(tmp_path / "bag").scan
    assert scan is not None and scan.ranges.shape == (4, 61) and scan.focal == pytest.approx(0.5)
    ranges = scan.by_column(24)
    bearings = np.degrees(np.arctan((0.5 - (np.arange(24) + 0.5) / 24) / 0.5))
    assert np.isnan(ranges[:, np.abs(bearings) > 32]).all()
    left, untrue = (bearings > 1) & (bearings < 30), np.abs(bearings - 16) < 0.5
    assert untrue.sum() == 1 and np.isnan(ranges[:, untrue]).all()
    assert (ranges[:, left & ~untrue] == 2.0).all()
    assert np.isinf(ranges[:, (bearings < -1) & (bearings > -30)]).all()
    write_bag(tmp_path / "blind", frames=4)
    assert read_run(tmp_path / "blind").scan is None


def test_a_stop_line_is_read_for_every_frame_or_not_at_all(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", stop_at=2.0)
    write_bag(tmp_path / "none")
    metres = read_run(tmp_path / "bag").stop_lines
    assert metres is not None and metres[:3] == pytest.approx([2.0, 1.8, 1.6]) and np.isinf(metres[10:]).all()
    assert read_run(tmp_path / "none").stop_lines is None


def test_frames_without_odometry_are_left_out(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", frames=24, odometry_until=3.0)
    run = read_run(tmp_path / "bag")
    assert run.stamps[-1] == pytest.approx(3.0) and len(run.jpegs) == len(run.poses) == 13


def test_odometry_that_is_not_finite_is_named(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", nan_at=6)
    with pytest.raises(BagError, match=r"not finite, first at 1\.50 s"):
        read_run(tmp_path / "bag")


def test_a_bag_without_a_known_topic_is_refused(tmp_path: Path) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=TYPES)
        text = TYPES.types["std_msgs/msg/String"]("hello")
        writer.write(connection, 0, TYPES.serialize_cdr(text, "std_msgs/msg/String"))
    with pytest.raises(BagError, match="no camera 'front' in the bag, which has no pictures at all"):
        read_run(tmp_path / "bag")


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_pixels_under_other_names_train_alike(tmp_path: Path, storage: StoragePlugin) -> None:
    write_bag(tmp_path / "ours", frames=8)
    write_bag(tmp_path / "other", frames=8, raw=True, storage=storage, names={IMAGE: "/zed/rgb", "/odom": "/zed/odom"})
    ours, other = read_run(tmp_path / "ours"), read_run(tmp_path / "other")
    np.testing.assert_array_equal(ours.poses, other.poses)
    assert (ours.goal, ours.instructions) == (other.goal, other.instructions)
    drawn = np.random.default_rng(0).integers(0, 255, (72, 108, 3), dtype=np.uint8)  # by write_bag, in BGR
    np.testing.assert_array_equal(other.frame(5), np.roll(drawn, 10, axis=1)[..., ::-1])


def test_a_bag_recorded_again_under_the_same_name_is_read_again(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", frames=12)

    def count() -> int:
        return len(open_store([tmp_path / "bag"], tmp_path / "cache", nano_config(), False))

    first = count()
    shutil.rmtree(tmp_path / "bag")
    write_bag(tmp_path / "bag", frames=20)
    assert count() == first + 8
