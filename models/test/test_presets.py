"""Presets are what their sources are: parameters counted on the meta device, and the small ones run."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from wam_models.checkpoint import save_checkpoint
from wam_models.metis.config import MetisConfig
from wam_models.metis.planning import MetisModel
from wam_models.metis.presets import PRESETS, TASKS, preset_config
from wam_models.metis.size import size_of
from wam_models.policy import load_policy
from wam_models.preprocessing import Normaliser, Preprocessing
from wam_models.types import EgoState, Observation, Plan
from wam_models.wan.presets import WAN21_VAE, WAN22_VAE
from wam_models.wan.text import word_tokenizer

SMALL = ("nano", "tiny", "small")
UMT5 = 5_680_910_336
COUNTS = {
    "wan22_5b_ae1b": (4_999_787_712, 1_020_889_091, 704_688_668, UMT5),
    "wan22_5b_ae0p2b": (4_999_787_712, 207_154_691, 704_688_668, UMT5),
    "wan21_1p3b_ae0p24b": (1_418_996_800, 240_945_155, 126_892_531, UMT5),
    "wan22_a14b_ae0p2b": (14_288_491_584, 217_774_595, 126_892_531, UMT5),
    "wan22_a14b_ae1b": (14_288_491_584, 1_057_457_411, 126_892_531, UMT5),
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_large_ones_have_the_published_numbers_of_parameters(name: str) -> None:
    size = size_of(preset_config(name))
    assert tuple(size.parameters[part] for part in ("video", "action", "autoencoder", "text")) == COUNTS[name]
    assert size.weights_bytes == 2 * sum(COUNTS[name])


def test_every_preset_is_counted_here_or_run_here() -> None:
    assert set(PRESETS) == {*COUNTS, *SMALL}


@pytest.mark.parametrize(
    ("name", "tokens"),
    [("wan22_5b_ae1b", 480), ("wan22_5b_ae0p2b", 480), ("wan21_1p3b_ae0p24b", 1920), ("wan22_a14b_ae1b", 1920)],
)
def test_one_driving_frame_has_as_many_tokens_as_its_autoencoder_leaves(name: str, tokens: int) -> None:
    config = preset_config(name)
    assert config.image_size == (640, 768)
    assert config.tokens_per_latent == tokens
    assert config.future_latents == 2


def test_the_statistics_of_the_latents_are_those_of_the_sources() -> None:
    defaults = inspect.signature(AutoencoderKLWan).parameters
    for name, value in WAN21_VAE.items():
        assert value == defaults[name].default, name
    mean, std = WAN22_VAE["latents_mean"], WAN22_VAE["latents_std"]
    assert len(mean) == len(std) == 48
    # Weighted sums see a wrong or misplaced number anywhere.
    assert sum(i * value for i, value in enumerate(mean, 1)) == pytest.approx(-7.6248, abs=1e-9)
    assert sum(i * value for i, value in enumerate(std, 1)) == pytest.approx(790.8891, abs=1e-9)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json_and_fits_its_own_images(name: str, task: str) -> None:
    config = preset_config(name, task)
    assert MetisConfig.from_dict(json.loads(json.dumps(config.to_dict()))).to_dict() == json.loads(
        json.dumps(config.to_dict())
    ) | {"image_size": config.image_size, "cameras": config.cameras}
    factor = config.vae["scale_factor_spatial"] * config.video["patch_size"][1]
    assert not any(side % factor for side in config.image_size)
    assert config.video["text_dim"] == config.text["d_model"]
    assert config.video["in_channels"] == config.vae["z_dim"]


def test_the_two_tasks_ask_for_what_their_benchmarks_score() -> None:
    driving, navigation = (preset_config("wan22_5b_ae1b", task) for task in TASKS)
    assert (driving.action.points, driving.action.dt, driving.action.values) == (8, 0.5, 3)
    assert (navigation.action.points, navigation.action.dt, navigation.action.values) == (5, 1.0, 2)
    assert navigation.image_size == (384, 384)
    assert navigation.needs_goal and not driving.needs_goal


@pytest.mark.parametrize(("name", "task"), [("wan22_6b", "driving"), ("tiny", "sailing")])
def test_what_is_unknown_names_the_choices(name: str, task: str) -> None:
    with pytest.raises(ValueError, match=r"wan22_5b_ae1b|driving, navigation"):
        preset_config(name, task)


def test_the_smallest_gpu_holds_the_weights_and_the_larger_model_asks_for_more() -> None:
    for preset in PRESETS.values():
        size = size_of(preset.config())
        weights = 2 * (sum(size.parameters.values()) - size.parameters["text"]) / 2**30
        assert size.gpu_gib is not None
        assert weights + 1.0 < size.planning_gib < size.gpu_gib
    assert size_of(preset_config("wan22_5b_ae1b")).gpu_gib == 16
    assert size_of(preset_config("wan22_a14b_ae1b")).gpu_gib == 48


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", SMALL)
def test_the_small_ones_plan_and_imagine(tmp_path: Path, name: str, task: str) -> None:
    config = preset_config(name, task)
    torch.manual_seed(0)
    model = MetisModel(config, word_tokenizer(["drive on"])).eval()
    shape = (config.action.points, config.action.values)
    save_checkpoint(
        tmp_path / name,
        config={"kind": "metis", "name": name, "version": "0", "network": config.to_dict()},
        preprocessing=Preprocessing(config.image_size).to_dict(),
        statistics=Normaliser(np.zeros(shape), np.ones(shape)).to_dict(),
        tokenizer=model.text.tokenizer.to_str(),
        weights={name: tensor.clone() for name, tensor in model.state_dict().items()},
        card="",
    )
    height, width = config.image_size
    frames = np.full((1, 1, height, width, 3), 200, np.uint8)
    seen = Observation(frames, np.ones(1), ("front",), EgoState(1.0, 0.0, 0.0), "drive on", (3.0, 0.0))
    plan = load_policy(tmp_path / name, steps=1).plan(seen)
    assert isinstance(plan, Plan) and plan.trajectory.poses.shape == (config.action.points, 3)
    channels, h, w = config.latent_size
    with torch.inference_mode():
        text = model.network.read_text(model.text(["drive on"]))
        observed, future = torch.zeros(1, channels, 1, h, w), torch.zeros(1, channels, config.future_latents, h, w)
        points = config.action.points
        state, actions, times = torch.zeros(1, 8), torch.zeros(1, points, config.action.values), torch.ones(1, points)
        video, _ = model.network(observed, future, torch.ones(1), state, actions, times, text)
        assert video is not None and video.shape == future.shape
        assert model.autoencoder.decode(torch.cat([observed, future], 2)).shape == (1, 3, 9, height, width)
