"""What a town is made of, before anybody looks at it: nothing stands on a street, signals face their lanes, vehicles
fit their outlines, and triangles and textures are what they are said to be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from wam_models.se2 import compose, relative
from wam_sim import worlds
from wam_sim.objects import Part
from wam_sim.town.ground import asphalt, paint_ground, streets
from wam_sim.town.layout import SPLITS, make_network
from wam_sim.town.lights import make_lights
from wam_sim.town.looks import BAYS, LIGHTS, draw_fronts, make_look
from wam_sim.town.network import LANE_WIDTH, SIDEWALK_WIDTH
from wam_sim.town.shapes import Atlas
from wam_sim.town.surroundings import FRONTS, signal_heads, signal_poles, surroundings
from wam_sim.town.vehicles import CYCLISTS, VEHICLES

KINDS = [kind for kinds in (VEHICLES, CYCLISTS) for group in kinds.values() for kind in group]


def test_a_junction_with_its_sidewalks_is_one_piece_of_ground() -> None:
    """In this town GEOS leaves a speck beside one of them."""
    for area in streets(make_network("train", 9005)):
        assert area.geom_type == "Polygon" and area.is_valid


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_stands_on_a_street_or_far_from_one(split: str, seed: int) -> None:
    network = make_network(split, seed)
    things, again = (surroundings(network, split, np.random.default_rng(seed)) for _ in range(2))
    assert things == again
    kinds = {thing.kind for thing in things}
    assert kinds == {"building", "tree", "street_lamp"}
    area = shapely.union_all(streets(network))
    # Streets are the roads and the sidewalks of the network, whatever their own outline says.
    for road in network.roads:
        line = shapely.LineString([pose[:2] for pose in road.line.poses(1.0)])
        missing = shapely.difference(line.buffer(LANE_WIDTH + SIDEWALK_WIDTH - 0.05, cap_style="flat"), area)
        assert missing.area < 0.5
    for lane in network.lanes.values():
        line = shapely.LineString([pose[:2] for pose in lane.centre.poses(1.0)])
        assert area.covers(line.buffer(LANE_WIDTH / 2.0 - 0.05, cap_style="flat"))
    outlines = np.array([thing.footprint() for thing in things])
    shapely.prepare(area)
    assert not shapely.intersects(area, outlines).any()
    assert shapely.distance(area, outlines).max() < 40.0
    tree = shapely.STRtree(outlines)
    first, second = tree.query(outlines, "intersects")
    assert (first == second).all()
    beside = [thing for thing in things if thing.kind == "building"]
    assert len(beside) > 4 * len(network.roads)


@pytest.mark.parametrize("split", SPLITS)
def test_signals_stand_beside_the_lane_and_face_who_arrives(split: str) -> None:
    network = make_network(split, 3)
    lights = {junction.id: make_lights(junction) for junction in network.junctions[1:]}
    heads, poles = signal_heads(network, lights), signal_poles(network, lights)
    arms = [(junction.id, arm) for junction in network.junctions[1:] for arm in junction.arms]
    assert sorted((head.junction, head.arm) for head in heads) == sorted(2 * arms)
    ground = shapely.union_all(asphalt(network))
    assert len(poles) == len(arms) and {pole.kind for pole in poles} == {"signal"}
    assert min(ground.distance(pole.footprint()) for pole in poles) > 0.3
    ends = {arm: lane for lane in network.lanes.values() if lane.junction is None for arm in [_end(lane.id)]}
    for head in heads:
        x, y, yaw = relative(ends[head.arm].centre.end, head.pose)
        assert abs(abs(yaw) - math.pi) < 1e-6
        overhead = head.height > 4.0
        assert (x, y) == pytest.approx((6.0, 0.0) if overhead else (1.0, -2.5), abs=0.3)
        assert head.height == pytest.approx(4.5 if overhead else 2.9, abs=0.3)


def _end(lane: tuple[int, int]) -> tuple[int, bool]:
    return lane[0], lane[1] < 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=10)
def test_a_vehicle_fits_its_outline_and_stands_on_the_ground(kind: object, seed: int) -> None:
    parts = kind.make(np.random.default_rng(seed))  # type: ignore[attr-defined]
    atlas = Atlas(np.zeros((8, 64, 3), np.uint8), [part.colour for part in parts])
    vertices = atlas.mesh([(part, (0.0, 0.0, 0.0)) for part in parts]).vertices
    assert vertices[:, 2].min() == pytest.approx(0.0, abs=0.02)
    half = np.array([kind.length, kind.width]) / 2.0  # type: ignore[attr-defined]
    assert np.abs(vertices[:, :2]).max(axis=0) == pytest.approx(half, abs=0.08)
    assert {part.material for part in parts} >= {"head_lamp", "tail_lamp"}


def test_unseen_looks_and_kinds_are_in_no_training_town() -> None:
    for kinds in (VEHICLES, CYCLISTS):
        assert not {kind.name for kind in kinds["known"]} & {kind.name for kind in kinds["unseen"]}
    looks = {
        split: [make_look(split, light, np.random.default_rng(seed)) for light in LIGHTS for seed in range(25)]
        for split in SPLITS
    }
    names = {
        split: {surface[0] for look in each for surface in (look.road, look.pavement, look.ground, look.wall)}
        for split, each in looks.items()
    }
    assert names["train"] == names["val"] == set(worlds._TEXTURES_KNOWN)
    assert names["unseen"] == set(worlds._TEXTURES_UNSEEN)
    for each in looks.values():
        for look in each:
            assert (look.fog is not None) == (look.light == "fog") and look.night == (look.light == "night")
            assert max(look.road[1]) < 0.45  # lines are seen on it


@pytest.mark.parametrize("split", SPLITS)
def test_the_ground_covers_the_town_with_square_pixels(split: str) -> None:
    network = make_network(split, 4)
    look = make_look(split, "night", np.random.default_rng(4))
    lamp = network.roads[0].line.pose(20.0)[:2]
    ground, dark = (paint_ground(network, look, lamps, 4) for lamps in ([lamp], []))
    x0, y0, x1, y1 = ground.bounds
    assert shapely.box(x0, y0, x1, y1).buffer(-30.0).covers(shapely.union_all(streets(network)))
    height, width, _ = ground.image.shape
    assert max(height, width) <= 4096
    assert (x1 - x0) / width == pytest.approx((y1 - y0) / height)
    brighter = ground.image.astype(int).sum(axis=2) > dark.image.astype(int).sum(axis=2) + 30
    rows, columns = np.nonzero(brighter)
    place = x0 + columns.mean() * (x1 - x0) / width, y1 - rows.mean() * (y1 - y0) / height
    assert place == pytest.approx(lamp, abs=0.8)


def test_windows_are_lit_when_it_is_dark() -> None:
    looks = {light: make_look("train", light, np.random.default_rng(2)) for light in LIGHTS}
    fronts = {light: draw_fronts(look, len(FRONTS), 2).astype(int) for light, look in looks.items()}
    assert fronts["day"].shape[1] % BAYS == 0 and fronts["day"].shape[0] % len(FRONTS) == 0

    def yellow(light: str) -> float:
        return float(
            ((fronts[light] - fronts[light][..., 2:]).max(axis=2) > 70)[fronts[light].max(axis=2) > 150].mean()
        )

    assert yellow("night") > 0.5
    assert fronts["night"].mean() < 0.5 * fronts["day"].mean()


@given(colours=st.lists(st.tuples(*3 * [st.floats(0.0, 1.0)]), min_size=1, max_size=70))
@settings(max_examples=40)
def test_the_atlas_gives_every_part_its_colour(colours: list[tuple[float, float, float]]) -> None:
    atlas = Atlas(np.full((len(FRONTS) * 4, 32, 3), 7, np.uint8), colours)
    height, width, _ = atlas.image.shape
    parts = [(Part("box", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), colour), (0.0, 0.0, 0.0)) for colour in colours]
    mesh = atlas.mesh(parts)
    assert mesh.faces.max() == len(mesh.vertices) - 1
    for number, colour in enumerate(colours):
        u, v = mesh.places[24 * number + 5]
        column, row = int(u * width), int(v * height)
        block = atlas.image[row - 1 : row + 1, column - 1 : column + 1]
        assert np.abs(block - 255.0 * np.array(colour)).max() <= 0.51


@pytest.mark.parametrize("shape", ["box", "cylinder", "capsule", "ellipsoid", "sphere"])
def test_triangles_face_outwards_and_fill_the_part(shape: str) -> None:
    size = {"box": (0.5, 1.0, 2.0), "ellipsoid": (0.5, 1.0, 2.0), "sphere": (1.5,)}.get(shape, (0.7, 1.2))
    part = Part(shape, size, (1.0, -2.0, 3.0), (0.5, 0.5, 0.5), rpy=(0.4, 0.2, -0.7))
    atlas = Atlas(np.zeros((8, 64, 3), np.uint8), [part.colour])
    mesh = atlas.mesh([(part, (4.0, 5.0, 1.1))])
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    centre = np.array([*compose((4.0, 5.0, 1.1), (1.0, -2.0, 0.0))[:2], 3.0])
    volume = float(np.einsum("ij,ij->i", np.cross(a - centre, b - centre), c - centre).sum() / 6.0)
    exact = {
        "box": 8.0 * 0.5 * 1.0 * 2.0,
        "cylinder": math.pi * 0.7**2 * 2.4,
        "capsule": math.pi * 0.7**2 * 2.4 + 4.0 / 3.0 * math.pi * 0.7**3,
        "ellipsoid": 4.0 / 3.0 * math.pi * 0.5 * 1.0 * 2.0,
        "sphere": 4.0 / 3.0 * math.pi * 1.5**3,
    }[shape]
    assert 0.7 * exact < volume <= exact + 1e-9
    outwards = np.einsum("ij,ij->i", np.cross(b - a, c - a), (a + b + c) / 3.0 - centre)
    assert (outwards > -1e-9).all()
