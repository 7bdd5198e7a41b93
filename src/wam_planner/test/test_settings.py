"""The planner's parameters describe objects that can be made."""

from __future__ import annotations

import pytest

from wam_models.policy import PolicySpec
from wam_planner.observation_buffer import BufferConfig
from wam_planner.plan_validator import ValidatorLimits
from wam_planner.planner_core import PlannerConfig
from wam_planner.settings import PLANNER, make_config, parse_goal

SPEC = PolicySpec("test@1+0", ("front", "left"), 3, 0.2, (96, 160), 8, 0.25, True)
DEFAULTS = {parameter.name: parameter.default for parameter in PLANNER}


@pytest.mark.parametrize("parameter", PLANNER, ids=lambda parameter: parameter.name)
def test_every_default_keeps_its_own_rule(parameter):
    assert parameter.violation(parameter.default) == ""


def test_the_policy_says_what_it_wants_and_the_defaults_are_those_of_the_modules():
    expected = PlannerConfig(BufferConfig(("front", "left"), 3, 0.2), ValidatorLimits())
    assert make_config(DEFAULTS, SPEC) == expected


@pytest.mark.parametrize(
    ("text", "goal"), [("8.0,-1.5", (8.0, -1.5)), (" 8, 1 ", (8.0, 1.0)), ("", None), ("  ", None)]
)
def test_a_goal_is_two_numbers_or_none(text, goal):
    assert parse_goal(text) == goal


@pytest.mark.parametrize("text", ["8", "8;1", "8,1,0", "a,b", "nan,1", "inf,0"])
def test_any_other_goal_is_refused_with_the_rule(text):
    with pytest.raises(ValueError, match="two numbers in m"):
        parse_goal(text)
