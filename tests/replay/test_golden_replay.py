"""The bundled models on recorded runs: the plans are those that were accepted, and faults are met as they must be."""

from __future__ import annotations

import copy

import pytest
from replay.golden import CASES, HERE, TOLERANCE, accepted_of, differences, outcome_of
from replay.make_bag import FROZEN, SILENT

_ACCEPT = "when this is intended: scripts/run python tests/replay/golden.py --accept"


@pytest.fixture(scope="module", params=CASES)
def case(request):
    """Name, what was found, what is accepted."""
    return request.param, outcome_of(request.param), accepted_of(request.param)


def test_plans_and_numbers_are_those_that_were_accepted(case):
    _, found, accepted = case
    assert not (said := differences(found, accepted)), "\n".join([*said, _ACCEPT])


def test_a_frozen_camera_and_silent_odometry_stop_the_planning(case):
    """Whatever is accepted: five equal pictures are the limit, and what comes after the silence is planned from."""
    _, found, _ = case
    stamps = [plan["stamp"] for plan in found["plans"]]
    behaviour = found["behaviour"]
    assert behaviour["not_planned"]["frozen"] >= 10 * (FROZEN[1] - FROZEN[0]) - 5
    assert behaviour["not_planned"]["unsynced"] >= 10 * (SILENT[1] - SILENT[0]) - 3
    assert max(SILENT[1] - SILENT[0], FROZEN[1] - FROZEN[0] - 0.5) - 0.2 < behaviour["longest_without_plan"] < 2.0
    assert stamps[-1] - stamps[0] > 6.0
    assert not any(plan["said"] for plan in found["plans"])


def test_the_bag_is_small(case):
    name, _, _ = case
    assert sum(file.stat().st_size for file in (HERE / name).iterdir()) < 1_000_000


def test_a_change_is_seen_and_one_of_rounding_is_not(case):
    _, _, accepted = case
    for change, seen in ((0.5 * TOLERANCE, False), (2 * TOLERANCE, True)):
        other = copy.deepcopy(accepted)
        other["plans"][3]["poses"][-1][1] += change
        assert bool(differences(other, accepted)) is seen
    other = copy.deepcopy(accepted)
    other["plans"][3]["poses"][0][0] = float("nan")
    assert differences(other, accepted)
    other = copy.deepcopy(accepted)
    del other["behaviour"]["not_planned"]["unsynced"]
    assert differences(other, accepted)
    other = copy.deepcopy(accepted)
    other["behaviour"]["not_planned"]["frozen"] += 1
    assert differences(other, accepted) == [
        f"not_planned.frozen is {other['behaviour']['not_planned']['frozen']}, "
        f"accepted is {accepted['behaviour']['not_planned']['frozen']}"
    ]
