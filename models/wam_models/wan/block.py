"""One Wan transformer block taken apart, so that two experts can meet in the middle of it.

`WanTransformerBlock.forward` runs a block from start to end; a mixture of transformers must stop after the projections,
attend across experts, and go on. These functions do the parts, for any module with the block's attribute names (the
video expert's own blocks and metis.experts.ActionBlock alike). They call the Linear modules, never their weights, so
LoRA adapters and fused projections keep working. Norms, modulation and residual sums run in float32, as in Wan.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (1, L, 1, head_dim / 2, 2) float32: cosine and sine for each pair of a head's values.
Rotary = Tensor


class KeysValues(NamedTuple):
    """Both (B, L, heads, head_dim); keys are normalised and rotated, ready to be attended to. bias: added to the
    scores, broadcast to (B, heads, queries, L): the logarithm of how often a key counts, -inf for one out of sight."""

    keys: Tensor
    values: Tensor
    bias: Tensor | None = None

    def repeat_interleave(self, times: int) -> KeysValues:
        """Each entry of the batch `times` times in a row."""
        keys, values = (part.repeat_interleave(times, dim=0) for part in (self.keys, self.values))
        return KeysValues(keys, values, self.bias)


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


def pairs(cos: Tensor, sin: Tensor) -> Rotary:
    """From the library's tables (1, L, 1, head_dim), in which each entry stands twice."""
    return torch.stack([cos[..., 0::2], sin[..., 0::2]], dim=-1).float()


def rotate(x: Tensor, rotary: Rotary) -> Tensor:
    """Rotary embedding of interleaved pairs. x: (B, L, heads, head_dim)."""
    halves = x.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():  # compilers know no complex numbers, but make one pass of these
        (even, odd), (cos, sin) = halves.unbind(-1), rotary.unbind(-1)
        turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    else:  # one pass in place of eight
        turned = torch.view_as_real(torch.view_as_complex(halves) * torch.view_as_complex(rotary))
    return turned.flatten(-2).type_as(x)


def queries_keys_values(block: nn.Module, x: Tensor, mod: Modulation, rotary: Rotary) -> tuple[Tensor, KeysValues]:
    """Self-attention projections of the tokens x (B, L, d): queries (B, L, heads, head_dim), keys and values."""
    attention = block.attn1
    normed = _modulated(block.norm1, x, mod.attention_shift, mod.attention_scale)
    if attention.fused_projections:
        query, key, value = attention.to_qkv(normed).chunk(3, dim=-1)
    else:
        query, key, value = attention.to_q(normed), attention.to_k(normed), attention.to_v(normed)
    split = (attention.heads, -1)
    query = _rms(attention.norm_q, query).unflatten(2, split)
    key = _rms(attention.norm_k, key).unflatten(2, split)
    return rotate(query, rotary), KeysValues(rotate(key, rotary), value.unflatten(2, split))


def text_keys_values(block: nn.Module, text: Tensor, bias: Tensor | None = None) -> KeysValues:
    """Cross-attention keys and values of the projected text (B, L, d). They depend on the instruction alone."""
    attention = block.attn2
    split = (attention.heads, -1)
    key, value = attention.to_k(text), attention.to_v(text)
    return KeysValues(_rms(attention.norm_k, key).unflatten(2, split), value.unflatten(2, split), bias)


def attend(query: Tensor, context: KeysValues) -> Tensor:
    """Attention of queries (B, L, heads, head_dim) to keys of a batch of B, or of 1, which all of them then share
    without a copy -> (B, L, heads * head_dim)."""
    batch = query.shape[0]
    folded = query.flatten(0, 1)[None] if context.keys.shape[0] == 1 < batch else query
    # Under autocast the normalised queries and keys come out wider than the values.
    query, keys, values = (part.type_as(context.values).transpose(1, 2) for part in (folded, *context[:2]))
    out = F.scaled_dot_product_attention(query, keys, values, attn_mask=context.bias)
    return out.transpose(1, 2).flatten(2, 3).reshape(batch, -1, out.shape[1] * out.shape[3])


def finish(block: nn.Module, x: Tensor, attended: Tensor, mod: Modulation, text: KeysValues) -> Tensor:
    """The rest of the block after self-attention: output projection, cross-attention to the text, feed-forward."""
    out = block.attn1.to_out[0](attended)
    x = torch.addcmul(x.float(), out.float(), mod.attention_gate).type_as(x)
    normed = block.norm2(x.float()).type_as(x)
    query = _rms(block.attn2.norm_q, block.attn2.to_q(normed)).unflatten(2, (block.attn2.heads, -1))
    x = x + block.attn2.to_out[0](attend(query, text))
    normed = _modulated(block.norm3, x, mod.ffn_shift, mod.ffn_scale)
    return torch.addcmul(x.float(), block.ffn(normed).float(), mod.ffn_gate).type_as(x)


def _modulated(norm: nn.Module, x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    normed = norm(x.float())
    return torch.addcmul(normed + shift, normed, scale).type_as(x)


def _rms(norm: nn.RMSNorm, x: Tensor) -> Tensor:
    """Under autocast x is narrower than the weight, and a mixed pair takes the slow, unfused way."""
    return norm(x.type_as(norm.weight))


def join(*parts: KeysValues) -> KeysValues:
    """Keys and values of several segments without biases, one after the other."""
    return KeysValues(torch.cat([p.keys for p in parts], dim=1), torch.cat([p.values for p in parts], dim=1))


def embed_time(embedder: nn.Module, time: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Flow time to (embedding (B, L, d), projection (B, L, 6, d)) with a WanTimeTextImageEmbedding.

    time: (B, L) float32 in [0, 1], one entry per distinct time. It stays float32 up to the sinusoid: in bfloat16
    998.39 and 1000 are the same number.
    """
    sinusoid = embedder.timesteps_proj(1000.0 * time.float().flatten()).unflatten(0, time.shape)
    embedding = embedder.time_embedder(sinusoid.to(embedder.time_embedder.linear_1.weight.dtype))
    narrow = embedder.act_fn(embedding).to(embedder.time_proj.weight.dtype)
    return embedding.to(dtype), embedder.time_proj(narrow).unflatten(-1, (6, -1))
