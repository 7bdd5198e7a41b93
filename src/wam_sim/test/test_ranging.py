"""The flat lidar against shapely's own intersections, and against what it is for: nothing nearer than it says."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from wam_sim.ranging import BEARINGS, MAX_RANGE, scan, segments_of
from wam_sim.scene import CAMERA_POSITION
from wam_sim.worlds import make_world

AHEAD = CAMERA_POSITION[0]


def test_a_box_ahead_is_as_far_as_it_is_and_beside_it_is_nothing() -> None:
    ranges = scan(segments_of([shapely.box(2 + AHEAD, -0.5, 3 + AHEAD, 0.5)]), np.zeros(3), [])
    assert ranges[40] == pytest.approx(2.0)
    hit = np.isfinite(ranges)
    assert hit.tolist() == (np.abs(2 * np.tan(BEARINGS)) <= 0.5 + 1e-9).tolist()


def test_left_is_left_and_people_are_seen() -> None:
    ranges = scan(segments_of([]), np.array([0.0, 0.0, np.pi / 2]), [(-1.0, AHEAD + 2.0, 0.0)])
    assert np.isfinite(ranges).any() and (BEARINGS[np.isfinite(ranges)] > 0).all()


def test_an_empty_world_has_no_ranges() -> None:
    assert np.isinf(scan(segments_of([]), np.zeros(3), [])).all()


@given(seed=st.integers(0, 40), x=st.floats(0, 9), y=st.floats(-2, 2), yaw=st.floats(-3, 3))
def test_ranges_are_those_of_shapely(seed: int, x: float, y: float, yaw: float) -> None:
    world = make_world("val", seed % 4)
    ranges = scan(segments_of(world.static_footprints), np.array([x, y, yaw]), [])
    origin = np.array([x, y]) + AHEAD * np.array([np.cos(yaw), np.sin(yaw)])
    edges = shapely.union_all([shapely.boundary(outline) for outline in world.static_footprints])
    for index in (0, 20, 40, 60, 80):
        tip = origin + MAX_RANGE * np.array([np.cos(yaw + BEARINGS[index]), np.sin(yaw + BEARINGS[index])])
        met = shapely.intersection(shapely.LineString([origin, tip]), edges)
        wanted = np.inf if met.is_empty else shapely.distance(shapely.Point(origin), met)
        assert ranges[index] == pytest.approx(wanted, abs=1e-6)
