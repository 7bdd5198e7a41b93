"""`wam train` from nothing: records the expert, trains, lets the student drive, trains again, writes the checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from wam_models.policy import load_policy
from wam_models.training.recipe import DataSet, Recording
from wam_sim.run_recorder import RecordedRun
from wam_tools.train import View, app, progress_bars, record_missing

NETWORK = {
    "video": {
        "patch_size": [1, 2, 2],
        "num_attention_heads": 2,
        "attention_head_dim": 24,
        "in_channels": 4,
        "out_channels": 4,
        "text_dim": 16,
        "freq_dim": 32,
        "ffn_dim": 64,
        "num_layers": 2,
    },
    "vae": {
        "base_dim": 4,
        "decoder_base_dim": 4,
        "z_dim": 4,
        "num_res_blocks": 1,
        "is_residual": True,
        "in_channels": 12,
        "out_channels": 12,
        "patch_size": 2,
        "scale_factor_spatial": 16,
        "latents_mean": [0, 0, 0, 0],
        "latents_std": [1, 1, 1, 1],
    },
    "text": {"d_model": 16, "d_ff": 32, "d_kv": 8, "num_heads": 2, "num_layers": 1, "vocab_size": 64},
    "action": {"width": 16, "ffn": 32, "points": 8, "dt": 0.25},
    "image_size": [64, 96],
    "context_frames": 2,
    "context_dt": 0.5,
    "future_frames": 4,
    "future_dt": 0.5,
    "text_length": 8,
    "mask": "asymmetric",
    "steps": 1,
    "needs_goal": True,
}
ROUND = {"steps": 1, "batch": 2, "repeats": 2, "video_batch": 1, "learning_rate": 1e-3}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    record = {"split": "train", "runs": 1}
    values = {
        "name": "nano-yard",
        "version": "0.1",
        "seed": 0,
        "output": str(tmp_path / "train"),
        "cache": str(tmp_path / "cache"),
        "bundle": str(tmp_path / "bundled"),
        "use_acceleration": False,
        "network": NETWORK,
        "data": {
            "expert": {"folder": str(tmp_path / "expert"), "record": {**record, "driver": "expert"}},
            "student": {"folder": str(tmp_path / "student"), "record": {**record, "first_seed": 9, "driver": "policy"}},
        },
        "autoencoder": {"steps": 1, "frames": 1, "clips": 1, "clip_every": 2, "learning_rate": 1e-3},
        "rounds": [{**ROUND, "data": ["expert"]}, {**ROUND, "data": ["expert", "student"]}],
        "action_times": {"sampler": "power"},
        "video_times": {"sampler": "uniform", "shift": 5.0},
        "video_weight": 0.2,
        "ema": 0.5,
        "weight_decay": 0.01,
        "variants": 2,
        "future_every": 4,
        "held_out": 0.0,
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def test_from_nothing_to_a_checkpoint_and_a_second_run_repeats_nothing(recipe: Path) -> None:
    result = CliRunner().invoke(app, [str(recipe), "--workers", "1"])
    assert result.exit_code == 0, result.output
    folder = recipe.parent
    assert [path.name for path in (folder / "expert").glob("train-*")] == ["train-00000-0"]
    assert [path.name for path in (folder / "student").glob("train-*")] == ["train-00009-0"]
    assert load_policy(folder / "bundled").spec.model_id.startswith("nano-yard@0.1+")
    card = (folder / "bundled" / "README.md").read_text()
    assert "| expert | 1 |" in card and "| student | 1 |" in card

    weights = folder / "train" / "round1.safetensors"
    before = weights.stat().st_mtime_ns
    again = CliRunner().invoke(app, [str(recipe), "--workers", "1"])
    assert again.exit_code == 0, again.output
    assert weights.stat().st_mtime_ns == before
    assert "round 0" not in again.output


def test_a_recipe_that_continues_another_one_follows_that_first(recipe: Path) -> None:
    folder = recipe.parent
    values = yaml.safe_load(recipe.read_text())
    both = {**ROUND, "data": ["expert", "student"]}
    student = {"folder": str(folder / "more-student"), "record": {**values["data"]["student"]["record"]}}
    second = {
        **values,
        "version": "0.2",
        "output": str(folder / "more"),
        "start": str(recipe),
        "data": {"expert": values["data"]["expert"], "student": student},
        "rounds": [both, both],
    }
    path = folder / "second.yaml"
    path.write_text(yaml.safe_dump(second))
    result = CliRunner().invoke(app, [str(path), "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert (folder / "train" / "round1").is_dir()
    first = load_policy(folder / "train" / "round1").spec.model_id
    assert json.loads((folder / "more-student" / "made_by.json").read_text())["driver"] == first
    assert f"Continues from {first}" in (folder / "bundled" / "README.md").read_text()


def test_a_bundle_folder_that_is_no_checkpoint_is_not_replaced(recipe: Path) -> None:
    precious = recipe.parent / "bundled" / "thesis.txt"
    precious.parent.mkdir()
    precious.write_text("years")
    result = CliRunner().invoke(app, [str(recipe)])
    assert result.exit_code == 1 and "is no checkpoint and is not replaced" in result.output.replace("\n", " ")
    assert precious.exists() and not (recipe.parent / "expert").exists()


def test_a_policy_cannot_drive_before_there_is_one(recipe: Path) -> None:
    values = yaml.safe_load(recipe.read_text())
    recipe.write_text(yaml.safe_dump({**values, "rounds": [{**ROUND, "data": ["student"]}]}))
    result = CliRunner().invoke(app, [str(recipe)])
    assert result.exit_code == 1 and "add a start" in result.output and "Traceback" not in result.output


def test_a_missing_recipe_is_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, [str(tmp_path / "none.yaml")])
    assert result.exit_code == 1
    assert "cannot read the recipe" in result.output and "Traceback" not in result.output


def test_a_plan_says_what_training_would_take_and_trains_nothing(recipe: Path) -> None:
    values = yaml.safe_load(recipe.read_text())
    values["network"]["video"]["num_layers"] = 1
    recipe.write_text(yaml.safe_dump({**values, "lora": {"rank": 2, "alpha": 4}, "frozen_text": True}))
    file = recipe.parent / "plan" / "plan.json"
    result = CliRunner().invoke(app, [str(recipe), "--plan", "--json", str(file)])
    assert result.exit_code == 0, result.output
    assert not (recipe.parent / "train").exists()
    plan = json.loads(file.read_text())
    assert plan["windows"] == {"joint": 1, "plain": 2, "repeats": 2}
    rows = {(row["gpus"], row["lora"] is None, row["checkpointing"]): row for row in plan["plans"]}
    assert len(rows) == len(plan["plans"]) == 8
    for (gpus, full, _), row in rows.items():
        assert row["lora"] == (None if full else {"rank": 2, "alpha": 4})
        assert (row["gathered"] > 0) == (gpus == 8)
        assert row["peak"] > row["weights"] + row["optimiser"] + row["average"]
        assert row["gpu_gib"] == 4
    assert rows[1, False, True]["optimiser"] < rows[1, True, True]["optimiser"]
    shown = result.output.replace("\n", " ")
    assert "MiB on 1 GPU" in shown and "MiB on each of 8 GPUs" in shown
    assert f"{rows[1, True, True]['peak'] / 2**20:.2f}" in shown


@pytest.mark.parametrize(("source", "message"), [("preset:giant", "wan22_5b_ae1b"), ("none.yaml", "cannot read")])
def test_a_plan_of_nothing_known_is_one_line(source: str, message: str) -> None:
    result = CliRunner().invoke(app, [source, "--plan"])
    assert result.exit_code == 1 and message in result.output and "Traceback" not in result.output


def test_a_preset_alone_cannot_be_trained() -> None:
    result = CliRunner().invoke(app, ["preset:nano"])
    assert result.exit_code == 1 and "add --plan" in result.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused_before_anything_is_recorded(recipe: Path) -> None:
    for device, message in (("cuda", "sees no NVIDIA GPU"), ("tpu", "is no device")):
        result = CliRunner().invoke(app, [str(recipe), "--device", device])
        assert result.exit_code == 1 and message in result.output and "Traceback" not in result.output
    assert not (recipe.parent / "expert").exists()


def test_runs_that_are_there_count_as_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar that began at nothing after a stop would look as if they were lost."""
    (tmp_path / "train-00000-0").mkdir(parents=True)
    seen: list[tuple[int, int, dict[str, float]]] = []
    view = View(progress_bars())
    monkeypatch.setattr(view, "report", lambda _, *what: seen.append(what))
    made = [
        RecordedRun(tmp_path, 9, reached=True, contact=False),
        RecordedRun(tmp_path, 9, reached=False, contact=True),
    ]
    monkeypatch.setattr("wam_tools.train.record_runs", lambda *_, **__: iter(made))
    record_missing(DataSet("expert", tmp_path, Recording("train", 3, "expert")), None, 1, view)
    assert seen == [(2, 3, {"arrived": 1.0, "touched": 0.0}), (3, 3, {"arrived": 0.5, "touched": 0.5})]
