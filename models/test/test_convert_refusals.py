"""What does not fit is refused with every name that is wrong, before anything is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from public_weights import (
    Public,
    made,
    public_model,
    save_diffusers,
    save_driveva,
    save_tokenizer,
    save_wan,
    wan_video,
)
from safetensors.torch import load_file, save_file

from wam_models.checkpoint import CheckpointError
from wam_models.wan.text import word_tokenizer


@pytest.fixture
def public() -> Public:
    return public_model()


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


def test_a_folder_with_a_tokenizer_alone_is_no_backbone(tmp_path: Path, public: Public) -> None:
    save_tokenizer(tmp_path / "base" / "tokenizer")
    source = save_driveva(public, tmp_path / "DriveVA.safetensors")
    with pytest.raises(CheckpointError, match=r"Wan2\.2_VAE\.pth is missing"):
        made(source, tmp_path / "out", public, base=tmp_path / "base")
