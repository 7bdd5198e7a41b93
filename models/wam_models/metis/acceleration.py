"""What the upper rungs do to the layers, in place: fused projections, compiled code, 8-bit products.

The layers then compute the same function; their parameters no longer have the names of a checkpoint.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

from wam_models.metis.model import Metis, MoTLayer
from wam_models.runtime.compiling import INDUCTOR, compiled
from wam_models.runtime.fp8 import Float8Linear
from wam_models.runtime.ladder import Rung


def accelerate_layers(network: Metis, rung: Rung, compiling: str = INDUCTOR) -> None:
    """Does nothing below rung compiled; a network may climb on from there. compiling: a backend of torch.compile."""
    if not rung.compiles:
        return
    layers: list[Any] = list(network.layers)
    for layer in layers:
        for block in (layer.video, layer.action):
            if not block.attn1.fused_projections:
                _fuse(block)
        if rung is Rung.FP8:
            _to_float8(layer.video)
        for part in (MoTLayer.read, MoTLayer.step):
            setattr(layer, part.__name__, compiled(MethodType(part, layer), compiling))


def _fuse(block: Any) -> None:
    """Query, key and value of the self-attention in one product; the separate weights are dropped."""
    block.attn1.fuse_projections()
    del block.attn1.to_q, block.attn1.to_k, block.attn1.to_v


def _to_float8(block: Any) -> None:
    """The products over the observation's tokens, which are bound by arithmetic. Keys and values of the text are made
    once an instruction and stay as they are."""
    for attention in (block.attn1, block.attn2):
        attention.to_out[0] = Float8Linear.of(attention.to_out[0])
    block.attn1.to_qkv = Float8Linear.of(block.attn1.to_qkv)
    block.attn2.to_q = Float8Linear.of(block.attn2.to_q)
    block.ffn.net[0].proj = Float8Linear.of(block.ffn.net[0].proj)
    block.ffn.net[2] = Float8Linear.of(block.ffn.net[2])
