"""LoRA on the video expert: what trains in its stead, and how it becomes part of the weights again."""

from __future__ import annotations

import torch
from peft import LoraConfig, LoraModel
from torch import Tensor

from wam_models.metis.config import MetisConfig
from wam_models.metis.model import Metis
from wam_models.training.recipe import Lora

TARGETS = r"layers\.\d+\.video\.(attn[12]\.(to_q|to_k|to_v|to_out\.0)|ffn\.net\.(0\.proj|2))"


def add_adapters(network: Metis, lora: Lora) -> None:
    """In place; the network computes what it computed before. Afterwards only adapters, the action expert and the
    video's head require gradients. One factor of each adapter is drawn from torch's global generator."""
    _add(network, lora)
    for part in (network.action, *(layer.action for layer in network.layers), network.video.proj_out):
        part.requires_grad_(True)


def merged(weights: dict[str, Tensor], config: MetisConfig, lora: Lora) -> dict[str, Tensor]:
    """The state dict of a network with adapters -> that of a network without, which computes the same. Tensors that no
    adapter changes are shared, not copied. Raises ValueError when an adapter is not finite."""
    with torch.device("meta"):
        network = Metis(config)
        adapted = _add(network, lora)
    network.load_state_dict(weights, assign=True)
    return adapted.merge_and_unload(safe_merge=True).state_dict()


def _add(network: Metis, lora: Lora) -> LoraModel:
    settings = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=TARGETS)
    return LoraModel(network, settings, "default")
