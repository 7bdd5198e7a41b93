"""The video autoencoder: diffusers' causal Wan VAE, latents normalised, and single frames at a third of the cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d, WanRMS_norm
from torch import Tensor, nn


class _FrameAwareConv(WanCausalConv3d):
    """For one frame without history the causal kernel meets only zeros before it, so its last temporal slice as a 2-D
    convolution gives the same numbers for a third of the work. For training and for clips; planning goes farther, with
    wan.frame_encoder."""

    def forward(self, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
        left, right, top, bottom, before, _ = self._padding
        alone = cache_x is None and x.shape[2] == 1 and before == self.kernel_size[0] - 1
        if not alone or left != right or top != bottom:
            return super().forward(x, cache_x)
        out = F.conv2d(x[:, :, 0], self.weight[:, :, -1], self.bias, self.stride[1:], (top, left))
        return out[:, :, None]


class _QuickNorm(WanRMS_norm):
    """The same norm over channels by a sum of squares: the library's way takes 40 % of an encoder's time on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.channel_first:
            return super().forward(x)
        squares = x.float().square().sum(dim=1, keepdim=True).clamp_min(1e-24)
        return (x * torch.rsqrt(squares)).type_as(x) * self.scale * self.gamma + self.bias


class VideoAutoencoder(nn.Module):
    """Frames in [-1, 1] to normalised latents and back. config: keyword arguments of AutoencoderKLWan; quick: with
    faster arithmetic of the same results.

    Not re-entrant: the library keeps its temporal cache on the module, so one instance serves one thread.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: dict[str, Any], *, quick: bool = True) -> None:
        super().__init__()
        self.vae = AutoencoderKLWan(**config)
        for module in self.vae.modules() if quick else ():
            if type(module) is WanCausalConv3d:
                module.__class__ = _FrameAwareConv
            elif type(module) is WanRMS_norm:
                module.__class__ = _QuickNorm
        channels = self.vae.config.z_dim
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1, 1, dtype=torch.float32), False)
        self.register_buffer("std", torch.ones(1, channels, 1, 1, 1, dtype=torch.float32), False)
        self.set_statistics(self.vae.config.latents_mean, self.vae.config.latents_std)

    def set_statistics(self, latents_mean: list[float], latents_std: list[float]) -> None:
        """Mean and deviation of each latent channel, in the configuration and in use."""
        self.vae.register_to_config(latents_mean=latents_mean, latents_std=latents_std)
        self.mean.copy_(torch.tensor(latents_mean, dtype=torch.float32).view_as(self.mean))
        self.std.copy_(torch.tensor(latents_std, dtype=torch.float32).view_as(self.std))

    def pixels(self, frame: np.ndarray) -> Tensor:
        """uint8 (H, W, 3) -> (1, 3, 1, H, W) in [-1, 1], in the precision of the weights."""
        weight = self.vae.encoder.conv_in.weight
        return to_unit(torch.from_numpy(frame).to(weight.device)).to(weight.dtype)[None, :, None]

    def as_library(self) -> VideoAutoencoder:
        """The same weights, not copied, under the library's own arithmetic alone: what others are measured against."""
        with torch.device("meta"):
            other = VideoAutoencoder(dict(self.vae.config), quick=False)
        other.vae.load_state_dict(self.vae.state_dict(), assign=True)
        other.mean, other.std = self.mean, self.std
        return other.eval()

    def encode(self, frames: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1], T = 1 modulo the temporal factor -> (B, C, 1 + (T - 1) / factor, h, w)."""
        latents = self.vae.encode(frames).latent_dist.mode()
        return ((latents.float() - self.mean) / self.std).to(latents.dtype)

    def encode_frames(self, frames: Tensor) -> Tensor:
        """(B, 3, K, H, W), each frame on its own -> (B, C, K, h, w)."""
        batch, _, count = frames.shape[:3]
        alone = frames.transpose(1, 2).flatten(0, 1)[:, :, None]
        return self.encode(alone)[:, :, 0].unflatten(0, (batch, count)).transpose(1, 2)

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, T, h, w) -> (B, 3, 1 + (T - 1) * factor, H, W) in [-1, 1]."""
        return self.vae.decode((latents.float() * self.std + self.mean).to(latents.dtype)).sample


def to_unit(frames: Tensor) -> Tensor:
    """uint8 (..., H, W, 3) -> float32 (..., 3, H, W) in [-1, 1]."""
    return frames.movedim(-1, -3).float() / 127.5 - 1.0


def to_uint8(frames: Tensor) -> Tensor:
    """float (..., 3, H, W) in [-1, 1] -> uint8 (..., H, W, 3)."""
    return ((frames.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8).movedim(-3, -1)
