"""Two steps of training, a stop, a resume: and the checkpoint that comes out plans."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bags import write_bag
from nano import nano_config
from recipes import recipe_in
from safetensors.torch import load_file

from wam_models.checkpoint import CheckpointError
from wam_models.data.bag_reader import BagError
from wam_models.data.bags import read_run
from wam_models.data.windows import make_windows
from wam_models.policy import load_policy
from wam_models.preprocessing import Normaliser
from wam_models.training.batch import take_batch
from wam_models.training.recipe import Clearance, FinishedAutoencoder, Recipe, RecipeError
from wam_models.training.shards import Shards
from wam_models.training.train import gather, train_round
from wam_models.types import EgoState, Observation, Plan


class Stopped(Exception):
    pass


def test_training_resumes_where_it_stopped_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wam_models.training.train.SAVE_EVERY", 1)
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    for folder in (whole, halved):
        folder.mkdir()
    directory = train_round(recipe_in(whole, steps=4), 0, lambda *_: None)

    def stopping(*last: object) -> Callable[..., None]:
        def report(stage: str, done: int, of: int, figures: dict[str, float]) -> None:
            if (stage, done) == last:
                raise Stopped

        return report

    for report in (stopping("latents of runs", 1), stopping("round 0", 3)):
        with pytest.raises(Stopped):
            train_round(recipe_in(halved, steps=4), 0, report)
    assert (halved / "train" / "round0_state.pt").exists()
    stages: list[tuple[str, int]] = []
    resumed = train_round(recipe_in(halved, steps=4), 0, lambda stage, done, *_: stages.append((stage, done)))
    assert [done for stage, done in stages if stage == "round 0"] == [3, 4]
    assert not any(stage == "autoencoder" for stage, _ in stages)

    expected, found = (load_file(path.parent / "round0.safetensors") for path in (directory, resumed))
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensor, found[name]), name


def test_a_trained_checkpoint_plans_and_has_a_card(tmp_path: Path) -> None:
    directory = train_round(recipe_in(tmp_path), 0, lambda *_: None)
    policy = load_policy(directory)
    frames = np.random.default_rng(0).integers(0, 255, (2, 1, 64, 96, 3), dtype=np.uint8)
    observation = Observation(frames, np.array([0.0, 0.5]), ("front",), EgoState(0.5, 0, 0), "walk to the goal", (3, 1))
    plan = policy.plan(observation)
    assert isinstance(plan, Plan) and plan.trajectory.poses.shape == (5, 3)
    card = (directory / "README.md").read_text()
    assert "| runs | 3 | 48 |" in card and "Seed 3" in card and "Trained in" not in card


def paying(recipe: Recipe, weight: float) -> Recipe:
    paid = Clearance(weight=weight, margin=2.0, discs=[0.2, -0.2], radius=0.2, lidar=0.3)
    output = recipe.output.with_name(f"paid{weight:g}")
    return replace(recipe, output=output, rounds=[replace(recipe.rounds[0], clearance=paid)])


@pytest.mark.parametrize(("town", "said"), [(False, "walked on hardware"), (True, "driven a real car")])
def test_a_card_says_what_simulation_it_saw(tmp_path: Path, town: bool, said: str) -> None:
    starts = "routes" if town else "lane"
    record = {"split": "train", "runs": 3, "driver": "expert", "starts": starts, "town": town}
    directory = train_round(
        recipe_in(tmp_path, data={"runs": {"folder": str(tmp_path / "bags"), "record": record}}), 0, lambda *_: None
    )
    place = "town" if town else "yard"
    assert f"Trained in a simulated {place}. It has not {said}." in (directory / "README.md").read_text()


def test_plans_pay_for_coming_near_to_what_the_scans_show(tmp_path: Path) -> None:
    weights, told = [], {}
    for weight in (0.0, 10.0):
        recipe = paying(recipe_in(tmp_path, scan=True), weight)
        directory = train_round(recipe, 0, lambda stage, done, of, figures: told.update(figures))
        weights.append(load_file(directory / "model.safetensors"))
    free, paid = weights
    assert not all(torch.equal(tensor, paid[name]) for name, tensor in free.items())
    assert told["shortfall"] > 0
    assert "paid 10 a metre" in (directory / "README.md").read_text()


def test_clearance_without_any_scan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="/scan"):
        train_round(paying(recipe_in(tmp_path), 1.0), 0, lambda *_: None)


def test_dark_skies_are_latents_of_their_own(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    train_round(recipe, 0, lambda *_: None)
    dark = replace(recipe, rounds=[recipe.rounds[0], replace(recipe.rounds[0], dark_skies=1.0)])
    train_round(dark, 1, lambda *_: None)
    bright, other = (np.load(path) for path in sorted((tmp_path / "cache").glob("*/latents-*/frames.npy")))
    assert bright.shape == other.shape and not np.array_equal(bright, other)


def test_a_setting_that_a_later_release_adds_undoes_no_work(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    train_round(recipe, 0, lambda *_: None)
    claim = recipe.output / "round0.json"
    settings = json.loads(claim.read_text())
    assert {"clearance", "dark_skies"}.isdisjoint(settings["rounds"][0])
    settings["rounds"][0]["another"] = None  # as a release would write it that has no use for leaving it out
    claim.write_text(json.dumps(settings))
    train_round(recipe, 0, lambda *_: None)
    with pytest.raises(RecipeError, match="rounds"):
        train_round(replace(recipe, rounds=[replace(recipe.rounds[0], dark_skies=0.5)]), 0, lambda *_: None)


def test_training_can_continue_from_a_checkpoint(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    first = train_round(recipe, 0, lambda *_: None)
    none = replace(recipe.rounds[0], learning_rate=0.0)
    again = replace(
        recipe, output=tmp_path / "more", rounds=[none], autoencoder=replace(recipe.autoencoder, learning_rate=0.0)
    )
    second = train_round(again, 0, lambda *_: None, start_from=first)
    expected, found = load_file(first / "model.safetensors"), load_file(second / "model.safetensors")
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    for name in ("statistics.json", "tokenizer.json"):
        assert json.loads((first / name).read_text()) == json.loads((second / name).read_text())
    assert "Continues from nano@0.1+" in (second / "README.md").read_text()


def test_a_start_of_another_size_is_refused(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    first = train_round(recipe, 0, lambda *_: None)
    wider = replace(recipe.network, action=replace(recipe.network.action, width=24))
    other = replace(recipe, output=tmp_path / "more", network=wider)
    with pytest.raises(CheckpointError, match=r"round0 has a network of other sizes.*start from nothing"):
        train_round(other, 0, lambda *_: None, start_from=first)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        train_round(other, 0, lambda *_: None, start_from=tmp_path / "nowhere")


def with_finished_autoencoder(recipe: Recipe, directory: Path, output: str, **changes: Any) -> Recipe:
    finished = FinishedAutoencoder(directory)
    return replace(recipe, autoencoder=finished, output=recipe.output.with_name(output), light_seed=7, **changes)


def test_a_finished_autoencoder_is_used_as_it_is_by_recipes_of_any_seed(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    first = train_round(recipe, 0, lambda *_: None)
    made: list[Path] = []
    for seed in (1, 2):
        again = with_finished_autoencoder(recipe, first, f"seed{seed}", seed=seed)
        made.append(train_round(again, 0, lambda *_: None))
    expected, *found = (load_file(directory / "model.safetensors") for directory in (first, *made))
    kept = {name for name in expected if name.startswith("autoencoder.")}
    assert kept and all(torch.equal(model[name], expected[name]) for model in found for name in kept)
    assert not all(torch.equal(found[0][name], found[1][name]) for name in expected.keys() - kept)
    statistics = [json.loads((each / "config.json").read_text())["network"]["vae"] for each in (first, *made)]
    assert statistics[0] == statistics[1] == statistics[2]
    assert len(list((tmp_path / "cache").glob("*/latents-*"))) == 2  # the first recipe's, and those of light_seed 7
    assert "Autoencoder that of nano@0.1+" in (made[0] / "README.md").read_text()


def test_an_autoencoder_that_does_not_fit_or_is_another_one_is_refused(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    first = train_round(recipe, 0, lambda *_: None)
    wider = replace(recipe.network, vae={**recipe.network.vae, "base_dim": 8})
    with pytest.raises(CheckpointError, match=r"round0 has an autoencoder of other sizes.*take over its vae"):
        train_round(with_finished_autoencoder(recipe, first, "wider", network=wider), 0, lambda *_: None)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        train_round(with_finished_autoencoder(recipe, tmp_path / "nowhere", "none"), 0, lambda *_: None)
    train_round(with_finished_autoencoder(recipe, first, "more"), 0, lambda *_: None)
    train_round(replace(recipe, output=tmp_path / "other", seed=9), 0, lambda *_: None)
    shutil.rmtree(first)
    shutil.copytree(tmp_path / "other" / "round0", first)
    with pytest.raises(RecipeError, match=r"autoencoder was made by another recipe \(weights\)"):
        train_round(with_finished_autoencoder(recipe, first, "more"), 0, lambda *_: None)


def test_an_autoencoder_may_begin_as_that_of_a_checkpoint(tmp_path: Path) -> None:
    before = train_round(recipe_in(tmp_path / "before"), 0, lambda *_: None)
    recipe = recipe_in(tmp_path / "after")
    how = replace(recipe.autoencoder, begin=before, steps=1, learning_rate=1e-12)
    train_round(replace(recipe, autoencoder=how), 0, lambda *_: None)
    there = load_file(tmp_path / "before/train/autoencoder.safetensors")
    here = load_file(tmp_path / "after/train/autoencoder.safetensors")
    apart = max(float((here[name] - there[name]).abs().max()) for name in there)
    assert apart < 0.01  # a checkpoint keeps half of the digits
    with pytest.raises(RecipeError, match=r"made by another recipe.*begin"):
        train_round(recipe_in(tmp_path / "after"), 0, lambda *_: None)


def test_a_label_that_goes_far_may_be_missed_by_more(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", speed=8.0, yaw_rate=0.001)
    run = read_run(tmp_path / "bag")
    ahead = np.array([[8.0, 0.0, 0.0], [16.0, 0.0, 0.0]])
    missed = {beside: ahead + np.array([0.0, beside, 0.0]) for beside in (0.6, 1.4)}
    found = {}
    for beside, label in missed.items():
        taught = replace(run, labels=np.repeat(label[None], 24, axis=0), label_times=np.array([1.0, 2.0]))
        found[beside] = make_windows(taught, nano_config(), use_acceleration=False).imitated
    assert found[0.6][:8].all() and not found[1.4].any()


def test_an_output_folder_of_another_recipe_is_refused(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    train_round(recipe, 0, lambda *_: None)
    other = replace(recipe, network=replace(recipe.network, context_dt=0.25))
    with pytest.raises(RecipeError, match=r"round0 was made by another recipe \(network\): delete"):
        train_round(other, 0, lambda *_: None)


def test_how_plans_are_drawn_may_be_changed_without_training_again(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    train_round(recipe, 0, lambda *_: None)
    before = load_file(recipe.output / "round0.safetensors")
    calm = replace(recipe, network=replace(recipe.network, steps=1, noise_scale=0.0))
    directory = train_round(calm, 0, lambda *_: None)
    after = load_file(recipe.output / "round0.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert json.loads((directory / "config.json").read_text())["network"]["noise_scale"] == 0.0


def test_a_later_round_may_be_given_more_data_without_undoing_the_earlier_ones(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    train_round(recipe, 0, lambda *_: None)
    before = load_file(recipe.output / "round0.safetensors")
    write_bag(tmp_path / "more" / "run3", seed=3)
    data = {**recipe.data, "more": replace(recipe.data["runs"], folder=tmp_path / "more")}
    rounds = [*recipe.rounds, replace(recipe.rounds[0], data=["runs", "more"])]
    longer = replace(recipe, data=data, rounds=rounds)
    train_round(longer, 0, lambda *_: None)
    after = load_file(recipe.output / "round0.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (train_round(longer, 1, lambda *_: None) / "README.md").exists()


def test_shards_give_the_mean_gradient_of_the_whole_batch() -> None:
    torch.manual_seed(0)
    model, batch = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 2)), torch.randn(6, 5)
    model(batch).square().mean().backward()
    expected = [p.grad.clone() for p in model.parameters()]
    for count in (1, 2, 3):
        parts = batch.chunk(count)
        with Shards(model, count) as shards:
            for _ in range(2):  # gradients of the step before must not linger in a view
                model.zero_grad(set_to_none=True)
                shards.backward(lambda view, shard, parts=parts: view(parts[shard]).square().mean().backward())
        for parameter, wanted in zip(model.parameters(), expected, strict=True):
            assert torch.allclose(parameter.grad, wanted, atol=1e-6)
    with Shards(model, 2) as shards, torch.no_grad():
        model[0].bias += 1.0
        seen = shards.backward(lambda view, _: view[0].bias.sum().item())
    assert seen[0] == seen[1]


def test_ranges_are_learned_where_there_are_any(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    for number in range(2):
        write_bag(tmp_path / "bags" / f"a-scan{number}", scan=True)  # the last by name are held out
    recipe = replace(recipe, autoencoder=replace(recipe.autoencoder, steps=30, clip_every=10, range_frames=4))
    figures: list[dict[str, float]] = []

    def keep(stage: str, done: int, of: int, now: dict[str, float]) -> None:
        if stage == "autoencoder" and "range" in now:  # a batch may hold no frame with a scan
            figures.append(now)

    train_round(recipe, 0, keep)
    assert figures[-1]["range"] < figures[0]["range"]


def test_stop_lines_are_learned_where_there_are_any(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    for number in range(2):
        write_bag(tmp_path / "bags" / f"a-light{number}", stop_at=2.0)
    how = replace(recipe.autoencoder, steps=40, clip_every=10, range_frames=4, farthest=10.0, stop_weight=1.0)
    figures: list[dict[str, float]] = []

    def keep(stage: str, done: int, of: int, now: dict[str, float]) -> None:
        if stage == "autoencoder" and "stop" in now:
            figures.append(now)

    train_round(replace(recipe, autoencoder=how), 0, keep)
    assert figures[-1]["stop"] < figures[0]["stop"]


def test_a_street_with_a_right_hand_side_is_never_seen_in_a_mirror(tmp_path: Path) -> None:
    parts = {}
    for mirrored in (True, False):
        recipe = recipe_in(tmp_path / str(mirrored), unmirrored=not mirrored)
        checkpoint = train_round(recipe, 0, lambda *_: None)
        data = gather(recipe, 0, lambda *_: None).data
        normaliser = Normaliser.fit(data.actions)
        windows = np.arange(4)
        batch = take_batch(data, normaliser, windows, np.ones(4, dtype=int), None)
        parts[mirrored] = batch.states[:, 2].numpy(), data.states[windows, 2]
        statistics = json.loads((checkpoint / "statistics.json").read_text())
        assert (abs(np.array(statistics["mean"])[:, 1]).max() < 1e-6) == mirrored  # as often left as right
    seen, driven = parts[True]
    assert seen == pytest.approx(-driven) and np.abs(driven).max() > 0.1
    seen, driven = parts[False]
    assert seen == pytest.approx(driven)


def test_the_autoencoder_does_not_depend_on_the_runs_held_out(tmp_path: Path) -> None:
    weights = []
    for folder, seed in ((tmp_path / "a", 2), (tmp_path / "b", 12)):
        folder.mkdir()
        write_bag(folder / "bags" / "run2", seed=seed)
        train_round(recipe_in(folder), 0, lambda *_: None)
        weights.append(load_file(folder / "train" / "autoencoder.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_folder_without_bags_is_refused(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    recipe = replace(recipe, data={"runs": replace(recipe.data["runs"], folder=empty)})
    with pytest.raises(BagError, match="no bag"):
        train_round(recipe, 0, lambda *_: None)


def test_a_truncated_bag_is_left_out_and_named(tmp_path: Path) -> None:
    recipe = recipe_in(tmp_path)
    broken = tmp_path / "bags" / "run1" / "run1.mcap"
    broken.write_bytes(broken.read_bytes()[:200])
    directory = train_round(recipe, 0, lambda *_: None)
    assert "| runs | 2 | 32 |" in (directory / "README.md").read_text()
