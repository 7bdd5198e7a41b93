"""The action expert: as deep and with the same heads as the video expert, but of its own, smaller width."""

from __future__ import annotations

import torch
from diffusers.models.attention import FeedForward
from diffusers.models.embeddings import get_1d_rotary_pos_embed
from diffusers.models.normalization import FP32LayerNorm
from diffusers.models.transformers.transformer_wan import (
    WanAttention,
    WanAttnProcessor,
    WanTimeTextImageEmbedding,
    WanTransformer3DModel,
)
from torch import Tensor, nn

from wam_models.metis.config import ActionConfig
from wam_models.wan.block import Rotary, pairs


class ActionBlock(nn.Module):
    """A Wan block whose width is not heads * head_dim. Names are WanTransformerBlock's: wan.block walks both."""

    def __init__(self, width: int, ffn: int, heads: int, head_dim: int, eps: float) -> None:
        super().__init__()
        self.norm1 = FP32LayerNorm(width, eps, elementwise_affine=False)
        self.attn1 = WanAttention(width, heads, head_dim, eps, processor=WanAttnProcessor())
        self.attn2 = WanAttention(
            width, heads, head_dim, eps, cross_attention_dim_head=head_dim, processor=WanAttnProcessor()
        )
        self.norm2 = FP32LayerNorm(width, eps, elementwise_affine=True)
        self.ffn = FeedForward(width, inner_dim=ffn, activation_fn="gelu-approximate")
        self.norm3 = FP32LayerNorm(width, eps, elementwise_affine=False)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, width) / width**0.5)


class ActionExpert(nn.Module):
    """Tokens of one ego state and `points` trajectory points, with a text projection of their own.

    The state token has flow time 0 (it is known), the points the time of their noise.
    """

    rotary: Rotary

    def __init__(self, config: ActionConfig, video: WanTransformer3DModel) -> None:
        super().__init__()
        wan = video.config
        width, heads, head_dim = config.width, wan.num_attention_heads, wan.attention_head_dim
        self.points = config.points
        self.condition_embedder = WanTimeTextImageEmbedding(width, wan.freq_dim, 6 * width, wan.text_dim)
        self.state_in = nn.Linear(config.state, width)
        self.action_in = nn.Linear(config.values, width)
        self.blocks = nn.ModuleList(
            ActionBlock(width, config.ffn, heads, head_dim, wan.eps) for _ in range(wan.num_layers)
        )
        self.norm_out = FP32LayerNorm(width, wan.eps, elementwise_affine=False)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, width) / width**0.5)
        self.head = nn.Linear(width, config.values)
        # A zero head starts from "no motion of the flow" instead of noise in the first steps.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        cos, sin = get_1d_rotary_pos_embed(
            head_dim, config.points + 1, use_real=True, repeat_interleave_real=True, freqs_dtype=torch.float64
        )
        # 1-D positions: the state at 0, the points at 1, 2, ...
        self.register_buffer("rotary", pairs(cos[None, :, None], sin[None, :, None]), persistent=False)

    def embed(self, state: Tensor, actions: Tensor) -> Tensor:
        """state (B, S), actions (B, points, values) -> tokens (B, 1 + points, width)."""
        return torch.cat([self.state_in(state)[:, None], self.action_in(actions)], dim=1)

    def read_out(self, tokens: Tensor, time_embedding: Tensor) -> Tensor:
        """Tokens (B, 1 + points, width) and their time embedding, alike -> velocity of the flow (B, points, values)."""
        shift, scale = (self.scale_shift_table.unsqueeze(0) + time_embedding.unsqueeze(2).float()).unbind(dim=2)
        out = (self.norm_out(tokens.float()) * (1 + scale) + shift).type_as(tokens)
        return self.head(out)[:, 1:]
