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
import yaml
from bags import TYPES, write_bag
from nano import nano_config
from recipes import recipe_in
from rosbags.rosbag2 import StoragePlugin, Writer
from safetensors.torch import load_file

from wam_models.checkpoint import CheckpointError
from wam_models.data.bags import BagError, WhatIfs, read_run
from wam_models.data.store import open_store
from wam_models.data.windows import make_windows
from wam_models.metis.config import ActionConfig
from wam_models.policy import load_policy
from wam_models.preprocessing import Normaliser
from wam_models.training.augment import another_sky, jitter_light, mirror_actions, mirror_state
from wam_models.training.batch import take_batch
from wam_models.training.recipe import Clearance, FinishedAutoencoder, Recipe, RecipeError, read_recipe
from wam_models.training.shards import Shards
from wam_models.training.train import gather, train_round
from wam_models.types import EgoState, Observation, Plan

ROUND = {"data": ["runs"], "steps": 1, "batch": 1, "video_batch": 0, "learning_rate": 1}
PAID = {"weight": 1.0, "margin": 0.2, "discs": [0.0], "radius": 0.2, "lidar": 0.3}
WITHOUT_HEADING = replace(nano_config(), action=ActionConfig(width=20, ffn=40, points=5, dt=0.4, values=2)).to_dict()


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


def test_a_bag_recorded_again_under_the_same_name_is_read_again(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", frames=12)

    def count() -> int:
        return len(open_store([tmp_path / "bag"], tmp_path / "cache", nano_config(), False))

    first = count()
    shutil.rmtree(tmp_path / "bag")
    write_bag(tmp_path / "bag", frames=20)
    assert count() == first + 8


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


def test_windows_without_a_teacher_are_what_was_driven(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", frames=24, speed=0.8, yaw_rate=0.3)
    config = nano_config()
    windows = make_windows(read_run(tmp_path / "bag"), config, use_acceleration=False)
    times = config.action.dt * np.arange(1, config.action.points + 1)
    arc = np.stack([0.8 / 0.3 * np.sin(0.3 * times), 0.8 / 0.3 * (1 - np.cos(0.3 * times)), 0.3 * times], axis=-1)
    assert len(windows.actions) == 24 - 8  # the last two seconds have no future to learn from
    assert np.abs(windows.actions - arc).max() < 0.01  # linear between odometry messages
    assert windows.imitated.all()
    assert windows.context[0].tolist() == [0, 0] and windows.context[5].tolist() == [3, 5]
    assert windows.future[0].tolist() == [2, 4, 6, 8]
    assert windows.states[0, :3] == pytest.approx([0.8, 0.0, 0.3])
    assert windows.states[0, 5:] == pytest.approx([1.0, 1.0, 0.0])


def test_answers_to_what_ifs_are_windows_of_their_frame_that_show_no_future_of_theirs(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", frames=24, speed=0.8, yaw_rate=0.3)
    config, run = nano_config(), read_run(tmp_path / "bag")
    run = replace(run, labels=np.zeros((24, 2, 3)), label_times=np.array([1.0, 2.0]))
    ahead = np.array([[0.5, 0.0, 0.0], [1.0, 0.0, 0.0]])
    twists, goals = np.array([[0.2, 0.0, 0.0], [0.1, 0.0, -0.3]]), np.array([[6.0, 0.0], [0.0, -50.0]])
    asked = WhatIfs(np.array([5, 5]), twists, np.stack([ahead, -ahead]), goals)
    plain = make_windows(run, config, use_acceleration=True)
    windows = make_windows(replace(run, what_ifs=asked), config, use_acceleration=True)
    assert len(windows.actions) == 26
    for name in ("context", "future", "states", "actions", "imitated"):
        assert np.array_equal(getattr(windows, name)[:24], getattr(plain, name))
    assert windows.context[24].tolist() == windows.context[25].tolist() == plain.context[5].tolist()
    assert not windows.imitated[24:].any()
    assert windows.states[24:, :3] == pytest.approx(twists)
    assert windows.states[24:, 3:5] == pytest.approx(0.0)  # nobody accelerated
    assert windows.states[25, 5] == 1.0 and windows.states[25, 7] < -0.9  # the goal to the right
    assert windows.actions[24, -1, 0] == pytest.approx(0.5 * config.action.dt * config.action.points)
    assert windows.actions[25] == pytest.approx(-windows.actions[24])


@pytest.mark.parametrize("turned", [False, True])
def test_a_scan_is_read_by_column_and_unknown_where_the_lidar_does_not_measure(tmp_path: Path, turned: bool) -> None:
    write_bag(tmp_path / "bag", frames=4, scan=True, turned=turned)
    scan = read_run(tmp_path / "bag").scan
    assert scan is not None and scan.ranges.shape == (4, 61) and scan.focal == pytest.approx(0.5)
    ranges = scan.by_column(24)
    bearings = np.degrees(np.arctan((0.5 - (np.arange(24) + 0.5) / 24) / 0.5))
    assert np.isnan(ranges[:, np.abs(bearings) > 32]).all()
    left, untrue = (bearings > 1) & (bearings < 30), np.abs(bearings - 16) < 0.5
    assert untrue.sum() == 1 and np.isnan(ranges[:, untrue]).all()
    assert (ranges[:, left & ~untrue] == 2.0).all()
    assert np.isinf(ranges[:, (bearings < -1) & (bearings > -30)]).all()
    write_bag(tmp_path / "blind", frames=4)
    assert read_run(tmp_path / "blind").scan is None


def test_a_frame_goes_with_the_instruction_that_was_in_force(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", told={2: "follow the road", 9: "turn left"})
    run = read_run(tmp_path / "bag")
    assert run.instructions == ("follow the road",) * 9 + ("turn left",) * 15
    windows = make_windows(run, nano_config(), use_acceleration=False)
    last = windows.context[:, -1]
    assert (windows.instructions == np.array(run.instructions)[last]).all() and len(set(windows.instructions)) == 2


def test_answers_told_something_else_are_windows_with_those_words(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", told={0: "follow the road"})
    run = replace(read_run(tmp_path / "bag"), labels=np.zeros((24, 2, 3)), label_times=np.array([1.0, 2.0]), goal=None)
    asked = WhatIfs(np.array([5, 7]), np.zeros((2, 3)), np.ones((2, 2, 3)), instructions=("turn left", "turn right"))
    windows = make_windows(replace(run, what_ifs=asked), nano_config(), use_acceleration=False)
    assert windows.instructions[24:].tolist() == ["turn left", "turn right"]
    assert (windows.instructions[:24] == "follow the road").all() and not windows.states[:, 5:].any()


def test_a_stop_line_is_read_for_every_frame_or_not_at_all(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", stop_at=2.0)
    write_bag(tmp_path / "none")
    metres = read_run(tmp_path / "bag").stop_lines
    assert metres is not None and metres[:3] == pytest.approx([2.0, 1.8, 1.6]) and np.isinf(metres[10:]).all()
    assert read_run(tmp_path / "none").stop_lines is None


def test_frames_without_odometry_are_left_out(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", frames=24, odometry_until=3.0)
    run = read_run(tmp_path / "bag")
    assert run.stamps[-1] == pytest.approx(3.0) and len(run.jpegs) == len(run.poses) == 13


def test_odometry_that_is_not_finite_is_named(tmp_path: Path) -> None:
    write_bag(tmp_path / "bag", nan_at=6)
    with pytest.raises(BagError, match=r"not finite, first at 1\.50 s"):
        read_run(tmp_path / "bag")


def test_a_bag_without_a_known_topic_is_refused(tmp_path: Path) -> None:
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/chatter", "std_msgs/msg/String", typestore=TYPES)
        text = TYPES.types["std_msgs/msg/String"]("hello")
        writer.write(connection, 0, TYPES.serialize_cdr(text, "std_msgs/msg/String"))
    with pytest.raises(BagError, match="0 images and 0 odometry"):
        read_run(tmp_path / "bag")


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


def test_other_light_is_one_light_an_entry_and_stays_a_picture() -> None:
    frames = torch.full((64, 3, 2, 24, 40), 0.2)
    frames[:, :, :, 8:16, 10:30] = -0.6
    lit = jitter_light(frames, torch.Generator().manual_seed(0))
    assert lit.shape == frames.shape
    assert float(lit.min()) >= -1 and float(lit.max()) <= 1
    levels = lit.mean(dim=(1, 2, 3, 4))
    assert float(levels.std()) > 0.1  # entries differ
    assert float((lit[:, :, 0] - lit[:, :, 1]).abs().mean()) < 0.05  # the frames of one do not, but for their noise


def test_colours_stay_where_a_light_must_be_read() -> None:
    red = torch.tensor([0.9, -0.9, -0.9]).view(1, 3, 1, 1).expand(200, 3, 16, 24).clone()
    red[:, :, :, :4] = 0.8

    def colour(least: float) -> torch.Tensor:
        lit = jitter_light(red, torch.Generator().manual_seed(0), least)[:, :, :, 8:].mean(dim=(2, 3))
        return lit[:, 0] - lit[:, 1]

    assert colour(0.6).min() > 0.2 > colour(0.1).min()


def test_light_is_even_in_about_half_of_the_pictures() -> None:
    lit = jitter_light(torch.full((400, 3, 24, 40), 0.0), torch.Generator().manual_seed(0))
    blocks = torch.nn.functional.avg_pool2d(lit.mean(dim=1, keepdim=True), 8).flatten(1)
    even = (blocks.amax(dim=1) - blocks.amin(dim=1)) < 0.05
    assert 0.35 < float(even.float().mean()) < 0.65


def test_a_bright_sky_may_turn_dark_and_nothing_else_does() -> None:
    frame = np.full((96, 160, 3), (90, 140, 230), dtype=np.uint8)  # blue, down to
    frame[48:] = (200, 200, 205)  # a pale floor, and in front of both
    frame[20:80, 60:80] = (150, 40, 40)  # something red that holds
    frame[30:40, 64:74] = (210, 210, 215)  # something white
    seen = [another_sky(frame[None], 0.5, torch.Generator().manual_seed(seed))[0] for seed in range(40)]
    dark = [picture for picture in seen if not np.array_equal(picture, frame)]
    assert 10 < len(dark) < 30
    sky = np.zeros((96, 160), bool)
    sky[:48] = True
    sky[18:48, 58:82] = False  # the rim of a thing is a mixture
    for picture in dark:
        assert (picture[sky] <= 102).all()
        assert np.array_equal(picture[52:], frame[52:])
        assert np.array_equal(picture[22:78, 62:78], frame[22:78, 62:78])


def test_mirroring_twice_is_nothing_and_once_swaps_left_and_right() -> None:
    actions, states = torch.randn(4, 5, 3), torch.randn(4, 8)
    assert torch.equal(mirror_actions(mirror_actions(actions)), actions)
    assert torch.equal(mirror_state(mirror_state(states)), states)
    assert torch.equal(mirror_actions(actions)[..., 0], actions[..., 0])
    assert torch.equal(mirror_actions(actions)[..., 1:], -actions[..., 1:])
    assert torch.equal(mirror_state(states)[:, [1, 2, 4, 7]], -states[:, [1, 2, 4, 7]])


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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stepz": 1}, "stepz"),
        ({"network": {}}, "action"),
        ({"rounds": []}, "rounds is empty"),
        ({"action_times": {"sampler": "powr"}}, "'powr' is no time sampler"),
        ({"video_times": {"sampler": "uniform", "exponent": 2.0}}, "exponent"),
        ({"data": {"runs": {"folder": "x", "record": {"split": "train", "runs": 1, "driver": "polcy"}}}}, "polcy"),
        ({"autoencoder": {"steps": 1, "frames": 1, "clips": 1, "clip_every": 0, "learning_rate": 1}}, "clip_every"),
        ({"autoencoder": {"weights": "x", "steps": 1, "frames": 1}}, "leave out its frames, steps"),
        ({"rounds": [{**ROUND, "clearance": {"weight": 1.0}}]}, "margin"),
        ({"rounds": [{**ROUND, "clearance": {**PAID, "discs": []}}]}, "no discs"),
        ({"rounds": [{**ROUND, "clearance": {**PAID, "weight": -1.0}}]}, "at least 0"),
        ({"rounds": [{**ROUND, "clearance": PAID, "batch": 0, "video_batch": 1}]}, "batch"),
        ({"rounds": [{**ROUND, "dark_skies": 1.5}]}, "share"),
        ({"rounds": [{**ROUND, "clearance": PAID}], "network": WITHOUT_HEADING}, "heading"),
        ({"rounds": [{**ROUND, "data": ["nowhere"]}]}, "nowhere"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_entry_named(tmp_path: Path, change: dict, message: str) -> None:
    recipe_in(tmp_path)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **change}))
    with pytest.raises(RecipeError, match=message):
        read_recipe(path)
