"""One training step's worth of data, drawn from the windows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wam_models.data.latent_cache import TrainingSet
from wam_models.preprocessing import Normaliser
from wam_models.training.augment import mirror_actions, mirror_state
from wam_models.training.clearance import shortfall
from wam_models.training.losses import Batch
from wam_models.training.recipe import Clearance, Round


def take_batch(
    data: TrainingSet,
    normaliser: Normaliser,
    windows: np.ndarray,
    variants: np.ndarray,
    futures: np.ndarray | None,
) -> Batch:
    """The windows (B,) in their versions (B,); futures: (B,) numbers of their future latents, or None."""
    mirrored = torch.from_numpy((variants % 2 == 1) & data.mirrored)
    states, actions = torch.from_numpy(data.states[windows]), torch.from_numpy(data.actions[windows])
    states = torch.where(mirrored[:, None], mirror_state(states), states)
    actions = torch.where(mirrored[:, None, None], mirror_actions(actions), actions)
    mean, std = torch.from_numpy(normaliser.mean), torch.from_numpy(normaliser.std)
    observed = data.frames[variants[:, None], data.context[windows]]
    obstacles = None
    if data.obstacles is not None:
        obstacles = torch.from_numpy(data.obstacles[data.context[windows, -1]]).float()
        obstacles[mirrored] *= obstacles.new_tensor([1.0, -1.0])
    return Batch(
        observed=torch.from_numpy(observed).float().transpose(1, 2),
        future=None if futures is None else torch.from_numpy(data.futures[futures]).float(),
        states=states.float(),
        actions=((actions - mean) / std).float(),
        instruction=torch.from_numpy(data.instruction[windows]),
        obstacles=obstacles,
    )


def draw_batches(
    data: TrainingSet,
    normaliser: Normaliser,
    plan: Round,
    training: np.ndarray,
    video_training: np.ndarray,
    generator: torch.Generator,
    device: torch.device,
) -> tuple[Batch | None, Batch | None]:
    """Windows for the actions alone and windows with a future, drawn from the given numbers of either."""

    def draw(high: int, count: int) -> np.ndarray:
        return torch.randint(high, (count,), generator=generator).numpy()

    plain, video = None, None
    if plan.batch:
        windows = training[draw(len(training), plan.batch)]
        plain = take_batch(data, normaliser, windows, draw(len(data.frames), plan.batch), None).to(device)
    if plan.video_batch and len(video_training):
        futures = video_training[draw(len(video_training), plan.video_batch)]
        windows, variants = data.future_window[futures], data.future_variant[futures]
        video = take_batch(data, normaliser, windows, variants, futures).to(device)
    return plain, video


def plan_shortfall(batch: Batch, planned: Tensor, normaliser: Normaliser, settings: Clearance) -> Tensor:
    """What `planned` (B * repeats, points, values), normalised, lacks in clearance, m; see clearance.shortfall."""
    assert batch.obstacles is not None
    mean, std = (torch.from_numpy(part).to(planned) for part in (normaliser.mean, normaliser.std))
    repeats = len(planned) // len(batch.actions)
    taught, points = (part.repeat_interleave(repeats, dim=0) for part in (batch.actions, batch.obstacles))
    return shortfall(planned * std + mean, taught * std + mean, points, settings)
