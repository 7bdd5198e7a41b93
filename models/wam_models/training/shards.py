"""A step's batch in equal parts, each on a core of its own.

On a CPU two threads that share each narrow matrix product are slower than one; two with half of the batch each are not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)
Result = TypeVar("Result")


def use_one_thread() -> None:
    """For a process beside others that train too."""
    torch.set_num_threads(1)


class Shards(Generic[Model]):
    """`count` views of one model: the same parameters, gradients of their own. The sum does not depend on which thread
    is faster, so a seed gives the same weights on any number of cores. Inside the context torch's own threads rest.

    in_turn: one part after the other on the model itself, as a GPU wants it, and a model that is shared by processes.
    """

    def __init__(self, model: Model, count: int, *, in_turn: bool = False) -> None:
        self._in_turn, self._count = in_turn, count
        self._views = [model] if in_turn else [model, *(_view(model) for _ in range(count - 1))]
        self._pool = ThreadPoolExecutor(count)
        self._threads = torch.get_num_threads()

    def __enter__(self) -> Shards[Model]:
        if len(self._views) > 1:
            torch.set_num_threads(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        torch.set_num_threads(self._threads)

    def backward(self, work: Callable[[Model, int], Result]) -> list[Result]:
        """work(view, shard) computes a loss and calls backward; afterwards the model has the mean of the gradients."""
        if self._in_turn:
            results = [work(self._views[0], shard) for shard in range(self._count)]
            for parameter in self._views[0].parameters():
                if parameter.grad is not None:
                    parameter.grad.div_(self._count)
            return results
        if len(self._views) == 1:
            return [work(self._views[0], 0)]

        def alone(shard: int) -> Result:
            torch.set_num_threads(1)  # a thread has a setting of its own
            return work(self._views[shard], shard)

        results = list(self._pool.map(alone, range(len(self._views))))
        for parameters in zip(*(view.parameters() for view in self._views), strict=True):
            own = [p.grad for p in parameters if p.grad is not None]
            if own:
                parameters[0].grad = torch.stack(own).sum(dim=0).div_(len(self._views))
            for view in parameters[1:]:
                view.grad = None
        return results


def _view(model: Model) -> Model:
    view = copy.deepcopy(model)
    for own, shared in zip(view.parameters(), model.parameters(), strict=True):
        own.data = shared.data
    return view
