"""Public weights become a checkpoint that computes what they computed, or are refused with every name that is wrong."""

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
    public_model,
    save_diffusers,
    save_driveva,
    save_fastwam,
    save_tokenizer,
    save_wan,
    wan_video,
)
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor

from wam_models.checkpoint import Checkpoint, CheckpointError, load_weights
from wam_models.convert.action import fresh_expert, is_resized, resize
from wam_models.convert.convert import Conversion, convert
from wam_models.metis.engine import make_engine
from wam_models.metis.model import Metis
from wam_models.metis.planning import MetisModel, MetisPolicy
from wam_models.preprocessing import Normaliser, Preprocessing
from wam_models.runtime.ladder import Rung
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


def made(source: Path, out: Path, model: Public, **options: object) -> Conversion:
    return convert(source, out, model.config, name="toy", precision="float32", **options)  # type: ignore[arg-type]


def network_of(checkpoint: Checkpoint, model: Public) -> Metis:
    with init_empty_weights(include_buffers=False):
        network = Metis(model.config)
    load_weights(checkpoint, network, "network.")
    return network.eval()


def weights_of(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return {name: tensor for file in checkpoint.weights_files for name, tensor in load_file(file).items()}


def part(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in weights_of(checkpoint).items() if n.startswith(prefix)}


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
    parts = model.eval().parts()
    preprocessing = Preprocessing.from_dict(checkpoint.preprocessing)
    normaliser = Normaliser.from_dict(checkpoint.statistics)
    engine = make_engine(parts, 2, Rung.CACHED)
    policy = MetisPolicy(parts, engine, tokenizer, preprocessing, normaliser, checkpoint.model_id)
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


def test_an_expert_of_other_actions_keeps_its_blocks(tmp_path: Path, public: Public) -> None:
    action = replace(public.config.action, values=2)
    other = replace(public, config=replace(public.config, action=action))
    source = save_fastwam(public, tmp_path / "step.pt")
    conversion = made(source, tmp_path / "out", other, base=save_diffusers(public, tmp_path / "base"))
    assert conversion.expert == "source"
    assert {"action_in.weight"} == {name for name in conversion.fresh if name.startswith("action_in")}
    assert part(conversion.checkpoint, "network.action.")["action_in.weight"].shape == (20, 2)
    assert any("mixtures.action.action_encoder.weight" in names for names in conversion.left_out.values())


@pytest.mark.parametrize("start", ["random", "resized"])
def test_an_expert_of_another_size_is_named_and_not_taken(tmp_path: Path, public: Public, start: str) -> None:
    wider = replace(public, config=replace(public.config, action=replace(public.config.action, width=24)))
    source = save_fastwam(public, tmp_path / "step.pt")
    base = save_diffusers(public, tmp_path / "base")
    conversion = made(source, tmp_path / "out", wider, base=base, action=start)
    assert conversion.expert == start
    (why,) = (why for why in conversion.left_out if "another size" in why)
    assert "action_in.weight (20, 3), wanted (24, 3)" in why
    assert network_of(conversion.checkpoint, wider).action.action_in.weight.shape == (24, 3)


def test_a_random_expert_is_the_same_for_a_seed_and_writes_nothing_yet(tmp_path: Path, public: Public) -> None:
    source = save_diffusers(public, tmp_path / "public")
    one, same, other = (
        part(made(source, tmp_path / f"out{i}", public, seed=seed).checkpoint, "network.action.")
        for i, seed in enumerate((4, 4, 5))
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["blocks.1.attn1.to_q.weight"], other["blocks.1.attn1.to_q.weight"])
    assert not torch.equal(one["blocks.1.attn1.to_q.weight"], one["blocks.2.attn1.to_q.weight"])
    assert not one["head.weight"].any() and not one["head.bias"].any()


def test_randomness_elsewhere_is_not_disturbed(public: Public) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    names = public.action.state_dict()
    tensors = fresh_expert(public.config, 0, set(names))
    next(tensors)
    assert {name for name, _ in tensors} < set(names)
    assert torch.equal(torch.rand(3), expected)


def test_a_resized_expert_is_the_video_expert_made_smaller(tmp_path: Path, public: Public) -> None:
    conversion = made(save_wan(public, tmp_path / "public"), tmp_path / "out", public, action="resized")
    action, video = part(conversion.checkpoint, "network.action."), public.video.state_dict()
    for name, tensor in action.items():
        if is_resized(name):
            assert torch.equal(tensor, resize(video[name], tuple(tensor.shape)))
    assert set(conversion.fresh) == {name for name in action if not is_resized(name)}
    assert not action["head.weight"].any()


def test_resizing_is_linear_from_end_to_end_and_keeps_the_size_of_products() -> None:
    ramp = torch.linspace(0.0, 3.0, 7)
    assert torch.allclose(resize(ramp, (4,)), torch.tensor([0.0, 1.0, 2.0, 3.0]))
    rows = ramp[:, None].expand(7, 5)
    assert torch.allclose(resize(rows, (4, 5)), torch.arange(4.0)[:, None].expand(4, 5))
    assert torch.allclose(resize(torch.ones(6, 16), (3, 4)), torch.full((3, 4), 2.0))
    assert torch.equal(resize(rows, (7, 5)), rows)
    with pytest.raises(ValueError, match="cannot become"):
        resize(ramp, (4, 1))


def break_video(model: Public, folder: Path) -> None:
    file = folder / "transformer" / "diffusion_pytorch_model.safetensors"
    state = model.video.state_dict()
    del state["blocks.0.norm2.weight"], state["proj_out.bias"]
    state["blocks.9.norm2.weight"] = torch.zeros(3)
    state["patch_embedding.bias"] = torch.zeros(5)
    for path in (folder / "transformer").glob("*.safetensors*"):
        path.unlink()
    save_file({name: tensor.clone() for name, tensor in state.items()}, file)


def test_every_wrong_name_is_listed_and_nothing_is_written(tmp_path: Path, public: Public) -> None:
    source = save_diffusers(public, tmp_path / "public")
    break_video(public, source)
    state = load_file(source / "vae" / "diffusion_pytorch_model.safetensors")
    save_file(state | {"spare.weight": torch.zeros(1)}, source / "vae" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(CheckpointError, match="does not fit the preset") as refused:
        made(source, tmp_path / "out", public)
    text = str(refused.value)
    assert "video: 2 missing: " in text and "blocks.0.norm2.weight" in text and "proj_out.bias" in text
    assert "1 not wanted: blocks.9.norm2.weight" in text
    assert "patch_embedding.bias (5,), wanted (48,)" in text
    assert "autoencoder: 1 not wanted: spare.weight" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["public"]


@pytest.mark.parametrize(
    "wrong", ["blocks.0.self_attn.qkv.weight", "vace_blocks.0.norm3.weight", "dit2.head.head.bias"]
)
def test_original_names_that_nobody_knows_are_refused(tmp_path: Path, public: Public, wrong: str) -> None:
    base = save_wan(public, tmp_path / "base")
    source = tmp_path / "DriveVA.safetensors"
    known = {f"dit.{name}": tensor for name, tensor in wan_video(public).items()}
    save_file(known | {wrong: torch.zeros(1)}, source)
    with pytest.raises(CheckpointError, match=f"1 of no known name: {wrong}"):
        made(source, tmp_path / "out", public, base=base)


def test_another_number_of_heads_is_seen_although_all_shapes_fit(tmp_path: Path, public: Public) -> None:
    video = {**public.config.video, "num_attention_heads": 4, "attention_head_dim": 12}
    other = replace(public, config=replace(public.config, video=video))
    with pytest.raises(CheckpointError, match="num_attention_heads 2, wanted 4"):
        made(save_diffusers(public, tmp_path / "public"), tmp_path / "out", other)
    folder = save_wan(public, tmp_path / "wan")
    (folder / "config.json").write_text(json.dumps({"num_heads": 2, "dim": 48}))
    with pytest.raises(CheckpointError, match="num_heads 2, wanted 4"):
        made(folder, tmp_path / "out", other)


class Runs:
    def __reduce__(self) -> tuple:
        return Path.touch, (Path(self.path),)  # type: ignore[attr-defined]


def test_a_pickle_that_would_run_something_does_not(tmp_path: Path, public: Public) -> None:
    folder = save_wan(public, tmp_path / "public")
    trap = Runs()
    trap.path = str(tmp_path / "ran")  # type: ignore[attr-defined]
    torch.save({"weight": trap}, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    with pytest.raises(CheckpointError, match="nothing in it is run"):
        made(folder, tmp_path / "out", public)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("transformer/config.json", r"config\.json is missing"),
        ("transformer/diffusion_pytorch_model.safetensors.index.json", "has neither"),
        ("transformer/*-00002-of-*", "lacks diffusion_pytorch_model-00002"),
        ("vae/diffusion_pytorch_model.safetensors", "has neither"),
        ("text_encoder/model.safetensors", "has neither"),
        ("tokenizer/tokenizer.json", r"tokenizer\.json is missing.*save_pretrained"),
    ],
)
def test_a_missing_file_of_a_folder_is_named(tmp_path: Path, public: Public, file: str, message: str) -> None:
    source = save_diffusers(public, tmp_path / "public")
    (found,) = source.glob(file)
    found.unlink()
    with pytest.raises(CheckpointError, match=message):
        made(source, tmp_path / "out", public)


def test_a_damaged_file_is_named(tmp_path: Path, public: Public) -> None:
    source = save_wan(public, tmp_path / "public")
    for file in (*source.glob("*-00001-of-*"), source / "Wan2.2_VAE.pth", source / "google/umt5-xxl/tokenizer.json"):
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(CheckpointError, match=file.name):
            made(source, tmp_path / "out", public)
        file.write_bytes(whole)
    assert made(source, tmp_path / "out", public).expert == "random"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "gguf"}, "unknown format 'gguf'; there are: auto, diffusers, wan, driveva, fastwam, simwam"),
        ({"action": "copied"}, "random, resized"),
        ({"format": "fastwam"}, "give --base"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, public: Public, options: dict, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        made(save_diffusers(public, tmp_path / "public"), tmp_path / "out", public, **options)


def test_what_cannot_be_told_is_asked_for(tmp_path: Path, public: Public) -> None:
    (tmp_path / "empty").mkdir()
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pt")
    for source in (tmp_path / "empty", tmp_path / "other.pt"):
        with pytest.raises(CheckpointError, match="give --format"):
            made(source, tmp_path / "out", public)
    with pytest.raises(CheckpointError, match="nothing at"):
        made(tmp_path / "nowhere", tmp_path / "out", public)


def test_nothing_is_ever_replaced(tmp_path: Path, public: Public) -> None:
    source = save_diffusers(public, tmp_path / "public")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match="exists"):
        made(source, tmp_path / "out", public)
    assert (tmp_path / "out" / "thesis.tex").exists()


def test_a_tokenizer_with_more_words_than_its_encoder_is_refused(tmp_path: Path, public: Public) -> None:
    source = save_diffusers(public, tmp_path / "public")
    word_tokenizer([" ".join(f"w{i}" for i in range(90))]).save(str(source / "tokenizer" / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="93 words, the text encoder knows 64"):
        made(source, tmp_path / "out", public)


def test_what_breaks_off_does_not_look_like_a_checkpoint(tmp_path: Path, public: Public) -> None:
    source = save_diffusers(public, tmp_path / "public")

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made(source, tmp_path / "out", public, progress=stop, max_shard_bytes=20_000)
    assert [path.name for path in tmp_path.iterdir()] == ["public"]


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


def test_a_folder_with_a_tokenizer_alone_is_no_backbone(tmp_path: Path, public: Public) -> None:
    save_tokenizer(tmp_path / "base" / "tokenizer")
    source = save_driveva(public, tmp_path / "DriveVA.safetensors")
    with pytest.raises(CheckpointError, match=r"Wan2\.2_VAE\.pth is missing"):
        made(source, tmp_path / "out", public, base=tmp_path / "base")
