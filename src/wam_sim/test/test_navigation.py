"""The grid that knows the way."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from wam_sim.navigation import CELL, HARD_CLEARANCE, NavigationField

BOUNDS = (-2.0, -10.0, 10.0, 10.0)


@settings(max_examples=20, deadline=None)
@given(st.floats(-1.3, 1.3), st.floats(2.0, 8.0))
def test_with_nothing_in_between_the_shortest_way_is_straight(angle: float, distance: float) -> None:
    goal = distance * np.cos(angle), distance * np.sin(angle)
    field = NavigationField.build([], BOUNDS, goal)
    assert field.shortest_way((0.0, 0.0)) == pytest.approx(distance, abs=CELL)
    assert field.path_length((0.0, 0.0)) >= distance - CELL


@settings(max_examples=10, deadline=None)
@given(st.floats(-3.0, 3.0))
def test_round_the_end_of_a_wall_it_touches_the_clearance_and_no_more(end: float) -> None:
    wall = shapely.box(3.95, -20.0, 4.05, end)
    field = NavigationField.build([wall], BOUNDS, (8.0, 0.0))
    corner = max(end + HARD_CLEARANCE, 0.0)
    around = np.hypot(4.0, corner) * 2
    assert field.shortest_way((0.0, 0.0)) == pytest.approx(around, abs=0.25)
    assert field.shortest_way((0.0, 0.0)) <= field.path_length((0.0, 0.0)) + CELL


def test_there_is_none_through_a_closed_wall() -> None:
    field = NavigationField.build([shapely.box(3.95, -20.0, 4.05, 20.0)], BOUNDS, (8.0, 0.0))
    assert field.shortest_way((0.0, 0.0)) == float("inf") == field.path_length((0.0, 0.0))
