"""Linear layers whose products run in 8-bit floats."""

from __future__ import annotations

import torch
from torch import Tensor, nn

FORMAT = torch.float8_e4m3fn
# The largest value of the format.
_LARGEST = torch.finfo(FORMAT).max


class Float8Linear(nn.Module):
    """A Linear with weights and activations as float8 e4m3, each row scaled by its own largest value: weights once,
    activations as they come. The answer has the activations' type."""

    weight: Tensor
    scale: Tensor

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        scaled, scale = quantise(weight)
        self.register_buffer("weight", scaled)
        self.register_buffer("scale", scale)
        self.bias = bias

    @classmethod
    @torch.no_grad()
    def of(cls, linear: nn.Linear) -> Float8Linear:
        """The same layer, of rounded weights. Raises ValueError where the sizes are no multiples of 16, as the matrix
        units need them."""
        if linear.in_features % 16 or linear.out_features % 16:
            raise ValueError(f"{linear} has sizes that are no multiples of 16: rung fp8 cannot serve this model")
        return cls(linear.weight, linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        rows, scale = quantise(x.flatten(0, -2))
        out = torch._scaled_mm(
            rows,
            self.weight.t(),
            scale_a=scale,
            scale_b=self.scale.t(),
            bias=self.bias,
            out_dtype=x.dtype,
            use_fast_accum=True,  # rounder sums, which the gate weighs with the rest
        )
        return out.unflatten(0, x.shape[:-1])


def quantise(x: Tensor) -> tuple[Tensor, Tensor]:
    """(rows, columns) -> float8 of the same shape and the scale (rows, 1), float32, that brings it back."""
    scale = x.float().abs().amax(dim=-1, keepdim=True).clamp_min(1e-12) / _LARGEST
    return (x.float() / scale).clamp(-_LARGEST, _LARGEST).to(FORMAT), scale
