"""Other light for the same scene: what lets a model trained by day walk by night."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from wam_models.training.recipe import LEAST_SATURATION

_SKY_LEVEL = 120  # of 255: what is darker is no sky by day
_SKY_SHARE = 0.52  # of the picture's height, from its top: a camera that looks ahead has the horizon in the middle


def sky_of(frame: np.ndarray) -> np.ndarray:
    """bool (H, W) of an RGB frame uint8 (H, W, 3): the bright white, grey or blue that hangs from the top edge."""
    red, green, blue = np.moveaxis(frame.astype(np.int16), -1, 0)
    alike = (blue >= green - 6) & (blue >= red - 4) & (np.maximum(red, blue) >= _SKY_LEVEL)
    alike[round(len(alike) * _SKY_SHARE) :] = False
    _, parts = cv2.connectedComponents(alike.astype(np.uint8), connectivity=4)
    hanging = alike & np.isin(parts, np.unique(parts[0]))
    # One pixel more: the rim is a mixture, and would stay as a bright line.
    return cv2.dilate(hanging.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def another_sky(frames: np.ndarray, share: float, generator: torch.Generator) -> np.ndarray:
    """Frames uint8 (N, H, W, 3) of one run, in a share of the runs under a dark sky of one colour: a model that never
    saw one takes the black for something."""
    if not share:  # nothing drawn: the runs keep the lights they have without
        return frames
    bright, level, *tint = torch.rand(5, generator=generator).tolist()
    if bright < 1 - share:
        return frames
    colour = np.round(255 * 0.4 * level * (0.5 + 0.5 * np.array(tint))).astype(np.uint8)
    return np.stack([np.where(sky_of(frame)[..., None], colour, frame) for frame in frames])


def jitter_light(frames: Tensor, generator: torch.Generator, least_saturation: float = LEAST_SATURATION) -> Tensor:
    """(B, 3, ...) in [-1, 1] -> the same with one exposure, gamma, contrast, white balance, saturation and noise an
    entry of the batch. least_saturation: 0 may leave no colour at all, which hides what a traffic light shows."""
    batch, tail = frames.shape[0], (1,) * (frames.ndim - 2)

    def draw(low: float, high: float, channels: int = 1) -> Tensor:
        value = low + (high - low) * torch.rand(batch, channels, generator=generator)
        return value.reshape(batch, channels, *tail)

    x = (frames + 1) / 2
    x = (x.clamp(1e-3, 1).log() * torch.exp(draw(-0.5, 0.5))).exp()  # a power, four times as fast as ** on a CPU
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * draw(least_saturation, 1.3)
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
