"""How long each stage of a plan took."""

from __future__ import annotations

from itertools import pairwise
from time import perf_counter
from typing import Any

import torch


class StageClock:
    """Milliseconds between marks, of which none waits: on a GPU they stand in its queue between the work."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._stages: list[str] = []
        self._marks = [self._now()]

    def mark(self, stage: str) -> None:
        self._stages.append(stage)
        self._marks.append(self._now())

    def stages(self) -> dict[str, float]:
        """Stage -> ms, in the order of their first marks. On a GPU it waits for what was asked for before the last."""
        if self._on_gpu:
            self._marks[-1].synchronize()
        times: dict[str, float] = {}
        for stage, (before, after) in zip(self._stages, pairwise(self._marks), strict=True):
            spent = before.elapsed_time(after) if self._on_gpu else 1e3 * (after - before)
            times[stage] = times.get(stage, 0.0) + spent
        return times

    def _now(self) -> Any:
        """Seconds, or an event that has them once the GPU comes to it."""
        if not self._on_gpu:
            return perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
