"""What is served plans what the plain path plans, or is refused with the distance."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nano import TEXTS, nano_checkpoint, nano_policy

import wam_models.metis.loading
from wam_models.checkpoint import CheckpointError
from wam_models.metis.model import Metis
from wam_models.policy import load_policy
from wam_models.runtime.fp8 import Float8Linear
from wam_models.runtime.gate import LIMITS, Difference, PrecisionError, check
from wam_models.runtime.memory import is_out_of_memory
from wam_models.types import EgoState, Observation, Plan, Refusal, RefusalReason


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nano_checkpoint(tmp_path_factory.mktemp("models") / "nano")


def observation() -> Observation:
    frames = np.random.default_rng(1).integers(0, 255, (2, 1, 128, 192, 3), dtype=np.uint8)
    stamps = np.array([10.0, 10.5])
    return Observation(frames, stamps, ("front",), EgoState(0.4, 0.0, 0.1), "walk to the goal", (4.0, -1.0))


def plan(checkpoint: Path, **options: object) -> Plan:
    answer = load_policy(checkpoint, **options).plan(observation())
    assert isinstance(answer, Plan), answer
    return answer


def test_half_floats_plan_within_two_centimetres(checkpoint: Path) -> None:
    whole, half = (plan(checkpoint, precision=name).trajectory.poses for name in ("float32", "bfloat16"))
    assert 0 < Difference.between(whole, half).distance < 0.02


def test_plain_and_cached_plan_alike(checkpoint: Path) -> None:
    plain = plan(checkpoint, rung="plain").trajectory.poses
    assert np.abs(plan(checkpoint, rung="cached").trajectory.poses - plain).max() < 1e-5


def test_a_rung_that_plans_otherwise_is_not_served(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(network: Metis, _: object) -> None:
        with torch.no_grad():
            network.action.head.bias += 0.1

    monkeypatch.setattr(wam_models.metis.loading, "accelerate_layers", spoil)
    with pytest.raises(PrecisionError, match=r"nano@0.1.* on rung cached in float32.* plans up to \d.* cm"):
        load_policy(checkpoint)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rung": "fast"}, "is no rung: choose one of plain"),
        ({"rung": "graph"}, "needs an NVIDIA GPU"),
        ({"device": "gpu"}, "is no device: choose cpu or cuda"),
        ({"precision": "int4"}, "is no precision"),
        ({"candidates": 0}, "at least one candidate"),
        ({"steps": 0}, "at least one step"),
        ({"mask": "joint", "rung": "plain"}, "choose rung cached"),
        ({"mask": "causal"}, "is no mask: choose one of asymmetric"),
    ],
)
def test_an_option_that_cannot_be_had_names_what_can(checkpoint: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_policy(checkpoint, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match="sees no NVIDIA GPU"):
        load_policy(checkpoint, device="cuda")


def test_a_model_that_does_not_fit_is_no_crash(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("tried to allocate 12 GiB")

    monkeypatch.setattr(wam_models.metis.loading, "make_engine", full)
    with pytest.raises(CheckpointError, match=r"does not fit on cpu.*12 GiB"):
        load_policy(checkpoint)


def test_candidates_that_see_each_other_do_not_pass(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def together(observation: int, actions: int, candidates: int, like: torch.Tensor) -> torch.Tensor:
        return like.new_zeros(1, 1, candidates * actions, observation + candidates * actions)

    monkeypatch.setattr("wam_models.metis.observed._apart", together)
    load_policy(checkpoint)  # a single one has nobody to see
    with pytest.raises(PrecisionError):
        load_policy(checkpoint, candidates=4)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"),
        MemoryError(),
    ],
)
def test_memory_runs_out_in_several_words(error: Exception) -> None:
    assert is_out_of_memory(error)
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))


@given(shift=st.floats(-3, 3), turn=st.floats(-3, 3))
def test_a_difference_is_the_worst_waypoint_s(shift: float, turn: float) -> None:
    reference = np.zeros((2, 5, 3))
    found = reference.copy()
    found[1, 3] = 0.6 * shift, 0.8 * shift, turn
    difference = Difference.between(reference, found)
    assert difference.distance == pytest.approx(abs(shift))
    assert difference.angle == pytest.approx(np.degrees(abs(turn)))


def test_full_turns_are_no_difference_and_nan_is_the_largest() -> None:
    reference, found = np.zeros((1, 2, 3)), np.zeros((1, 2, 3))
    found[0, 0, 2] = 2 * np.pi
    assert Difference.between(reference, found).angle == pytest.approx(0.0, abs=1e-9)
    found[0, 1, 0] = np.nan
    assert Difference.between(reference, found).distance == np.inf
    with pytest.raises(PrecisionError, match="inf cm"):
        check("it", Difference.between(reference, found), torch.float32)


def test_the_limits_are_two_centimetres_and_a_fifth_of_a_degree() -> None:
    assert LIMITS[torch.bfloat16] == Difference(0.02, 0.2)
    check("it", Difference(0.02, 0.2), torch.bfloat16)
    for beyond in (Difference(0.021, 0.0), Difference(0.0, 0.21)):
        with pytest.raises(PrecisionError, match="choose a lower rung or float32"):
            check("it", beyond, torch.bfloat16)


def test_eight_bit_products_are_near() -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 48).bfloat16()
    x = torch.randn(2, 9, 64).bfloat16() * torch.linspace(0.01, 30, 9)[:, None].bfloat16()
    with torch.no_grad():
        expected, found = linear(x).float(), Float8Linear.of(linear)(x).float()
    assert found.shape == (2, 9, 48)
    assert (found - expected).norm() / expected.norm() < 0.05
    with pytest.raises(ValueError, match="no multiples of 16"):
        Float8Linear.of(torch.nn.Linear(20, 48))


def test_candidates_and_a_scorer_choose(checkpoint: Path) -> None:
    found = plan(checkpoint, candidates=4)
    assert found.candidates.shape == (4, 5, 3)
    assert np.array_equal(found.trajectory.poses, found.candidates[found.scores.argmax()])


def test_the_first_candidate_is_what_a_single_one_would_be() -> None:
    for scale in (0.0, 1.0):
        alone, first = (nano_policy(noise_scale=scale, candidates=n).plan(observation()).candidates for n in (1, 3))
        assert np.abs(alone[0] - first[0]).max() < 1e-5
        assert np.abs(first[1] - first[2]).max() > 1e-3


def test_a_large_text_encoder_is_not_read_for_instructions_that_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    directory = nano_checkpoint(tmp_path / "sharded", max_shard_bytes=60_000)
    first = plan(directory).trajectory.poses
    assert np.array_equal(first, plan(directory).trajectory.poses)
    index = json.loads((directory / "model.safetensors.index.json").read_text())["weight_map"]
    for name in {file for tensor, file in index.items() if tensor.startswith("text.")}:
        (directory / name).unlink()
    policy = load_policy(directory)
    assert np.array_equal(policy.plan(observation()).trajectory.poses, first)
    answer = policy.plan(replace(observation(), instruction=TEXTS[1]))
    assert isinstance(answer, Refusal) and answer.reason is RefusalReason.INSTRUCTION_UNKNOWN
    assert "is missing" in answer.message


@pytest.mark.parametrize("candidates", [1, 3])
@pytest.mark.parametrize("mask", ["asymmetric", "isolated", "joint"])
def test_a_plan_can_come_with_what_it_would_lead_to(checkpoint: Path, mask: str, candidates: int) -> None:
    found = plan(checkpoint, mask=mask, candidates=candidates, imagine=True)
    assert found.imagined is not None and found.imagined.dt == 0.5
    assert found.imagined.latents.shape == (4, 1, 4, 6)
    frames = found.imagined.frames()
    assert frames.shape == (4, 64, 96, 3) and frames.dtype == np.uint8 and frames.std() > 1
    without = plan(checkpoint, mask=mask, candidates=candidates)
    assert without.imagined is None
    assert np.abs(without.trajectory.poses - found.trajectory.poses).max() < 1e-5


def test_what_is_being_driven_stays_in_the_plan(checkpoint: Path) -> None:
    policy = load_policy(checkpoint)
    committed = np.array([[0.2, 0.05, 0.1], [0.4, 0.12, 0.2]])
    free = policy.plan(observation()).trajectory.poses
    bound = policy.plan(Observation(**{**vars(observation()), "committed": committed})).trajectory.poses
    assert np.abs(bound[:2] - committed).max() < 1e-6
    assert np.abs(bound[2:] - free[2:]).max() > 1e-4
    whole = Observation(**{**vars(observation()), "committed": np.tile(committed[:1], (9, 1))})
    assert np.abs(policy.plan(whole).trajectory.poses[:4] - committed[0]).max() < 1e-6  # the last point is always free
    with pytest.raises(ValueError, match="committed points must be"):
        Observation(**{**vars(observation()), "committed": np.zeros((2, 2))})
