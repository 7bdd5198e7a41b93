"""Yard worlds: procedural places to walk through, the same for the same split and seed.

The world frame is the robot's odom frame: x forward and y left of where it starts, which is always (0, 0) facing +x.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely
from shapely.geometry import Point

from wam_sim import objects
from wam_sim.navigation import NavigationField
from wam_sim.objects import Part, Thing

# `gaps` is for training too: like `train`, with more in the lane, and mostly what one sees the ground beneath.
SPLITS = ("train", "val", "unseen", "gaps")
# Seeds of different splits never meet: the generator is seeded with (split number, seed).
_SPLIT_NUMBER = {split: number for number, split in enumerate(SPLITS)}

GOAL_DISTANCE = (8.0, 12.0)
# Metres left free between things: a Go2 is 0.32 m wide, and a gap the expert would not take teaches nothing.
MIN_GAP = 0.9


@dataclass(frozen=True)
class Appearance:
    """How a world looks. floor, wall, panel: texture names with two colours each; light: sun or lamp colour, 0 to 1;
    ambient: light from everywhere, 0 to 1; night: the robot's own lamp and street lamps are on."""

    floor: tuple[str, objects.Colour, objects.Colour]
    wall: tuple[str, objects.Colour, objects.Colour]
    panel: tuple[str, objects.Colour, objects.Colour]
    sky: tuple[objects.Colour, objects.Colour]
    light: objects.Colour
    light_direction: tuple[float, float, float]
    ambient: float
    night: bool
    lamps: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class YardWorld:
    """One place, one start, one goal. kind: "indoor" or "outdoor"; goal: (x, y) m; bounds: (x0, y0, x1, y1) m."""

    split: str
    seed: int
    kind: str
    goal: tuple[float, float]
    bounds: tuple[float, float, float, float]
    things: tuple[Thing, ...]
    appearance: Appearance
    field: NavigationField

    start: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def name(self) -> str:
        """Short and unique: split, seed, kind, and night when it is."""
        return f"{self.split}-{self.seed}-{self.kind}" + ("-night" if self.appearance.night else "")

    @property
    def static_footprints(self) -> list[shapely.Geometry]:
        return [thing.footprint() for thing in self.things if thing.beat is None]

    @property
    def walkers(self) -> list[Thing]:
        return [thing for thing in self.things if thing.beat is not None]


_TEXTURES_KNOWN = ("plain", "noise", "tiles", "planks")
_TEXTURES_UNSEEN = ("hexagons", "stripes", "blotches")


def _colour_pair(rng: np.random.Generator, low: float, high: float) -> tuple[objects.Colour, objects.Colour]:
    base = rng.uniform(low, high) + rng.normal(0, 0.06, 3)
    other = base * rng.uniform(0.6, 0.9)
    return tuple(np.clip(base, 0.02, 1)), tuple(np.clip(other, 0.02, 1))  # type: ignore[return-value]


def _appearance(rng: np.random.Generator, split: str, indoor: bool, night: bool) -> Appearance:
    textures = _TEXTURES_UNSEEN if split == "unseen" else _TEXTURES_KNOWN
    floor, wall, panel = (str(rng.choice(textures)) for _ in range(3))
    blue = np.array([0.35, 0.55, 0.85]) if rng.random() < 0.5 else np.array([0.75, 0.75, 0.78])
    if night:
        sky = ((0.02, 0.02, 0.05), (0.0, 0.0, 0.01))
        strength, ambient = 0.06, rng.uniform(0.07, 0.13)
    else:
        sky = (tuple(np.clip(blue * rng.uniform(0.8, 1.1), 0, 1)), tuple(np.clip(blue * 0.6, 0, 1)))
        strength, ambient = rng.uniform(0.35, 0.8), rng.uniform(0.2, 0.5)
    warm = np.array([1.0, rng.uniform(0.82, 1.0), rng.uniform(0.65, 1.0)])
    angle = rng.uniform(0, 2 * np.pi)
    tilt = rng.uniform(0.1, 0.5) if indoor else rng.uniform(0.3, 1.2)
    return Appearance(
        floor=(floor, *_colour_pair(rng, 0.25, 0.75)),
        wall=(wall, *_colour_pair(rng, 0.35, 0.9)),
        panel=(panel, *_colour_pair(rng, 0.6, 1.0)),
        sky=sky,  # type: ignore[arg-type]
        light=tuple(warm * strength),  # type: ignore[arg-type]
        light_direction=(tilt * np.cos(angle), tilt * np.sin(angle), -1.0),
        ambient=float(ambient),
        night=night,
        lamps=tuple((float(rng.uniform(1, 10)), float(rng.uniform(-3.5, 3.5))) for _ in range(2)) if night else (),
    )


def _wall(x0: float, y0: float, x1: float, y1: float, height: float, along: float) -> Thing:
    """A wall from (x0, y0) to (x1, y1) in the lane's frame, which is turned by `along` rad against the world's."""
    c, s = np.cos(along), np.sin(along)
    middle = np.array([[c, -s], [s, c]]) @ np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    length = float(np.hypot(x1 - x0, y1 - y0))
    part = Part("box", (length / 2, 0.08, height / 2), (0, 0, height / 2), (1, 1, 1), material="wall")
    return Thing("wall", (part,), (float(middle[0]), float(middle[1]), along + float(np.arctan2(y1 - y0, x1 - x0))))


def _rooms(rng: np.random.Generator, distance: float, along: float) -> list[Thing]:
    """Outer walls of a hall or corridor round the lane, and partitions with a doorway across it."""
    half = rng.uniform(2.5, 4.5)
    shift = rng.uniform(-0.3, 0.3) * half
    left, right, back, front = half + shift, -half + shift, -2.0, distance + 2.2
    height = 2.6
    walls = [
        _wall(back, left, front, left, height, along),
        _wall(back, right, front, right, height, along),
        _wall(back, right, back, left, height, along),
        _wall(front, right, front, left, height, along),
    ]
    if rng.random() < 0.6:
        x = rng.uniform(3.0, distance - 2.5)
        door = rng.uniform(1.5, 2.2)
        middle = float(np.clip(rng.normal(0, 1.2), right + door / 2 + 0.4, left - door / 2 - 0.4))
        walls += [
            _wall(x, right, x, middle - door / 2, height, along),
            _wall(x, middle + door / 2, x, left, height, along),
        ]
    return walls


def _backdrop(rng: np.random.Generator, distance: float) -> list[Thing]:
    """Buildings around a plaza, too far away to matter for anything but the picture."""
    things = []
    for _ in range(int(rng.integers(3, 8))):
        angle, far = rng.uniform(-np.pi, np.pi), rng.uniform(10, 22)
        size = (rng.uniform(1.5, 5), rng.uniform(1.5, 5), rng.uniform(1.0, 4.5))
        colour, _ = _colour_pair(rng, 0.3, 0.9)
        x, y = distance / 2 + (far + distance / 2) * np.cos(angle), far * np.sin(angle)
        part = Part("box", size, (0, 0, size[2]), colour, material="wall")
        things.append(Thing("building", (part,), (float(x), float(y), rng.uniform(0, np.pi))))
    return things


def _place(
    rng: np.random.Generator,
    maker: objects.Maker,
    at: tuple[float, float],
    taken: list[shapely.Geometry],
    keep_free: list[shapely.Geometry],
) -> Thing | None:
    thing = Thing(maker.__name__, maker(rng), (at[0], at[1], float(rng.uniform(-np.pi, np.pi))))
    outline = thing.footprint()
    if any(outline.distance(zone) < 0.55 for zone in keep_free):
        return None
    if any(outline.distance(other) < MIN_GAP for other in taken):
        return None
    return thing


def _attempt(rng: np.random.Generator, split: str, seed: int) -> YardWorld | None:
    # Kind and light follow the seed so that any run of seeds holds every kind in fixed shares.
    indoor = seed % 2 == 0
    night = split == "unseen" and seed % 3 == 2
    distance = float(rng.uniform(*GOAL_DISTANCE))
    along = float(rng.uniform(-0.7, 0.7)) if not indoor else float(rng.uniform(-0.45, 0.45))
    c, s = np.cos(along), np.sin(along)
    goal = (distance * float(c), distance * float(s))

    walls = _rooms(rng, distance, along) if indoor else []
    if split == "unseen":
        makers = objects.UNSEEN
    else:
        makers = objects.KNOWN_INDOOR if indoor else objects.KNOWN_OUTDOOR
        makers += objects.TRAINING.get(split, ())
    things: list[Thing] = []
    taken = [wall.footprint() for wall in walls]
    keep_free = [Point(0, 0).buffer(0.5), Point(goal).buffer(0.3)]

    def lane(u: float, v: float) -> tuple[float, float]:
        return float(c * u - s * v), float(s * u + c * v)

    if split == "unseen" and rng.random() < 0.5:
        u, v = rng.uniform(3.5, distance - 2.0), rng.uniform(-1.2, 1.2)
        beat = (float(rng.uniform(1.5, 3.0)), float(rng.uniform(0.3, 0.7)))
        walker = Thing("person", objects.person(rng), (*lane(u, v), along + float(rng.uniform(-np.pi, np.pi))), beat)
        direction = walker.pose[2]
        end = (walker.pose[0] + beat[0] * np.cos(direction), walker.pose[1] + beat[0] * np.sin(direction))
        sweep = shapely.LineString([walker.pose[:2], end]).buffer(objects.PERSON_RADIUS)
        if all(sweep.distance(other) > 0.3 for other in taken + keep_free):
            things.append(walker)
            taken.append(sweep)

    wanted_on_lane = int(rng.integers(0, 3)) + (split == "gaps")
    wanted = int(rng.integers(9, 19))
    for _ in range(wanted * 8):
        on_lane = sum(1 for thing in things if thing.kind != "person") < wanted_on_lane
        u = rng.uniform(1.6, distance - 1.0) if on_lane else rng.uniform(0.5, distance + 1.5)
        v = rng.normal(0, 0.4) if on_lane else rng.uniform(-4.2, 4.2)
        maker = makers[int(rng.integers(len(makers)))]
        thing = _place(rng, maker, lane(u, v), taken, keep_free)
        if thing is not None:
            things.append(thing)
            taken.append(thing.footprint())
        if len(things) >= wanted:
            break

    if len(things) < 6:
        return None
    margin = 2.6 if indoor else 4.0
    corners = np.array([lane(u, v) for u in (-margin, distance + margin) for v in (-5.0, 5.0)])
    bounds = (*corners.min(axis=0), *corners.max(axis=0))
    # What stands in the lane is in the field; a building that reached into it would be a wall nobody knows of.
    lane_area = shapely.box(*bounds)
    scenery = [] if indoor else [b for b in _backdrop(rng, distance) if not b.footprint().intersects(lane_area)]
    field = NavigationField.build(
        [thing.footprint() for thing in (*walls, *things) if thing.beat is None], bounds, goal
    )
    cost = field.path_length((0.0, 0.0))
    if not np.isfinite(cost) or cost > 1.6 * distance:
        return None
    return YardWorld(
        split=split,
        seed=seed,
        kind="indoor" if indoor else "outdoor",
        goal=goal,
        bounds=tuple(float(b) for b in bounds),  # type: ignore[arg-type]
        things=(*walls, *things, *scenery),
        appearance=_appearance(rng, split, indoor, night),
        field=field,
    )


def make_world(split: str, seed: int) -> YardWorld:
    """The world of a split and a seed. Even seeds are indoor, odd ones outdoor; every third seed of `unseen` is night.

    Raises ValueError for another split or a negative seed.
    """
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: choose one of {', '.join(SPLITS)}")
    if seed < 0:
        raise ValueError(f"a seed is 0 or more, got {seed}")
    rng = np.random.default_rng([_SPLIT_NUMBER[split], seed])
    while True:  # a layout without a way through is thrown away; about one in ten is
        world = _attempt(rng, split, seed)
        if world is not None:
            return world


def aimed_at(world: YardWorld, goal: tuple[float, float]) -> YardWorld:
    """The same place with another goal, (x, y) m."""
    return replace(world, goal=goal, field=NavigationField.build(world.static_footprints, world.bounds, goal))
