"""A parameter says its rule; the tables describe objects that can be made."""

from __future__ import annotations

import math

import pytest

from wam_controller.parameters import Parameter
from wam_controller.safety_gate import GateConfig
from wam_controller.settings import CONTROLLER, GATE, make_follower, make_gate, make_limits

RATE = Parameter("rate", 50.0, "Hz", 10, 200)
COUNT = Parameter("count", 5, "frames", 2, 100)
KIND = Parameter("kind", "a", "which", choices=("a", "b"))
FLAG = Parameter("flag", True, "whether")


@pytest.mark.parametrize(("parameter", "value"), [(RATE, 10.0), (RATE, 200.0), (COUNT, 2), (KIND, "b"), (FLAG, False)])
def test_a_value_within_its_rule_has_no_violation(parameter, value):
    assert parameter.violation(value) == ""


@pytest.mark.parametrize(
    ("parameter", "value", "rule"),
    [
        (RATE, 9.9, "from 10 to 200"),
        (RATE, math.nan, "from 10 to 200"),
        (RATE, 50, "decimal point"),
        (COUNT, 2.5, "whole number from 2 to 100"),
        (COUNT, True, "whole number"),
        (KIND, "c", "one of a, b"),
        (FLAG, 1, "true or false"),
    ],
)
def test_a_violation_names_parameter_value_and_rule(parameter, value, rule):
    text = parameter.violation(value)
    assert parameter.name in text
    assert repr(value) in text
    assert rule in text


@pytest.mark.parametrize("parameter", CONTROLLER + GATE, ids=lambda parameter: parameter.name)
def test_every_default_keeps_its_own_rule_and_every_number_has_bounds(parameter):
    assert parameter.violation(parameter.default) == ""
    assert (parameter.minimum is not None) == (type(parameter.default) in (int, float))


def test_the_defaults_make_a_controller_and_a_gate():
    make_follower({parameter.name: parameter.default for parameter in CONTROLLER})
    make_gate({parameter.name: parameter.default for parameter in GATE})


def test_the_defaults_of_the_gates_parameters_are_those_of_its_config():
    defaults = {parameter.name: parameter.default for parameter in GATE}
    config = GateConfig()
    shared = set(defaults) & set(vars(config))
    assert shared >= {"command_timeout", "odometry_timeout", "resume_window"}
    assert {name: defaults[name] for name in shared} == {name: getattr(config, name) for name in shared}
    assert make_limits(defaults) == config.limits


def test_parameters_that_contradict_each_other_are_refused_with_the_rule():
    settings = {parameter.name: parameter.default for parameter in CONTROLLER} | {"slow_age": 1.5, "stop_age": 1.2}
    with pytest.raises(ValueError, match="slow_age <= stop_age"):
        make_follower(settings)
