"""A drive to look at: the roads round the car, who else is there, lights, and the route."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wam_models.se2 import compose
from wam_sim.town.car import CarModel
from wam_sim.town.lights import Colour as Light
from wam_sim.town.network import LANE_WIDTH, LaneId
from wam_sim.town.scene import CAMERAS
from wam_sim.town.world import TownWorld
from wam_tools.demo.drawing import INK, PATH, PERSON, ROBOT, THING, WALL, Canvas, Colour
from wam_tools.demo.drive_truth import DriveTrack

_SIGHT = 60.0  # m, from the upper edge of the page to the lower one
_AHEAD = 14.0  # m that the page's middle lies before the car: what is ahead matters more
_STEP = 2.0  # m between two points of a line
_ROAD: Colour = (214, 210, 204)
_ROUTE: Colour = (235, 190, 150)
_CAR: Colour = (120, 90, 70)
_LIGHTS: dict[Light, Colour] = {Light.RED: (60, 60, 220), Light.YELLOW: (40, 190, 240), Light.GREEN: (80, 190, 70)}


class TownScene:
    """See media.Scene."""

    def __init__(self, world: TownWorld, track: DriveTrack) -> None:
        model, mount = CarModel(), CAMERAS["front"]
        self.name, self.width = world.name, model.width
        self.position, self.pitch = np.array(mount[:3]), 0.0
        self.way, self.speeds = track.poses, track.speeds
        self._world, self._track, self._model = world, track, model
        self._lanes = [np.array(lane.centre.poses(_STEP))[:, :2] for lane in world.network.lanes.values()]
        route = world.route
        self._route = np.array([route.pose(s)[:2] for s in (*np.arange(0.0, route.length, _STEP), route.length)])
        shapes = [(thing.kind, thing.footprint()) for thing in world.things]
        self._things = [
            (WALL if kind == "building" else THING, np.array(shape.convex_hull.exterior.coords))
            for kind, shape in shapes
            if shape is not None and not shape.is_empty
        ]
        self._stops = [
            (way.junction, way.entry, np.array(world.network.lanes[LaneId(way.id, -1)].centre.start))
            for way in world.network.connections
            if way.junction in world.lights
        ]

    def above(self, size: tuple[int, int], moment: float, plan: np.ndarray | None) -> np.ndarray:
        """See media.Scene. The car drives up the page."""
        track, step = self._track, self._track.at(moment)
        pose = track.poses[step]
        scale = size[0] / _SIGHT
        middle = pose[:2] + _AHEAD * np.array([math.cos(pose[2]), math.sin(pose[2])])
        page = Canvas(size, scale, middle, pose[2])
        for lane in self._lanes:
            if _near(lane, middle):
                page.line(lane, _ROAD, max(round(LANE_WIDTH * scale) + 2, 1))
        page.line(self._route[np.hypot(*(self._route - middle).T) < 2.0 * _SIGHT], _ROUTE, 3)
        for colour, corners in self._things:
            if _near(corners, middle):
                page.polygon(corners, colour)
        self._draw_lights(page, middle, float(track.town_times[step]))
        self._draw_others(page, moment)
        first = max(step - 400, 0)
        if step - first > 2:
            page.line(track.poses[first:step:4], PATH)
        page.polygon(_box(pose, self._model.length, self._model.width), ROBOT)
        page.line(np.array([pose[:2], compose(tuple(pose), (0.5 * self._model.length, 0.0, 0.0))[:2]]), INK)
        if plan is not None:
            page.plan(pose, plan)
        return page.image

    def texts(self, moment: float) -> list[str]:
        """Speed, and how much of the route is done."""
        step = self._track.at(moment)
        return [f"{self.speeds[step]:.1f} m/s", f"route {100.0 * self._track.completions[step]:.0f} %"]

    def said(self, moment: float) -> str:
        """The instruction."""
        return self._track.instructions[self._track.at(moment)]

    def plot(self, axes: Any) -> None:
        """See media.Scene."""
        for lane in self._lanes:
            axes.plot(lane[:, 0], lane[:, 1], color="0.8", linewidth=3.0, zorder=0)
        axes.plot(self._route[:, 0], self._route[:, 1], "--", color="tab:blue", linewidth=0.8, label="route")
        axes.plot(*self._route[0], "o", color="black", label="start")
        axes.plot(*self._route[-1], "o", color="tab:red", label="end")
        line = np.vstack([self.way[:, :2], self._route])
        (x0, y0), (x1, y1) = line.min(axis=0), line.max(axis=0)
        axes.set(xlim=(x0 - 12.0, x1 + 12.0), ylim=(y0 - 12.0, y1 + 12.0))

    def _draw_lights(self, page: Canvas, middle: np.ndarray, town_time: float) -> None:
        """A bar at each stop line."""
        for junction, arm, start in self._stops:
            if np.hypot(*(start[:2] - middle)) < _SIGHT:
                ends = [compose(tuple(start), (0.0, side * 0.45 * LANE_WIDTH, 0.0))[:2] for side in (1.0, -1.0)]
                page.line(np.array(ends), _LIGHTS[self._world.lights[junction].colour(arm, town_time)], 4)

    def _draw_others(self, page: Canvas, moment: float) -> None:
        track = self._track
        if not len(track.frames):
            return
        seen = int(np.abs(track.frames - moment).argmin())
        for x, y, yaw, length, width in track.vehicles[seen]:
            page.polygon(_box(np.array([x, y, yaw]), length, width), _CAR)
        for walker in track.walkers[seen]:
            page.circle(np.array(walker), 4, PERSON)


def _near(points: np.ndarray, middle: np.ndarray) -> bool:
    low, high = points.min(axis=0) - _SIGHT, points.max(axis=0) + _SIGHT
    return bool((low < middle).all() and (middle < high).all())


def _box(pose: np.ndarray, length: float, width: float) -> np.ndarray:
    """(4, 2) corners of a car."""
    here = tuple(pose.tolist())
    corners = ((0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5), (0.5, -0.5))
    return np.array([compose(here, (length * along, width * aside, 0.0))[:2] for along, aside in corners])
