"""What a user can get wrong: one clear message, a diagnostic, no traceback, and a robot that does not move."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from system.graph import Graph, graph

from wam_msgs.msg import PlannerStatus

pytest.importorskip("torch")

from nano import nano_checkpoint

from wam_models.checkpoint import file_hash


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole and sound one, of the smallest model."""
    return nano_checkpoint(tmp_path_factory.mktemp("models") / "nano")


def flip_a_byte(directory: Path) -> None:
    weights = directory / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 1
    weights.write_bytes(data)


def cut_the_weights(directory: Path) -> None:
    """Shorter weights under a manifest that vouches for them."""
    weights, manifest = directory / "model.safetensors", directory / "manifest.json"
    weights.write_bytes(weights.read_bytes()[:1000])
    values = json.loads(manifest.read_text())
    values["sha256"][weights.name] = file_hash(weights)
    manifest.write_text(json.dumps(values))


def lose_the_weights(directory: Path) -> None:
    (directory / "model.safetensors").unlink()


def assert_refused(it: Graph, *words: str) -> None:
    """One ERROR line, an ERROR in /diagnostics with the same text, no traceback, and the node is still there."""
    robot = it.robot
    robot.wait_for(lambda: robot.health.get("planner", (b"", ""))[0] == DiagnosticStatus.ERROR, "the diagnostic", 30.0)
    for word in words:
        assert word in robot.health["planner"][1]
    assert len([line for line in it.log if "[ERROR]" in line]) == 1
    assert not [line for line in it.log if "Traceback" in line]
    assert it.processes.watch() is None
    assert "planner" in it.processes.running
    assert robot.node.count_publishers("trajectory") == 0


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (flip_a_byte, ("SHA-256", "copy the checkpoint again")),
        (cut_the_weights, ("cannot be read", "copy the checkpoint again")),
        (lose_the_weights, ("model.safetensors is missing", "copy")),
    ],
)
def test_a_damaged_checkpoint_leaves_the_planner_up_and_unconfigured(
    checkpoint: Path, tmp_path: Path, damage: Callable[[Path], None], words: tuple[str, ...]
):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in checkpoint.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    damage(copy)
    with graph(("planner",), model=str(copy)) as it:
        assert_refused(it, *words)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"model": str(Path(__file__).parent)}, ("manifest.json", "is ", "a checkpoint directory?")),
        ({"model": ""}, ("set the parameter model",)),
        ({"model": "baseline:clever"}, ("clever", "stop, straight, constant_velocity")),
        ({"goal": "eight"}, ("eight", "two numbers in m")),
    ],
    ids=["no checkpoint", "none", "unknown baseline", "goal"],
)
def test_settings_that_cannot_be_had_leave_the_planner_up_and_unconfigured(settings: dict, words: tuple[str, ...]):
    with graph(("planner",), **settings) as it:
        assert_refused(it, *words)


@pytest.mark.parametrize(
    ("settings", "size", "refusal", "words"),
    [
        ({}, (64, 240), "camera_size", ("240x64", "96x64", "aspect")),
        ({"instruction": "geh zum Ziel"}, (64, 96), "instruction_unknown", ("geh zum Ziel", "it knows: ")),
        ({"goal": ""}, (64, 96), "goal_missing", ("no goal", "publish one")),
    ],
    ids=["camera of another size", "unknown language", "no goal"],
)
def test_what_the_model_refuses_is_said_and_the_robot_does_not_move(
    checkpoint: Path, settings: dict, size: tuple[int, int], refusal: str, words: tuple[str, ...]
):
    with graph(model=str(checkpoint), **settings) as it:
        robot = it.robot
        robot.camera_size = size
        robot.engage_when_ready()
        robot.wait_for(lambda: robot.planner is not None and robot.planner.plans_refused > 3, "refusals", 30.0)
        assert robot.planner.outcome == PlannerStatus.OUTCOME_REFUSED
        assert robot.planner.refusal == refusal
        for word in words:
            assert word in robot.planner.error_text
        robot.wait_for(lambda: robot.health["planner"][0] == DiagnosticStatus.WARN, "the diagnostic")
        assert robot.planner.plans_published == 0
        assert robot.truth[-1].travelled == 0.0
        assert not [line for line in it.log if "Traceback" in line]


def test_the_same_checkpoint_undamaged_plans(checkpoint: Path):
    """Without this the tests above could pass for another reason."""
    with graph(("planner",), model=str(checkpoint)) as it:
        it.robot.camera_size = (64, 96)
        deadline = time.monotonic() + 30.0
        while it.robot.planner is None or it.robot.planner.plans_published + it.robot.planner.plans_rejected == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert it.robot.planner.model_id.startswith("nano@0.1+")
