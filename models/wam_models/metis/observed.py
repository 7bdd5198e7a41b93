"""What was read of the observation in one layer, and who sees what beside it: the attention pattern of Metis.

Each pattern is a choice of keys, so none needs a mask over the whole. `Read` joins tensors and lets gradients through;
`LayerCache` writes into memory that stays in its place from plan to plan.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from wam_models.metis.config import Mask
from wam_models.wan.block import KeysValues, join


class Observed(Protocol):
    """Keys and values of the observation's tokens in one layer."""

    def seen_by_action(self, action: KeysValues) -> KeysValues:
        """What action tokens attend to where there is no future video: the observation and themselves."""

    def seen_by_both(self, future: KeysValues, action: KeysValues, mask: Mask) -> tuple[KeysValues, KeysValues]:
        """What future video and action tokens attend to."""


class Read:
    """Joined anew for every use."""

    def __init__(self, kept: KeysValues) -> None:
        self._kept = kept

    def seen_by_action(self, action: KeysValues) -> KeysValues:
        return join(self._kept, action)

    def seen_by_both(self, future: KeysValues, action: KeysValues, mask: Mask) -> tuple[KeysValues, KeysValues]:
        everything = join(future, self._kept, action)
        return (
            join(future, self._kept) if mask is Mask.ISOLATED else everything,
            everything if mask is Mask.JOINT else join(self._kept, action),
        )


class LayerCache:
    """Room for [future video | observation | actions]: whatever the mask lets a segment see lies side by side.

    Several candidate trajectories lie one after the other in the room for actions, and a bias hides them from each
    other, so that all share one copy of the observation. future, observation, actions: numbers of tokens, the last of
    one candidate.
    """

    def __init__(
        self, future: int, observation: int, actions: int, candidates: int, heads: int, head_dim: int, like: Tensor
    ) -> None:
        self._start, self._end = future, future + observation
        shape = (1, future + observation + candidates * actions, heads, head_dim)
        self._keys, self._values = like.new_zeros(shape), like.new_zeros(shape)
        self._bias = None if candidates == 1 else _apart(observation, actions, candidates, like)

    @property
    def observation(self) -> KeysValues:
        """What `write` wrote."""
        where = slice(self._start, self._end)
        return KeysValues(self._keys[:, where], self._values[:, where])

    def write(self, kept: KeysValues) -> None:
        """A new observation, read: keys and values (1, observation, heads, head_dim)."""
        self._put(kept, slice(self._start, self._end))

    def seen_by_action(self, action: KeysValues) -> KeysValues:
        self._put(action, slice(self._end, None))
        return KeysValues(self._keys[:, self._start :], self._values[:, self._start :], self._bias)

    def seen_by_both(self, future: KeysValues, action: KeysValues, mask: Mask) -> tuple[KeysValues, KeysValues]:
        self._put(future, slice(0, self._start))
        of_action = self.seen_by_action(action)
        everything = KeysValues(self._keys, self._values)
        past = KeysValues(self._keys[:, : self._end], self._values[:, : self._end])
        return past if mask is Mask.ISOLATED else everything, everything if mask is Mask.JOINT else of_action

    def _put(self, part: KeysValues, where: slice) -> None:
        self._keys[:, where].copy_(part.keys.flatten(0, 1)[None])
        self._values[:, where].copy_(part.values.flatten(0, 1)[None])


def _apart(observation: int, actions: int, candidates: int, like: Tensor) -> Tensor:
    """(1, 1, candidates * actions, observation + candidates * actions): 0 in sight, -inf out of it."""
    own = torch.block_diag(*[torch.ones(actions, actions)] * candidates).bool()
    seen = torch.cat([torch.ones(len(own), observation, dtype=torch.bool), own], dim=1)
    return like.new_zeros(seen.shape).masked_fill(~seen.to(like.device), -torch.inf)[None, None]
