"""What stands beside the streets of a town: buildings, trees, street lamps, and the signals at its junctions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import shapely

from wam_models.se2 import Vector, compose
from wam_sim.objects import Colour, Part, Thing
from wam_sim.town.ground import streets
from wam_sim.town.lights import Lights
from wam_sim.town.network import LANE_WIDTH, SIDEWALK_WIDTH, Junction, Road, RoadEnd, RoadNetwork

# Materials of the town's scene: fronts of buildings, and what shines by itself when it is dark.
FRONTS = tuple(f"front{number}" for number in range(8))
LAMP = "lamp"
# m of a front for each of its windows.
BAY, STOREY = 2.9, 3.2

# m from the middle of a road to the outer edge of its sidewalk.
_OUTER = LANE_WIDTH + SIDEWALK_WIDTH
# m of a street that what stands beside it keeps.
_CLEAR = 0.35
_LAMP_HEIGHT = 6.0  # m

# Of a signal, seen by whoever arrives: m beyond the stop line and m left of the middle of the road.
_POLE_AT = (1.0, -LANE_WIDTH - 0.75)
_OVERHEAD_AT = (6.0, -LANE_WIDTH / 2.0)
# m up to the middle lamps.
_POLE_HEAD_HEIGHT, _OVERHEAD_HEIGHT = 3.0, 4.5
_STEEL: Colour = (0.25, 0.26, 0.27)


@dataclass(frozen=True)
class SignalHead:
    """Three lamps on a board. pose: on the ground below it, facing who arrives; height: m of the middle lamp; arm: the
    road end that it is for."""

    junction: int
    arm: RoadEnd
    pose: Vector
    height: float


def signal_heads(network: RoadNetwork, lights: Mapping[int, Lights]) -> tuple[SignalHead, ...]:
    """Two for every arm of every junction with lights: on the pole and over the lane."""
    heads = []
    for junction, arm, mouth in _arms(network, lights):
        for (ahead, aside), height in ((_POLE_AT, _POLE_HEAD_HEIGHT), (_OVERHEAD_AT, _OVERHEAD_HEIGHT)):
            heads.append(SignalHead(junction.id, arm, compose(mouth, (ahead, aside, math.pi)), height))
    return tuple(heads)


def signal_poles(network: RoadNetwork, lights: Mapping[int, Lights]) -> tuple[Thing, ...]:
    """What holds the heads, one thing of kind `signal` for every arm: a pole and an arm over the lane."""
    reach, across = _OVERHEAD_AT[0] - _POLE_AT[0], _OVERHEAD_AT[1] - _POLE_AT[1]
    length, top = math.hypot(reach, across), _OVERHEAD_HEIGHT + 1.1
    arm_over = Part(
        "box",
        (length / 2.0, 0.07, 0.07),
        (reach / 2.0 + 0.15, across / 2.0, top),
        _STEEL,
        rpy=(0.0, 0.0, math.atan2(across, reach)),
    )
    pole = Part("cylinder", (0.11, (top + 0.1) / 2.0), (0.2, 0.0, (top + 0.1) / 2.0), _STEEL)
    return tuple(
        Thing("signal", (pole, arm_over), compose(mouth, (*_POLE_AT, 0.0))) for _, _, mouth in _arms(network, lights)
    )


def surroundings(network: RoadNetwork, split: str, rng: np.random.Generator) -> tuple[Thing, ...]:
    """Nothing stands on a street or in another thing; all of it lies within 40 m of a road. The looks of unseen towns
    differ in their fronts, which are the scene's, and in flat roofs and conifers, which no other has."""
    site = _Site(network)
    things: list[Thing] = []
    for road in network.roads:
        for side in (1.0, -1.0):
            things += _along(road, side, site, rng, split)
    return tuple(things)


def _arms(network: RoadNetwork, lights: Mapping[int, Lights]) -> Iterator[tuple[Junction, RoadEnd, Vector]]:
    """With the pose in the middle of the road where it ends, facing the junction."""
    roads = {road.id: road for road in network.roads}
    for junction in network.junctions:
        if junction.id in lights:
            for arm in junction.arms:
                line = roads[arm.road].line
                mouth = line.end if arm.at_end else compose(line.start, (0.0, 0.0, math.pi))
                yield junction, arm, mouth


class _Site:
    """Where something may still be built."""

    def __init__(self, network: RoadNetwork) -> None:
        self._streets = shapely.STRtree(streets(network))
        self._built: list[tuple[float, float, float, shapely.Geometry]] = []

    def take(self, thing: Thing, apart: float) -> bool:
        """Whether there is room for a thing, which then is taken. apart: m to all that stands there."""
        outline = thing.footprint()
        if len(self._streets.query(outline, "dwithin", _CLEAR)):
            return False
        x0, y0, x1, y1 = outline.bounds
        x, y, radius = (x0 + x1) / 2.0, (y0 + y1) / 2.0, math.hypot(x1 - x0, y1 - y0) / 2.0
        for there_x, there_y, reach, other in self._built:
            if math.hypot(there_x - x, there_y - y) < reach + radius + apart and other.distance(outline) < apart:
                return False
        self._built.append((x, y, radius, outline))
        return True


def _along(road: Road, side: float, site: _Site, rng: np.random.Generator, split: str) -> list[Thing]:
    """One side of a road: lamps first, then buildings, then trees where there is room."""
    things = []

    def beside(s: float, away: float) -> Vector:
        """Facing the road, `away` metres behind the sidewalk."""
        return compose(road.line.pose(s), (0.0, side * (_OUTER + away), -side * math.pi / 2.0))

    def put(thing: Thing, apart: float) -> None:
        if site.take(thing, apart):
            things.append(thing)

    gap = float(rng.uniform(22.0, 30.0))
    for s in np.arange(gap / (3.0 if side > 0 else 1.5), road.line.length, gap):
        put(Thing("street_lamp", _street_lamp(), beside(float(s), 0.5)), 0.3)
    for away in (float(rng.uniform(2.0, 4.5)), float(rng.uniform(22.0, 25.0))):
        s = float(rng.uniform(-12.0, 0.0))
        while s < road.line.length + 12.0:
            front, depth = float(rng.uniform(8.0, 18.0)), float(rng.uniform(7.0, 12.0))
            pose = beside(s + front / 2.0, away + depth / 2.0 + float(rng.uniform(0.0, 1.5)))
            if rng.random() < 0.85:
                put(Thing("building", _building(front, depth, split, rng), pose), 0.8)
            s += front + float(rng.uniform(0.8, 6.0))
    for s in np.arange(float(rng.uniform(2.0, 8.0)), road.line.length, float(rng.uniform(7.0, 14.0))):
        if rng.random() < 0.75:
            put(Thing("tree", _tree(split, rng), beside(float(s), float(rng.uniform(0.8, 1.6)))), 0.5)
    return things


def _street_lamp() -> tuple[Part, ...]:
    """Its arm reaches over the sidewalk."""
    half = _LAMP_HEIGHT / 2.0
    return (
        Part("cylinder", (0.09, half), (0.0, 0.0, half), _STEEL),
        Part("box", (0.75, 0.05, 0.05), (0.75, 0.0, _LAMP_HEIGHT), _STEEL),
        Part("box", (0.35, 0.16, 0.06), (1.5, 0.0, _LAMP_HEIGHT - 0.1), (1.0, 0.88, 0.6), material=LAMP),
    )


def _building(front: float, depth: float, split: str, rng: np.random.Generator) -> tuple[Part, ...]:
    """x towards the street."""
    height = int(rng.choice([2, 3, 4, 5], p=[0.3, 0.3, 0.25, 0.15])) * STOREY * float(rng.uniform(0.88, 1.12))
    dark = (0.25 + 0.2 * float(rng.random()), 0.2, 0.18)
    walls = Part(
        "box",
        (depth / 2.0, front / 2.0, height / 2.0),
        (0.0, 0.0, height / 2.0),
        (0.7, 0.7, 0.7),
        material=FRONTS[int(rng.integers(len(FRONTS)))],
    )
    if split == "unseen":  # flat, with something technical on top
        roof = Part("box", (depth / 5.0, front / 5.0, 0.9), (0.0, 0.0, height + 0.9), dark)
    else:
        roof = Part("box", (depth / 2.0 + 0.3, front / 2.0 + 0.3, 0.3), (0.0, 0.0, height + 0.3), dark)
    return walls, roof


def _tree(split: str, rng: np.random.Generator) -> tuple[Part, ...]:
    trunk = float(rng.uniform(1.6, 2.4))
    green = (float(rng.uniform(0.1, 0.32)), float(rng.uniform(0.3, 0.5)), float(rng.uniform(0.08, 0.2)))
    stem = Part("cylinder", (float(rng.uniform(0.1, 0.18)), trunk / 2.0), (0.0, 0.0, trunk / 2.0), (0.3, 0.22, 0.15))
    width = float(rng.uniform(1.0, 1.5))
    if split == "unseen":
        layers = tuple(
            Part("cylinder", (width * share, 0.6), (0.0, 0.0, trunk + 0.6 + 1.2 * number), green)
            for number, share in enumerate((0.9, 0.6, 0.3))
        )
        return stem, *layers
    tall = float(rng.uniform(1.2, 2.2))
    return stem, Part("ellipsoid", (width, width, tall), (0.0, 0.0, trunk + 0.8 * tall), green)
