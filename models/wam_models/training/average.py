"""The weights that are kept: an exponential moving average of those that train."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim.swa_utils import get_ema_multi_avg_fn


class Average:
    """Of the parameters that require gradients. Each average lies where its parameter lies: beside a shard, a shard."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._blend = model, get_ema_multi_avg_fn(decay)
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._averages: list[Tensor] = []

    @torch.no_grad()
    def update(self) -> None:
        """After an optimiser's step. The first one is where the average starts."""
        if self._averages:
            self._blend([local_part(t) for t in self._averages], [local_part(p) for p in self._parameters], None)
        else:
            self._averages = [parameter.detach().clone() for parameter in self._parameters]

    def state_dict(self) -> dict[str, Tensor]:
        """The averages, by the names that their parameters have in the model's state dict; before any update the
        parameters."""
        averages = dict(zip(map(id, self._parameters), self._averages or self._parameters, strict=True))
        return {name: averages[id(t)] for name, t in _named(self._model).items() if id(t) in averages}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Averages placed as their parameters are. Raises KeyError when one is missing."""
        names = {id(t): name for name, t in _named(self._model).items()}
        self._averages = [state[names[id(p)]].to(p.device).clone() for p in self._parameters]


def _named(model: nn.Module) -> dict[str, Tensor]:
    return model.state_dict(keep_vars=True)


def local_part(tensor: Tensor) -> Tensor:
    """What of a tensor is in this process: the share of a shared one, all of another."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor
