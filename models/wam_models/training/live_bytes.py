"""Bytes of tensors that are alive, counted as they come and go. It works on real tensors and on fake ones alike."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Of what operations inside the context make. Tensors that were there before are not counted, nor is what a kernel
    takes for itself while it runs."""

    def __init__(self) -> None:
        super().__init__()
        self._changes: list[tuple[int, int]] = []  # (number of a storage, bytes: positive when it comes, negative)
        self._numbers: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        made = [tensor for tensor in tree_leaves(out) if isinstance(tensor, Tensor)]
        given = {_key(t) for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)} if made else set()
        for tensor in made:
            if (key := _key(tensor)) not in given and key not in self._numbers:
                storage = tensor.untyped_storage()
                self._numbers[key] = number = len(self._changes)
                self._changes.append((number, storage.nbytes()))
                weakref.finalize(storage, self._gone, key, number, storage.nbytes())
        return out

    def alive(self) -> int:
        """At this moment."""
        return sum(change for _, change in self._changes)

    def peak(self, gradients: Iterable[Tensor] = (), share: float = 1.0) -> int:
        """The most that were alive at once, of `gradients` only this share."""
        shared = {self._numbers[key] for t in gradients if (key := _key(t)) in self._numbers}
        alive = most = 0.0
        for number, change in self._changes:
            alive += share * change if number in shared else change
            most = max(most, alive)
        return round(most)

    def _gone(self, key: int, number: int, size: int) -> None:
        self._changes.append((number, -size))
        self._numbers.pop(key, None)


def _key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
