"""One training step's worth of data, and the losses of the two flows on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wam_models import flow_matching as flow
from wam_models.data.latent_cache import TrainingSet
from wam_models.metis.model import Metis, Text
from wam_models.preprocessing import Normaliser
from wam_models.training.augment import mirror_actions, mirror_state
from wam_models.training.clearance import shortfall
from wam_models.training.recipe import Clearance, Round


@dataclass(frozen=True)
class Batch:
    """observed: (B, C, K, h, w); future: (B, C, F, h, w) or None; states: (B, S); actions: (B, points, values),
    normalised; instruction: (B,) numbers; obstacles: (B, P, 2) m in base_link, or None."""

    observed: Tensor
    future: Tensor | None
    states: Tensor
    actions: Tensor
    instruction: Tensor
    obstacles: Tensor | None = None

    @classmethod
    def take(
        cls,
        data: TrainingSet,
        normaliser: Normaliser,
        windows: np.ndarray,
        variants: np.ndarray,
        futures: np.ndarray | None,
    ) -> Batch:
        """The windows (B,) in their versions (B,); futures: (B,) numbers of their future latents, or None."""
        mirrored = torch.from_numpy(variants % 2 == 1)
        states, actions = torch.from_numpy(data.states[windows]), torch.from_numpy(data.actions[windows])
        states = torch.where(mirrored[:, None], mirror_state(states), states)
        actions = torch.where(mirrored[:, None, None], mirror_actions(actions), actions)
        mean, std = torch.from_numpy(normaliser.mean), torch.from_numpy(normaliser.std)
        observed = data.frames[variants[:, None], data.context[windows]]
        obstacles = None
        if data.obstacles is not None:
            obstacles = torch.from_numpy(data.obstacles[data.context[windows, -1]]).float()
            obstacles[mirrored] *= obstacles.new_tensor([1.0, -1.0])
        return cls(
            observed=torch.from_numpy(observed).float().transpose(1, 2),
            future=None if futures is None else torch.from_numpy(data.futures[futures]).float(),
            states=states.float(),
            actions=((actions - mean) / std).float(),
            instruction=torch.from_numpy(data.instruction[windows]),
            obstacles=obstacles,
        )

    def to(self, device: str) -> Batch:
        moved: dict[str, Any] = {name: None if part is None else part.to(device) for name, part in vars(self).items()}
        return Batch(**moved)


def draw_batches(
    data: TrainingSet,
    normaliser: Normaliser,
    plan: Round,
    training: np.ndarray,
    video_training: np.ndarray,
    generator: torch.Generator,
    device: str,
) -> tuple[Batch | None, Batch | None]:
    """Windows for the actions alone and windows with a future, drawn from the given numbers of either."""

    def draw(high: int, count: int) -> np.ndarray:
        return torch.randint(high, (count,), generator=generator).numpy()

    plain, video = None, None
    if plan.batch:
        windows = training[draw(len(training), plan.batch)]
        plain = Batch.take(data, normaliser, windows, draw(len(data.frames), plan.batch), None).to(device)
    if plan.video_batch and len(video_training):
        futures = video_training[draw(len(video_training), plan.video_batch)]
        windows, variants = data.future_window[futures], data.future_variant[futures]
        video = Batch.take(data, normaliser, windows, variants, futures).to(device)
    return plain, video


def _times(settings: dict[str, Any], count: int, generator: torch.Generator) -> Tensor:
    """(count,) flow times from a sampler and its settings, as the recipe gives them."""
    return flow.make_time_sampler(settings)(count, generator)


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Drawn on the CPU, so that a seed gives the same numbers on every device."""
    return torch.randn(like.shape, generator=generator).to(like)


def action_loss(
    network: Metis, batch: Batch, text: Text, times: dict[str, Any], repeats: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mean squared error of the action flow without any future video, `repeats` draws of noise and time for each
    observation, and the trajectories (B * repeats, points, values), normalised, that the flow points to from each draw.
    text: read for the repeated batch, (B * repeats) entries in order, its video part for (B)."""
    actions = batch.actions.repeat_interleave(repeats, dim=0)
    time = _times(times, len(actions), generator).to(actions)[:, None].expand(-1, actions.shape[1])
    noise = _noise(actions, generator)
    prefix = network.read_observation(batch.observed, text).repeat_interleave(repeats)
    states = batch.states.repeat_interleave(repeats, dim=0)
    noisy = flow.interpolate(actions, noise, time)
    velocity = network.step_action(prefix, states, noisy, time, text).float()
    return (velocity - flow.target(actions, noise)).square().mean(), flow.origin(noisy, velocity, time)


def plan_shortfall(batch: Batch, planned: Tensor, normaliser: Normaliser, settings: Clearance) -> Tensor:
    """What `planned` (B * repeats, points, values), normalised, lacks in clearance, m; see clearance.shortfall."""
    assert batch.obstacles is not None
    mean, std = (torch.from_numpy(part).to(planned) for part in (normaliser.mean, normaliser.std))
    repeats = len(planned) // len(batch.actions)
    taught, points = (part.repeat_interleave(repeats, dim=0) for part in (batch.actions, batch.obstacles))
    return shortfall(planned * std + mean, taught * std + mean, points, settings)


def joint_losses(
    network: Metis,
    batch: Batch,
    text: Text,
    action_times: dict[str, Any],
    video_times: dict[str, Any],
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Mean squared errors of the action flow and of the flow of the future latents, in one joint forward.

    The two flows have times of their own, as FastWAM trains them; all points of a trajectory share theirs.
    """
    assert batch.future is not None
    count, points = batch.actions.shape[:2]
    action_time = _times(action_times, count, generator).to(batch.actions)[:, None].expand(-1, points)
    video_time = _times(video_times, count, generator).to(batch.future)
    action_noise = _noise(batch.actions, generator)
    video_noise = _noise(batch.future, generator)
    video, action = network(
        batch.observed,
        flow.interpolate(batch.future, video_noise, video_time),
        video_time,
        batch.states,
        flow.interpolate(batch.actions, action_noise, action_time),
        action_time,
        text,
    )
    return (
        (action.float() - flow.target(batch.actions, action_noise)).square().mean(),
        (video.float() - flow.target(batch.future, video_noise)).square().mean(),
    )
