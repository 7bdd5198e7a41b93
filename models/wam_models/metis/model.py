"""Metis, the network: joint forward for training, observation prefix and action step for planning.

Source: the Metis paper (mixture of transformers over Wan2.2-TI2V-5B, asymmetric attention, joint flow matching). Three
segments of tokens walk the layers side by side: the observation (flow time 0), the future video, and the actions with
the ego state. The observation never looks at the other two: planning reads it once and keeps its keys and values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from wam_models.metis.config import Mask, MetisConfig
from wam_models.metis.experts import ActionExpert
from wam_models.wan import block as wan
from wam_models.wan.block import KeysValues, Modulation, Rotary


@dataclass(frozen=True)
class Segment:
    """Tokens of one kind on their way through the layers. tokens: (B, L, d); time_projection: (B, L or 1, 6, d)."""

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


@dataclass(frozen=True)
class Prefix:
    """What planning keeps of an observation: keys and values of its tokens, one entry a layer."""

    layers: list[KeysValues]

    def repeat(self, times: int) -> Prefix:
        """The same observation for several candidates, without a copy."""
        grown = [KeysValues(*(t.expand(times, *t.shape[1:]) for t in layer)) for layer in self.layers]
        return Prefix(grown)

    def repeat_interleave(self, times: int) -> Prefix:
        """Each observation of a batch `times` times in a row."""
        grown = [KeysValues(*(t.repeat_interleave(times, dim=0) for t in layer)) for layer in self.layers]
        return Prefix(grown)


class MoTLayer(nn.Module):
    """One layer of both experts: the unit of checkpointing, compiling and sharding."""

    def __init__(self, video: nn.Module, action: nn.Module) -> None:
        super().__init__()
        self.video, self.action = video, action

    def forward(
        self,
        observation: Segment,
        future: Segment | None,
        action: Segment,
        text: tuple[KeysValues, KeysValues],
        mask: Mask,
    ) -> tuple[Segment, Segment | None, Segment]:
        """All segments through this layer: three attention calls, none of which needs a mask."""
        video_text, action_text = text
        mod_o, query_o, kv_o = _project(self.video, observation)
        mod_a, query_a, kv_a = _project(self.action, action)
        seen_by_action = wan.join(kv_o, kv_a)
        if future is not None:
            mod_f, query_f, kv_f = _project(self.video, future)
            seen = wan.join(kv_o, kv_f) if mask is Mask.ISOLATED else wan.join(kv_o, kv_f, kv_a)
            if mask is Mask.JOINT:
                seen_by_action = seen
            attended = wan.attend(self.video, query_f, seen)
            future = future.advanced(wan.finish(self.video, future.tokens, attended, mod_f, video_text))
        attended = wan.attend(self.video, query_o, kv_o)
        observation = observation.advanced(wan.finish(self.video, observation.tokens, attended, mod_o, video_text))
        attended = wan.attend(self.action, query_a, seen_by_action)
        action = action.advanced(wan.finish(self.action, action.tokens, attended, mod_a, action_text))
        return observation, future, action

    def read_observation(self, observation: Segment, video_text: KeysValues, last: bool) -> tuple[Segment, KeysValues]:
        """The observation alone; of the last layer only keys and values are wanted, so the rest is not computed."""
        mod, query, kept = _project(self.video, observation)
        if last:
            return observation, kept
        attended = wan.attend(self.video, query, kept)
        return observation.advanced(wan.finish(self.video, observation.tokens, attended, mod, video_text)), kept

    def step_action(self, action: Segment, observed: KeysValues, action_text: KeysValues) -> Segment:
        """The actions alone, on the kept observation."""
        mod, query, own = _project(self.action, action)
        attended = wan.attend(self.action, query, wan.join(observed, own))
        return action.advanced(wan.finish(self.action, action.tokens, attended, mod, action_text))


def _project(block: nn.Module, segment: Segment) -> tuple[Modulation, Tensor, KeysValues]:
    mod = wan.modulation(block, segment.time_projection)
    query, kept = wan.queries_keys_values(block, segment.tokens, mod, segment.rotary)
    return mod, query, kept


class Metis(nn.Module):
    """Latents are normalised, (B, C, T, h, w); text is (B, L, text_dim); times are flow times in [0, 1], 1 is noise."""

    def __init__(self, config: MetisConfig) -> None:
        super().__init__()
        self.config = config
        self.video = WanTransformer3DModel(**config.video)
        self.action = ActionExpert(config.action, self.video)
        # Not registered: the blocks already belong to the experts, whose parameter names are Wan's own.
        self._layers = [MoTLayer(v, a) for v, a in zip(self.video.blocks, self.action.blocks, strict=True)]

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.video.patch_embedding.weight.dtype

    def read_text(self, text: Tensor) -> Text:
        """Embedded instruction (B, L, text_dim) -> keys and values for every layer of both experts."""
        video = self.video.condition_embedder.text_embedder(text)
        action = self.action.condition_embedder.text_embedder(text)
        return Text(
            [wan.text_keys_values(layer.video, video) for layer in self._layers],
            [wan.text_keys_values(layer.action, action) for layer in self._layers],
        )

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
        act, act_embedding = self._action_segment(state, actions, action_time)
        for index, layer in enumerate(self._layers):
            obs, fut, act = layer(obs, fut, act, (text.video[index], text.action[index]), self.config.mask)
        video = None
        if fut is not None and future is not None and future_time is not None:
            embedding, _ = wan.embed_time(self.video.condition_embedder, future_time[:, None], fut.tokens.dtype)
            video = self._read_out_video(fut.tokens, embedding, future.shape)
        return video, self.action.read_out(act.tokens, act_embedding)

    def read_observation(self, observed: Tensor, text: Text) -> Prefix:
        """Clean latents (B, C, K, h, w) -> what every action step of this plan needs of them."""
        segment, _ = self._video_segments(observed, None, None)
        kept = []
        for index, layer in enumerate(self._layers):
            last = index == len(self._layers) - 1
            segment, keys_values = layer.read_observation(segment, text.video[index], last)
            kept.append(keys_values)
        return Prefix(kept)

    def step_action(self, prefix: Prefix, state: Tensor, actions: Tensor, action_time: Tensor, text: Text) -> Tensor:
        """One evaluation of the action flow on a kept observation; equals the actions of `forward` to rounding, for
        the asymmetric and the isolated mask."""
        segment, embedding = self._action_segment(state, actions, action_time)
        for index, layer in enumerate(self._layers):
            segment = layer.step_action(segment, prefix.layers[index], text.action[index])
        return self.action.read_out(segment.tokens, embedding)

    def _video_segments(
        self, observed: Tensor, future: Tensor | None, future_time: Tensor | None
    ) -> tuple[Segment, Segment | None]:
        latents = observed if future is None else torch.cat([observed, future], dim=2)
        cos, sin = self.video.rope(latents)
        # The residual stream keeps the precision of the weights, also under autocast.
        tokens = self.video.patch_embedding(latents).flatten(2).transpose(1, 2).to(self.dtype)
        length = observed.shape[2] * self.config.tokens_per_latent
        embedder = self.video.condition_embedder
        clean = torch.zeros(observed.shape[0], 1, device=observed.device)
        _, projection = wan.embed_time(embedder, clean, tokens.dtype)
        obs = Segment(tokens[:, :length], projection, (cos[:, :length], sin[:, :length]))
        if future is None or future_time is None:
            return obs, None
        _, projection = wan.embed_time(embedder, future_time[:, None], tokens.dtype)
        return obs, Segment(tokens[:, length:], projection, (cos[:, length:], sin[:, length:]))

    def _action_segment(self, state: Tensor, actions: Tensor, time: Tensor) -> tuple[Segment, Tensor]:
        tokens = self.action.embed(state, actions).to(self.dtype)
        known = torch.zeros_like(time[:, :1])
        embedding, projection = wan.embed_time(
            self.action.condition_embedder, torch.cat([known, time], dim=1), tokens.dtype
        )
        return Segment(tokens, projection, self.action.rotary), embedding

    def _read_out_video(self, tokens: Tensor, embedding: Tensor, shape: torch.Size) -> Tensor:
        table = self.video.scale_shift_table.float().unsqueeze(0) + embedding.unsqueeze(2).float()
        shift, scale = table.unbind(dim=2)
        out = (self.video.norm_out(tokens.float()) * (1 + scale) + shift).type_as(tokens)
        batch, _, frames, height, width = shape
        pt, ph, pw = self.video.config.patch_size
        out = self.video.proj_out(out).reshape(batch, frames // pt, height // ph, width // pw, pt, ph, pw, -1)
        return out.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)
