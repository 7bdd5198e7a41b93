"""A walk to look at: the yard, who walks about in it, and the goal."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.patches import Circle, Polygon

from wam_go2.calibration import load_calibration
from wam_planner.bringup import config_file
from wam_sim.body import WIDTH
from wam_sim.simulation import GOAL_RADIUS
from wam_sim.worlds import YardWorld
from wam_tools.demo.drawing import TopView
from wam_tools.demo.truth import Track


class YardScene:
    """See media.Scene."""

    width = WIDTH

    def __init__(self, world: YardWorld, track: Track) -> None:
        calibration = load_calibration(config_file("go2_camera_sim.yaml"))
        self.name, self.position, self.pitch = world.name, calibration.position, calibration.pitch
        self.way, self.speeds = track.poses, np.hypot(*track.twists[:, :2].T)
        self._world, self._track = world, track
        self._top: TopView | None = None

    def above(self, size: tuple[int, int], moment: float, plan: np.ndarray | None) -> np.ndarray:
        """See media.Scene."""
        track, step = self._track, self._step(moment)
        self._top = self._top or TopView(self._world, size)
        nearest = int(np.abs(track.frames - moment).argmin()) if len(track.frames) else 0
        walkers = np.array(track.walkers[nearest]) if len(track.frames) else np.empty((0, 3))
        return self._top.draw(track.poses[:step:5], track.poses[step], plan, walkers)

    def texts(self, moment: float) -> list[str]:
        """Speed, and the way to the goal."""
        step = self._step(moment)
        distance = float(np.hypot(*(self.way[step, :2] - self._world.goal)))
        return [f"{self.speeds[step]:.2f} m/s", f"goal {distance:.1f} m"]

    def said(self, moment: float) -> str:
        """The same all the way."""
        return ""

    def plot(self, axes: Any) -> None:
        """See media.Scene."""
        world, line = self._world, self.way[:, :2]
        for thing in world.things:
            shape = thing.footprint() if thing.beat is None else None
            for part in getattr(shape, "geoms", [shape]) if shape is not None else ():
                axes.add_patch(
                    Polygon(np.array(part.exterior.coords), facecolor="0.75", edgecolor="0.45", linewidth=0.5)
                )
        axes.plot(*world.start[:2], "o", color="black", label="start")
        axes.add_patch(
            Circle(world.goal, GOAL_RADIUS, facecolor="none", edgecolor="tab:red", linewidth=1.5, label="goal")
        )
        for walkers in self._track.walkers[::10]:
            for walker in walkers:
                axes.plot(walker[0], walker[1], ".", color="tab:purple", markersize=4)
        axes.set(
            xlim=(min(line[:, 0].min(), 0.0) - 1.5, max(line[:, 0].max(), world.goal[0]) + 1.5),
            ylim=(min(line[:, 1].min(), world.goal[1]) - 2.0, max(line[:, 1].max(), world.goal[1]) + 2.0),
        )

    def _step(self, moment: float) -> int:
        return int(np.clip(np.searchsorted(self._track.times, moment), 0, len(self._track.times) - 1))
