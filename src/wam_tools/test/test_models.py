"""`wam models` tells a whole checkpoint from a broken one."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from wam_models.checkpoint import WEIGHTS, save_checkpoint
from wam_tools import models


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
    (found,) = json.loads(file.read_text())
    assert (found["name"], found["state"]) == ("walker", "whole")
    assert found["model_id"].startswith("walker@0.1+")


def test_list_fails_on_a_broken_checkpoint(bundled, tmp_path):
    (bundled / WEIGHTS).write_bytes(b"cut")
    file = tmp_path / "models.json"
    assert invoke("list", "--json", file).exit_code == 1
    (found,) = json.loads(file.read_text())
    assert "SHA-256" in found["state"]
    assert found["model_id"] is None


def test_info_shows_the_card(bundled):
    answer = invoke("info", "walker")
    assert answer.exit_code == 0
    assert "Trained on nothing." in answer.output


@pytest.mark.parametrize("command", ["info", "verify"])
def test_a_corrupt_file_is_named_without_traceback(bundled, command):
    (bundled / WEIGHTS).write_bytes(b"cut")
    answer = invoke(command, bundled)
    assert answer.exit_code == 1
    assert WEIGHTS in answer.output
    assert "Traceback" not in answer.output


def test_a_checkpoint_that_is_not_there_is_named(bundled):
    answer = invoke("verify", "runner")
    assert answer.exit_code == 1
    assert "no checkpoint at runner" in answer.output
