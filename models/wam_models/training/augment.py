"""Other light for the same scene: what lets a model trained by day walk by night."""

from __future__ import annotations

import torch
from torch import Tensor


def jitter_light(frames: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 3, ...) in [-1, 1] -> the same with one exposure, gamma, contrast, white balance, saturation and noise an
    entry of the batch."""
    batch, tail = frames.shape[0], (1,) * (frames.ndim - 2)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        value = low + (high - low) * torch.rand(batch, channels, generator=generator)
        return value.reshape(batch, channels, *tail)

    x = (frames + 1) / 2
    x = (x.clamp(1e-3, 1).log() * torch.exp(draw(-0.5, 0.5))).exp()  # a power, four times as fast as ** on a CPU
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * draw(0.1, 1.3)
    level = x.mean(dim=tuple(range(1, x.ndim)), keepdim=True)
    x = level + (x - level) * draw(0.6, 1.4)
    x = x * draw(0.55, 1.35) * draw(0.85, 1.15, 3) * _uneven_light(frames, generator)
    x = x + draw(0.0, 0.03) * torch.randn(x.shape, generator=generator)
    return x.clamp(0, 1) * 2 - 1


def _uneven_light(frames: Tensor, generator: torch.Generator) -> Tensor:
    """(B, 1, ..., H, W) factors: for half of the entries a gradient across the picture and one round spot, as a lamp
    lights the ground in front of it and nothing else; 1 for the others."""
    batch, height, width = frames.shape[0], *frames.shape[-2:]
    down = torch.linspace(-1, 1, height)[:, None]
    right = torch.linspace(-1, 1, width)[None, :]

    def draw(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(batch, generator=generator))[:, None, None]

    slope = draw(-1.2, 1.2) * down + draw(-0.5, 0.5) * right
    spread = draw(0.25, 0.8)
    distance = (down - draw(-0.3, 0.9)).square() + (right - draw(-0.8, 0.8)).square()
    light = slope + draw(-1.2, 0.0) + draw(0.0, 1.6) * (-distance / (2 * spread.square())).exp()
    uneven = torch.where(draw(0.0, 1.0) < 0.5, light.exp(), torch.ones(()))
    return uneven.reshape(batch, *(1,) * (frames.ndim - 3), height, width)


def mirror(frames: Tensor) -> Tensor:
    """Left and right swapped; (..., H, W)."""
    return frames.flip(-1)


def mirror_actions(actions: Tensor) -> Tensor:
    """(..., points, 2 or 3): y and yaw change sign."""
    sign = torch.tensor([1.0, -1.0, -1.0], dtype=actions.dtype)[: actions.shape[-1]]
    return actions * sign


def mirror_state(states: Tensor) -> Tensor:
    """(..., 8), see preprocessing.state_vector: vy, yaw rate, ay and the sine of the goal's bearing change sign."""
    return states * torch.tensor([1.0, -1.0, -1.0, 1.0, -1.0, 1.0, 1.0, -1.0], dtype=states.dtype)
