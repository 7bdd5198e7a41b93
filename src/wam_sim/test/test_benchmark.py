"""The yard benchmark over real processes, on baselines: hard worlds stay hard, a walk in a worker is the same walk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wam_models.policy import Policy, load_policy
from wam_models.types import Observation, Plan, Refusal
from wam_sim.benchmark import EXPERT, Contender, run_yard
from wam_sim.policy_driver import PolicyDriver
from wam_sim.rollout import walk
from wam_sim.simulation import YardSimulation
from wam_sim.worlds import make_world

MODEL = Path(__file__).parents[3] / "models/bundled/metis-yard"


def test_the_expert_arrives_where_straight_ahead_does_not() -> None:
    contenders = [Contender("expert", EXPERT), Contender("straight", "baseline:straight")]
    results: dict[str, list] = {"expert": [], "straight": []}
    for contender, outcome in run_yard(contenders, "val", 4, workers=2):
        results[contender.name].append(outcome)
    assert all(walk.reached for walk in results["expert"])
    assert sum(walk.reached for walk in results["straight"]) < 4
    again = [outcome for _, outcome in run_yard(contenders[1:], "val", 2, workers=1)]
    assert [w.path_length for w in again] == [w.path_length for w in results["straight"][:2]]


def test_standing_still_times_out_without_contact() -> None:
    [(_, outcome)] = run_yard([Contender("stop", "baseline:stop")], "val", 1)
    assert not outcome.reached and not outcome.contact and outcome.seconds >= 60.0 and outcome.path_length < 0.01


class SecondOpinion(Policy):
    """Plans as the first policy does, and remembers how far off the second is in the same view."""

    def __init__(self, first: Policy, second: Policy) -> None:
        self.spec = first.spec
        self._first, self._second = first, second
        self.apart: list[float] = []

    def plan(self, observation: Observation) -> Plan | Refusal:
        first, second = self._first.plan(observation), self._second.plan(observation)
        assert isinstance(first, Plan) and isinstance(second, Plan)
        self.apart.append(float(np.abs(first.trajectory.poses - second.trajectory.poses).max()))
        return first


def test_a_rung_changes_no_plan_of_a_walk() -> None:
    """In the same views: from one plan to the next a walk makes more of a rounding, as pictures have whole levels."""
    pytest.importorskip("torch")
    policy = SecondOpinion(*(load_policy(MODEL, rung=rung, threads=1) for rung in ("cached", "plain")))
    simulation = YardSimulation(make_world("val", 3), seed=3)
    walk(simulation, PolicyDriver(policy), time_limit=4.0)
    simulation.close()
    assert len(policy.apart) == 20
    assert max(policy.apart) < 1e-4
