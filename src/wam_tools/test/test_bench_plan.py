"""`wam bench plan`: the table, the JSON that others read, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
from functools import partial
from pathlib import Path

import pytest
from nano import nano_checkpoint
from safetensors.torch import load_file
from typer.testing import CliRunner

from wam_models.checkpoint import open_checkpoint, save_checkpoint
from wam_models.evaluation import plan_report, plan_speed
from wam_models.metis.engine import Engine, make_engine
from wam_models.runtime.ladder import Rung
from wam_tools.bench.plan import app

ROOT = Path(__file__).parents[3]


def bench(*arguments: str) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, list(arguments))
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_stages_floor_and_ratio_stand_in_the_json(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    code, output = bench(
        *("--preset", "nano", "--random-weights", "--steps", "1,2", "--rungs", "plain,cached", "--candidates", "3"),
        *("--imagine", "--repeats", "3", "--json", str(file)),
    )
    assert code == 0, output
    report = json.loads(file.read_text())
    assert (report["preset"], report["task"], report["precision"]) == ("nano", "driving", "float32")
    assert report["rungs"].keys() == {"plain", "cached"} and report["left_out"] == {}
    for entry in report["rungs"].values():
        assert entry["steps"].keys() == {"1", "2"}
        for values in entry["steps"].values():
            assert 0 < values["p50_ms"] <= values["p99_ms"] and values["apart"] < 1e-4
            assert {"preprocess", "text", "vae", "flow"} <= values["stages_ms"].keys()
    cached = report["rungs"]["cached"]
    assert cached["best_of_3"]["steps"] == cached["with_video"]["steps"] == 2
    assert 0 < report["floor_ms"]["1"] < report["floor_ms"]["2"] < cached["steps"]["2"]["p50_ms"]
    assert report["plain_over_cached"]["2"] > 1 and report["peak_gib"] > 0 and report["paper_ms"] is None
    assert "cached is" in output and "2, best of 3" in output and "2, with video" in output


def test_a_checkpoint_is_measured_with_its_own_weights(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    code, output = bench(
        *("--model", "metis-yard", "--steps", "2", "--rungs", "cached", "--repeats", "2", "--json", str(file))
    )
    assert code == 0, output
    assert json.loads(file.read_text())["preset"] == "metis-yard"


@pytest.fixture
def joint(tmp_path: Path) -> Path:
    """A checkpoint of the joint mask."""
    nano = open_checkpoint(nano_checkpoint(tmp_path / "nano"))
    directory = tmp_path / "joint"
    save_checkpoint(
        directory,
        config={**nano.config, "network": {**nano.config["network"], "mask": "joint"}},
        preprocessing=nano.preprocessing,
        statistics=nano.statistics,
        tokenizer=nano.tokenizer_file.read_text(),
        weights=load_file(nano.weights_file),
        card="",
    )
    return directory


def test_a_checkpoint_of_the_joint_mask_is_measured_without_rung_plain(
    joint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_report, "measure", partial(plan_report.measure, compiling="eager"))
    file = tmp_path / "plan.json"
    code, output = bench(
        *("--model", str(joint), "--steps", "1,2", "--candidates", "2", "--imagine", "--repeats", "2"),
        *("--json", str(file)),
    )
    assert code == 0, output
    report = json.loads(file.read_text())
    assert report["rungs"].keys() == {"cached", "compiled"}
    assert "joint mask" in report["left_out"]["plain"] and "joint mask" in output
    for entry in report["rungs"].values():
        # Each of these plans imagines: none is measured once more for it.
        assert entry["steps"].keys() == {"1", "2"} and "best_of_2" in entry and "with_video" not in entry
        assert all(values["apart"] < 1e-4 for values in entry["steps"].values())
    assert 0 < report["floor_ms"]["1"] < report["floor_ms"]["2"]
    assert report["plain_over_cached"] == {}


def test_rung_plain_is_refused_for_the_joint_mask(joint: Path) -> None:
    code, output = bench("--model", str(joint), "--rungs", "plain,cached")
    assert code == 1 and "joint mask" in output and "choose cached" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "say what to measure"),
        (["--preset", "nano"], "has no weights"),
        (["--preset", "huge", "--random-weights"], "nano"),
        (["--preset", "nano", "--random-weights", "--rungs", "graph"], "needs an NVIDIA GPU"),
        (["--preset", "nano", "--random-weights", "--steps", "two"], "whole numbers"),
        (["--preset", "nano", "--random-weights", "--steps", "0"], "at least one step"),
        (["--preset", "nano", "--random-weights", "--precision", "int8"], "is no precision"),
        (["--model", "/nowhere/at/all"], "no checkpoint at"),
    ],
)
def test_what_cannot_be_measured_is_said(arguments: list[str], message: str) -> None:
    code, output = bench(*arguments)
    assert code == 1 and message in output


@pytest.mark.parametrize(
    "error",
    [RuntimeError("no compiler in [/usr/bin/g++]"), ValueError("sizes that are no multiples of 16"), RuntimeError()],
    ids=["markup", "sizes", "silent"],
)
@pytest.mark.parametrize(("rungs", "code"), [("cached", 1), ("all", 0)])
def test_a_rung_that_fails_is_told_and_takes_nothing_with_it(
    error: Exception, rungs: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(parts: object, rung: Rung, _: str) -> Engine:
        if rung is Rung.CACHED or rung.compiles:
            raise error
        return make_engine(parts, rung)

    def alone(rungs: list[Rung]) -> list[list[Rung]]:
        return [[rung] for rung in rungs]

    monkeypatch.setattr(plan_speed, "make_engine", refuse)
    monkeypatch.setattr(plan_speed, "_groups", alone)
    monkeypatch.setattr(plan_speed, "accelerate_layers", lambda *_: None)
    file = tmp_path / "plan.json"
    arguments = ("--preset", "nano", "--random-weights", "--steps", "1", "--repeats", "2", "--rungs", rungs)
    found, output = bench(*arguments, "--json", str(file))
    assert found == code, output
    report = json.loads(file.read_text())
    assert report["rungs"].keys() == (set() if rungs == "cached" else {"plain"})
    assert str(error) in report["left_out"]["cached"] and str(error) in output.replace("\n", "")
    assert f"rung cached failed: {type(error).__name__}" in output


def test_the_gpu_job_runs_small_on_a_processor(tmp_path: Path) -> None:
    """The same script, with a preset, a device and rungs that any machine can carry."""
    settings = {"PRESET": "nano", "DEVICE": "cpu", "RUNGS": "cached", "STEPS": "1,2", "REPEATS": "2"}
    result = subprocess.run(
        [ROOT / "scripts/gpu/bench_plan.sh"],
        env={**os.environ, **settings, "OUT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    report = json.loads((tmp_path / "plan-nano-cached.json").read_text())
    assert report["rungs"]["cached"]["best_of_6"]["steps"] == 2
    assert "cached" in result.stdout and "not measured" not in result.stdout


def test_the_gpu_job_says_which_rungs_it_could_not_measure(tmp_path: Path) -> None:
    settings = {"PRESET": "nano", "DEVICE": "cpu", "RUNGS": "graph", "STEPS": "1", "REPEATS": "2", "OUT": str(tmp_path)}
    job = ROOT / "scripts/gpu/bench_plan.sh"
    result = subprocess.run([job], env={**os.environ, **settings}, capture_output=True, text=True, timeout=300)
    assert result.returncode == 1
    assert "graph: not measured" in result.stdout and "needs an NVIDIA GPU" in result.stderr
