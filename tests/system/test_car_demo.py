"""One town of the car's demo with the whole graph in real processes, and everything that it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import imageio_ffmpeg
import pytest
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from typer.testing import CliRunner

from wam_planner.bringup import config_file
from wam_tools.demo import command, course
from wam_tools.demo.bag import CAR, read_recording

try:
    config_file("carla.yaml")
except ValueError:
    pytest.skip("the workspace is not built", allow_module_level=True)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder and exit status of a demo of one town, with a policy that drives straight on, off its route."""
    out = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "choose_towns", lambda seed: course.choose_towns(seed)[:1])
        words = ["--car", "--model", "baseline:lane_blind", "--out", str(out)]
        result = CliRunner().invoke(command.app, words)
    print(result.output)
    return out, result.exit_code


def test_who_drives_straight_on_leaves_the_route_and_fails_the_demo(outcome):
    out, status = outcome
    (run,) = json.loads((out / "demo.json").read_text())["runs"]
    assert run["ended"] == "off_route" and run["failure"] == ""
    assert 5.0 < run["route_completion"] < 60.0
    assert 0.0 <= run["driving_score"] < run["route_completion"]
    assert "outside_lanes" in {each["kind"] for each in run["infractions"]}
    assert status == 1


def test_the_numbers_of_the_drive_are_there(outcome):
    out, _ = outcome
    (run,) = json.loads((out / "demo.json").read_text())["runs"]
    assert run["seconds"] > 5.0 and run["route_m"] > 200.0 and 0.2 < run["realtime"] < 1.1
    assert run["plan_hz"] > 2.0
    assert 0.0 < run["plan_age_ms"]["p50"] <= run["plan_age_ms"]["p99"] < 1000.0
    assert 0.0 <= run["sensor_to_command_ms"]["p50"] <= run["sensor_to_command_ms"]["p99"] < 2000.0


def test_the_bag_explains_the_drive_and_holds_what_the_driver_was_told(outcome):
    out, _ = outcome
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    recording = read_recording(folder / "bag", CAR)
    assert len(recording.frames) > 50 and len(recording.plans.poses) > 20
    assert len(recording.commands) > 200 and len(recording.ages) > 20
    with AnyReader([folder / "bag"], default_typestore=get_typestore(Stores.ROS2_JAZZY)) as reader:
        wanted = [connection for connection in reader.connections if connection.topic == "/instruction"]
        told = [reader.deserialize(raw, each.msgtype).data for each, _, raw in reader.messages(wanted)]
    assert told[0] == "turn left at the junction"


def test_video_and_plot_can_be_looked_at(outcome):
    out, _ = outcome
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    reader = imageio_ffmpeg.read_frames(str(folder / "video.mp4"))
    about = next(reader)
    reader.close()
    assert about["codec"] == "h264" and about["size"] == (960, 400) and about["duration"] > 5.0
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
