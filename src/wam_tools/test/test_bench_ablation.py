"""`wam bench ablation` from bags to the table, with the smallest networks; a second run repeats nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from bags import write_bag
from nano import nano_config
from recipes import ROUND, write_recipe
from safetensors.torch import load_file
from typer.testing import CliRunner

from wam_models.training.recipe import read_recipe
from wam_models.training.train import train_round
from wam_tools.bench import app


def comparison(folder: Path, **changes: Any) -> Path:
    """A recipe for all variants on an autoencoder that is trained; changes: other entries."""
    entries = {
        "output": str(folder / "ablation"),
        "network": nano_config(image_size=(96, 160), steps=1, noise_scale=0.0).to_dict(),
        "autoencoder": {"weights": str(folder / "first" / "round0")},
        "rounds": [{**ROUND, "batch": 0, "video_batch": 2}],
    }
    return write_recipe(folder, **{**entries, **changes})


def bench(recipe: Path, *arguments: str) -> tuple[int, str]:
    few = ("--seeds", "2", "--episodes", "1", "--workers", "2")
    result = CliRunner().invoke(app, ["ablation", "--config", str(recipe), *few, *arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    for number in range(3):
        (tmp_path / "bags").mkdir(exist_ok=True)
        write_bag(tmp_path / "bags" / f"run{number}", seed=number, speed=1.0)
    network = nano_config(image_size=(96, 160)).to_dict()
    first = write_recipe(tmp_path, output=str(tmp_path / "first"), network=network)
    train_round(read_recipe(first), 0, lambda *_: None)
    return comparison(tmp_path)


def test_all_variants_are_trained_walked_and_compared_once(recipe: Path) -> None:
    folder, file = recipe.parent, recipe.parent / "scores.json"
    code, output = bench(recipe, "--json", str(file))
    assert code == 0, output
    assert "each training: 2 steps of 2 windows" in output
    assert output.count("no-video") > output.count("no-video-") > 0
    scores = json.loads(file.read_text())
    assert scores["budget"]["steps"] == 2 and scores["budget"]["seeds"] == 2
    assert scores["variants"].keys() == {"asymmetric", "isolated", "joint", "no-video"}
    assert scores["differences"].keys() == {f"{name} - asymmetric" for name in ("isolated", "joint", "no-video")}
    for values in scores["variants"].values():
        assert {"success", "success_ci", "contact", "ade_m", "ade_ci", "fde_m"} <= values.keys()
        assert [seed["seed"] for seed in values["seeds"]] == [3, 4]
        low, high = values["ade_ci"]
        assert low < values["ade_m"] < high

    # One autoencoder, one set of latents, one normalisation; other weights, for each variant and seed its own.
    assert len(list((folder / "cache").glob("*/latents-*"))) == 2  # the first recipe's, and these
    weights = {path.parent.name: load_file(path) for path in (folder / "ablation").glob("*/round0.safetensors")}
    assert len(weights) == 8
    name = "network.action.blocks.0.ffn.0.weight"
    name = name if name in weights["joint-3"] else next(key for key in weights["joint-3"] if "ffn" in key)
    assert len({tensors[name].numpy().tobytes() for tensors in weights.values()}) == 8
    models = [load_file(path) for path in (folder / "ablation").glob("*/round0/model.safetensors")]
    expected = load_file(folder / "first" / "round0" / "model.safetensors")
    kept = [key for key in expected if key.startswith("autoencoder.")]
    assert kept and all(torch.equal(model[key], expected[key]) for model in models for key in kept)

    made = {path: path.stat().st_mtime_ns for path in (folder / "ablation").rglob("*.*")}
    before = file.read_text()
    code, output = bench(recipe, "--json", str(file))
    assert code == 0, output
    assert {path: path.stat().st_mtime_ns for path in (folder / "ablation").rglob("*.*")} == made
    assert file.read_text() == before

    code, output = bench(comparison(folder, held_out=0.0), "--output", str(folder / "none"))
    assert code == 1 and "0 held out" in output.replace("\n", " ")
    code, output = bench(comparison(folder), "--steps", "3")
    assert code == 1 and "made by another recipe (rounds)" in output.replace("\n", " ")


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({}, ["--only", "joint,causal"], "no variant is called causal"),
        ({"rounds": [{**ROUND, "batch": 2, "video_batch": 2}]}, [], "batch must be 0"),
        ({"rounds": [{**ROUND, "batch": 0, "video_batch": 0}]}, [], "video_batch at least 1"),
        ({"start": "somewhere"}, [], "leave out start"),
        ({"autoencoder": {"weights": "/nowhere/at/all"}}, [], "no checkpoint at"),
        ({"autoencoder": {"weights": "x", "steps": 5}}, [], "leave out its steps"),
        (
            {"autoencoder": {"steps": 2, "frames": 2, "clips": 1, "clip_every": 2, "learning_rate": 1e-3}},
            [],
            "give the recipe's autoencoder weights",
        ),
    ],
)
def test_what_would_not_be_equal_is_refused_before_any_work(
    tmp_path: Path, changes: dict[str, Any], arguments: list[str], message: str
) -> None:
    code, output = bench(comparison(tmp_path, **changes), *arguments)
    assert code == 1 and message in output.replace("\n", " ")
    assert not (tmp_path / "cache").exists()
