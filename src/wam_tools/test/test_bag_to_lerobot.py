"""`wam bag to-lerobot` as people call it: what it makes of bags, what it says of those it cannot use."""

from __future__ import annotations

import json

import pytest
import yaml
from bags import IMAGE, write_bag
from rosbags.rosbag2 import StoragePlugin
from typer.testing import CliRunner

from wam_models.data.bags import read_run
from wam_models.data.lerobot.reader import read_lerobot
from wam_tools.bag import app

pytest.importorskip("pyarrow")


def export(tmp_path, *arguments):
    words = ["to-lerobot", *arguments, "--out", tmp_path / "set", "--json", tmp_path / "said.json"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    return done


def said(tmp_path):
    return json.loads((tmp_path / "said.json").read_text())


def test_bags_below_a_folder_become_episodes_at_their_own_rate(tmp_path):
    write_bag(tmp_path / "bags" / "a", frames=12, period=0.1, told={0: "walk", 6: "turn left"})
    write_bag(tmp_path / "bags" / "b", frames=8, period=0.1, storage=StoragePlugin.SQLITE3)
    write_bag(tmp_path / "bags" / "taught", frames=8, period=0.1, scan=True, stop_at=3.0)
    done = export(tmp_path, tmp_path / "bags")
    assert done.exit_code == 0 and "3 episodes, 28 frames at 10 frames/s" in done.output
    found = said(tmp_path)
    assert (found["fps"], found["frames"], found["failed"]) == (10, 28, {})
    assert [each["bag"].rpartition("/")[2] for each in found["episodes"]] == ["a", "b", "taught"]
    assert found["episodes"][0]["instructions"] == ["walk", "turn left"]
    assert found["episodes"][2]["left_out"] == ["scan", "stop_lines"]
    assert json.loads((tmp_path / "set" / "meta" / "bags.json").read_text()) == found["episodes"]
    for back, name in zip(read_lerobot(tmp_path / "set"), ("a", "b", "taught"), strict=True):
        run = read_run(tmp_path / "bags" / name)
        assert back.poses == pytest.approx(run.poses) and back.instructions == run.instructions


def test_another_rate_drops_and_repeats_and_says_so(tmp_path):
    write_bag(tmp_path / "bag", frames=21, period=0.1)
    assert export(tmp_path, tmp_path / "bag", "--fps", "5").exit_code == 0
    (slow,) = said(tmp_path)["episodes"]
    assert (slow["frames"], slow["dropped"], slow["repeated"]) == (11, 10, 0)
    done = export(tmp_path, tmp_path / "bag")
    assert done.exit_code == 1 and "exists: remove it" in done.output


def test_a_bag_that_cannot_be_used_is_named_and_the_others_are_there(tmp_path):
    write_bag(tmp_path / "broken", broken_at=3)
    write_bag(tmp_path / "blind", names={IMAGE: ""})
    write_bag(tmp_path / "good", frames=8)
    done = export(tmp_path, *(tmp_path / name for name in ("broken", "blind", "good")))
    assert done.exit_code == 1
    failed = said(tmp_path)["failed"]
    assert {name.rpartition("/")[2] for name in failed} == {"broken", "blind"}
    assert "frame 3 is not a JPEG" in failed[str(tmp_path / "broken")]
    assert len(read_lerobot(tmp_path / "set")) == 1


def test_nothing_usable_leaves_nothing(tmp_path):
    write_bag(tmp_path / "broken", broken_at=3)
    done = export(tmp_path, tmp_path / "broken")
    assert done.exit_code == 1 and "nothing to export" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_topics_of_another_robot_are_named_in_a_file(tmp_path):
    write_bag(tmp_path / "bag", frames=8, names={IMAGE: "/left_eye", "/odom": "/zed/odom"})
    assert export(tmp_path, tmp_path / "bag").exit_code == 1  # the eye of another side is not guessed to be the front
    names = tmp_path / "names.yaml"
    names.write_text(yaml.safe_dump({"cameras": {"rear": "/left_eye"}}))
    done = export(tmp_path, tmp_path / "bag", "--topics", names)
    assert done.exit_code == 1 and "names no camera 'front'" in done.output
    names.write_text(yaml.safe_dump({"cameras": {"front": "/left_eye"}, "odometry": "/zed/odom"}))
    assert export(tmp_path, tmp_path / "bag", "--topics", names).exit_code == 0
    assert len(read_lerobot(tmp_path / "set")[0].jpegs) == 8
