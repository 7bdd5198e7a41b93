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
    x = x * draw(0.55, 1.35) * draw(0.85, 1.15, 3)
    x = x + draw(0.0, 0.03) * torch.randn(x.shape, generator=generator)
    return x.clamp(0, 1) * 2 - 1


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
