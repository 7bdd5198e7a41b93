"""Camera pictures shrunk on a GPU: on a processor that takes longer than the plan."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


class Shrinker:
    """uint8 pictures (H, W, 3) on the host to smaller ones (*size, 3) on the device, each pixel the mean of the area it
    covers: what OpenCV's INTER_AREA answers, within one level of 255."""

    def __init__(self, size: tuple[int, int], device: torch.device) -> None:
        self._size, self._device = size, device
        self._from: tuple[int, ...] = ()

    def takes(self, shape: tuple[int, ...]) -> bool:
        """Whether a picture of this shape is larger, and smaller in no direction."""
        return shape[:2] != self._size and all(given >= wanted for given, wanted in zip(shape, self._size))

    def __call__(self, frame: np.ndarray) -> Tensor:
        if frame.shape != self._from:
            self._stand_ready_for(frame.shape)
        self._host.copy_(torch.from_numpy(frame))
        pixels = self._host.to(self._device).float()
        rows = self._rows @ pixels.flatten(1)
        return (self._columns @ rows.unflatten(1, pixels.shape[1:])).round().clamp(0, 255).to(torch.uint8)

    def _stand_ready_for(self, shape: tuple[int, ...]) -> None:
        """A camera has one size: weights and room are kept for the last."""
        self._host = torch.empty(shape, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        self._rows, self._columns = (
            area_weights(given, wanted).to(self._device) for given, wanted in zip(shape, self._size)
        )
        self._from = shape


def area_weights(given: int, wanted: int) -> Tensor:
    """(wanted, given): how much of each given pixel lies in each wanted one, so that a row adds up to 1."""
    edges = torch.arange(wanted + 1, dtype=torch.float64) * given / wanted
    pixels = torch.arange(given, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return (overlap.clamp_min(0) * wanted / given).float()
