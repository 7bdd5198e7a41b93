"""Replays of small bags, judged by what a robot with these plans would have done."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from bags import IMAGE, write_bag
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import StoragePlugin
from typer.testing import CliRunner

from wam_tools.replay import app

CONFIG = Path(__file__).parents[3] / "config" / "go2.yaml"


def replay(tmp_path, *arguments, model="baseline:constant_velocity"):
    words = ["--no-video", "--model", model, "--parameters", CONFIG, "--out", tmp_path / "out", *arguments]
    done = CliRunner().invoke(app, [str(word) for word in (tmp_path / "bag", *words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done


def metrics(tmp_path):
    return json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_who_drives_an_arc_is_foreseen_by_constant_velocity_and_not_by_stop(tmp_path):
    write_bag(tmp_path / "bag", frames=40)
    assert replay(tmp_path).exit_code == 0
    found = metrics(tmp_path)["policies"]
    assert set(found) == {"constant_velocity", "stop", "straight"}
    keeps, stops = found["constant_velocity"], found["stop"]
    assert keeps["plans"] == 40
    assert keeps["scored"] == 32  # a horizon of 2 s before the end
    assert keeps["fde"] < 0.01 and keeps["maoe"] < 0.5
    assert stops["fde"] == pytest.approx(2.0 * 0.8, rel=0.05)  # 0.8 m/s on a wide arc
    assert keeps["jump"]["p95"] < 0.01
    assert list(keeps["motions"]) == ["left"]


def test_two_runs_write_the_same_bytes(tmp_path):
    write_bag(tmp_path / "bag", frames=24)
    replay(tmp_path)
    first = (tmp_path / "out" / "metrics.json").read_bytes()
    replay(tmp_path)
    assert (tmp_path / "out" / "metrics.json").read_bytes() == first


def test_a_goal_in_another_frame_is_not_taken(tmp_path):
    write_bag(tmp_path / "bag", frames=8, goal_frame="map")
    done = replay(tmp_path, model="baseline:straight")
    assert done.exit_code == 1 and "goal_missing 8" in done.output and "goal_in_other_frame" in done.output


def test_one_bad_bag_does_not_lose_the_others(tmp_path):
    write_bag(tmp_path / "bag" / "good", frames=24)
    write_bag(tmp_path / "bag" / "blind", frames=24, names={IMAGE: ""})
    done = replay(tmp_path)
    assert done.exit_code == 1
    assert list(metrics(tmp_path)["failed"]) == ["blind"]
    assert metrics(tmp_path)["policies"]["stop"]["scored"] == 16
    assert (tmp_path / "out" / "report.html").exists()


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_replayed(tmp_path):
    write_bag(tmp_path / "bag", frames=4)
    (tmp_path / "out").write_text("a file")
    done = replay(tmp_path)
    assert done.exit_code == 1 and "File exists" in done.output and "topics" not in done.output


def test_parameters_of_the_file_hold_unless_an_option_says_otherwise(tmp_path):
    write_bag(tmp_path / "bag", frames=8, names={"/goal": ""})
    parameters = {"goal": "3.0,0.0", "use_sim_time": True}
    text = yaml.safe_dump({"/**/planner": {"ros__parameters": parameters}})
    (tmp_path / "robot.yaml").write_text(text)
    assert replay(tmp_path, "--parameters", tmp_path / "robot.yaml", model="baseline:straight").exit_code == 0
    done = replay(tmp_path, "--steps", 101)
    assert done.exit_code == 1 and "steps is 101" in done.output


@pytest.mark.parametrize(
    "stored", [{"raw": True}, {"storage": StoragePlugin.SQLITE3}, {"stamp_offset": 1e6}, {"stamp_offset": 0.5}]
)
def test_a_run_scores_alike_however_it_was_recorded(tmp_path, stored):
    write_bag(tmp_path / "bag", frames=24, **stored)
    assert replay(tmp_path).exit_code == 0
    found = metrics(tmp_path)
    assert found["policies"]["constant_velocity"]["scored"] == 16
    assert found["policies"]["constant_velocity"]["fde"] < 0.01
    kinds = [finding["kind"] for finding in found["bags"][0]["findings"]]
    assert kinds == [*(["two_clocks"] if "stamp_offset" in stored else []), "no_camera_info"]


def test_other_names_are_mapped_by_a_file(tmp_path):
    write_bag(tmp_path / "bag", frames=24, names={IMAGE: "/left_eye/compressed", "/odom": "/wheels"})
    done = replay(tmp_path)
    assert done.exit_code == 1 and "no camera 'front'" in done.output
    (tmp_path / "topics.yaml").write_text("cameras: {front: /left_eye/compressed}\nodometry: /wheels\n")
    assert replay(tmp_path, "--topics", tmp_path / "topics.yaml").exit_code == 0
    assert metrics(tmp_path)["policies"]["constant_velocity"]["scored"] == 16


def test_without_odometry_there_are_plans_and_no_scores(tmp_path):
    write_bag(tmp_path / "bag", frames=24, names={"/odom": ""})
    assert replay(tmp_path).exit_code == 0
    found = metrics(tmp_path)
    assert (found["policies"]["stop"]["plans"], found["policies"]["stop"]["scored"]) == (24, 0)
    assert [finding["kind"] for finding in found["bags"][0]["findings"]] == ["no_odometry", "no_camera_info"]


def test_a_span_and_one_in_so_many(tmp_path):
    write_bag(tmp_path / "bag", frames=40)
    replay(tmp_path, "--start", 2.0, "--end", 6.0, "--every", 2)
    assert metrics(tmp_path)["policies"]["stop"]["plans"] == 8
    done = replay(tmp_path, "--start", 60.0)
    assert done.exit_code == 1 and "has nothing from 60 s on: it is 9.8 s long" in done.output


def test_a_goal_of_the_bag_of_the_user_and_where_it_ended(tmp_path):
    write_bag(tmp_path / "bag", frames=24, names={"/goal": ""})
    done = replay(tmp_path, model="baseline:straight")
    assert done.exit_code == 1 and "straight never planned: goal_missing 24" in done.output
    shutil.rmtree(tmp_path / "bag")
    write_bag(tmp_path / "bag", frames=24)  # with a goal ahead
    scores = []
    for words in ((), ("--goal", "end"), ("--goal", "-4.0,0.0")):
        assert replay(tmp_path, *words, model="baseline:straight").exit_code == 0
        scores.append(metrics(tmp_path)["policies"]["straight"]["fde"])
    assert scores[1] < 0.5 < scores[0] < scores[2]


def test_several_bags_in_several_processes_score_as_one_after_the_other(tmp_path):
    for number in range(3):
        write_bag(tmp_path / "bag" / f"run-{number}", frames=24, seed=number, yaw_rate=0.2 + 0.1 * number)
    replay(tmp_path)
    alone = metrics(tmp_path)
    assert replay(tmp_path, "--workers", 2).exit_code == 0
    assert metrics(tmp_path) == alone
    assert list(alone["policies"]["stop"]["bags"]) == ["run-0", "run-1", "run-2"]


def test_the_report_is_one_file_that_needs_no_network(tmp_path):
    write_bag(tmp_path / "bag", frames=40, scan=True)  # with camera_info
    replay(tmp_path, model="baseline:stop")
    page = (tmp_path / "out" / "report.html").read_text()
    assert 5 <= page.count("data:image/jpeg;base64,") <= 8  # a second apart, of the 7.75 s that can be scored
    assert page.count("<svg") == 2
    outside = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(https?:[^"')]*)""", page)
    assert not outside
    assert "What stop would have done" in page
    assert re.search(r"<td>stop</td><td>0\.8\d</td><td>1\.5\d</td>", page)  # m after 2 s of 0.8 m/s


def test_the_predictions_are_a_bag_that_others_read(tmp_path):
    write_bag(tmp_path / "bag", frames=24)
    replay(tmp_path)
    with AnyReader([tmp_path / "out" / "predictions.mcap"]) as reader:
        paths = {
            (connection.topic, logged): reader.deserialize(raw, connection.msgtype)
            for connection, logged, raw in reader.messages()
        }
    driven = paths["/replay/driven_path", 0]
    planned = paths["/replay/constant_velocity/planned_path", 1_000_000_000]
    assert planned.header.frame_id == "odom" and len(planned.poses) == 9
    ends = [driven.poses[12].pose.position, planned.poses[-1].pose.position]  # both at 3 s
    assert (ends[0].x, ends[0].y) == pytest.approx((ends[1].x, ends[1].y), abs=0.01)


def test_bags_of_one_name_are_told_apart(tmp_path):
    for walk in ("first", "second"):
        write_bag(tmp_path / "bag" / walk / "bag", frames=24)
    assert replay(tmp_path).exit_code == 0
    found = metrics(tmp_path)["policies"]["stop"]
    assert list(found["bags"]) == ["first/bag", "second/bag"]
    assert sum(each["plans"] for each in found["motions"].values()) == found["scored"] == 32


def test_robots_are_not_mixed(tmp_path):
    write_bag(tmp_path / "bag" / "dog", frames=4)
    write_bag(tmp_path / "bag" / "car", frames=4, names={IMAGE: "/carla/hero/rgb_front/image/compressed"})
    done = replay(tmp_path)
    assert done.exit_code == 1 and "one robot at a time" in done.output


def test_a_model_that_is_none_is_refused(tmp_path):
    write_bag(tmp_path / "bag", frames=4)
    done = replay(tmp_path, model="baseline:clever")
    assert done.exit_code == 1 and "no baseline is called 'clever'" in done.output


def test_a_broken_picture_is_counted_and_the_rest_is_planned_from(tmp_path):
    write_bag(tmp_path / "bag", frames=12, broken_at=5)
    assert replay(tmp_path).exit_code == 0
    found = metrics(tmp_path)
    assert found["policies"]["stop"]["plans"] == 11
    assert found["policies"]["stop"]["not_planned"] == {"unreadable": 1}
    kinds = {finding["kind"]: finding["count"] for finding in found["bags"][0]["findings"]}
    assert kinds == {"unreadable_picture": 1, "no_camera_info": 1}


def test_a_replay_into_the_folder_of_another_leaves_nothing_of_that(tmp_path):
    for name in ("one", "other"):
        write_bag(tmp_path / "bag" / name, frames=12)
    assert replay(tmp_path).exit_code == 0
    (tmp_path / "out" / "one" / "mine.txt").write_text("not of a replay")
    shutil.rmtree(tmp_path / "bag" / "one")
    assert replay(tmp_path).exit_code == 0
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == {"metrics.json", "timings.json", "report.html", "predictions.mcap", "one/mine.txt"}
    assert not (tmp_path / "out" / "other").exists()


def test_a_file_of_topics_says_only_what_the_guess_got_wrong(tmp_path):
    """The goal is still found; the instruction is said to be none."""
    write_bag(tmp_path / "bag", frames=12, names={IMAGE: "/eye/compressed"})
    (tmp_path / "topics.yaml").write_text("cameras: {front: /eye/compressed}\ninstruction:\n")
    assert replay(tmp_path, "--topics", tmp_path / "topics.yaml").exit_code == 0
    (bag,) = metrics(tmp_path)["bags"]
    assert (bag["topics"]["odometry"], bag["topics"]["goal"], bag["topics"]["instruction"]) == ("/odom", "/goal", "")
