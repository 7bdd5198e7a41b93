"""Tiny weights in the files and under the names of public models, and the checkpoints that are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from huggingface_hub import save_torch_state_dict
from nano import nano_config
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from wam_models.checkpoint import Checkpoint
from wam_models.convert.convert import Conversion, convert
from wam_models.convert.key_names import Table, autoencoder_names, inverse, text_names, transformer_names
from wam_models.metis.config import MetisConfig
from wam_models.metis.experts import ActionExpert
from wam_models.wan.text import word_tokenizer

TEXTS = ["walk to the goal", "walk slowly to the goal"]


@dataclass(frozen=True)
class Public:
    """A backbone as the libraries have it, and an action expert."""

    config: MetisConfig
    video: WanTransformer3DModel
    autoencoder: AutoencoderKLWan
    text: UMT5EncoderModel
    action: ActionExpert


def public_model(seed: int = 0, **changes: object) -> Public:
    """Every weight shaken, so that nothing is right only because it is zero or one."""
    torch.manual_seed(seed)
    config = nano_config(context_frames=1, needs_goal=False, **changes)
    video = WanTransformer3DModel(**config.video)
    parts = (
        video,
        AutoencoderKLWan(**config.vae),
        UMT5EncoderModel(UMT5Config(**config.text)),
        ActionExpert(config.action, video),
    )
    with torch.no_grad():
        for parameter in (parameter for part in parts for parameter in part.parameters()):
            parameter.add_(0.05 * torch.randn_like(parameter))
    return Public(config, *(part.eval() for part in parts))


def save_tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True)
    tokenizer = word_tokenizer(TEXTS)
    tokenizer.enable_padding(length=50)  # public ones may have it: nothing of it may come through
    tokenizer.enable_truncation(2)
    tokenizer.save(str(folder / "tokenizer.json"))


def save_diffusers(model: Public, folder: Path, transformer: str = "transformer") -> Path:
    model.video.save_pretrained(folder / transformer, max_shard_size="40KB")
    model.autoencoder.save_pretrained(folder / "vae")
    model.text.save_pretrained(folder / "text_encoder")
    save_tokenizer(folder / "tokenizer")
    return folder


def renamed(state: dict[str, Tensor], table: Table) -> dict[str, Tensor]:
    back = inverse(table)
    return {back[name]: tensor.clone() for name, tensor in state.items() if name != "encoder.embed_tokens.weight"}


def wan_video(model: Public) -> dict[str, Tensor]:
    return renamed(model.video.state_dict(), transformer_names(model.config.video["num_layers"]))


def save_wan(model: Public, folder: Path, transformer: str = "") -> Path:
    place = folder / transformer
    place.mkdir(parents=True)
    save_torch_state_dict(
        wan_video(model), place, filename_pattern="diffusion_pytorch_model{suffix}.safetensors", max_shard_size="40KB"
    )
    vae = "Wan2.2_VAE.pth" if model.config.vae.get("is_residual") else "Wan2.1_VAE.pth"
    torch.save(renamed(model.autoencoder.state_dict(), autoencoder_names(model.config.vae)), folder / vae)
    text = renamed(model.text.state_dict(), text_names(model.config.text["num_layers"]))
    torch.save(text, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    save_tokenizer(folder / "google" / "umt5-xxl")
    return folder


def save_driveva(model: Public, file: Path, prefix: str = "dit.") -> Path:
    """With the trajectory modules that the published training writes beside the transformer."""
    width = 8
    others = {
        "trajectory_encoder.traj_proj.0.weight": torch.zeros(width, 3),
        "trajectory_encoder.vel_proj.2.bias": torch.zeros(width),
        "trajectory_head.proj.2.weight": torch.zeros(3, width),
    }
    pipe = "pipe." if prefix.startswith("pipe.") else ""
    tensors = {prefix + name: tensor for name, tensor in wan_video(model).items()}
    save_file({**tensors, **{pipe + name: tensor for name, tensor in others.items()}}, file)
    return file


def save_fastwam(model: Public, file: Path) -> Path:
    """Its expert has an input and a head of its own and no token of the ego state: that comes in as text."""
    table = transformer_names(model.config.video["num_layers"])
    ours = model.action.state_dict()
    blocks = {name: t for name, t in ours.items() if name.startswith(("blocks.", "condition_embedder."))}
    expert = renamed(blocks, table)
    for leaf in ("weight", "bias"):
        expert[f"action_encoder.{leaf}"] = ours[f"action_in.{leaf}"].clone()
        expert[f"head.{leaf}"] = ours[f"head.{leaf}"].clone()
    mot = {f"mixtures.video.{name}": tensor for name, tensor in wan_video(model).items()}
    mot |= {f"mixtures.action.{name}": tensor for name, tensor in expert.items()}
    proprio = torch.nn.Linear(8, model.config.video["text_dim"]).state_dict()
    torch.save({"mot": mot, "proprio_encoder": proprio, "step": 7, "torch_dtype": "torch.float32"}, file)
    return file


def made(source: Path, out: Path, model: Public, **options: object) -> Conversion:
    return convert(source, out, model.config, name="toy", precision="float32", **options)  # type: ignore[arg-type]


def weights_of(checkpoint: Checkpoint) -> dict[str, Tensor]:
    return {name: tensor for file in checkpoint.weights_files for name, tensor in load_file(file).items()}


def part(checkpoint: Checkpoint, prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in weights_of(checkpoint).items() if n.startswith(prefix)}
