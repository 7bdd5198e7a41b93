"""One world of the demo with the whole graph in real processes, and everything that it leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import imageio_ffmpeg
import pytest
from typer.testing import CliRunner

from wam_tools.demo import command, course
from wam_tools.demo.bag import read_recording


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder and exit status of a demo of one world, with a policy that needs no checkpoint: straight ahead."""
    out = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "choose", lambda seed: course.choose(seed)[:1])
        words = ["--model", "baseline:straight", "--out", str(out), "--gif", str(out / "demo.gif")]
        result = CliRunner().invoke(command.app, words)
    print(result.output)
    return out, result.exit_code


def test_a_model_that_is_not_there_is_named_and_nothing_is_walked(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "choose", lambda seed: course.choose(seed)[:1])
        result = CliRunner().invoke(command.app, ["--model", "nosuch-model", "--out", str(tmp_path)])
    assert result.exit_code == 1 and result.exception.__class__ is SystemExit
    (run,) = json.loads((tmp_path / "demo.json").read_text())["runs"]
    assert "nosuch-model" in run["failure"] and not run["reached"]


def test_a_contact_is_reported_and_is_a_failed_demo(outcome):
    out, status = outcome
    (run,) = json.loads((out / "demo.json").read_text())["runs"]
    assert run["contact"] and not run["reached"] and run["failure"] == ""
    assert status == 1


def test_the_numbers_of_the_run_are_there(outcome):
    out, _ = outcome
    (run,) = json.loads((out / "demo.json").read_text())["runs"]
    assert run["seconds"] > 0.5 and run["path_m"] > 0.2
    assert run["plan_hz"] > 3.0
    for name in ("plan_age_ms", "sensor_to_command_ms"):
        assert 0.0 < run[name]["p50"] <= run[name]["p99"] < 2000.0


def test_the_bag_explains_the_run(outcome):
    out, _ = outcome
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    recording = read_recording(folder / "bag")
    assert len(recording.frames) > 10 and len(recording.plans.poses) > 5
    assert len(recording.commands) > 50 and len(recording.ages) > 5


def test_video_and_plot_can_be_looked_at(outcome):
    out, _ = outcome
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    reader = imageio_ffmpeg.read_frames(str(folder / "video.mp4"))
    about = next(reader)
    reader.close()
    assert about["codec"] == "h264" and about["pix_fmt"].startswith("yuv420p") and about["size"] == (960, 400)
    assert about["duration"] > 2.0
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "demo.gif").read_bytes().startswith(b"GIF8")
