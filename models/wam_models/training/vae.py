"""Trains the video autoencoder on frames and short clips, then measures what its latents are normalised by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wam_models.data.store import WindowStore
from wam_models.training.augment import jitter_light, mirror
from wam_models.wan.vae import VideoAutoencoder, to_unit

KL_WEIGHT = 1e-5


def reconstruction_loss(autoencoder: VideoAutoencoder, frames: Tensor, generator: torch.Generator) -> Tensor:
    """Absolute error of pixels and of their gradients (edges carry the obstacles), and a light pull of the posterior
    to a normal. frames: (B, 3, T, H, W) in [-1, 1]."""
    posterior = autoencoder.vae.encode(frames).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator)
    out = autoencoder.vae.decode(posterior.mean + posterior.std * noise).sample
    error = (out - frames).float()
    edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    kl = 0.5 * (posterior.mean.float() ** 2 + posterior.var.float() - 1 - posterior.logvar.float()).mean()
    return error.abs().mean() + edges + KL_WEIGHT * kl


def train_autoencoder(
    autoencoder: VideoAutoencoder,
    store: WindowStore,
    settings: dict[str, Any],
    generator: torch.Generator,
    start: int,
    optimiser: torch.optim.Optimizer,
    on_step: Callable[[int, float], None],
) -> None:
    """From step `start` to settings["steps"]; every settings["clip_every"]-th batch is clips, the others single frames.

    on_step(step, loss) is called after each step: it reports and saves.
    """
    autoencoder.train()
    steps = settings["steps"]
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + start + 1) / 100) * (1 - 0.95 * (step + start) / steps)
    )
    for step in range(start, steps):
        clips = step % settings["clip_every"] == settings["clip_every"] - 1
        picked = torch.randint(
            len(store), (settings["clips"] if clips else settings["frames"],), generator=generator
        ).numpy()
        frames = jitter_light(_frames(store, picked, clips), generator)
        if step % 2:
            frames = mirror(frames)
        with torch.autocast(frames.device.type, torch.bfloat16):
            loss = reconstruction_loss(autoencoder, frames, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(autoencoder.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        on_step(step + 1, float(loss.detach()))
    autoencoder.eval()


def _frames(store: WindowStore, picked: np.ndarray, clips: bool) -> Tensor:
    """(B, 3, T, H, W): the newest context frame of each window, with the future frames behind it for clips."""
    numbers = store.windows.context[picked, -1:]
    if clips:
        numbers = np.concatenate([numbers, store.windows.future[picked]], axis=1)
    return to_unit(torch.from_numpy(store.frames[numbers])).transpose(1, 2)


@torch.no_grad()
def measure_latents(
    autoencoder: VideoAutoencoder, store: WindowStore, generator: torch.Generator
) -> tuple[list[float], list[float]]:
    """Mean and deviation of each latent channel, before normalisation."""
    picked = torch.randint(len(store), (min(512, len(store)),), generator=generator).numpy()
    plain = [0.0] * autoencoder.vae.config.z_dim, [1.0] * autoencoder.vae.config.z_dim
    autoencoder.set_statistics(*plain)
    batches = [autoencoder.encode(_frames(store, part, clips=True)) for part in np.array_split(picked, 64) if len(part)]
    latents = torch.cat(batches).float()
    return latents.mean(dim=(0, 2, 3, 4)).tolist(), latents.std(dim=(0, 2, 3, 4)).clamp_min(1e-3).tolist()
