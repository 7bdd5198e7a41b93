"""How long each stage of a plan took."""

from __future__ import annotations

from time import perf_counter

import torch


class StageClock:
    """Milliseconds between marks. On a GPU a mark waits until what was asked for is done."""

    def __init__(self, device: torch.device) -> None:
        self._waits = device.type == "cuda"
        self._times: dict[str, float] = {}
        self._last = perf_counter()

    def mark(self, stage: str) -> None:
        if self._waits:
            torch.cuda.synchronize()
        now = perf_counter()
        self._times[stage] = self._times.get(stage, 0.0) + 1e3 * (now - self._last)
        self._last = now

    def stages(self) -> dict[str, float]:
        """Stage -> ms, in the order of their first marks."""
        return dict(self._times)
