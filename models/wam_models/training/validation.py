"""How far plans are from what the teacher would have driven, on windows that trained nothing."""

from __future__ import annotations

import numpy as np
import torch

from wam_models.data.latent_cache import TrainingSet
from wam_models.metis.config import MetisConfig
from wam_models.metis.planning import MetisModel
from wam_models.metis.sampling import sample_actions
from wam_models.preprocessing import Normaliser
from wam_models.training.batch import take_batch


@torch.inference_mode()
def validate(model: MetisModel, data: TrainingSet, normaliser: Normaliser, limit: int = 512) -> dict[str, float]:
    """Displacement errors (m) of plans on held-out windows: mean over the points (ade) and at the last one (fde)."""
    windows = np.flatnonzero(data.held_out)
    if not len(windows):
        return {}
    windows = windows[np.linspace(0, len(windows) - 1, min(limit, len(windows))).astype(int)]
    device = model.autoencoder.mean.device
    generator = torch.Generator().manual_seed(0)
    errors = []
    for window in windows:
        batch = take_batch(data, normaliser, np.array([window]), np.array([0]), None).to(str(device))
        text = model.network.read_text(model.text([data.instructions[int(batch.instruction)]]))
        noise = model.config.noise_scale * torch.randn(batch.actions.shape, generator=generator).to(device)
        latents = torch.randn((1, *_future_shape(model.config)), generator=generator).to(device)
        sampled = sample_actions(model.network, batch.observed, batch.states, noise, text, model.config.steps, latents)
        planned, wanted = (normaliser.denormalise(t.cpu().numpy()) for t in (sampled, batch.actions))
        difference = planned - wanted
        errors.append(np.hypot(difference[0, :, 0], difference[0, :, 1]))
    stacked = np.array(errors)
    return {"ade_m": float(stacked.mean()), "fde_m": float(stacked[:, -1].mean()), "windows": float(len(windows))}


def _future_shape(config: MetisConfig) -> tuple[int, int, int, int]:
    channels, height, width = config.latent_size
    return channels, config.future_latents, height, width
