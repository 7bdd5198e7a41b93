"""From noise to a plan: the Euler steps of the flow, on memory that stays in its place from plan to plan."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wam_models.flow_matching import euler_step, sigmas
from wam_models.metis.config import Mask
from wam_models.metis.model import Metis, Segment, Text
from wam_models.metis.observed import LayerCache
from wam_models.wan.block import KeysValues, embed_time


@dataclass(frozen=True)
class Times:
    """What a time embedder makes of the times of a plan, float32: row 0 for what is known (time 0), row i + 1 for
    step i. embedding: (1 + steps, d); projection: (1 + steps, 6, d)."""

    embedding: Tensor
    projection: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, embedder: nn.Module, times: Tensor) -> Times:
        """times: (steps,) float32. The modules are copied to float32 for once: in bfloat16 their sums lose digits that
        every layer would then miss."""
        rows = torch.cat([times.new_zeros(1), times])
        embed, project = (copy.deepcopy(part).float() for part in (embedder.time_embedder, embedder.time_proj))
        embedding = embed(embedder.timesteps_proj(1000.0 * rows))
        return cls(embedding, project(embedder.act_fn(embedding)).unflatten(-1, (6, -1)))


class Flow:
    """The steps of a plan: `start`, `read`, then `run`; the answers are `actions` and `video`.

    actions: (candidates, points, values) float32, in noise at the start, normalised at the end; video: (1, C, F, h, w)
    latents alike, or None without `imagine`. All candidates stand on one observation that is read once.
    Raises ValueError when several candidates would each imagine a video, or a joint mask would see none.
    """

    def __init__(self, network: Metis, steps: int, *, candidates: int = 1, imagine: bool = False) -> None:
        config = network.config
        if imagine and candidates > 1:
            raise ValueError("one trajectory at a time is imagined: choose among candidates first")
        if config.mask is Mask.JOINT and not imagine:
            raise ValueError("actions of the joint mask look at the video: imagine it")
        self._network, self._config = network, config
        like = network.video.patch_embedding.weight
        self._device, points = like.device, config.action.points
        schedule = sigmas(steps, config.sampling_shift)
        self._strides = schedule.diff().tolist()
        times = schedule[:-1].to(self._device)
        self._action_times = Times.of(network.action.condition_embedder, times)
        self._video_times = Times.of(network.video.condition_embedder, times)
        # 1 for points that the flow moves, 0 for those known beforehand.
        self._free = torch.ones(1, points, 1, device=self._device)
        rows = steps, 1, 1 + points
        self._embedding = self._action_times.embedding.new_zeros(*rows, config.action.width)
        self._projection = self._action_times.embedding.new_zeros(*rows, 6, config.action.width)
        self._know_first(0)
        self._video_rotary = network.video_rotary(config.context_frames, config.future_latents)

        self.actions = torch.zeros(candidates, points, config.action.values, device=self._device)
        channels, height, width = config.latent_size
        self.video = (
            torch.zeros(1, channels, config.future_latents, height, width, device=self._device) if imagine else None
        )
        self.observed = like.new_zeros(1, channels, config.context_frames, height, width)
        self._state = like.new_zeros(1, config.action.state)
        tokens = config.tokens_per_latent
        room = config.future_latents * tokens if imagine else 0, config.context_frames * tokens, 1 + points, candidates
        wan = network.video.config
        self._caches = [
            LayerCache(*room, wan.num_attention_heads, wan.attention_head_dim, like) for _ in network.layers
        ]

    def start(
        self, state: Tensor, noise: Tensor, known: Tensor | None = None, video_noise: Tensor | None = None
    ) -> None:
        """state: (1, S); noise: like `actions`; known: (P, values), the first points, normalised, that are being driven
        already and stay as they are; video_noise: like `video`."""
        self._state.copy_(state)
        self.actions.copy_(noise)
        count = 0 if known is None else len(known)
        if count != self._known:
            self._know_first(count)
        if known is not None:
            self.actions[:, :count] = known.to(self.actions)
        if self.video is not None:
            if video_noise is None:
                raise ValueError("imagining starts from noise: give video_noise")
            self.video.copy_(video_noise)

    def read(self, text: Text) -> None:
        """The latents that are in `observed`, (1, C, K, h, w), through the video expert."""
        clean = self._video_times.projection[None, :1]
        for cache, kept in zip(self._caches, self._network.read_observation(self.observed, text, clean)):
            cache.write(kept)

    @property
    def observed_keys_values(self) -> list[KeysValues]:
        """What is kept of the observation, one entry a layer."""
        return [cache.observation for cache in self._caches]

    def run(self, text: Text) -> None:
        """All steps, from what `start` and `read` left."""
        for number, stride in enumerate(self._strides):
            self._step(number, stride, text)

    def _step(self, number: int, stride: float, text: Text) -> None:
        network, dtype = self._network, self._network.dtype
        states = self._state.expand(len(self.actions), -1)
        tokens = network.action.embed(states, self.actions.to(dtype))
        action = Segment(tokens, self._projection[number], network.action.rotary)
        future, embedding = None, self._video_times.embedding[None, number + 1, None]
        if self.video is not None:
            projection = self._video_times.projection[None, number + 1, None]
            future = Segment(network.embed_video(self.video.to(dtype)), projection, self._video_rotary)
        future, action = network.step(future, action, self._caches, text)
        velocity = network.action.read_out(action.tokens, self._embedding[number])
        self.actions.add_(velocity.float() * self._free, alpha=stride)
        if future is not None and self.video is not None:
            flow = network.read_out_video(future.tokens, embedding, self.video.shape)
            self.video.add_(flow.float(), alpha=stride)

    def _know_first(self, count: int) -> None:
        """The ego state and the first `count` points have flow time 0, the others that of the step."""
        known = torch.arange(1 + self._free.shape[1], device=self._device) <= count
        steps = torch.arange(1, 1 + len(self._strides), device=self._device)
        rows = torch.where(known, 0, steps[:, None])[:, None]
        self._embedding.copy_(self._action_times.embedding[rows])
        self._projection.copy_(self._action_times.projection[rows])
        self._free.copy_(~known[None, 1:, None])
        self._known = count


@torch.inference_mode()
def sample_actions(
    network: Metis, observed: Tensor, state: Tensor, noise: Tensor, text: Text, steps: int, future_noise: Tensor | None
) -> Tensor:
    """Actions (N, points, values), still normalised, from noise of that shape: N candidates for one observation.

    observed: (1, C, K, h, w); state: (1, S); future_noise: (1, C, F, h, w), needed by the joint mask alone, whose
    actions look at the video they imagine.
    """
    imagine = network.config.mask is Mask.JOINT
    flow = Flow(network, steps, candidates=1 if imagine else len(noise), imagine=imagine)
    flow.observed.copy_(observed)
    flow.read(text)
    answers = []
    for part in noise.split(len(flow.actions)):
        flow.start(state, part, video_noise=future_noise)
        flow.run(text)
        answers.append(flow.actions.clone())
    return torch.cat(answers)


@torch.inference_mode()
def sample_plainly(
    network: Metis,
    observed: Tensor,
    state: Tensor,
    noise: Tensor,
    embedded: Tensor,
    steps: int,
    known: Tensor | None = None,
) -> Tensor:
    """The same actions, as the library goes about it: every step reads text (1, L, d) and observation anew, through all
    of every layer and with an embedding of time for each token. For the asymmetric and the isolated mask."""
    schedule = sigmas(steps, network.config.sampling_shift).tolist()
    count, fixed = len(noise), 0 if known is None else len(known)
    observed, state = observed.expand(count, *observed.shape[1:]), state.expand(count, -1)
    actions = noise.float().clone()
    if known is not None:
        actions[:, :fixed] = known
    for now, after in zip(schedule, schedule[1:]):
        time = torch.full(noise.shape[:2], now, device=noise.device)
        time[:, :fixed] = 0.0
        text = network.read_text(embedded.expand(count, -1, -1))
        tokens = network.embed_video(observed)
        clean = torch.zeros(tokens.shape[:2], device=noise.device)
        _, projection = embed_time(network.video.condition_embedder, clean, tokens.dtype)
        obs = Segment(tokens, projection, network.video_rotary(0, observed.shape[2]))
        act, embedding = network.action_segment(state, actions.to(network.dtype), time)
        for layer, *both in zip(network.layers, text.video, text.action, strict=True):
            obs, _, act = layer(obs, None, act, both, network.config.mask, last=False)
        moved = euler_step(actions, network.action.read_out(act.tokens, embedding).float(), now, after)
        actions = torch.cat([actions[:, :fixed], moved[:, fixed:]], dim=1)
    return actions
