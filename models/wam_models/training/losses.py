"""The losses of the two flows on one batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wam_models import flow_matching as flow
from wam_models.metis.model import Metis, Text
from wam_models.training.recipe import Committed


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

    def to(self, device: torch.device | str) -> Batch:
        moved: dict[str, Any] = {name: None if part is None else part.to(device) for name, part in vars(self).items()}
        return Batch(**moved)


def action_loss(
    network: Metis,
    batch: Batch,
    text: Text,
    times: dict[str, Any],
    repeats: int,
    generator: torch.Generator,
    committed: Committed | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean squared error of the action flow without any future video, `repeats` draws of noise and time for each
    observation, and the trajectories (B * repeats, points, values), normalised, that the flow points to from each draw.
    text: read for the repeated batch, (B * repeats) entries in order, its video part for (B)."""
    actions = batch.actions.repeat_interleave(repeats, dim=0)
    time = _action_times(times, committed, actions, generator)
    noise = _noise(actions, generator)
    prefix = [layer.repeat_interleave(repeats) for layer in network.read_observation(batch.observed, text)]
    states = batch.states.repeat_interleave(repeats, dim=0)
    noisy = flow.interpolate(actions, noise, time)
    velocity = network.step_action(prefix, states, noisy, time, text).float()
    return _action_error(velocity, flow.target(actions, noise), time), flow.origin(noisy, velocity, time)


def joint_losses(
    network: Metis,
    batch: Batch,
    text: Text,
    action_times: dict[str, Any],
    video_times: dict[str, Any],
    generator: torch.Generator,
    committed: Committed | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean squared errors of the action flow and of the flow of the future latents, in one joint forward.

    The two flows have times of their own, as FastWAM trains them; all points of a trajectory share theirs.
    """
    assert batch.future is not None
    action_time = _action_times(action_times, committed, batch.actions, generator)
    video_time = _times(video_times, len(batch.actions), generator).to(batch.future)
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
        _action_error(action.float(), flow.target(batch.actions, action_noise), action_time),
        (video.float() - flow.target(batch.future, video_noise)).square().mean(),
    )


def _action_times(
    settings: dict[str, Any], committed: Committed | None, actions: Tensor, generator: torch.Generator
) -> Tensor:
    """(B, points): one time for the points of a trajectory, and 0 for those that are known."""
    count, points = actions.shape[:2]
    time = _times(settings, count, generator).to(actions)[:, None].expand(-1, points)
    if committed is None:
        return time
    chosen = torch.rand(count, generator=generator) < committed.share
    known = chosen * torch.randint(1, committed.most + 1, (count,), generator=generator)
    return time.masked_fill((torch.arange(points) < known[:, None]).to(time.device), 0.0)


def _action_error(velocity: Tensor, target: Tensor, time: Tensor) -> Tensor:
    """Mean square over the points that have a time; those without are known, and nothing moves them."""
    free = (time > 0)[..., None].expand_as(target)
    return ((velocity - target).square() * free).sum() / free.sum()


def _times(settings: dict[str, Any], count: int, generator: torch.Generator) -> Tensor:
    """(count,) flow times from a sampler and its settings, as the recipe gives them."""
    return flow.make_time_sampler(settings)(count, generator)


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    """Drawn on the CPU, so that a seed gives the same numbers on every device."""
    return torch.randn(like.shape, generator=generator).to(like)
