"""Work recorded once as a CUDA graph and replayed: thousands of launches become one."""

from __future__ import annotations

from collections.abc import Callable

import torch

# Libraries choose their algorithms and reserve their workspaces in the first calls, which a recording must not hold.
_REHEARSALS = 3


class Recorded:
    """A function without arguments that reads and writes tensors which keep their place.

    It is run a few times to rehearse, and once more to be recorded, before the first replay: whatever it changes in
    place must be written after `record`, not before.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._graph: torch.cuda.CUDAGraph | None = None

    def record(self) -> None:
        """Does nothing when it was recorded before."""
        if self._graph is not None:
            return
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_REHEARSALS):
                self._work()
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._work()
        self._graph = graph

    def __call__(self) -> None:
        self.record()
        assert self._graph is not None
        self._graph.replay()


class Live:
    """The same interface for work that is not recorded."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work

    def record(self) -> None:
        """Nothing to prepare."""

    def __call__(self) -> None:
        self._work()
