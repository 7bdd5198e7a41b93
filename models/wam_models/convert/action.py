"""Where the weights of an action expert come from when there is none to take over."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import torch
import torch.nn.functional as F
from diffusers import WanTransformer3DModel
from torch import Tensor

from wam_models.metis.config import MetisConfig
from wam_models.metis.experts import ActionBlock, ActionExpert

# Of an expert that is a video expert made smaller; what reads states and actions and what writes them is made anew.
_RESIZED = ("blocks.", "condition_embedder.")


def fresh_expert(config: MetisConfig, seed: int, wanted: Collection[str]) -> Iterator[tuple[str, Tensor]]:
    """The wanted tensors of an untrained expert, one block after the other; its head is zero. The same for a seed and
    the same `wanted`."""
    wan = config.video
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with torch.device("meta"):
            shallow = WanTransformer3DModel(**{**wan, "num_layers": 0})
        for name, tensor in ActionExpert(config.action, shallow).state_dict().items():
            if name in wanted:
                yield name, tensor
        heads, head_dim, eps = wan["num_attention_heads"], wan["attention_head_dim"], shallow.config.eps
        for number in range(wan["num_layers"]):
            place = f"blocks.{number}."
            if any(name.startswith(place) for name in wanted):
                block = ActionBlock(config.action.width, config.action.ffn, heads, head_dim, eps)
                for name, tensor in block.state_dict().items():
                    if place + name in wanted:
                        yield place + name, tensor


def is_resized(name: str) -> bool:
    """Whether a tensor of the video expert of this name is a start for the expert's of the same name."""
    return name.startswith(_RESIZED)


def resize(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Linear interpolation along one dimension after the other, ends on ends. Where the last of several dimensions
    changes from d to e, times sqrt(d / e): what a product sums over then has the same size. float32.

    Source: FastWAM, scripts/preprocess_action_dit_backbone.py. Raises ValueError for another number of dimensions.
    """
    if tensor.ndim != len(shape):
        raise ValueError(f"a tensor of {tensor.ndim} dimensions cannot become {shape}")
    out = tensor.float()
    for dimension, size in enumerate(shape):
        if out.shape[dimension] != size:
            moved = out.movedim(dimension, -1)
            rows = F.interpolate(moved.reshape(-1, 1, moved.shape[-1]), size=size, mode="linear", align_corners=True)
            out = rows.reshape(*moved.shape[:-1], size).movedim(-1, dimension)
    if tensor.ndim > 1 and tensor.shape[-1] != shape[-1]:
        out = out * (tensor.shape[-1] / shape[-1]) ** 0.5
    return out.contiguous()
