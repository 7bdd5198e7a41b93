"""How large a Metis is, what goes in and what comes out: from its configuration, without weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from wam_models.metis.config import MetisConfig

BYTES = 2  # of one bfloat16
GIB = 2**30
# Memory of common GPUs, GiB.
GPUS = (4, 6, 8, 12, 16, 24, 32, 48, 80, 96, 141)


@dataclass(frozen=True)
class Size:
    """parameters: of the parts video, action, autoencoder, text; weights_bytes: of all four in bfloat16.

    planning_gib: memory of a plan in bfloat16 with the text encoder elsewhere, the sum of
    - weights of the two experts and the autoencoder,
    - keys and values that stay between plans: of the observation, and of an instruction of each size for both experts,
    - activations: eight tensors of the autoencoder's widest stage (an estimate), or ten float32 tensors of a video
      block where those are more,
    - 1 GiB for the CUDA context and the workspaces of its libraries (an estimate).
    gpu_gib: the smallest common GPU of which that is at most 95 %; None when there is no such GPU.
    """

    parameters: dict[str, int]
    weights_bytes: int
    planning_gib: float
    gpu_gib: int | None


def size_of(config: MetisConfig) -> Size:
    """Counted on the meta device: no weights are made or read, but torch is imported."""
    parameters = _count(config)
    planning = _planning_bytes(config, parameters) / GIB
    fitting = [gpu for gpu in GPUS if planning <= 0.95 * gpu]
    return Size(parameters, BYTES * sum(parameters.values()), planning, fitting[0] if fitting else None)


def describe(config: MetisConfig) -> dict[str, Any]:
    """As JSON."""
    size, action = size_of(config), config.action
    height, width = config.image_size
    frames = (
        "1 frame" if config.context_frames == 1 else f"{config.context_frames} frames {config.context_dt:g} s apart,"
    )
    return {
        "parameters": {**size.parameters, "total": sum(size.parameters.values())},
        "weights_bytes": size.weights_bytes,
        "planning_gib": round(size.planning_gib, 1),
        "gpu_gib": size.gpu_gib,
        "inputs": f"{frames} {width}x{height} of {', '.join(config.cameras)}; ego motion, "
        f"{'goal' if config.needs_goal else 'goal if there is one'}, instruction of {config.text_length} tokens",
        "outputs": f"{action.points} points ({'x, y, yaw' if action.values == 3 else 'x, y'}) every {action.dt:g} s",
        "horizon_s": action.points * action.dt,
    }


def _count(config: MetisConfig) -> dict[str, int]:
    import torch
    from diffusers import AutoencoderKLWan
    from transformers import UMT5Config, UMT5EncoderModel

    from wam_models.metis.model import Metis

    with torch.device("meta"):
        network = Metis(config).state_dict()
        autoencoder = AutoencoderKLWan(**config.vae)
        text = UMT5EncoderModel(UMT5Config(**config.text))
    return {
        **{
            part: sum(t.numel() for n, t in network.items() if n.startswith(f"{part}.")) for part in ("video", "action")
        },
        "autoencoder": sum(parameter.numel() for parameter in autoencoder.parameters()),
        "text": sum(parameter.numel() for parameter in text.parameters()),
    }


def _planning_bytes(config: MetisConfig, parameters: dict[str, int]) -> int:
    from wam_models.wan.instructions import padded_sizes

    weights = BYTES * sum(count for part, count in parameters.items() if part != "text")
    width = config.video["num_attention_heads"] * config.video["attention_head_dim"]
    tokens = config.context_frames * config.tokens_per_latent
    rows = tokens + 2 * sum(padded_sizes(config.text_length))
    kept = config.video["num_layers"] * 2 * width * BYTES * rows
    folded = config.vae.get("patch_size") or 1
    pixels = prod(side // folded for side in config.image_size)
    activations = max(8 * BYTES * config.vae["base_dim"] * pixels, 10 * 4 * width * tokens)
    return weights + kept + activations + GIB
