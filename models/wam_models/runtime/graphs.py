"""Work recorded once as a CUDA graph and replayed: thousands of launches become one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import torch

# Reads and writes tensors that keep their place.
Work = Callable[[], None]
# Libraries choose their algorithms and reserve their workspaces in the first calls, which a recording must not hold.
_REHEARSALS = 3


def live(work: Work) -> Work:
    """The work itself, where nothing is recorded."""
    return work


class Recorder:
    """Work to its replay. The work is run to rehearse and to be recorded: what it changes in place must be written
    afterwards.

    All its graphs take what they need for a while from one pool. So no two of them may run at a time, and what is to
    outlast a replay must lie in tensors that were there before.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream()

    @torch.inference_mode()
    def __call__(self, work: Work) -> Work:
        before = torch.cuda.current_stream()
        self._stream.wait_stream(before)
        with torch.cuda.stream(self._stream):
            for _ in range(_REHEARSALS):
                work()
        before.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                work()
        except BaseException:
            # A recording that breaks off leaves its stream the current one, and its pool open.
            torch.cuda.set_stream(before)
            with suppress(RuntimeError):
                torch._C._cuda_endAllocateToPool(torch.cuda.current_device(), self._pool)
            self._begin()
            raise
        return _Replay(graph, work)


@dataclass(frozen=True)
class _Replay:
    """A graph knows addresses alone: the work keeps the tensors that lie there."""

    graph: torch.cuda.CUDAGraph
    work: Work

    def __call__(self) -> None:
        self.graph.replay()
