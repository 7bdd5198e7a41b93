"""Public weights become a checkpoint that computes what they computed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import init_empty_weights
from public_weights import (
    TEXTS,
    Public,
    made,
    part,
    public_model,
    save_diffusers,
    save_driveva,
    save_fastwam,
    save_wan,
    weights_of,
)
from tokenizers import Tokenizer

from wam_models.checkpoint import Checkpoint, load_weights, save_checkpoint
from wam_models.convert.convert import convert
from wam_models.metis.planning import MetisModel
from wam_models.policy import load_policy
from wam_models.runtime.precision import keeps_float32
from wam_models.types import EgoState, Observation, Plan
from wam_models.wan.text import InstructionEncoder, word_tokenizer
from wam_models.wan.vae import VideoAutoencoder

OLDER_VAE = {
    "base_dim": 4,
    "z_dim": 4,
    "num_res_blocks": 1,
    "scale_factor_spatial": 8,
    "latents_mean": [0.1, 0.0, -0.2, 0.3],
    "latents_std": [1.5, 0.5, 1.0, 2.0],
}


@pytest.fixture
def public() -> Public:
    return public_model()


@torch.inference_mode()
def check_same_numbers(checkpoint: Checkpoint, model: Public) -> None:
    """Video, latents and text come out as they come out of the libraries' own modules."""
    config = model.config
    with init_empty_weights(include_buffers=False):
        video = type(model.video)(**config.video).eval()
        autoencoder = VideoAutoencoder(checkpoint.config["network"]["vae"]).eval()
        text = InstructionEncoder(config.text, word_tokenizer(TEXTS), config.text_length).eval()
    for prefix, module in (("network.video.", video), ("autoencoder.", autoencoder), ("text.", text)):
        load_weights(checkpoint, module, prefix)
    torch.manual_seed(5)
    latents = torch.randn(2, config.video["in_channels"], 2, 4, 6)
    words = torch.randn(2, 8, config.video["text_dim"])
    for times in (torch.tensor([600.0, 3.0]), 1000 * torch.rand(2, 12)):
        expected = model.video(latents, times, words, return_dict=False)[0]
        assert torch.equal(video(latents, times, words, return_dict=False)[0], expected)
    frames = torch.rand(1, 3, 1, 64, 96) * 2 - 1
    mean, std = (torch.tensor(config.vae[name]).view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std"))
    expected = (model.autoencoder.encode(frames).latent_dist.mode() - mean) / std
    assert torch.allclose(autoencoder.encode(frames), expected, atol=1e-5)
    assert torch.allclose(
        autoencoder.decode(expected), model.autoencoder.decode(expected * std + mean).sample, atol=1e-5
    )
    ids = torch.tensor([word_tokenizer(TEXTS).encode(TEXTS[0]).ids])
    rows = model.text(input_ids=ids).last_hidden_state
    assert torch.allclose(text([TEXTS[0]])[:, : rows.shape[1]], rows, atol=1e-6)


@pytest.mark.parametrize("save", [save_diffusers, save_wan])
@pytest.mark.parametrize("vae", [{}, OLDER_VAE], ids=["16x16", "8x8"])
def test_a_backbone_computes_what_it_computed(tmp_path: Path, save: Callable[..., Path], vae: dict) -> None:
    model = public_model(vae=vae) if vae else public_model()
    conversion = made(save(model, tmp_path / "public"), tmp_path / "out", model)
    assert conversion.format == ("diffusers" if save is save_diffusers else "wan")
    assert conversion.expert == "random" and not conversion.left_out
    check_same_numbers(conversion.checkpoint, model)


def test_both_files_of_a_backbone_give_the_same_weights(tmp_path: Path, public: Public) -> None:
    one = made(save_diffusers(public, tmp_path / "diffusers"), tmp_path / "one", public)
    two = made(save_wan(public, tmp_path / "wan"), tmp_path / "two", public)
    assert one.checkpoint.model_id == two.checkpoint.model_id
    assert one.checkpoint.config == two.checkpoint.config


def test_a_converted_model_plans(tmp_path: Path, public: Public) -> None:
    conversion = made(save_diffusers(public, tmp_path / "public"), tmp_path / "out", public)
    checkpoint = conversion.checkpoint
    tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer_file))
    with init_empty_weights(include_buffers=False):
        model = MetisModel(public.config, tokenizer)
    load_weights(checkpoint, model, "")
    again = tmp_path / "again"
    save_checkpoint(
        again,
        config=checkpoint.config,
        preprocessing=checkpoint.preprocessing,
        statistics=checkpoint.statistics,
        tokenizer=tokenizer.to_str(),
        weights={name: tensor.detach().clone() for name, tensor in model.state_dict().items()},
        card="",
    )
    policy = load_policy(again, steps=2)
    frames = np.random.default_rng(0).integers(0, 255, (1, 1, 64, 96, 3), dtype=np.uint8)
    seen = Observation(frames, np.array([1.0]), ("front",), EgoState(0.5, 0.0, 0.0), TEXTS[0])
    plan = policy.plan(seen)
    assert isinstance(plan, Plan)
    # Identity statistics, and a head that is still zero: the plan is the noise it began with.
    assert plan.trajectory.poses.shape == (5, 3) and np.abs(plan.trajectory.poses).max() < 6
    card = (conversion.checkpoint.directory / "README.md").read_text()
    assert "Not trained" in card and "deviation 1" in card


def test_narrow_weights_keep_what_wan_keeps_in_float32(tmp_path: Path, public: Public) -> None:
    source = save_diffusers(public, tmp_path / "public")
    seen: list[tuple[int, int]] = []
    conversion = convert(source, tmp_path / "out", public.config, name="toy", progress=lambda *now: seen.append(now))
    weights = weights_of(conversion.checkpoint)
    wide = {name for name, tensor in weights.items() if tensor.dtype is torch.float32}
    assert "network.video.condition_embedder.time_embedder.linear_1.weight" in wide
    assert all(name.startswith("network.") and keeps_float32(name) for name in wide)
    assert {tensor.dtype for name, tensor in weights.items() if name not in wide} == {torch.bfloat16}
    assert seen[-1][0] == seen[-1][1] == sum(t.numel() * t.element_size() for t in weights.values())


@pytest.mark.parametrize(("save", "folder"), [(save_diffusers, "transformer_2"), (save_wan, "low_noise_model")])
def test_of_two_transformers_the_one_for_little_noise_is_taken(
    tmp_path: Path, public: Public, save: Callable[..., Path], folder: str
) -> None:
    other = public_model(seed=1)
    save(other, tmp_path / "public", {"transformer_2": "transformer", "low_noise_model": "high_noise_model"}[folder])
    one = tmp_path / "one"
    save(public, one, folder)
    (one / folder).rename(tmp_path / "public" / folder)
    conversion = made(tmp_path / "public", tmp_path / "out", public)
    video = part(conversion.checkpoint, "network.video.")
    assert all(torch.equal(tensor, public.video.state_dict()[name]) for name, tensor in video.items())


@pytest.mark.parametrize("prefix", ["dit.", "pipe.dit.", ""])
def test_driveva_s_transformer_is_taken_and_the_rest_is_named(tmp_path: Path, public: Public, prefix: str) -> None:
    base = save_wan(public_model(seed=3), tmp_path / "base")
    model = replace(public, autoencoder=public_model(seed=3).autoencoder, text=public_model(seed=3).text)
    source = save_driveva(public, tmp_path / "DriveVA.safetensors", prefix)
    conversion = made(source, tmp_path / "out", public, base=base)
    assert conversion.format == "driveva"
    check_same_numbers(conversion.checkpoint, model)
    ((why, names),) = conversion.left_out.items()
    assert "trajectory" in why and len(names) == 3
    assert "DriveVA" in conversion.checkpoint.config["licence"]


@pytest.mark.parametrize("format", ["auto", "simwam"])
def test_fastwam_s_experts_are_both_taken(tmp_path: Path, public: Public, format: str) -> None:
    base = save_diffusers(public, tmp_path / "base")
    source = save_fastwam(public, tmp_path / "step.pt")
    conversion = made(source, tmp_path / "out", public, base=base, format=format)
    assert conversion.format == ("fastwam" if format == "auto" else format)
    assert conversion.expert == "source"
    check_same_numbers(conversion.checkpoint, public)
    action = part(conversion.checkpoint, "network.action.")
    wanted = public.action.state_dict()
    assert set(action) == set(wanted)
    fresh = {"state_in.weight", "state_in.bias", "head.weight", "head.bias", "scale_shift_table"}
    assert set(conversion.fresh) == fresh
    assert all(torch.equal(action[name], wanted[name]) for name in wanted if name not in fresh)
    assert not action["head.weight"].any()
    left = [name for names in conversion.left_out.values() for name in names]
    assert sorted(left) == [
        "mixtures.action.head.bias",
        "mixtures.action.head.weight",
        "proprio_encoder.bias",
        "proprio_encoder.weight",
    ]


def test_progress_ends_where_the_weights_end_and_shards_say_the_same(tmp_path: Path, public: Public) -> None:
    source = save_diffusers(public, tmp_path / "public")
    seen: list[tuple[int, int]] = []
    sharded = made(
        source, tmp_path / "out", public, max_shard_bytes=20_000, progress=lambda *now: seen.append(now)
    ).checkpoint
    assert seen == sorted(seen) and seen[-1][0] == seen[-1][1]
    assert seen[-1][1] == sum(t.numel() * t.element_size() for t in weights_of(sharded).values())
    assert len(sharded.weights_files) > 3
    whole = weights_of(made(source, tmp_path / "one", public).checkpoint)
    assert all(torch.equal(tensor, whole[name]) for name, tensor in weights_of(sharded).items())
    check_same_numbers(sharded, public)


def test_tokenizers_leave_cutting_and_padding_to_the_encoder(tmp_path: Path, public: Public) -> None:
    checkpoint = made(save_diffusers(public, tmp_path / "public"), tmp_path / "out", public).checkpoint
    read = Tokenizer.from_file(str(checkpoint.tokenizer_file))
    assert read.encode(TEXTS[0]).ids == word_tokenizer(TEXTS).encode(TEXTS[0]).ids


_MEASURE = """
import sys
from dataclasses import replace
from pathlib import Path
from wam_models import weights
from wam_models.convert import convert, stored
from wam_models.metis.config import MetisConfig
import json

weights._AT_ONCE = stored._AT_ONCE = 1 << 24

def peak():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])

folder = Path(sys.argv[1])
small, large = (MetisConfig.from_dict(json.loads((folder / f"{name}.json").read_text())) for name in ("small", "large"))
options = {"name": "toy", "max_shard_bytes": 1 << 25}
convert.convert(folder / "small", folder / "out1", small, **options)
before = peak()
convert.convert(folder / "large", folder / "out2", large, **options)
print((peak() - before) / 1e6)
"""


def test_converting_holds_a_shard_and_not_the_model(tmp_path: Path, public: Public) -> None:
    video = {**public.config.video, "num_attention_heads": 32, "num_layers": 4, "ffn_dim": 4096}
    action = replace(public.config.action, width=8, ffn=8)
    large = public_model(video=video, action=action)
    for name, model in (("small", public), ("large", large)):
        save_diffusers(model, tmp_path / name)
        (tmp_path / f"{name}.json").write_text(json.dumps(model.config.to_dict()))
    size = sum(file.stat().st_size for file in (tmp_path / "large").rglob("*.safetensors")) / 1e6
    assert size > 190
    command = [sys.executable, "-c", _MEASURE, str(tmp_path)]
    grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 80  # all of it would be 98; it is a shard of 34, and what is read and cast for it
