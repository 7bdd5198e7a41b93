"""The number formats that a model is served in."""

from __future__ import annotations

import torch
from torch import nn

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# As in Wan: what adds up over layers or holds the time stays in float32, whatever the rest is in.
_KEPT_IN_FLOAT32 = ("time_embedder", "scale_shift_table", "norm2")


def make_precision(name: str) -> torch.dtype:
    """Raises ValueError on an unknown name."""
    if name not in PRECISIONS:
        raise ValueError(f"{name!r} is no precision: choose one of {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def name_of(dtype: torch.dtype) -> str:
    """float32, bfloat16."""
    return str(dtype).removeprefix("torch.")


def keeps_float32(parameter: str) -> bool:
    """Whether a parameter of this name of a transformer stays in float32."""
    return any(part in parameter for part in _KEPT_IN_FLOAT32)


def cast_transformer(module: nn.Module, dtype: torch.dtype) -> None:
    """Parameters to another precision in place, but for what Wan keeps in float32. Buffers are tables, and stay as they
    are."""
    for name, parameter in module.named_parameters():
        parameter.data = parameter.data.to(torch.float32 if keeps_float32(name) else dtype)


def cast_autoencoder(module: nn.Module, dtype: torch.dtype) -> None:
    """All parameters to another precision in place; mean and deviation of the latents are buffers, and stay."""
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)
