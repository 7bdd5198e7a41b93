"""The yard benchmark over real processes, on baselines: hard worlds stay hard, a walk in a worker is the same walk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wam_models.policy import load_policy
from wam_sim.benchmark import EXPERT, INSTRUCTION, Contender, run_yard
from wam_sim.rollout import PolicyDriver, walk
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


def test_a_rung_changes_no_plan_of_a_walk() -> None:
    """The first seconds of a walk in closed loop, in which every difference would grow."""
    plans: dict[str, list[np.ndarray]] = {}
    for rung in ("plain", "cached"):
        simulation = YardSimulation(make_world("val", 3), seed=3)
        driver = PolicyDriver(load_policy(MODEL, rung=rung, threads=1), INSTRUCTION)
        found: list[np.ndarray] = []
        walk(
            simulation,
            driver,
            time_limit=4.0,
            on_plan=lambda _, trajectory, found=found: found.append(trajectory.poses),
        )
        simulation.close()
        plans[rung] = found
    assert len(plans["plain"]) == len(plans["cached"]) == 20
    apart = [np.abs(a - b).max() for a, b in zip(plans["plain"], plans["cached"])]
    assert max(apart) < 1e-4
    assert np.abs(plans["plain"][0] - plans["plain"][-1]).max() > 1e-2
