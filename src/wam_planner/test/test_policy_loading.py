"""A policy is ready before it is needed, or the reason is one sentence."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from wam_models.policy import Policy, PolicySpec
from wam_models.types import Observation, Plan, Refusal
from wam_planner import policy_loading
from wam_planner.policy_loading import ready_policy

SPEC = PolicySpec("test@1+0", ("front", "left"), 3, 0.5, (64, 96), 8, 0.25, True)
LOADED = {"device": "cpu", "precision": "float32", "rung": "cached", "candidates": 1, "seed": 7, "threads": 1}
SETTINGS = {**LOADED, "model": "some/model", "torch_threads": 1, "steps": 0, "instruction": ""}


class Stub(Policy):
    """Remembers what it was prepared for."""

    def __init__(self) -> None:
        self.spec = SPEC
        self.prepared: list[str] = []

    def plan(self, observation: Observation) -> Plan | Refusal:
        raise AssertionError("nothing has been seen yet")

    def prepare(self, instruction: str = "") -> None:
        self.prepared.append(instruction)


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


@pytest.mark.parametrize("instruction", ["", "walk slowly"])
def test_it_is_loaded_and_prepared_for_the_instruction_of_the_deployment(monkeypatch, instruction):
    policy = Stub()
    calls = loads(monkeypatch, policy)
    assert ready_policy({**SETTINGS, "instruction": instruction}) is policy
    assert calls == [{"model": "some/model", "steps": None, **LOADED}]
    assert policy.prepared == [instruction]


def test_weights_that_were_never_trained_move_no_robot(monkeypatch):
    policy = Stub()
    policy.spec = replace(SPEC, trained=False)
    loads(monkeypatch, policy)
    with pytest.raises(ValueError, match="never trained"):
        ready_policy(SETTINGS)
    assert not policy.prepared


def test_what_is_loaded_is_out_of_the_collectors_way(monkeypatch):
    loads(monkeypatch, Stub())
    ready_policy(SETTINGS)
    assert gc.get_freeze_count() > 0


def test_a_library_that_is_missing_is_named(monkeypatch):
    loads(monkeypatch, ModuleNotFoundError("No module named 'torch'", name="torch"))
    with pytest.raises(ValueError, match="torch is not installed"):
        ready_policy(SETTINGS)


def test_no_model_at_all_says_what_to_set():
    with pytest.raises(ValueError, match="set the parameter model"):
        ready_policy({**SETTINGS, "model": ""})
