"""The yard benchmark over real processes, on baselines: hard worlds stay hard, a walk in a worker is the same walk."""

from __future__ import annotations

from wam_sim.benchmark import EXPERT, Contender, run_yard


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
