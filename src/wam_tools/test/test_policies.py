"""What is said of policies that a benchmark cannot run, and of those that would not run."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from wam_models.types import RefusalReason
from wam_tools.bench.policies import check_model, chosen, never_planned

NO_GOAL = RefusalReason.GOAL_MISSING.value


def run(plans: int, *refusals: str) -> SimpleNamespace:
    return SimpleNamespace(plan_seconds=(0.01,) * plans, refusals=refusals)


def test_policies_are_chosen_by_name_and_a_typo_is_told_the_names():
    contenders = [SimpleNamespace(name=name) for name in ("metis", "expert", "stop")]
    assert [each.name for each in chosen(contenders, "stop,metis")] == ["metis", "stop"]
    assert chosen(contenders, "") == contenders
    with pytest.raises(ValueError, match="no policy is called export: choose of metis, expert, stop"):
        chosen(contenders, "export")


def test_a_baseline_is_no_model():
    with pytest.raises(ValueError, match="--only lane_blind"):
        check_model("baseline:lane_blind")


def test_who_refuses_everything_is_named_and_who_refuses_now_and_then_is_not():
    runs = {
        "metis": [run(2, NO_GOAL, NO_GOAL), run(1, NO_GOAL)],
        "careful": [run(2, NO_GOAL, NO_GOAL), run(1)],
        "wild": [run(2, "too fast", "too sharp")],
        "expert": [run(0)],
    }
    (said,) = never_planned(runs)
    assert said.startswith(f"metis never planned, {NO_GOAL} 3 times of 3")
