"""The privileged driver of the town: it keeps the rules, and says where it will be in the next four seconds.

It foresees what anybody could: everybody goes on as they do, and lights keep their colour.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wam_models.types import Trajectory
from wam_sim.town.driving import Vehicle, View, decide
from wam_sim.town.idm import Driver
from wam_sim.town.simulation import TownSimulation
from wam_sim.town.traffic import moved
from wam_sim.town.ways import LaneTable, Way

_STEP = 0.25  # s between two decisions of the look-ahead
# Who learns from it errs by a metre, so it stands a metre farther from lines and bumpers than the traffic does; and
# sees what stands still from a dozen metres, which at 5 m/s is time enough to stop.
_CAREFUL = Driver(speed=5.0, headway=1.8, standing=3.5)


class TownExpert:
    """Answers for the car of one simulation; it remembers nothing between plans."""

    horizon = 8
    dt = 0.5

    def __init__(self, simulation: TownSimulation) -> None:
        self._simulation = simulation

    def plan(self, way: Way | None = None, speed: float | None = None) -> Trajectory:
        """Where it will be, in base_link. way: another one than the route, which it has been on all the time; speed:
        another one than the car's, m/s."""
        simulation = self._simulation
        view, ego = simulation.view, simulation.ego
        if way is not None:
            ego = replace(ego, way=way)
        if speed is not None:
            ego = replace(ego, speed=speed)
        pose = np.array(simulation.state.pose)
        lead_in, lean = self._lead_in(ego, pose), 0.0
        others = replace(view, vehicles=view.vehicles[:-1], poses=view.poses[:-1])
        poses = []
        for step in range(round(self.horizon * self.dt / _STEP)):
            now = moved(others, simulation.movers, step * _STEP)
            before, ego = ego, self._advance(ego, now, simulation.table, lead_in)
            driven = ego.s - before.s
            lean = (ego.beside - before.beside) / driven if driven > 0.02 else (lead_in.slope if not step else lean)
            if (step + 1) % round(self.dt / _STEP) == 0:
                poses.append(self._pose(ego, lean))
        ahead = np.array(poses) - pose
        c, s = np.cos(pose[2]), np.sin(pose[2])
        ahead[:, :2] = ahead[:, :2] @ np.array([[c, -s], [s, c]])
        ahead[:, 2] = (ahead[:, 2] + np.pi) % (2.0 * np.pi) - np.pi
        return Trajectory(simulation.time, self.dt, ahead)

    def _advance(self, ego: Vehicle, view: View, table: LaneTable, lead_in: _LeadIn) -> Vehicle:
        decision = decide(ego, None, _CAREFUL, view, table, self._simulation.bulges)
        speed = max(ego.speed + decision.acceleration * _STEP, 0.0)
        driven = 0.5 * (ego.speed + speed) * _STEP
        line = float(np.interp(driven, np.arange(len(decision.beside)), decision.beside))
        return replace(ego, s=ego.s + driven, speed=speed, beside=lead_in.beside(ego.s + driven, line))

    def _lead_in(self, ego: Vehicle, pose: np.ndarray) -> _LeadIn:
        yaw = float(ego.way.poses(np.array([max(ego.s - self._simulation.model.rear, 0.0)]))[0, 2])
        lean = (pose[2] - yaw + np.pi) % (2.0 * np.pi) - np.pi
        slope = float(np.tan(np.clip(lean, -1.0, 1.0)))
        return _LeadIn(ego.s, ego.beside, slope, max(8.0, 1.6 * ego.speed, 5.0 * abs(ego.beside)))

    def _pose(self, ego: Vehicle, lean: float) -> tuple[float, float, float]:
        """In the world. A car heads as its rear axle moves, which is behind the middle that keeps to the line."""
        (x, y, yaw), (_, _, behind) = ego.way.poses(np.array([ego.s, ego.s - self._simulation.model.rear])).tolist()
        return x - ego.beside * np.sin(yaw), y + ego.beside * np.cos(yaw), behind + np.arctan(lean)


@dataclass(frozen=True)
class _LeadIn:
    """From where the car is to the line it should keep, smoothly: a cubic of the distance that begins in its place and
    heading and ends on the line. start: m along the way; offset: m left of it; slope: of the heading against it;
    length: m."""

    start: float
    offset: float
    slope: float
    length: float

    def beside(self, s: float, line: float) -> float:
        """m left of the middle of the way at `s` m along it, where the line to keep is `line` m left."""
        u = (s - self.start) / self.length
        if u >= 1.0:
            return line
        # Hermite's cubics: the place and the slope at the beginning fade out, the line fades in.
        place, slope, end = 2 * u**3 - 3 * u**2 + 1, u**3 - 2 * u**2 + u, -2 * u**3 + 3 * u**2
        return place * self.offset + slope * self.length * self.slope + end * line
