"""One Wan transformer block taken apart, so that two experts can meet in the middle of it.

`WanTransformerBlock.forward` runs a block from start to end; a mixture of transformers must stop after the projections,
attend across experts, and go on. These functions do the parts, for any module with the block's attribute names (the
video expert's own blocks and metis.experts.ActionBlock alike). They call the Linear modules, never their weights, so
LoRA adapters and fused projections keep working. Norms, modulation and residual sums run in float32, as in Wan.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor, nn

Rotary = tuple[Tensor, Tensor]


class KeysValues(NamedTuple):
    """Both (B, L, heads, head_dim); keys are normalised and rotated, ready to be attended to."""

    keys: Tensor
    values: Tensor


class Modulation(NamedTuple):
    """Six tensors (B, L or 1, d), float32: adaptive norm of the self-attention and of the feed-forward."""

    attention_shift: Tensor
    attention_scale: Tensor
    attention_gate: Tensor
    ffn_shift: Tensor
    ffn_scale: Tensor
    ffn_gate: Tensor


def modulation(block: nn.Module, time_projection: Tensor) -> Modulation:
    """time_projection: (B, L or 1, 6, d). One row serves a whole segment whose tokens share their flow time."""
    table = block.scale_shift_table.float().unsqueeze(0) + time_projection.float()
    return Modulation(*table.unbind(dim=2))


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Rotary embedding of interleaved pairs. x: (B, L, heads, head_dim); rotary: cos and sin (1, L, 1, head_dim)."""
    cos, sin = rotary[0][..., 0::2], rotary[1][..., 0::2]
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2).type_as(x)


def queries_keys_values(block: nn.Module, x: Tensor, mod: Modulation, rotary: Rotary) -> tuple[Tensor, KeysValues]:
    """Self-attention projections of the tokens x (B, L, d): queries (B, L, heads, head_dim), keys and values."""
    attention = block.attn1
    normed = (block.norm1(x.float()) * (1 + mod.attention_scale) + mod.attention_shift).type_as(x)
    if attention.fused_projections:
        query, key, value = attention.to_qkv(normed).chunk(3, dim=-1)
    else:
        query, key, value = attention.to_q(normed), attention.to_k(normed), attention.to_v(normed)
    split = (attention.heads, -1)
    query = _rms(attention.norm_q, query).unflatten(2, split)
    key = _rms(attention.norm_k, key).unflatten(2, split)
    return rotate(query, rotary), KeysValues(rotate(key, rotary), value.unflatten(2, split))


def text_keys_values(block: nn.Module, text: Tensor) -> KeysValues:
    """Cross-attention keys and values of the projected text (B, L, d). They depend on the instruction alone."""
    attention = block.attn2
    if attention.fused_projections:
        key, value = attention.to_kv(text).chunk(2, dim=-1)
    else:
        key, value = attention.to_k(text), attention.to_v(text)
    split = (attention.heads, -1)
    return KeysValues(_rms(attention.norm_k, key).unflatten(2, split), value.unflatten(2, split))


def attend(block: nn.Module, query: Tensor, context: KeysValues) -> Tensor:
    """Attention without a mask, (B, L, heads, head_dim) -> (B, L, heads * head_dim), on the block's chosen backend."""
    # Under autocast the normalised queries and keys come out wider than the values.
    query, keys = query.type_as(context.values), context.keys.type_as(context.values)
    out = dispatch_attention_fn(query, keys, context.values, backend=block.attn1.processor._attention_backend)
    return out.flatten(2, 3)


def finish(block: nn.Module, x: Tensor, attended: Tensor, mod: Modulation, text: KeysValues) -> Tensor:
    """The rest of the block after self-attention: output projection, cross-attention to the text, feed-forward."""
    out = block.attn1.to_out[1](block.attn1.to_out[0](attended))
    x = (x.float() + out * mod.attention_gate).type_as(x)
    normed = block.norm2(x.float()).type_as(x)
    query = _rms(block.attn2.norm_q, block.attn2.to_q(normed)).unflatten(2, (block.attn2.heads, -1))
    x = x + block.attn2.to_out[1](block.attn2.to_out[0](attend(block, query, text)))
    normed = (block.norm3(x.float()) * (1 + mod.ffn_scale) + mod.ffn_shift).type_as(x)
    return (x.float() + block.ffn(normed).float() * mod.ffn_gate).type_as(x)


def _rms(norm: nn.RMSNorm, x: Tensor) -> Tensor:
    """Under autocast x is narrower than the weight, and a mixed pair takes the slow, unfused way."""
    return norm(x.type_as(norm.weight))


def join(*parts: KeysValues) -> KeysValues:
    """Keys and values of several segments, one after the other."""
    return KeysValues(torch.cat([p.keys for p in parts], dim=1), torch.cat([p.values for p in parts], dim=1))


def embed_time(embedder: nn.Module, time: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Flow time to (embedding (B, L, d), projection (B, L, 6, d)) with a WanTimeTextImageEmbedding.

    time: (B, L) float32 in [0, 1], one entry per distinct time. It stays float32 up to the sinusoid: in bfloat16
    998.39 and 1000 are the same number.
    """
    sinusoid = embedder.timesteps_proj(1000.0 * time.float().flatten()).unflatten(0, time.shape)
    embedding = embedder.time_embedder(sinusoid.to(embedder.time_proj.weight.dtype))
    projection = embedder.time_proj(embedder.act_fn(embedding)).unflatten(-1, (6, -1))
    return embedding.to(dtype), projection
