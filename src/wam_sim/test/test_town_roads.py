"""Roads, lanes and routes of the town: smooth, joined, the same for a seed, and the same to CARLA's own map reader."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wam_models.se2 import Vector, compose, relative, wrap
from wam_sim.town.curves import Arc, Curve, through
from wam_sim.town.layout import SPLITS, make_network
from wam_sim.town.lights import Colour, make_lights
from wam_sim.town.network import LANE_WIDTH, LaneId, RoadNetwork
from wam_sim.town.opendrive import to_opendrive
from wam_sim.town.routes import make_route

PLACES = st.tuples(st.floats(-80, 80), st.floats(-80, 80), st.floats(-3.1, 3.1))
TOWNS = [(split, seed) for split in SPLITS for seed in range(3)]


def near(a: Vector, b: Vector, tolerance: float = 1e-6) -> bool:
    x, y, yaw = relative(a, b)
    return math.hypot(x, y) < tolerance and abs(yaw) < tolerance


@given(start=PLACES, ahead=st.tuples(st.floats(20, 90), st.floats(-40, 40), st.floats(-1.2, 1.2)))
def test_a_curve_joins_two_poses_smoothly(start: Vector, ahead: Vector) -> None:
    end = compose(start, ahead)
    curve = through([start, end])
    assert near(curve.start, start) and near(curve.end, end)
    for before, after in zip(curve.arcs, curve.arcs[1:]):
        assert near(before.end, after.start)
    assert curve.length >= math.hypot(*ahead[:2]) - 1e-6


@given(
    start=PLACES,
    length=st.floats(1, 40),
    curvature=st.floats(-0.1, 0.1),
    offset=st.floats(-5, 5),
    share=st.floats(0, 1),
)
def test_what_lies_beside_an_arc_is_as_far_off_everywhere(
    start: Vector, length: float, curvature: float, offset: float, share: float
) -> None:
    arc = Arc(start, length, curvature)
    beside = arc.beside(offset)
    assert near(beside.pose(share * beside.length), compose(arc.pose(share * length), (0.0, offset, 0.0)))
    back = arc.backwards()
    assert near(back.pose((1 - share) * length), compose(arc.pose(share * length), (0.0, 0.0, math.pi)))
    assert near(back.backwards().start, start)


def test_beyond_the_centre_of_a_bend_there_is_no_lane() -> None:
    with pytest.raises(ValueError, match="beyond the centre of a bend of 3"):
        Curve((Arc((0.0, 0.0, 0.0), 3.0, 1 / 3.0),)).beside(3.5)


@pytest.mark.parametrize(("split", "seed"), TOWNS)
def test_every_lane_leads_on_without_a_step_or_a_kink(split: str, seed: int) -> None:
    network = make_network(split, seed)
    begun = {follower for lane in network.lanes.values() for follower in lane.following}
    assert begun == network.lanes.keys()
    for lane in network.lanes.values():
        assert lane.following
        for follower in lane.following:
            assert near(lane.centre.end, network.lanes[follower].centre.start, 1e-5)
        assert all(abs(arc.curvature) <= 1 / 8.0 for arc in lane.centre.arcs)


def test_the_two_lanes_of_a_road_run_against_each_other_and_keep_right() -> None:
    network = make_network("train", 0)
    for road in network.roads:
        ours, theirs = (network.lanes[LaneId(road.id, side)].centre for side in (-1, 1))
        assert near(ours.start, compose(theirs.end, (0.0, LANE_WIDTH, math.pi)), 1e-5)
        assert relative(road.line.start, ours.start)[1] == pytest.approx(-LANE_WIDTH / 2)


def test_a_town_is_the_same_for_its_seed_and_another_for_another() -> None:
    again = [to_opendrive(make_network("val", 5), "val-5") for _ in range(2)]
    assert again[0] == again[1]
    texts = {to_opendrive(make_network(split, seed), "town") for split in SPLITS for seed in range(5)}
    assert len(texts) == 15


def test_unseen_towns_have_junctions_that_no_other_has() -> None:
    """Y-junctions: every arm is 120 degrees from the next, and nothing goes straight on."""

    def sharpest(network: RoadNetwork) -> float:
        turns = [abs(relative(way.line.start, way.line.end)[2]) for way in network.connections]
        return min(turns)

    assert min(sharpest(make_network("unseen", seed)) for seed in range(10)) > 0.1
    assert max(sharpest(make_network("train", seed)) for seed in range(10)) < 0.35


def test_an_unknown_split_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="train, val, unseen"):
        make_network("test", 0)


@pytest.mark.parametrize(("split", "seed"), TOWNS)
def test_carla_reads_the_same_lanes(split: str, seed: int) -> None:
    """Its y points right and its degrees turn clockwise; its numbers have single precision."""
    carla = pytest.importorskip("carla")
    network = make_network(split, seed)
    read = carla.Map(f"{split}-{seed}", to_opendrive(network, f"{split}-{seed}"))
    lines = {each.id: each.line for each in (*network.roads, *network.connections)}
    for lane in network.lanes.values():
        line, side = lines[lane.id.road], 1 if lane.id.lane > 0 else -1
        for share in (0.02, 0.3, 0.5, 0.77, 0.98):
            found = read.get_waypoint_xodr(lane.id.road, lane.id.lane, share * line.length)
            place, turned = found.transform.location, found.transform.rotation.yaw
            centre = compose(line.pose(share * line.length), (0.0, side * LANE_WIDTH / 2, math.pi * (side > 0)))
            assert math.hypot(place.x - centre[0], -place.y - centre[1]) < 5e-3
            assert abs(wrap(math.radians(-turned) - centre[2])) < 1e-3
            assert found.is_junction == (lane.junction is not None)
            assert found.lane_width == pytest.approx(LANE_WIDTH)
        last = line.length - 0.05 if side < 0 else 0.05
        ahead = read.get_waypoint_xodr(lane.id.road, lane.id.lane, last).next(1.0)
        assert {LaneId(each.road_id, each.lane_id) for each in ahead} == set(lane.following)


@given(seed=st.integers(0, 30), length=st.floats(60, 600))
@settings(max_examples=40)
def test_a_route_runs_along_lanes_for_its_length_and_names_its_turns(seed: int, length: float) -> None:
    network = make_network("val", seed % 5)
    route = make_route(network, length, np.random.default_rng(seed))
    assert length - 1e-6 <= route.length <= length + 50.0  # it does not end in a junction
    assert route.lanes[0].junction is None and route.lanes[-1].junction is None
    assert len(route.turns) == sum(lane.junction is not None for lane in route.lanes)
    for metres in np.arange(0.0, route.length - 0.5, 0.5):
        x, y, yaw = relative(route.pose(metres), route.pose(metres + 0.5))
        assert math.hypot(x, y) == pytest.approx(0.5, abs=0.01) and abs(yaw) < 0.08
    for begins, turn in route.turns:
        lane, _ = route.at(begins + 0.1)
        bend = relative(lane.centre.start, lane.centre.end)[2]
        assert {"left": bend > 0.5, "right": bend < -0.5, "straight": abs(bend) < 0.7}[turn]


@pytest.mark.parametrize("seed", range(4))
def test_lights_let_only_one_group_in_and_everyone_in_turn(seed: int) -> None:
    for junction in make_network("train", seed).junctions:
        lights = make_lights(junction, offset=3.0)
        seen: dict[object, set[Colour]] = {arm: set() for arm in junction.arms}
        for time in np.arange(0.0, lights.cycle, 0.25):
            colours = {arm: lights.colour(arm, float(time)) for arm in junction.arms}
            moving = {arm for arm, colour in colours.items() if colour is not Colour.RED}
            assert not moving or moving in map(set, lights.groups)
            for arm, colour in colours.items():
                seen[arm].add(colour)
                assert lights.colour(arm, float(time) + lights.cycle) is colour
        assert all(colours == set(Colour) for colours in seen.values())


def test_a_route_that_leaves_the_map_is_refused() -> None:
    route = make_route(make_network("val", 0), 200.0, np.random.default_rng(0))
    first, second = route.lanes[:2]
    with pytest.raises(ValueError, match="does not follow"):
        replace(route, lanes=(first, first, second))
    with pytest.raises(ValueError, match="its end is"):
        replace(route, end=route.lanes[-1].centre.length + 1.0)
    with pytest.raises(ValueError, match="its start is"):
        replace(route, start=-1.0)
    with pytest.raises(ValueError, match="needs a lane"):
        replace(route, lanes=())
