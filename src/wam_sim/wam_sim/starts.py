"""Where recorded runs begin, and where they are to go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import shapely

from wam_sim.expert import body_clearance
from wam_sim.worlds import YardWorld, aimed_at

_ROOM = 0.45  # m around a start or a goal that is drawn


@dataclass(frozen=True)
class Start:
    """world: with the goal of the run; pose: x, y m and yaw rad in odom; speed: m/s forward."""

    world: YardWorld
    pose: tuple[float, float, float]
    speed: float = 0.0


@dataclass(frozen=True)
class Starts:
    """A way to begin. each: runs that a world gives; time_limit: s that one may last; draw: (world, episode, generator)
    to the start of that run."""

    each: int
    time_limit: float
    draw: Callable[[YardWorld, int, np.random.Generator], Start]


def _lane(world: YardWorld, episode: int, rng: np.random.Generator) -> Start:
    """Where the world says at first, then anywhere free with the goal more or less ahead."""
    if not episode:
        return Start(world, world.start)
    while True:
        x, y = _free_point(world, rng)
        if 2.0 < world.field.path_length((x, y)) < 13.0:
            bearing = np.arctan2(world.goal[1] - y, world.goal[0] - x)
            return Start(world, (x, y, float(bearing + rng.normal(0, 0.7))))


def _close(world: YardWorld, _: int, rng: np.random.Generator) -> Start:
    """Facing something within reach of two seconds, at a speed from which it can still be avoided."""
    things = [thing for thing in world.things if thing.kind != "building" and thing.beat is None]
    while True:
        outline = things[int(rng.integers(len(things)))].footprint()
        if outline.is_empty:
            continue
        edge = outline.exterior if isinstance(outline, shapely.Polygon) else outline.convex_hull.exterior
        aimed = np.array(edge.interpolate(rng.uniform(0, 1), normalized=True).coords[0])
        away, far = rng.uniform(-np.pi, np.pi), rng.uniform(0.5, 1.5)
        point = aimed + far * np.array([np.cos(away), np.sin(away)])
        heading = float(away + np.pi + rng.normal(0, 0.4))
        free = float(body_clearance(world.field, np.array([*point, heading])))
        if free > 0.04 and 1.0 < world.field.path_length((point[0], point[1])) < 13.0:
            return Start(world, (float(point[0]), float(point[1]), heading), float(rng.uniform(0, min(0.7, 2 * free))))


def _anywhere(world: YardWorld, _: int, rng: np.random.Generator) -> Start:
    """A goal somewhere in the world, and a start somewhere else, facing any way."""
    while True:
        world = aimed_at(world, _free_point(world, rng))
        for _ in range(20):
            start = _free_point(world, rng)
            if 2.0 < world.field.path_length(start) < 13.0:
                return Start(world, (*start, float(rng.uniform(-np.pi, np.pi))))


def another_goal(world: YardWorld, start: tuple[float, float], rng: np.random.Generator) -> YardWorld:
    """The same place with a goal anywhere in it that can be reached from the start, (x, y) m."""
    while True:
        aimed = aimed_at(world, _free_point(world, rng))
        if np.isfinite(aimed.field.path_length(start)):
            return aimed


def _free_point(world: YardWorld, rng: np.random.Generator) -> tuple[float, float]:
    x0, y0, x1, y1 = world.bounds
    while True:
        point = float(rng.uniform(x0, x1)), float(rng.uniform(y0, y1))
        if world.field.clearance_at(np.array(point)) > _ROOM:
            return point


STARTS = {
    "lane": Starts(2, 25.0, _lane),
    "close": Starts(8, 3.0, _close),  # what a good driver seldom sees from there
    "anywhere": Starts(4, 12.0, _anywhere),  # the goal behind a wall as often as not
}
