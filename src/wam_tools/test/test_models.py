"""`wam models` tells a whole checkpoint from a broken one, what a preset is, and makes one of public weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from transformers import UMT5Config, UMT5EncoderModel
from typer.testing import CliRunner

from wam_models.checkpoint import WEIGHTS, file_hash, open_checkpoint, save_checkpoint
from wam_models.metis.presets import PRESETS, Preset
from wam_models.wan.presets import WAN_NANO
from wam_models.wan.text import word_tokenizer
from wam_tools import models

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    """An install space with one checkpoint, `walker`."""
    directory = tmp_path / "share" / "wam_models" / "bundled" / "walker"
    save_checkpoint(
        directory,
        config={"kind": "metis", "name": "walker", "version": "0.1"},
        preprocessing={"image_size": [96, 160]},
        statistics={"scale": [1.0]},
        tokenizer="{}",
        weights={"weight": torch.ones(3)},
        card="# Walker\n\nTrained on nothing.\n",
    )
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "wam_models").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    return directory


def invoke(*arguments):
    return CliRunner().invoke(models.app, [str(argument) for argument in arguments])


def test_list_names_what_is_bundled(bundled, tmp_path):
    file = tmp_path / "models.json"
    assert invoke("list", "--json", file).exit_code == 0
    found, *presets = json.loads(file.read_text())
    assert (found["name"], found["state"]) == ("walker", "whole")
    assert found["model_id"].startswith("walker@0.1+")
    assert {preset["name"] for preset in presets} == set(PRESETS)
    assert all(preset["state"] == "preset" for preset in presets)


def test_list_shows_the_presets(bundled):
    answer = invoke("list")
    assert all(name in answer.output for name in PRESETS)
    assert "Apache-2.0" in answer.output


def test_list_fails_on_a_broken_checkpoint(bundled, tmp_path):
    (bundled / WEIGHTS).write_bytes(b"cut")
    file = tmp_path / "models.json"
    assert invoke("list", "--json", file).exit_code == 1
    found, *_ = json.loads(file.read_text())
    assert "SHA-256" in found["state"]
    assert found["model_id"] is None


def test_info_shows_the_card_size_hash_and_licence(bundled, tmp_path):
    file = tmp_path / "info.json"
    answer = invoke("info", "walker", "--json", file)
    assert answer.exit_code == 0
    assert "Trained on nothing." in answer.output
    found = json.loads(file.read_text())
    weights = bundled / WEIGHTS
    assert found["sha256"] == {WEIGHTS: file_hash(weights)}
    assert found["bytes"] == weights.stat().st_size
    assert found["licence"] == "not recorded"
    assert found["name"] == "walker" and found["preprocessing"] == {"image_size": [96, 160]}


def test_info_finds_the_licence_in_the_card_where_the_configuration_has_none(bundled, tmp_path):
    file = tmp_path / "info.json"
    (bundled / "README.md").write_text("# Walker\n\n- Licence of the weights: MIT (a walker's).\n- Seed 0.\n")
    assert invoke("info", "walker", "--json", file).exit_code == 0
    assert json.loads(file.read_text())["licence"] == "MIT (a walker's)"


def test_the_bundled_weights_are_under_the_licence_of_the_project(tmp_path):
    file = tmp_path / "info.json"
    directories = sorted((ROOT / "models" / "bundled").glob("*/"))
    assert directories and "Apache License" in (ROOT / "LICENSE").read_text()
    for directory in directories:
        answer = invoke("info", directory, "--json", file)
        assert answer.exit_code == 0 and json.loads(file.read_text())["licence"] == "Apache-2.0"


def test_info_of_a_preset_needs_no_weights(bundled, tmp_path):
    file = tmp_path / "preset.json"
    answer = invoke("info", "wan22_5b_ae1b", "--json", file)
    assert answer.exit_code == 0, answer.output
    found = json.loads(file.read_text())
    assert found["parameters"]["video"] == 4_999_787_712
    assert (found["gpu_gib"], found["horizon_s"], found["licence"]) == (16, 4.0, "Apache-2.0")
    assert "Wan-AI/Wan2.2-TI2V-5B-Diffusers" in answer.output.replace("\n", "")
    assert invoke("info", "wan22_5b_ae1b", "--task", "navigation", "--json", file).exit_code == 0
    assert json.loads(file.read_text())["horizon_s"] == 5.0


def test_a_task_that_is_none_is_refused_with_the_choices(bundled):
    answer = invoke("info", "nano", "--task", "sailing")
    assert answer.exit_code == 1
    assert "driving, navigation" in answer.output


@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_corrupt_file_is_named_without_traceback(bundled, command):
    (bundled / WEIGHTS).write_bytes(b"cut")
    answer = invoke(command, bundled)
    assert answer.exit_code == 1
    assert WEIGHTS in answer.output
    assert "Traceback" not in answer.output


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("verify", "runner"), "no checkpoint at runner: give a directory, or a bundled model (walker)"),
        (("verify", "nano"), "nano is a preset and has no files"),
        (("convert", "nowhere", "out", "--preset", "wan22_5b_ae1b"), "hf download Wan-AI/Wan2.2-TI2V-5B-Diffusers"),
    ],
    ids=["nothing", "preset", "nothing-to-convert"],
)
def test_what_is_not_there_is_named_with_what_to_give(bundled, command, message):
    answer = invoke(*command)
    assert answer.exit_code == 1
    assert message in answer.output.replace("\n", " ")


def test_a_folder_that_is_no_source_says_what_one_holds(public, tmp_path):
    (tmp_path / "empty").mkdir()
    answer = invoke("convert", tmp_path / "empty", tmp_path / "out", "--preset", "toy")
    assert answer.exit_code == 1 and "neither a folder transformer" in answer.output
    answer = invoke("convert", public / "transformer", tmp_path / "out", "--preset", "toy")
    assert answer.exit_code == 1 and "give the folder that it lies in" in answer.output


@pytest.fixture
def toy(monkeypatch):
    """A preset small enough for a test."""
    preset = Preset("toy", WAN_NANO, 16, 32, driving_image=(64, 96), navigation_image=(64, 64))
    monkeypatch.setitem(PRESETS, "toy", preset)
    return preset


@pytest.fixture
def public(toy, tmp_path):
    """Its weights in a diffusers folder."""
    torch.manual_seed(0)
    folder = tmp_path / "public"
    config = toy.config()
    WanTransformer3DModel(**config.video).save_pretrained(folder / "transformer")
    AutoencoderKLWan(**config.vae).save_pretrained(folder / "vae")
    UMT5EncoderModel(UMT5Config(**config.text)).save_pretrained(folder / "text_encoder")
    (folder / "tokenizer").mkdir()
    word_tokenizer(["drive on"]).save(str(folder / "tokenizer" / "tokenizer.json"))
    return folder


@pytest.mark.parametrize(("task", "points"), [("driving", 8), ("navigation", 5)])
def test_convert_makes_a_checkpoint_of_public_weights(public, toy, tmp_path, task, points):
    file = tmp_path / "made.json"
    out = tmp_path / "out"
    answer = invoke("convert", public, out, "--preset", "toy", "--task", task, "--json", file)
    assert answer.exit_code == 0, answer.output
    made = json.loads(file.read_text())
    checkpoint = open_checkpoint(out, every_hash=True)
    assert made["model_id"] == checkpoint.model_id
    assert (made["preset"], made["task"], made["format"], made["expert"]) == ("toy", task, "diffusers", "random")
    assert checkpoint.config["network"]["action"]["points"] == points
    assert "must be trained" in answer.output
    assert "never trained" in invoke("verify", out).output
    shown = invoke("info", out, "--json", file)
    assert shown.exit_code == 0 and "Not trained" in shown.output
    found = json.loads(file.read_text())
    assert found["licence"] == "Apache-2.0 (wan_nano)"
    assert found["outputs"].startswith(f"{points} points") and "1 frame" in found["inputs"]
    described = toy.describe(task)
    assert all(found[key] == described[key] for key in ("parameters", "planning_gib", "gpu_gib", "horizon_s"))
    assert found["network"]["action"]["width"] == 16 and "num_attention_heads" not in shown.output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "wan3"], "unknown preset 'wan3'; there are: wan22_5b_ae1b"),
        (["--preset", "toy", "--task", "sailing"], "driving, navigation"),
        (["--preset", "toy", "--precision", "int3"], "float32, bfloat16"),
        (["--preset", "toy", "--format", "gguf"], "auto, diffusers, wan"),
        (["--preset", "tiny"], "num_attention_heads 4, wanted 6"),
    ],
)
def test_convert_refuses_with_the_reason_and_writes_nothing(public, tmp_path, options, message):
    answer = invoke("convert", public, tmp_path / "out", *options)
    assert answer.exit_code == 1
    assert message in answer.output
    assert "Traceback" not in answer.output
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]
