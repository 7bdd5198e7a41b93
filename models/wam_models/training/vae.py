"""Trains the video autoencoder on frames and short clips, then measures what its latents are normalised by."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_wan import WanAttentionBlock, WanResidualBlock
from torch import Tensor, nn

from wam_models.data.store import COLUMN, WindowStore
from wam_models.training.augment import jitter_light, mirror
from wam_models.training.recipe import FARTHEST, LEAST_SATURATION, AutoencoderTraining
from wam_models.wan.vae import VideoAutoencoder, to_unit

KL_WEIGHT = 1e-5
# m: nearer is the robot itself.
NEAREST = 0.2
NEAR = 0.5  # m: below it, errors count about the same


class RangeHead(nn.Module):
    """Latents (B, C, h, w) -> log m (B, w * per_column) to the first obstacle in each strip of the picture, from its
    left. Training only: it makes the latents keep where the free ground ends, however faint the edge."""

    def __init__(self, channels: int, height: int, per_column: int, width: int = 64) -> None:
        super().__init__()
        self.cells = nn.Conv2d(channels, width, 3, padding=1)
        self.columns = nn.Conv1d(width * height, 2 * width, 3, padding=1)
        self.out = nn.Conv1d(2 * width, per_column, 1)

    def forward(self, latents: Tensor) -> Tensor:
        cells = F.silu(self.cells(latents)).flatten(1, 2)
        return self.out(F.silu(self.columns(cells))).transpose(1, 2).flatten(1)


class StopHead(nn.Module):
    """Latents (B, C, h, w) -> logits (B,) that a light tells to stop, and log m (B,) to its line. Training only: it
    makes the latents keep the few pixels of a light, and which of its lamps is lit. Each cell says what it sees; the
    surest count, for a light is in one place."""

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        self.cells = nn.Conv2d(channels, width, 3, padding=1)
        self.out = nn.Conv2d(width, 2, 1)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        cells = self.out(F.silu(self.cells(latents))).float().flatten(2)
        logits, metres = cells[:, 0], cells[:, 1]
        return logits.logsumexp(dim=1) - math.log(logits.shape[1]), (logits.softmax(dim=1) * metres).sum(dim=1)


class AutoencoderTrainee(nn.Module):
    """What the autoencoder's optimiser sees."""

    def __init__(self, autoencoder: VideoAutoencoder, image_size: tuple[int, int]) -> None:
        super().__init__()
        config = autoencoder.vae.config
        factor = config.scale_factor_spatial
        self.autoencoder = autoencoder
        self.range_head = RangeHead(config.z_dim, image_size[0] // factor, factor // COLUMN)
        self.stop_head = StopHead(config.z_dim)


@torch.no_grad()
def quiet_start(autoencoder: VideoAutoencoder) -> None:
    """Residual branches that start at zero and a posterior that starts narrow: the shortcuts alone already carry a
    blurred picture, and colours come out right in a third of the steps."""
    for module in autoencoder.vae.modules():
        if isinstance(module, WanResidualBlock):
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
        elif isinstance(module, WanAttentionBlock):
            nn.init.zeros_(module.proj.weight)
            nn.init.zeros_(module.proj.bias)
    moments, channels = autoencoder.vae.quant_conv, autoencoder.vae.config.z_dim
    moments.weight[channels:] *= 0.1
    nn.init.constant_(moments.bias[channels:], -6.0)


def reconstruction_loss(autoencoder: VideoAutoencoder, frames: Tensor, latents: Tensor) -> Tensor:
    """Absolute error of pixels and of their gradients (edges carry the obstacles). frames: (B, 3, T, H, W) in
    [-1, 1]; latents: as drawn from their posterior."""
    error = (autoencoder.vae.decode(latents).sample - frames).float()
    return error.abs().mean() + error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()


def range_loss(head: RangeHead, latents: Tensor, ranges: Tensor, farthest: float) -> Tensor:
    """Absolute error of the logarithm of the ranges, the near ones weighted more: what stands at 1 m turns the robot,
    what stands far away does not yet. Columns without one (NaN) do not count. latents: (B, C, h, w); ranges:
    (B, columns) m; farthest: m, what is beyond counts as there."""
    known = ~ranges.isnan()
    metres = ranges.clamp(NEAREST, farthest)
    weight = 1 / (NEAR + metres[known])
    return ((head(latents).float() - metres.log())[known].abs() * weight).sum() / weight.sum()


def stop_loss(head: StopHead, latents: Tensor, metres: Tensor, farthest: float) -> Tensor:
    """Cross-entropy of whether there is a line (B,) m to stop at, inf where no light tells to, both kinds counting
    alike, however many there are of each; and the absolute error of the logarithm of the way to it."""
    known = ~metres.isnan()
    stops = metres.isfinite() & (metres <= farthest)
    logits, log_metres = head(latents)
    entropy = F.binary_cross_entropy_with_logits(logits, stops.float(), reduction="none")
    kinds = [kind for kind in (known & stops, known & ~stops) if kind.any()]
    loss = torch.stack([entropy[kind].mean() for kind in kinds]).mean()
    if stops.any():
        loss = loss + 0.3 * (log_metres - metres.clamp_min(NEAREST).log())[stops].abs().mean()
    return loss


@dataclass(frozen=True)
class Drawn:
    """frames: (B, 3, T, H, W) in [-1, 1]; ranges: (B, columns) m; stop_lines: (B,) m; both of the first frame."""

    frames: Tensor
    ranges: Tensor
    stop_lines: Tensor


class Pictures:
    """Training pictures of several stores as one: the newest context frame of each window that is not held out, as it
    is, or in other lights, and mirrored as often as not where that is allowed."""

    def __init__(
        self,
        stores: Sequence[WindowStore],
        held_out: float,
        mirrored: bool = True,
        least_saturation: float = LEAST_SATURATION,
    ) -> None:
        self._stores, self._mirrored, self._least_saturation = stores, mirrored, least_saturation
        kept = [np.flatnonzero(~store.held_out(held_out)) for store in stores]
        self._store = np.repeat(np.arange(len(stores)), [len(windows) for windows in kept])
        self._window = np.concatenate(kept)

    def __len__(self) -> int:
        return len(self._window)

    def draw(self, count: int, clips: bool, generator: torch.Generator) -> Drawn:
        """For clips with the future frames behind each."""
        picked = torch.randint(len(self._window), (count,), generator=generator).numpy()
        frames, ranges, stop_lines = [], [], []
        for store, window in zip(self._store[picked], self._window[picked]):
            source, windows = self._stores[store], self._stores[store].windows
            newest = windows.context[window, -1:]
            numbers = np.concatenate([newest, windows.future[window]]) if clips else newest
            frames.append(source.frames[numbers])
            ranges.append(source.ranges[newest[0]])
            stop_lines.append(source.stop_lines[newest[0]])
        clip = to_unit(torch.from_numpy(np.stack(frames))).transpose(1, 2)
        return Drawn(clip, torch.from_numpy(np.stack(ranges)), torch.tensor(stop_lines, dtype=torch.float32))

    def draw_lit(self, count: int, clips: bool, generator: torch.Generator) -> Drawn:
        """Each in a light of its own."""
        drawn = self.draw(count, clips, generator)
        frames, ranges = jitter_light(drawn.frames, generator, self._least_saturation), drawn.ranges
        if self._mirrored and torch.rand((), generator=generator) < 0.5:
            frames, ranges = mirror(frames), mirror(ranges)
        return Drawn(frames, ranges, drawn.stop_lines)


def train_autoencoder(
    trainee: AutoencoderTrainee,
    pictures: Pictures,
    settings: AutoencoderTraining,
    generator: torch.Generator,
    start: int,
    optimiser: torch.optim.Optimizer,
    on_step: Callable[[int, dict[str, float]], None],
) -> None:
    """From step `start` to settings.steps; every settings.clip_every-th batch is clips, the others single frames.

    on_step(step, losses) is called after each step: it reports and saves.
    """
    trainee.train()
    farthest = FARTHEST if settings.farthest is None else settings.farthest
    autoencoder, steps, device = trainee.autoencoder, settings.steps, trainee.autoencoder.mean.device
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min(1.0, (step + start + 1) / 100) * (1 - 0.95 * (step + start) / steps)
    )
    for step in range(start, steps):
        clips = step % settings.clip_every == settings.clip_every - 1
        count = settings.clips if clips else settings.frames + settings.range_frames
        drawn = pictures.draw_lit(count, clips, generator)
        frames, ranges, stop_lines = (part.to(device) for part in (drawn.frames, drawn.ranges, drawn.stop_lines))
        with torch.autocast(device.type, torch.bfloat16):
            posterior = autoencoder.vae.encode(frames).latent_dist
            mean, std, logvar = posterior.mean.float(), posterior.std.float(), posterior.logvar.float()
            latents = mean + std * torch.randn(mean.shape, generator=generator).to(device)
            shown = settings.clips if clips else settings.frames
            picture = reconstruction_loss(autoencoder, frames[:shown], latents[:shown])
            losses = {"picture": picture}
            loss = picture + KL_WEIGHT * 0.5 * (mean**2 + std**2 - 1 - logvar).mean()
            if not ranges.isnan().all():
                losses["range"] = range_loss(trainee.range_head, latents[:, :, 0], ranges, farthest)
                loss = loss + settings.range_weight * losses["range"]
            if settings.stop_weight and not stop_lines.isnan().all():
                losses["stop"] = stop_loss(trainee.stop_head, latents[:, :, 0], stop_lines, farthest)
                loss = loss + settings.stop_weight * losses["stop"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainee.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        on_step(step + 1, {name: float(value.detach()) for name, value in losses.items()})
    trainee.eval()


@torch.no_grad()
def measure_latents(
    autoencoder: VideoAutoencoder, pictures: Pictures, generator: torch.Generator
) -> tuple[list[float], list[float]]:
    """Mean and deviation of each latent channel, before normalisation."""
    plain = [0.0] * autoencoder.vae.config.z_dim, [1.0] * autoencoder.vae.config.z_dim
    autoencoder.set_statistics(*plain)
    device = autoencoder.mean.device
    rounds = -(-min(512, len(pictures)) // 8)
    batches = [autoencoder.encode(pictures.draw(8, True, generator).frames.to(device)) for _ in range(rounds)]
    latents = torch.cat(batches).float()
    return latents.mean(dim=(0, 2, 3, 4)).tolist(), latents.std(dim=(0, 2, 3, 4)).clamp_min(1e-3).tolist()
