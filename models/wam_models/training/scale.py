"""One training on several processes: which of them this is, what it holds of the model, what they do together.

A launcher (torchrun, accelerate launch) starts the processes. Each holds a share of every parameter, of its gradient,
of the optimiser's state and of the average: FSDP2, through accelerate. The unit is one layer of both experts, whose
weights are whole only while it works; what is in no layer is whole from the forward to the end of the backward pass.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import (
    FullyShardedDataParallelPlugin,
    InitProcessGroupKwargs,
    fsdp2_prepare_model,
    gather_object,
)
from torch import Tensor, nn
from torch.distributed.fsdp import MixedPrecisionPolicy, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor

from wam_models.metis.model import MoTLayer

# The first process may train an autoencoder for hours, or write a large state, while the others wait.
PATIENCE = timedelta(hours=24)


class Processes:
    """The processes of this training, as the launcher's environment tells. device: "cpu", or "cuda" for one GPU a
    process. Without a launcher there is one process, and nothing here changes a model."""

    def __init__(self, device: str = "cpu") -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self._accelerator = _accelerator(device) if self.count > 1 else None
        self.rank = 0 if self._accelerator is None else self._accelerator.process_index
        self.device = torch.device(device) if self._accelerator is None else self._accelerator.device

    @property
    def first(self) -> bool:
        """The one that writes and reports."""
        return self.rank == 0

    def place(self, model: nn.Module) -> None:
        """The model onto the device; with several processes every one keeps its share, of a model that is the same in
        all of them. Weights stay float32; a GPU gathers them as bfloat16 and sums gradients as float32."""
        if self._accelerator is None:
            model.to(self.device)
            return
        fsdp2_prepare_model(self._accelerator, model)
        # Of changes in place, which no layer's output sees.
        warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
        for layer in model.modules():
            if isinstance(layer, MoTLayer):
                for name in ("read_text", "read", "step"):
                    register_fsdp_forward_method(layer, name)

    def share(self, count: int) -> range:
        """The numbers below `count` that are this process's. Raises ValueError when they do not part evenly."""
        if count % self.count:
            raise ValueError(f"{count} shards do not part among {self.count} processes: take a multiple")
        own = count // self.count
        return range(own * self.rank, own * (self.rank + 1))

    def gather(self, own: list[Any]) -> list[Any]:
        """What all processes give, in their order."""
        return own if self._accelerator is None else list(gather_object(own))

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The first process goes through the block, then the others: they find what it has made."""
        if self._accelerator is None:
            yield
            return
        with self._accelerator.main_process_first():
            yield

    def wait(self) -> None:
        """Until all are here."""
        if self._accelerator is not None:
            self._accelerator.wait_for_everyone()

    def close(self) -> None:
        """Says to the others that this one will not come back."""
        if self._accelerator is not None:
            self._accelerator.end_training()

    def whole(self, state: Any) -> Any:
        """A state dict, at any depth, with every tensor whole, on the CPU where it was shared. All processes call it;
        only the first is given shared tensors, the others None in their place."""
        if isinstance(state, dict):
            return {name: self.whole(part) for name, part in state.items()}
        if isinstance(state, list):
            return [self.whole(part) for part in state]
        if isinstance(state, DTensor):
            full = state.full_tensor()
            return full.cpu() if self.first else None
        return state


def shared_like(full: Tensor, like: Tensor) -> Tensor:
    """What this process holds of a whole tensor, if it holds a share of `like`."""
    if not isinstance(like, DTensor):
        return full
    mesh = like.device_mesh
    return distribute_tensor(full.to(mesh.device_type), mesh, like.placements, src_data_rank=None)


def _accelerator(device: str) -> Accelerator:
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        transformer_cls_names_to_wrap=[MoTLayer.__name__],
        reshard_after_forward=True,
        # Rotary tables and times come in as float32 and stay so.
        mixed_precision_policy=None
        if device == "cpu"
        else MixedPrecisionPolicy(torch.bfloat16, torch.float32, cast_forward_inputs=False),
        cpu_ram_efficient_loading=False,
    )
    patient = InitProcessGroupKwargs(timeout=PATIENCE)
    accelerator = Accelerator(cpu=device == "cpu", fsdp_plugin=plugin, kwargs_handlers=[patient])
    accelerator.state.fsdp_plugin = plugin  # accelerate takes it for GPUs alone; torch shards on CPUs just as well
    return accelerator
