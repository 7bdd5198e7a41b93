"""How a town looks: what a driver must see is in its place, in every light."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wam_models.se2 import Vector, compose, relative
from wam_sim.objects import person
from wam_sim.town.ground import EDGE_GAP, LINE_WIDTH
from wam_sim.town.idm import Driver
from wam_sim.town.layout import SPLITS, make_network
from wam_sim.town.lights import Colour, make_lights
from wam_sim.town.looks import LIGHTS, make_look
from wam_sim.town.model import LAMP_PLACES
from wam_sim.town.network import LANE_WIDTH
from wam_sim.town.routes import make_route
from wam_sim.town.scene import CAMERAS, HORIZONTAL_FOV, TownScene, intrinsics
from wam_sim.town.shading import CameraMount, Fog, HeadLamps
from wam_sim.town.surroundings import SignalHead, signal_heads, signal_poles, surroundings
from wam_sim.town.vehicles import VEHICLES
from wam_sim.town.world import TownWorld, VehicleStart, WalkerStart

SIZE = (192, 320)
AWAY: Vector = (-500.0, -500.0, 0.0)


def town(split: str, seed: int, light: str, things: bool = True) -> TownWorld:
    """With one sedan and one person, who are where a picture wants them."""
    rng = np.random.default_rng([seed, 5])
    network = make_network(split, seed)
    lights = {junction.id: make_lights(junction) for junction in network.junctions}
    look = make_look(split, light, rng)
    sedan = VEHICLES["known"][0]
    route = make_route(network, 200.0, rng)
    return TownWorld(
        split=split,
        seed=seed,
        scenario="route",
        network=network,
        lights=lights,
        route=route,
        look=look,
        things=(*surroundings(network, split, rng), *signal_poles(network, lights)) if things else (),
        vehicles=(
            VehicleStart("sedan", sedan.make(rng), sedan.length, sedan.width, (route.lanes[0].id,), 0.0, Driver()),
        ),
        walkers=(WalkerStart(person(rng), (0.0, 0.0), (1.0, 0.0), 1.0),),
    )


class Stage(NamedTuple):
    """One scene and how to take a picture of it."""

    world: TownWorld
    scene: TownScene

    def picture(
        self,
        ego: Vector,
        car: Vector = AWAY,
        walker: Vector = AWAY,
        colour: Colour | None = None,
        braking: bool = False,
        camera: str = "front",
        pitch: float = 0.0,
    ) -> np.ndarray:
        """uint8 (H, W, 3), with all lights of one colour."""
        arms = [(j.id, arm) for j in self.world.network.junctions for arm in j.arms]
        colours = {} if colour is None else dict.fromkeys(arms, colour)
        return self.scene.render(camera, ego, [car], [walker], colours, [braking], pitch)


def pixel(ego: Vector, place: tuple[float, float, float], camera: str = "front") -> tuple[int, int] | None:
    """Row and column of a point, m in the world; None where the camera does not see it."""
    mount, (fx, fy, cx, cy) = CAMERAS[camera], intrinsics(SIZE)
    eye = compose(ego, (mount.x, mount.y, mount.yaw))
    ahead, left, _ = relative(eye, (place[0], place[1], 0.0))
    if ahead < 0.5:
        return None
    row, column = cy - fy * (place[2] - mount.z) / ahead, cx - fx * left / ahead
    return (int(row), int(column)) if 0 <= row < SIZE[0] and 0 <= column < SIZE[1] else None


def seen(ego: Vector, places: list[tuple[float, float, float]]) -> list[tuple[int, int]]:
    return [spot for spot in (pixel(ego, place) for place in places) if spot is not None]


def before(head: SignalHead, metres: float) -> Vector:
    """Where a car is that the head faces, in the middle of its lane, its camera so far away."""
    forward = compose(head.pose, (0.0, 0.0, math.pi))
    return compose(forward, (-metres - CAMERAS["front"].x, 2.5, 0.0))


@pytest.fixture(scope="module", params=LIGHTS)
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    world = town("train", 1, request.param)
    scene = TownScene(world, SIZE, tuple(CAMERAS))
    yield Stage(world, scene)
    scene.close()


@pytest.fixture(scope="module", params=SPLITS)
def bare(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A town by day of which nothing hides the ground, whose surfaces have the three primary colours."""
    world = town(request.param, 2, "day", things=False)
    surfaces = {
        name: ("plain", colour, colour)
        for name, colour in (("road", (0, 0, 0.4)), ("pavement", (0.6, 0, 0)), ("ground", (0, 0.6, 0)))
    }
    world = replace(world, look=replace(world.look, **surfaces))
    scene = TownScene(world, SIZE)
    yield Stage(world, scene)
    scene.close()


def test_a_moment_has_one_picture(stage: Stage) -> None:
    ego = stage.world.route.pose(10.0)
    ahead = compose(ego, (15.0, 0.0, 0.0))
    first = stage.picture(ego, ahead, colour=Colour.RED, braking=True)
    assert first.shape == (*SIZE, 3) and first.dtype == np.uint8
    other = stage.picture(stage.world.route.pose(60.0), colour=Colour.GREEN, camera="left")
    assert not np.array_equal(first, other)
    assert np.array_equal(first, stage.picture(ego, ahead, colour=Colour.RED, braking=True))
    again = TownScene(stage.world, SIZE)
    assert np.array_equal(first, Stage(stage.world, again).picture(ego, ahead, colour=Colour.RED, braking=True))
    again.close()


@pytest.mark.parametrize("metres", [10.0, 15.0, 20.0])
def test_the_colour_of_a_light_is_seen(stage: Stage, metres: float) -> None:
    """At the size and the resolution that a model is trained with, too."""
    head = signal_heads(stage.world.network, stage.world.lights)[0]
    ego = before(head, metres)
    x, y, _ = head.pose
    for colour, strong, weak in ((Colour.RED, 0, 1), (Colour.GREEN, 1, 0)):
        picture = stage.picture(ego, colour=colour).astype(int)
        spot = pixel(ego, (x, y, head.height + LAMP_PLACES[colour]))
        assert spot is not None
        row, column = spot
        assert picture[row, column, strong] > picture[row, column, weak] + 70
        small = picture.reshape(96, 2, 160, 2, 3).mean(axis=(1, 3))
        patch = small[row // 2 - 1 : row // 2 + 2, column // 2 - 1 : column // 2 + 2]
        assert (patch[..., strong] - patch[..., weak]).max() > 60
    row, column = pixel(ego, (x, y, head.height + LAMP_PLACES[Colour.RED])) or (0, 0)
    dark = stage.picture(ego, colour=Colour.GREEN)[row, column].astype(int)
    assert abs(dark[0] - dark[1]) < 40


def test_a_car_ahead_is_seen_where_it_is_and_nowhere_else(stage: Stage) -> None:
    ego = stage.world.route.pose(5.0)
    for metres, aside in ((9.0, 0.0), (16.0, 2.0)):
        car = compose(ego, (metres, aside, 0.0))
        changed = np.abs(stage.picture(ego, car).astype(int) - stage.picture(ego)).sum(axis=2) > 24
        corners = [(*compose(car, (x, y, 0.0))[:2], z) for x in (-2.4, 2.4) for y in (-1.05, 1.05) for z in (0.0, 1.55)]
        rows, columns = np.array([pixel(ego, corner) for corner in corners]).T
        box = (slice(rows.min() - 1, rows.max() + 2), slice(columns.min() - 1, columns.max() + 2))
        assert changed[box].mean() > 0.3
        changed[box] = False
        assert not changed.any()


def test_brake_lights_are_brighter(stage: Stage) -> None:
    ego = stage.world.route.pose(5.0)
    car = compose(ego, (11.0, 0.0, 0.0))
    off, on = (stage.picture(ego, car, braking=braking).astype(int) for braking in (False, True))
    assert ((on - off)[..., 0] > 40).sum() >= 8
    assert (off[..., 0] - off[..., 1] > 30).sum() >= 8  # they are red without, too


def test_a_person_is_seen(stage: Stage) -> None:
    ego = stage.world.route.pose(5.0)
    at = compose(ego, (12.0, -1.0, 1.0))
    changed = np.abs(stage.picture(ego, walker=at).astype(int) - stage.picture(ego)).sum(axis=2) > 15
    spots = [pixel(ego, (at[0], at[1], z)) for z in (0.4, 1.2, 1.65)]
    assert sum(bool(changed[spot]) for spot in spots if spot) >= 2
    assert 30 < changed.sum() < 300


def test_the_side_cameras_look_to_their_sides(stage: Stage) -> None:
    ego = stage.world.route.pose(5.0)
    for camera in ("left", "right"):
        car = compose(compose(ego, (CAMERAS[camera].x, 0.0, CAMERAS[camera].yaw)), (8.0, 0.0, 1.0))
        changed = np.abs(stage.picture(ego, car, camera=camera).astype(int) - stage.picture(ego, camera=camera))
        assert abs(np.nonzero(changed.sum(axis=2) > 24)[1].mean() - SIZE[1] / 2.0) < 12


def test_a_car_that_brakes_looks_down(stage: Stage) -> None:
    """The horizon rises in its picture."""
    head = signal_heads(stage.world.network, stage.world.lights)[0]
    ego = before(head, 18.0)
    rows = []
    for pitch in (0.0, 0.03):
        lit, dark = (stage.picture(ego, colour=colour, pitch=pitch).astype(int) for colour in (Colour.RED, None))
        rows.append(np.nonzero(np.abs(lit - dark).sum(axis=2) > 100)[0].mean())
    assert rows[0] - rows[1] == pytest.approx(0.03 * intrinsics(SIZE).fy, abs=1.5)


def test_every_surface_is_where_the_network_has_it(bare: Stage) -> None:
    """Halfway through lanes, sidewalks and what lies behind them; within junctions, too."""
    network = bare.world.network
    for road in network.roads[:6]:
        for share in (0.2, 0.6):
            ego = compose(road.line.pose(share * road.line.length), (0.0, -LANE_WIDTH / 2.0, 0.0))
            picture = bare.picture(ego).astype(int)
            along = [share * road.line.length + metres for metres in (5.0, 6.0, 8.0)]
            if along[-1] > road.line.length:
                continue
            for offset, channel in ((-1.2, 2), (1.2, 2), (-4.7, 0), (4.7, 0), (-7.0, 1), (7.0, 1)):
                points = [(*compose(road.line.pose(s), (0.0, offset, 0.0))[:2], 0.0) for s in along]
                for row, column in seen(ego, points):
                    assert picture[row, column].argmax() == channel, (road.id, offset)
    for way in network.connections[:8]:
        ego = compose(way.line.start, (-4.0, -LANE_WIDTH / 2.0, 0.0))
        picture = bare.picture(ego).astype(int)
        centre = way.line.beside(-LANE_WIDTH / 2.0)
        spots = seen(ego, [(*centre.pose(s)[:2], 0.0) for s in np.arange(2.0, 8.0, 0.5)])
        assert len(spots) > 5 and all(picture[spot].argmax() == 2 for spot in spots)


def test_lines_are_where_the_network_has_them(bare: Stage) -> None:
    edge = LANE_WIDTH - EDGE_GAP - LINE_WIDTH / 2.0
    for road in bare.world.network.roads[:6]:
        ego = compose(road.line.pose(0.3 * road.line.length), (0.0, -LANE_WIDTH / 2.0, 0.0))
        picture = bare.picture(ego).astype(int).min(axis=2)
        for side in (-1.0, 1.0):
            for s in (4.5, 6.0, 8.0, 10.0):
                pose = road.line.pose(0.3 * road.line.length + s)
                line, beside = (pixel(ego, (*compose(pose, (0.0, y, 0.0))[:2], 0.0)) for y in (side * edge, side * 2.6))
                if line is not None and beside is not None:
                    assert picture[line] > picture[beside] + 60


def test_there_is_a_stop_line_only_where_there_are_lights(bare: Stage) -> None:
    world = replace(bare.world, lights={})
    unlit = TownScene(world, SIZE)
    for junction in world.network.junctions[:3]:
        arm = junction.arms[0]
        line = world.network.roads[arm.road - 1].line
        mouth = line.end if arm.at_end else compose(line.start, (0.0, 0.0, math.pi))
        ego = compose(mouth, (-9.0, -LANE_WIDTH / 2.0, 0.0))
        spot = pixel(ego, (*compose(mouth, (-0.4, -LANE_WIDTH / 2.0, 0.0))[:2], 0.0))
        assert spot is not None
        assert bare.picture(ego)[spot].min() > 90
        assert Stage(world, unlit).picture(ego)[spot].argmax() == 2
    unlit.close()


def test_what_is_unknown_is_named() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="'noon': there are day, dusk, night, fog"):
        make_look("train", "noon", rng)
    with pytest.raises(ValueError, match="'test': there are train"):
        make_look("test", "day", rng)
    with pytest.raises(ValueError, match="'rear': there are front, left, right"):
        TownScene(town("train", 0, "day", things=False), SIZE, ("front", "rear"))


@given(metres=st.floats(1.0, 300.0), grey=st.integers(0, 255))
def test_fog_takes_what_is_far_and_leaves_what_is_near(metres: float, grey: int) -> None:
    camera = intrinsics((12, 20))
    fog = Fog(60.0, (0.8, 0.8, 0.8), (12, 20), camera)
    depth = np.full((12, 20), metres, np.float32)
    image = np.full((12, 20, 3), grey, np.uint8)
    left = np.abs(fog.shade(image, depth)[6, 10].astype(float) - 204.0).max()
    assert left <= abs(grey - 204.0) * 0.11 ** (metres / 60.0) + 1.5
    assert left >= abs(grey - 204.0) * 0.11 ** (1.1 * metres / 60.0) - 1.5


def test_head_lamps_light_the_road_ahead_and_little_else() -> None:
    camera = intrinsics(SIZE)
    image = np.full((*SIZE, 3), 20, np.uint8)
    rows = np.arange(SIZE[0]) + 0.5 - camera.cy
    down = np.where(rows > 0.0, 2.3 * camera.fy / np.maximum(rows, 1e-3), 300.0)
    depth = np.repeat(np.minimum(down, 300.0)[:, None], SIZE[1], axis=1).astype(np.float32)
    front = HeadLamps(CAMERAS["front"], SIZE, camera).shade(image, depth)[..., 0]
    assert front.min() >= 20
    ego = (0.0, 0.0, 0.0)
    brightness = [int(front[pixel(ego, (x, 0.0, 0.0)) or (0, 0)]) for x in (8.0, 15.0, 30.0, 60.0)]
    assert brightness == sorted(brightness, reverse=True) and brightness[1] > 45
    assert front[: SIZE[0] // 2 - 8].max() < 30
    assert front[pixel(ego, (8.0, 7.0, 0.0)) or (0, 0)] < brightness[0] / 1.5
    behind = CameraMount(-2.0, 0.0, 2.3, math.pi)
    assert (HeadLamps(behind, SIZE, camera).shade(image, depth) == 20).all()


def test_the_picture_is_as_wide_as_said() -> None:
    fx, fy, cx, cy = intrinsics(SIZE)
    assert 2.0 * math.atan(cx / fx) == pytest.approx(HORIZONTAL_FOV) and fx == fy and (cx, cy) == (160.0, 96.0)
