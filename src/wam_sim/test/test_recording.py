"""Runs as bags: what is written is what a model reads back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from wam_models.data.bag_reader import BagError
from wam_models.data.bags import read_run
from wam_sim.expert import YardExpert
from wam_sim.ranging import BEARINGS, scan, segments_of
from wam_sim.recording import INSTRUCTIONS, SENSORS, record_run
from wam_sim.run_recorder import RunRecorder, bag_types
from wam_sim.runs import record_runs
from wam_sim.simulation import YardSimulation
from wam_sim.worlds import make_world


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "run"
    assert record_run(path, "train", 4, time_limit=4.0).frames == 16
    return path


def test_a_recorded_run_reads_back(bag: Path) -> None:
    run = read_run(bag)
    world = make_world("train", 4)
    assert run.stamps == pytest.approx(0.25 * np.arange(16), abs=0.011)
    assert run.goal == pytest.approx(world.goal)
    assert run.instructions[0] in {text for texts in INSTRUCTIONS.values() for text in texts}
    assert run.frame(0).shape == (180, 320, 3)
    assert run.poses[0] == pytest.approx([0, 0, 0], abs=1e-9)
    assert np.hypot(*run.poses[-1, :2]) > 1.0


def test_labels_are_the_expert_s_plan_at_each_frame(bag: Path) -> None:
    run = read_run(bag)
    assert run.labels is not None and run.labels.shape == (16, 8, 3)
    world = make_world("train", 4)
    pace = next(pace for pace, texts in INSTRUCTIONS.items() if run.instructions[0] in texts)
    expected = YardExpert(world, pace).plan(run.poses[6], run.twists[6], [], np.zeros((0, 2))).poses
    assert np.abs(run.labels[6] - expected).max() < 1e-6


def test_the_scan_is_what_stands_around_the_robot_at_each_frame(bag: Path) -> None:
    run = read_run(bag)
    assert run.scan is not None and run.scan.bearings == pytest.approx(BEARINGS, abs=1e-5)
    expected = scan(segments_of(make_world("train", 4).static_footprints), run.poses[6], [])
    assert run.scan.ranges[6] == pytest.approx(expected, rel=1e-3)
    assert run.scan.focal == pytest.approx(0.5 / np.tan(np.radians(40)))


def test_runs_that_are_there_are_not_recorded_again(tmp_path: Path) -> None:
    done = tmp_path / "train-00002-0"
    record_run(done, "train", 2, time_limit=1.0)
    before = (done / "metadata.yaml").stat().st_mtime_ns
    recorded = [run.path.name for run in record_runs(tmp_path, "train", 2, first_seed=2)]
    assert recorded == ["train-00002-1"]
    assert (done / "metadata.yaml").stat().st_mtime_ns == before


def test_runs_of_another_driver_are_not_mixed_in(tmp_path: Path) -> None:
    (tmp_path / "made_by.json").write_text(json.dumps({"recorder": 0, "driver": "metis@0+1"}))
    message = r"place yard, .*recorder 0, driver metis@0\+1; wanted are runs by place yard, recorder 1, driver expert"
    with pytest.raises(FileExistsError, match=message):
        next(record_runs(tmp_path, "train", 1))


def test_close_runs_begin_before_something_on_the_way_towards_it_and_the_expert_keeps_clear(tmp_path: Path) -> None:
    runs = list(record_runs(tmp_path, "gaps", 6, starts="close"))
    assert [run.path.name for run in runs] == [f"gaps-00000-{episode}" for episode in range(6)]
    assert sum(run.contact for run in runs) <= 1
    ahead = []
    for recorded in runs:
        run = read_run(recorded.path)
        assert 8 <= len(run.stamps) <= 12 and run.twists[0, 0] >= 0 and run.scan is not None
        ahead.append(run.scan.ranges[0][np.abs(run.scan.bearings) < 0.5].min())
    assert np.median(ahead) < 1.5


@pytest.mark.once
def test_runs_from_anywhere_have_their_goal_on_every_side(tmp_path: Path) -> None:
    runs = [read_run(recorded.path) for recorded in record_runs(tmp_path, "gaps", 8, starts="anywhere")]
    goals = np.array([run.goal for run in runs])
    assert len(np.unique(goals.round(3), axis=0)) == 8 and all(len(run.stamps) <= 49 for run in runs)
    to_goal = goals - np.array([run.poses[0, :2] for run in runs])
    bearings = np.arctan2(to_goal[:, 1], to_goal[:, 0]) - np.array([run.poses[0, 2] for run in runs])
    assert (np.cos(bearings) < 0).any() and (np.cos(bearings) > 0).any()


def test_asked_what_if_the_expert_answers_for_the_same_place_and_only_what_can_be_done(tmp_path: Path) -> None:
    plain, asked = tmp_path / "plain", tmp_path / "asked"
    record_run(plain, "gaps", 3, starts="close")
    record_run(asked, "gaps", 3, starts="close", what_ifs=3)
    run = read_run(asked)
    assert run.stamps == pytest.approx(read_run(plain).stamps)
    assert run.labels == pytest.approx(read_run(plain).labels)  # asking changes nothing in the run itself
    answers = run.what_ifs
    assert answers is not None and run.goal is not None and read_run(plain).what_ifs is None
    assert len(run.stamps) < len(answers.frame) <= 3 * len(run.stamps)
    own = np.hypot(*(answers.goals - run.goal).T) < 1e-6
    assert 0.4 < own.mean() < 0.8 and len(np.unique(answers.goals.round(3), axis=0)) == 2
    assert np.ptp(answers.twists[:, 0]) > 0.4
    pace = next(pace for pace, texts in INSTRUCTIONS.items() if run.instructions[0] in texts)
    world = make_world("gaps", 3)
    segments = segments_of(world.static_footprints)
    number = int(np.flatnonzero(own)[0])
    pose = run.poses[answers.frame[number]]
    expected = YardExpert(world, pace).plan(pose, answers.twists[number], [], np.zeros((0, 2))).poses
    assert answers.labels[number] == pytest.approx(expected, abs=1e-6)
    for frame, label in zip(answers.frame, answers.labels):
        c, s = np.cos(run.poses[frame, 2]), np.sin(run.poses[frame, 2])
        x, y = run.poses[frame, :2] + label[-1, :2] @ np.array([[c, s], [-s, c]])
        assert scan(segments, np.array([x, y, 0.0]), []).min() >= 0 and world.field.clearance_at(np.array([x, y])) > 0.2


def test_answers_that_lack_a_part_are_refused(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    record_run(whole, "gaps", 3, starts="close", what_ifs=1, time_limit=1.0)
    with Reader(whole) as reader, Writer(cut, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kept = [c for c in reader.connections if c.topic != "/expert/what_if/goal"]
        copies = {c.id: writer.add_connection(c.topic, c.msgtype, typestore=bag_types()) for c in kept}
        for connection, time, raw in reader.messages(kept):
            writer.write(copies[connection.id], time, raw)
    assert read_run(whole).what_ifs is not None
    with pytest.raises(BagError, match="lack a part: record it again"):
        read_run(cut)


def test_a_run_that_dies_leaves_no_half_bag_and_an_old_one_is_not_overwritten(tmp_path: Path) -> None:
    world = make_world("train", 2)
    path = tmp_path / "run"
    with pytest.raises(RuntimeError, match="pulled the plug"), RunRecorder(path, SENSORS, {}) as bag:
        simulation = YardSimulation(world)
        plan = YardExpert(world).plan(simulation.pose, simulation.twist, [], np.zeros((0, 2)))
        picture, ranges = np.zeros((90, 160, 3), np.uint8), np.full(len(BEARINGS), np.inf)
        bag.frame(0.0, picture, simulation.pose, simulation.twist, "walk to the goal", plan, ranges)
        raise RuntimeError("pulled the plug")
    assert not path.exists()
    path.mkdir()
    with pytest.raises(FileExistsError, match="another folder"):
        RunRecorder(path, SENSORS, {})
