"""A policy is ready before it is needed, or the reason is one sentence."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from wam_models.policy import Policy, PolicySpec
from wam_models.types import Observation, Plan, Refusal, RefusalReason, Trajectory
from wam_planner import policy_loading
from wam_planner.policy_loading import ready_policy

SPEC = PolicySpec("test@1+0", ("front", "left"), 3, 0.5, (64, 96), 8, 0.25, True)
LOADED = {"device": "cpu", "precision": "float32", "rung": "cached", "candidates": 1, "seed": 7, "threads": 1}
SETTINGS = {**LOADED, "steps": 0, "instruction": ""}


class Recorder(Policy):
    """Remembers what it was asked, and answers as it is told."""

    def __init__(self, answer: Refusal | None = None) -> None:
        self.spec = SPEC
        self.seen: list[Observation] = []
        self.seeds: list[int] = []
        self._answer = answer

    def plan(self, observation: Observation) -> Plan | Refusal:
        self.seen.append(observation)
        trajectory = Trajectory(observation.stamp, 0.25, np.zeros((8, 3)))
        return self._answer or Plan(trajectory, np.zeros((1, 8, 3)), np.zeros(1), {}, SPEC.model_id)

    def reset(self, seed: int = 0) -> None:
        self.seeds.append(seed)


@pytest.fixture(autouse=True)
def thaw():
    yield
    gc.unfreeze()


def loads(monkeypatch: pytest.MonkeyPatch, policy: Policy | Exception) -> list[dict]:
    calls: list[dict] = []

    def load(model: str, **options: object) -> Policy:
        calls.append({"model": model, **options})
        if isinstance(policy, Exception):
            raise policy
        return policy

    monkeypatch.setattr(policy_loading, "load_policy", load)
    return calls


def test_it_is_warmed_up_with_what_it_will_see_and_reset_afterwards(monkeypatch):
    policy = Recorder()
    calls = loads(monkeypatch, policy)
    assert ready_policy("some/model", **SETTINGS) is policy
    assert calls == [{"model": "some/model", "steps": None, **LOADED}]
    assert policy.seen[0].frames.shape == (3, 2, 64, 96, 3)
    assert policy.seen[0].instruction == "walk to the goal"
    assert policy.seeds == [7]


def test_the_instruction_of_the_deployment_is_the_one_it_is_warmed_up_with(monkeypatch):
    policy = Recorder()
    loads(monkeypatch, policy)
    ready_policy("some/model", **{**SETTINGS, "instruction": "walk slowly"})
    assert policy.seen[0].instruction == "walk slowly"


def test_what_is_loaded_is_out_of_the_collectors_way(monkeypatch):
    loads(monkeypatch, Recorder())
    ready_policy("some/model", **SETTINGS)
    assert gc.get_freeze_count() > 0


def test_a_model_that_does_not_fit_is_refused_before_the_robot_walks(monkeypatch):
    loads(monkeypatch, Recorder(Refusal(RefusalReason.OUT_OF_MEMORY, "needs 12 GiB, 8 are free")))
    with pytest.raises(ValueError, match="does not fit: needs 12 GiB"):
        ready_policy("some/model", **SETTINGS)


def test_another_refusal_of_the_stand_in_is_no_reason_not_to_start(monkeypatch):
    policy = Recorder(Refusal(RefusalReason.INSTRUCTION_UNKNOWN, "unknown words"))
    loads(monkeypatch, policy)
    assert ready_policy("some/model", **SETTINGS) is policy


def test_a_library_that_is_missing_is_named(monkeypatch):
    loads(monkeypatch, ModuleNotFoundError("No module named 'torch'", name="torch"))
    with pytest.raises(ValueError, match="torch is not installed"):
        ready_policy("some/model", **SETTINGS)


def test_no_model_at_all_says_what_to_set():
    with pytest.raises(ValueError, match="set the parameter model"):
        ready_policy("", **SETTINGS)
