"""Adapters train in place of the video expert, and are gone from what is kept."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from nano import TEXTS, nano_model
from recipes import recipe_in
from safetensors.torch import load_file

from wam_models.metis.model import Metis
from wam_models.metis.planning import MetisModel
from wam_models.metis.sampling import sample_actions
from wam_models.policy import load_policy
from wam_models.training.adapters import add_adapters, merged
from wam_models.training.average import Average
from wam_models.training.memory_plan import Windows, make_batches, objective_of
from wam_models.training.recipe import Lora, Recipe, RecipeError, read_recipe
from wam_models.training.step import Trainable, backward, make_optimiser, take_step
from wam_models.training.train import train_round

LORA = Lora(rank=3, alpha=6)
BOTH = Windows(joint=2, plain=3, repeats=2)


def adapted() -> MetisModel:
    model = nano_model()
    torch.manual_seed(1)
    add_adapters(model.network, LORA)
    return model


def train(model: MetisModel, steps: int = 2) -> Average:
    """Steps on random batches, the text frozen."""
    with torch.no_grad():
        trainable = Trainable(model.network, None, TEXTS, model.text(TEXTS))
    average, optimiser = Average(trainable, 0.5), make_optimiser(trainable, 1e-2, 0.0)
    generator = torch.Generator().manual_seed(2)
    plain, video = make_batches(model.config, BOTH)
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        backward(trainable, objective_of(BOTH, 5.0), plain, video, generator, torch.device("cpu"))
        take_step(trainable, optimiser, average)
    return average


def plan(network: Metis, model: MetisModel) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    channels, height, width = model.config.latent_size
    observed = torch.randn(1, channels, model.config.context_frames, height, width, generator=generator)
    noise = torch.randn(2, model.config.action.points, model.config.action.values, generator=generator)
    with torch.no_grad():
        text = network.read_text(model.text(TEXTS[:1]))
    return sample_actions(network, observed, torch.ones(1, model.config.action.state), noise, text, 3, None)


def test_fresh_adapters_change_no_plan() -> None:
    model = nano_model()
    assert torch.equal(plan(adapted().network, model), plan(model.network, model))


def test_only_adapters_the_action_expert_and_the_head_are_trained() -> None:
    model = adapted()
    before = copy.deepcopy(model.state_dict())
    train(model)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed and all(
        name.startswith(("network.action.", "network.video.proj_out.")) or ".lora_" in name for name in changed
    )
    # Every projection of every video block has an adapter; the last block's are useless to actions but not to video.
    adapters = {name.rpartition(".lora_")[0] for name in changed if ".lora_" in name}
    places = ["attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "ffn.net.0.proj", "ffn.net.2"]
    places += [place.replace("attn1", "attn2") for place in places if "attn1" in place]
    assert adapters == {f"network.video.blocks.{n}.{place}" for n in range(3) for place in places}
    assert "network.action.blocks.1.ffn.net.2.weight" in changed


def test_merged_weights_load_strictly_and_plan_the_same() -> None:
    model = adapted()
    untrained = plan(model.network, model)
    train(model)
    before = copy.deepcopy(model.network.state_dict())
    weights = merged(model.network.state_dict(), model.config, LORA)
    network = Metis(model.config).eval()
    network.load_state_dict(weights, strict=True)
    expected = plan(model.network, model)
    assert (plan(network, model) - expected).abs().max() < 1e-5
    assert (expected - untrained).abs().max() > 1e-2
    after = model.network.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


def test_an_adapter_that_is_not_finite_is_not_merged() -> None:
    model = adapted()
    weights = model.network.state_dict()
    weights["video.blocks.0.attn1.to_q.lora_B.default.weight"][0, 0] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        merged(weights, model.config, LORA)


def test_the_average_is_of_what_trains_alone() -> None:
    model = adapted()
    average = train(model, steps=1).state_dict()
    trained = {f"network.{n}" for n, p in model.network.state_dict(keep_vars=True).items() if p.requires_grad}
    assert average.keys() == trained


def trained_from(first: Path, recipe: Recipe, **changes: object) -> tuple[Path, dict[str, torch.Tensor]]:
    output = recipe.output.with_name("-".join(changes))
    directory = train_round(replace(recipe, output=output, **changes), 0, lambda *_: None, start_from=first)
    return directory, load_file(directory / "model.safetensors")


def test_a_recipe_with_adapters_or_a_frozen_text_encoder_leaves_an_ordinary_checkpoint(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    first = train_round(recipe, 0, lambda *_: None)
    start = load_file(first / "model.safetensors")
    for changes in ({"lora": LORA}, {"frozen_text": True}, {}):
        directory, weights = trained_from(first, recipe, checkpointing=True, **changes)
        assert weights.keys() == start.keys()
        changed = {name for name in start if not torch.equal(start[name], weights[name])}
        assert any(name.startswith("network.action.") for name in changed)
        assert any(name.startswith("text.") for name in changed) == (not changes)
        assert ("network.video.blocks.0.norm2.bias" in changed) == ("lora" not in changes)
        assert "network.video.blocks.0.attn1.to_q.weight" in changed
        assert load_policy(directory).spec.horizon == 5


@pytest.mark.parametrize(
    ("entry", "message"), [({"rank": 0, "alpha": 1}, "at least 1"), ({"rank": 4}, "alpha"), (4, "mapping")]
)
def test_wrong_adapters_are_refused(tmp_path: Path, entry: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe_in(tmp_path, lora=entry)
    with pytest.raises(RecipeError, match=message):
        read_recipe(tmp_path / "recipe.yaml")
