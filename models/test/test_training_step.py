"""One step: what is computed twice is what is kept, parts in turn are the whole, the average is the average."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from nano import TEXTS, nano_model
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from wam_models.training.average import Average
from wam_models.training.memory_plan import Windows, make_batches, objective_of
from wam_models.training.recipe import RecipeError
from wam_models.training.shards import Shards
from wam_models.training.state import load_state, save_state
from wam_models.training.step import Trainable, backward, make_optimiser, take_step

CPU = torch.device("cpu")


def gradients(checkpointing: bool, windows: Windows) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    model = nano_model()
    model.network.checkpointing = checkpointing
    trainable = Trainable(model.network, model.text, TEXTS)
    torch.manual_seed(4)
    batches = make_batches(model.config, windows)
    figures = backward(trainable, objective_of(windows, 5.0), *batches, torch.Generator().manual_seed(5), CPU)
    return figures, {name: p.grad for name, p in trainable.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("windows", [Windows(joint=2), Windows(joint=0, plain=2, repeats=3), Windows(2, 2, 2)])
def test_layers_computed_twice_give_the_same_losses_and_gradients(windows: Windows) -> None:
    kept, computed = (gradients(checkpointing, windows) for checkpointing in (False, True))
    assert kept[0] == computed[0]
    assert kept[1].keys() == computed[1].keys() and len(kept[1]) > 100
    assert all(torch.equal(tensor, computed[1][name]) for name, tensor in kept[1].items())


def test_layers_are_computed_twice_only_when_asked_and_only_in_training() -> None:
    model = nano_model()
    calls = []
    model.network.layers[1].video.ffn.register_forward_hook(lambda *_: calls.append(1))
    windows = Windows(joint=1)
    batches = make_batches(model.config, windows)
    trainable = Trainable(model.network, model.text, TEXTS)

    def counted(checkpointing: bool, *, trained: bool = True) -> int:
        calls.clear()
        model.network.checkpointing = checkpointing
        generator = torch.Generator().manual_seed(0)
        if trained:
            backward(trainable, objective_of(windows, 5.0), *batches, generator, CPU)
        else:
            with torch.no_grad():
                trainable(objective_of(windows, 5.0), *batches, generator)
        return len(calls)

    # The observation and the future pass the feed-forward one after the other.
    assert counted(False) == 2 and counted(True) == 4 and counted(True, trained=False) == 2


def test_parts_in_turn_give_the_mean_gradient_on_the_model_itself() -> None:
    torch.manual_seed(0)
    model, batch = torch.nn.Linear(5, 2), torch.randn(6, 5)
    model(batch).square().mean().backward()
    expected = model.weight.grad.clone()
    model.zero_grad(set_to_none=True)
    parts = batch.chunk(3)
    with Shards(model, 3, in_turn=True) as shards:
        seen = shards.backward(lambda view, part: view(parts[part]).square().mean().backward() or view)
    assert all(view is model for view in seen)
    assert torch.allclose(model.weight.grad, expected, atol=1e-6)


def test_the_average_is_torch_s() -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    model.bias.requires_grad_(False)
    ours, theirs = Average(model, 0.9), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    assert torch.equal(ours.state_dict()["weight"], model.weight)
    for _ in range(3):
        with torch.no_grad():
            model.weight.add_(torch.randn_like(model.weight))
        ours.update()
        theirs.update_parameters(model)
    assert ours.state_dict().keys() == {"weight"}
    assert torch.equal(ours.state_dict()["weight"], theirs.module.weight)
    again = Average(model, 0.9)
    again.load_state_dict(ours.state_dict())
    ours.update()
    again.update()
    assert torch.equal(ours.state_dict()["weight"], again.state_dict()["weight"])


def test_vectors_and_frozen_weights_do_not_decay() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2).requires_grad_(False))
    optimiser = make_optimiser(model, 0.1, 0.5)
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert decay == {id(model[0].weight): 0.5, id(model[0].bias): 0.0}


def test_a_state_goes_on_only_with_the_weights_it_was_saved_of(tmp_path: Path) -> None:
    def parts(width: int) -> tuple[torch.nn.Module, torch.optim.Optimizer, Average, dict[int, torch.Generator]]:
        torch.manual_seed(width)
        layers = {str(number): torch.nn.Linear(3, 3) for number in range(width)}
        model = torch.nn.ModuleDict({**layers, "frozen": torch.nn.Linear(3, 3).requires_grad_(False)})
        return model, make_optimiser(model, 0.1, 0.0), Average(model, 0.5), {0: torch.Generator().manual_seed(width)}

    file = tmp_path / "state.pt"
    model, optimiser, average, generators = parts(2)
    assert load_state(file, model, optimiser, generators, average=average) == 0
    model["1"](model["0"](torch.ones(3))).sum().backward()
    take_step(model, optimiser, average)
    save_state(file, model, optimiser, [generators[0]], 7, average=average)
    expected = {**average.state_dict(), "moments": optimiser.state[model["0"].weight]["exp_avg"].clone()}
    drawn = torch.rand(2, generator=generators[0])

    other, optimiser, average, generators = parts(2)
    torch.nn.init.zeros_(other["0"].weight)
    frozen = torch.nn.init.ones_(other["frozen"].weight)
    assert load_state(file, other, optimiser, generators, average=average) == 7
    assert torch.equal(other["0"].weight, model["0"].weight) and (other["frozen"].weight == frozen).all()
    found = {**average.state_dict(), "moments": optimiser.state[other["0"].weight]["exp_avg"]}
    assert found.keys() == expected.keys() and all(torch.equal(t, expected[name]) for name, t in found.items())
    assert torch.equal(torch.rand(2, generator=generators[0]), drawn)

    model, optimiser, average, generators = parts(3)
    with pytest.raises(RecipeError, match=r"state.pt was saved by another release .* delete it"):
        load_state(file, model, optimiser, generators, average=average)
