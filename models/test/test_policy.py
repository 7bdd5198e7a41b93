"""Metis as a policy: refusals instead of exceptions, the same plan for the same view, checkpoints that cannot lie."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch
from nano import TEXTS, nano_checkpoint, nano_policy
from safetensors.torch import load_file, save_file

from wam_models.checkpoint import FILES, CheckpointError, file_hash
from wam_models.metis.config import Mask
from wam_models.metis.planning import medoid_scores
from wam_models.policy import load_policy
from wam_models.preprocessing import to_poses
from wam_models.types import EgoState, Observation, Plan, Refusal, RefusalReason


def observation(**changes: object) -> Observation:
    frames = np.random.default_rng(1).integers(0, 255, (2, 1, 128, 192, 3), dtype=np.uint8)
    values = {
        "frames": frames,
        "stamps": np.array([10.0, 10.5]),
        "cameras": ("front",),
        "ego": EgoState(0.4, 0.0, 0.1),
        "instruction": "walk to the goal",
        "goal": (4.0, -1.0),
    }
    return Observation(**{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano_checkpoint(tmp_path_factory.mktemp("models") / "nano")


def test_a_plan_has_what_the_contract_says() -> None:
    plan = nano_policy(candidates=4).plan(observation())
    assert isinstance(plan, Plan)
    assert plan.trajectory.poses.shape == (5, 3) and plan.trajectory.dt == 0.4
    assert plan.trajectory.stamp == 10.5
    assert plan.candidates.shape == (4, 5, 3) and plan.scores.shape == (4,)
    assert np.array_equal(plan.trajectory.poses, plan.candidates[plan.scores.argmax()])


def test_from_the_mean_of_the_noise_every_seed_plans_the_same() -> None:
    plans = []
    for seed in (0, 7):
        policy = nano_policy(noise_scale=0.0)
        policy.reset(seed)
        plans.append(policy.plan(observation()).trajectory.poses)
    assert np.array_equal(*plans)
    assert not np.array_equal(plans[0], nano_policy().plan(observation()).trajectory.poses)


def test_its_stages_add_up_to_no_more_than_it_took() -> None:
    policy = nano_policy()
    began = perf_counter()
    plan = policy.plan(observation())
    took = 1e3 * (perf_counter() - began)
    assert isinstance(plan, Plan)
    assert list(plan.timings) == ["preprocess", "text", "vae", "prefill", "flow", "postprocess"]
    assert sum(plan.timings.values()) <= took


@pytest.mark.parametrize("mask", list(Mask), ids=lambda mask: mask.value)
def test_the_same_view_gives_the_same_plan_and_another_seed_another(mask: Mask) -> None:
    policy = nano_policy(mask)
    first = policy.plan(observation()).trajectory.poses
    policy.plan(observation(goal=(1.0, 2.0), instruction=TEXTS[1]))
    assert np.array_equal(policy.plan(observation()).trajectory.poses, first)
    policy.reset(seed=7)
    assert not np.array_equal(policy.plan(observation()).trajectory.poses, first)
    policy.reset(seed=0)
    assert np.array_equal(policy.plan(observation()).trajectory.poses, first)


@pytest.mark.parametrize("changed", ["frames", "ego", "goal", "instruction"])
def test_every_input_matters(changed: str) -> None:
    other = {
        "frames": np.zeros((2, 1, 128, 192, 3), np.uint8),
        "ego": EgoState(-0.4, 0.2, 0.5),
        "goal": (0.5, 3.0),
        "instruction": TEXTS[1],
    }
    policy = nano_policy()
    before = policy.plan(observation()).trajectory.poses
    after = policy.plan(observation(**{changed: other[changed]})).trajectory.poses
    assert np.abs(after - before).max() > 1e-6


def test_who_is_told_what_it_does_not_know_says_what_it_knows() -> None:
    answer = nano_policy().plan(observation(instruction="lauf zum Ziel"))
    assert isinstance(answer, Refusal) and "it knows: " in answer.message
    known = answer.message.partition("it knows: ")[2].split(", ")
    assert "goal" in known and "lauf" not in known and not any("<" in word for word in known)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ego": EgoState(float("nan"), 0, 0)}, RefusalReason.EGO_NOT_FINITE),
        ({"ego": EgoState(0, 0, float("inf"))}, RefusalReason.EGO_NOT_FINITE),
        ({"goal": None}, RefusalReason.GOAL_MISSING),
        ({"goal": (float("nan"), 1.0)}, RefusalReason.GOAL_NOT_FINITE),
        ({"frames": np.zeros((2, 1, 200, 100, 3), np.uint8)}, RefusalReason.CAMERA_SIZE),
        ({"frames": np.zeros((2, 1, 16, 24, 3), np.uint8)}, RefusalReason.CAMERA_SIZE),
        ({"cameras": ("rear",)}, RefusalReason.CAMERA_COUNT),
        ({"frames": np.zeros((1, 1, 64, 96, 3), np.uint8), "stamps": np.array([1.0])}, RefusalReason.CONTEXT_LENGTH),
        ({"instruction": "lauf zum Ziel"}, RefusalReason.INSTRUCTION_UNKNOWN),
        ({"instruction": "前に歩いて"}, RefusalReason.INSTRUCTION_UNKNOWN),
        ({"instruction": ""}, RefusalReason.INSTRUCTION_UNKNOWN),
    ],
)
def test_a_bad_observation_is_refused_with_its_reason(changes: dict, reason: RefusalReason) -> None:
    policy = nano_policy()
    answer = policy.plan(observation(**changes))
    assert isinstance(answer, Refusal) and answer.reason is reason and answer.message
    assert isinstance(policy.plan(observation()), Plan)  # and a good one afterwards is planned


def test_an_output_that_is_not_finite_is_refused() -> None:
    policy = nano_policy()
    with torch.no_grad():
        policy._engine._network.action.head.bias.fill_(float("nan"))
    answer = policy.plan(observation())
    assert isinstance(answer, Refusal) and answer.reason is RefusalReason.OUTPUT_NOT_FINITE


def test_running_out_of_memory_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = nano_policy()

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate 12 GiB")

    monkeypatch.setattr(policy._engine, "act", full)
    answer = policy.plan(observation())
    assert isinstance(answer, Refusal) and answer.reason is RefusalReason.OUT_OF_MEMORY and "12 GiB" in answer.message


def test_a_model_that_does_not_fit_is_found_out_in_preparing(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = nano_policy()

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate 12 GiB")

    monkeypatch.setattr(policy._engine, "prepare", full)
    with pytest.raises(ValueError, match=r"nano@0.* does not fit on cpu: .*12 GiB"):
        policy.prepare()


@pytest.mark.parametrize("options", [{}, {"candidates": 3, "imagine": True}, {"imagine": True}], ids=str)
@pytest.mark.parametrize("mask", [Mask.ASYMMETRIC, Mask.JOINT], ids=lambda mask: mask.value)
def test_a_prepared_policy_sets_up_nothing_more_and_plans_the_same(mask: Mask, options: dict) -> None:
    fresh, prepared = nano_policy(mask, **options), nano_policy(mask, **options)
    prepared.prepare()
    ready = set(prepared._engine._desks)
    expected, found = fresh.plan(observation()), prepared.plan(observation())
    assert np.array_equal(found.candidates, expected.candidates)
    assert set(prepared._engine._desks) == ready


def test_a_polite_word_more_is_understood() -> None:
    assert isinstance(nano_policy().plan(observation(instruction="please walk to the goal")), Plan)


def test_a_checkpoint_plans_like_the_model_it_was_made_from(checkpoint: Path) -> None:
    loaded = load_policy(checkpoint)
    assert loaded.spec.model_id == f"nano@0.1+{file_hash(checkpoint / 'model.safetensors')[:8]}"
    expected = nano_policy().plan(observation()).trajectory.poses
    assert np.abs(loaded.plan(observation()).trajectory.poses - expected).max() < 1e-6


def test_steps_and_mask_can_be_chosen_at_load(checkpoint: Path) -> None:
    one, three = (load_policy(checkpoint, steps=n).plan(observation()).trajectory.poses for n in (1, 3))
    assert np.abs(one - three).max() > 1e-6
    joint = load_policy(checkpoint, mask="joint").plan(observation())
    assert isinstance(joint, Plan)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_changed_file_is_named(checkpoint: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=name):
        load_policy(copy)
    (copy / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing"):
        load_policy(copy)


def test_weights_of_another_network_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(checkpoint, copy)
    weights = load_file(copy / "model.safetensors")
    weights.pop("network.action.head.bias")
    save_file(weights, copy / "model.safetensors")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["sha256"]["model.safetensors"] = file_hash(copy / "model.safetensors")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match="do not fit"):
        load_policy(copy)


def test_a_missing_directory_and_an_unknown_baseline_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_policy(tmp_path / "nothing")
    with pytest.raises(ValueError, match="stop, straight, constant_velocity"):
        load_policy("baseline:fly")


def test_the_medoid_is_the_one_in_the_middle() -> None:
    candidates = np.zeros((3, 5, 3))
    candidates[:, :, 1] = np.array([-1.0, 0.1, 1.0])[:, None]
    assert medoid_scores(candidates).argmax() == 1


def test_a_path_without_yaw_faces_its_travel() -> None:
    poses = to_poses(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 1.001]]))
    assert poses[:, 2].tolist() == pytest.approx([0.0, np.pi / 2, np.pi / 2])


def test_baselines_go_where_they_say() -> None:
    ahead = replace(observation(), goal=(3.0, 0.0))
    straight = load_policy("baseline:straight").plan(ahead).trajectory.poses
    assert straight[-1] == pytest.approx([1.5, 0.0, 0.0])
    left = load_policy("baseline:straight").plan(replace(ahead, goal=(0.0, 3.0))).trajectory.poses
    assert left[-1, 2] > 1.0 and left[-1, 1] > 0.3
    assert not load_policy("baseline:stop").plan(ahead).trajectory.poses.any()
    kept = load_policy("baseline:constant_velocity").plan(ahead).trajectory.poses
    assert np.hypot(*kept[-1, :2]) == pytest.approx(0.8, abs=0.01) and kept[-1, 2] == pytest.approx(0.2)
