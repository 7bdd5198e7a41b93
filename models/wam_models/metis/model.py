"""Metis, the network: joint forward for training, observation and steps apart for planning.

Source: the Metis paper (mixture of transformers over Wan2.2-TI2V-5B, asymmetric attention, joint flow matching). Three
segments of tokens walk the layers: the observation (flow time 0), the future video, and the actions with the ego state.
The observation never looks at the other two: planning reads it once and keeps its keys and values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from wam_models.metis.config import Mask, MetisConfig
from wam_models.metis.experts import ActionExpert
from wam_models.metis.observed import Observed, Read
from wam_models.wan import block as wan
from wam_models.wan.block import KeysValues, Modulation, Rotary


class Segment(NamedTuple):
    """Tokens of one kind on their way through the layers. tokens: (B, L, d); time_projection: (B, L or 1, 6, d).

    A tuple, because what wraps a layer looks for tensors in tuples alone."""

    tokens: Tensor
    time_projection: Tensor
    rotary: Rotary

    def advanced(self, tokens: Tensor) -> Segment:
        return Segment(tokens, self.time_projection, self.rotary)


@dataclass(frozen=True)
class Text:
    """One instruction, read by both experts: cross-attention keys and values, one entry a layer."""

    video: list[KeysValues]
    action: list[KeysValues]


class MoTLayer(nn.Module):
    """One layer of both experts: the unit of checkpointing, compiling and sharding. Its weights are used in its methods
    alone, for of a sharded layer they are whole only there."""

    def __init__(self, video: nn.Module, action: nn.Module) -> None:
        super().__init__()
        self.video, self.action = video, action

    def read_text(self, video: Tensor, action: Tensor, bias: Tensor | None) -> tuple[KeysValues, KeysValues]:
        """Cross-attention keys and values of both experts, each of its own projection (B, L, d) of the instruction."""
        return wan.text_keys_values(self.video, video, bias), wan.text_keys_values(self.action, action, bias)

    def forward(
        self,
        observation: Segment,
        future: Segment | None,
        action: Segment,
        text: tuple[KeysValues, KeysValues],
        mask: Mask,
        last: bool,
    ) -> tuple[Segment, Segment | None, Segment]:
        """All segments through this layer."""
        # Not self.read and self.step: each would gather and drop the weights of a sharded layer once more.
        observation, kept = MoTLayer.read(self, observation, text[0], last)
        future, action = MoTLayer.step(self, future, action, Read(kept), text, mask)
        return observation, future, action

    def read(self, observation: Segment, video_text: KeysValues, last: bool) -> tuple[Segment, KeysValues]:
        """The observation; of the last layer only keys and values are wanted, so the rest is not computed."""
        mod, query, kept = _project(self.video, observation)
        if last:
            return observation, kept
        attended = wan.attend(query, kept)
        return observation.advanced(wan.finish(self.video, observation.tokens, attended, mod, video_text)), kept

    def step(
        self,
        future: Segment | None,
        action: Segment,
        observed: Observed,
        text: tuple[KeysValues, KeysValues],
        mask: Mask,
    ) -> tuple[Segment | None, Segment]:
        """The actions, and the future video if there is one, on what was read of the observation."""
        video_text, action_text = text
        mod_a, query_a, kv_a = _project(self.action, action)
        if future is None:
            seen = observed.seen_by_action(kv_a)
        else:
            mod_f, query_f, kv_f = _project(self.video, future)
            seen_by_future, seen = observed.seen_by_both(kv_f, kv_a, mask)
            attended = wan.attend(query_f, seen_by_future)
            future = future.advanced(wan.finish(self.video, future.tokens, attended, mod_f, video_text))
        attended = wan.attend(query_a, seen)
        return future, action.advanced(wan.finish(self.action, action.tokens, attended, mod_a, action_text))


def _project(block: nn.Module, segment: Segment) -> tuple[Modulation, Tensor, KeysValues]:
    mod = wan.modulation(block, segment.time_projection)
    query, kept = wan.queries_keys_values(block, segment.tokens, mod, segment.rotary)
    return mod, query, kept


class Metis(nn.Module):
    """Latents are normalised, (B, C, T, h, w); text is (B, L, text_dim); times are flow times in [0, 1], 1 is noise.

    Parameters have Wan's own names in a state dict (`video.blocks.0.attn1.to_q.weight`); as modules, the blocks of both
    experts stand under `layers`, so that what wraps a layer meets both.
    """

    def __init__(self, config: MetisConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpointing = False  # of each layer, in training
        self.video = WanTransformer3DModel(**config.video)
        self.action = ActionExpert(config.action, self.video)
        pairs = zip(self.video.blocks, self.action.blocks, strict=True)
        self.layers = nn.ModuleList(MoTLayer(*pair) for pair in pairs)
        del self.video.blocks, self.action.blocks
        self.register_state_dict_post_hook(_to_public_names)
        self.register_load_state_dict_pre_hook(_to_module_names)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.video.patch_embedding.weight.dtype

    def read_text(self, text: Tensor, bias: Tensor | None = None) -> Text:
        """Embedded instruction (B, L, text_dim) -> keys and values for every layer of both experts. bias: see
        KeysValues; (1, 1, 1, L)."""
        video = self.video.condition_embedder.text_embedder(text)
        action = self.action.condition_embedder.text_embedder(text)
        read = [self._through(layer.read_text, video, action, bias) for layer in self.layers]
        return Text([layer for layer, _ in read], [layer for _, layer in read])

    def forward(
        self,
        observed: Tensor,
        future: Tensor | None,
        future_time: Tensor | None,
        state: Tensor,
        actions: Tensor,
        action_time: Tensor,
        text: Text,
    ) -> tuple[Tensor | None, Tensor]:
        """Velocities of the flow of the future latents, like `future`, and of the actions (B, points, values).

        observed: (B, C, K, h, w) clean; future: (B, C, F, h, w) noised at future_time (B,), or None to leave it out;
        state: (B, S); actions: (B, points, values) noised at action_time (B, points).
        """
        obs, fut = self._video_segments(observed, future, future_time)
        act, act_embedding = self.action_segment(state, actions, action_time)
        for index, layer in enumerate(self.layers):
            both = text.video[index], text.action[index]
            obs, fut, act = self._through(layer, obs, fut, act, both, self.config.mask, index == len(self.layers) - 1)
        video = None
        if fut is not None and future is not None and future_time is not None:
            embedding, _ = wan.embed_time(self.video.condition_embedder, future_time[:, None], fut.tokens.dtype)
            video = self.read_out_video(fut.tokens, embedding, future.shape)
        return video, self.action.read_out(act.tokens, act_embedding)

    def read_observation(self, observed: Tensor, text: Text, clean: Tensor | None = None) -> list[KeysValues]:
        """Clean latents (B, C, K, h, w) -> what every step of this plan needs of them, one entry a layer. clean:
        projection (1, 1, 6, d) of flow time 0, where it is at hand."""
        if clean is None:
            segment, _ = self._video_segments(observed, None, None)
        else:
            segment = Segment(self.embed_video(observed), clean, self.video_rotary(0, observed.shape[2]))
        kept = []
        for index, layer in enumerate(self.layers):
            last = index == len(self.layers) - 1
            segment, keys_values = self._through(layer.read, segment, text.video[index], last)
            kept.append(keys_values)
        return kept

    def step_action(
        self, prefix: Sequence[KeysValues], state: Tensor, actions: Tensor, action_time: Tensor, text: Text
    ) -> Tensor:
        """One evaluation of the action flow on an observation that was read; equals the actions of `forward` to
        rounding, for the asymmetric and the isolated mask."""
        segment, embedding = self.action_segment(state, actions, action_time)
        _, segment = self.step(None, segment, [Read(layer) for layer in prefix], text)
        return self.action.read_out(segment.tokens, embedding)

    def step(
        self, future: Segment | None, action: Segment, observed: Sequence[Observed], text: Text
    ) -> tuple[Segment | None, Segment]:
        """Actions and future video through all layers, on an observation that was read."""
        for index, layer in enumerate(self.layers):
            both = text.video[index], text.action[index]
            future, action = self._through(layer.step, future, action, observed[index], both, self.config.mask)
        return future, action

    def _through(self, part: Callable[..., Any], *arguments: Any) -> Any:
        """part(*arguments); with checkpointing only the arguments are kept for the backward pass, which computes it
        again."""
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(part, *arguments, use_reentrant=False, preserve_rng_state=False)
        return part(*arguments)

    def embed_video(self, latents: Tensor) -> Tensor:
        """Latent frames (B, C, T, h, w) -> tokens (B, L, d)."""
        return self.video.patch_embedding(latents).flatten(2).transpose(1, 2).to(self.dtype)

    def video_rotary(self, first: int, count: int) -> Rotary:
        """Of the latent frames `first` to `first + count - 1` of a clip."""
        _, height, width = self.config.latent_size
        clip = self.action.rotary.new_empty(()).expand(1, 1, first + count, height, width)
        skipped = first * self.config.tokens_per_latent
        return wan.pairs(*(table[:, skipped:] for table in self.video.rope(clip)))

    def read_out_video(self, tokens: Tensor, embedding: Tensor, shape: torch.Size) -> Tensor:
        """Tokens (B, L, d) and their time embedding (B, 1, d) -> velocity of the flow of latents of `shape`."""
        table = self.video.scale_shift_table.float().unsqueeze(0) + embedding.unsqueeze(2).float()
        shift, scale = table.unbind(dim=2)
        out = (self.video.norm_out(tokens.float()) * (1 + scale) + shift).type_as(tokens)
        batch, _, frames, height, width = shape
        pt, ph, pw = self.video.config.patch_size
        out = self.video.proj_out(out).reshape(batch, frames // pt, height // ph, width // pw, pt, ph, pw, -1)
        return out.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)

    def _video_segments(
        self, observed: Tensor, future: Tensor | None, future_time: Tensor | None
    ) -> tuple[Segment, Segment | None]:
        embedder, count = self.video.condition_embedder, observed.shape[2]
        tokens = self.embed_video(observed)
        clean = torch.zeros(observed.shape[0], 1, device=observed.device)
        _, projection = wan.embed_time(embedder, clean, tokens.dtype)
        obs = Segment(tokens, projection, self.video_rotary(0, count))
        if future is None or future_time is None:
            return obs, None
        tokens = self.embed_video(future)
        _, projection = wan.embed_time(embedder, future_time[:, None], tokens.dtype)
        return obs, Segment(tokens, projection, self.video_rotary(count, future.shape[2]))

    def action_segment(self, state: Tensor, actions: Tensor, time: Tensor) -> tuple[Segment, Tensor]:
        """Ego state and actions noised at `time` (B, points), with the embedding of the times (B, 1 + points, d)."""
        tokens = self.action.embed(state, actions).to(self.dtype)
        known = torch.zeros_like(time[:, :1])
        embedding, projection = wan.embed_time(
            self.action.condition_embedder, torch.cat([known, time], dim=1), tokens.dtype
        )
        return Segment(tokens, projection, self.action.rotary), embedding


_EXPERTS = ("video", "action")


def _to_public_names(_: nn.Module, state: dict[str, Any], prefix: str, __: Any) -> None:
    """layers.N.video.X -> video.blocks.N.X"""
    for name in [name for name in state if name.startswith(f"{prefix}layers.")]:
        number, expert, rest = name.removeprefix(f"{prefix}layers.").split(".", 2)
        state[f"{prefix}{expert}.blocks.{number}.{rest}"] = state.pop(name)


def _to_module_names(_: nn.Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
    for expert in _EXPERTS:
        blocks = f"{prefix}{expert}.blocks."
        for name in [name for name in state if name.startswith(blocks)]:
            number, rest = name.removeprefix(blocks).split(".", 1)
            state[f"{prefix}layers.{number}.{expert}.{rest}"] = state.pop(name)
