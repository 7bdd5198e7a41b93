"""What is saved in the middle of a stage, so that a training that was stopped goes on where it was.

The file does not depend on how many processes wrote it: any number goes on from it. Of several, the first gathers it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from wam_models.training.average import Average
from wam_models.training.recipe import RecipeError
from wam_models.training.scale import Processes, shared_like


def save_state(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    generators: Sequence[torch.Generator],
    step: int,
    *,
    average: Average | None = None,
    processes: Processes | None = None,
) -> None:
    """Written beside and renamed: a stop in the middle of saving loses nothing. Frozen weights are left out.

    processes: those that hold the model together. All of them call it, each with the generators of its own shards.
    """
    drawn = [generator.get_state() for generator in generators]
    state = {"model": _without_frozen(model), "optimiser": optimiser.state_dict(), "step": step}
    if average is not None:
        state["average"] = average.state_dict()
    if processes is not None:
        state, drawn = processes.whole(state), processes.gather(drawn)
    if processes is None or processes.first:
        state["generators"] = drawn
        partial = path.with_name(path.name + ".partial")
        torch.save(state, partial)
        partial.rename(path)


def load_state(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    generators: Mapping[int, torch.Generator],
    *,
    average: Average | None = None,
) -> int:
    """The step that was saved, 0 where there is no file. generators: by the number of their shard. Raises RecipeError
    when the file holds other weights than those that train."""
    if not path.exists():
        return 0
    saved = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    averages = {} if average is None else average.state_dict()
    if saved["model"].keys() != _without_frozen(model).keys() or saved.get("average", {}).keys() != averages.keys():
        raise RecipeError(
            f"{path} was saved by another release or another recipe: delete it, and its stage starts over"
        )
    own = model.state_dict()
    model.load_state_dict({**own, **{name: shared_like(t, own[name]) for name, t in saved["model"].items()}})
    if average is not None:
        average.load_state_dict({name: shared_like(t, own[name]) for name, t in saved["average"].items()})
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    moments = {
        number: {name: _like_parameter(t, parameters[number]) for name, t in state.items()}
        for number, state in saved["optimiser"]["state"].items()
    }
    optimiser.load_state_dict({**saved["optimiser"], "state": moments})
    for shard, generator in generators.items():
        generator.set_state(saved["generators"][shard])
    return int(saved["step"])


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Each name with a tensor of its own: a text encoder's tied embeddings share theirs."""
    partial = path.with_name(path.name + ".partial")
    save_file({name: tensor.clone().contiguous() for name, tensor in weights.items()}, partial)
    partial.rename(path)


def _without_frozen(model: nn.Module) -> dict[str, Any]:
    state = model.state_dict(keep_vars=True)
    return {name: t.detach() for name, t in state.items() if t.requires_grad or not isinstance(t, nn.Parameter)}


def _like_parameter(state: Tensor, parameter: Tensor) -> Tensor:
    """Moments lie as their parameter does; a count of steps is a number of its own."""
    return shared_like(state.clone(), parameter) if state.shape == parameter.shape else state
