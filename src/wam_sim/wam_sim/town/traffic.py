"""Everybody in a town but the ego car: who drives along lanes, and who walks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from wam_models.se2 import Vector
from wam_sim.town.driving import Bulge, Vehicle, View, decide
from wam_sim.town.network import LaneId
from wam_sim.town.ways import LaneTable, Way
from wam_sim.town.world import Brakes, PullsOut, VehicleStart, WalkerStart

# m/s to the side, at the most.
_SIDEWAYS = 0.9
# m from a car's outline at which people stand still.
_PERSON_YIELDS = 0.8


class Mover:
    """One vehicle of the traffic."""

    def __init__(self, start: VehicleStart, table: LaneTable, rng: np.random.Generator) -> None:
        self.start = start
        self._way = Way(table, start.lanes, rng)
        self._s, self.speed, self.braking = start.along, start.speed, False
        self._beside = start.beside
        self._lean = 0.0
        self._acceleration = 0.0
        self._began = False
        self._stopped_at: float | None = None

    @property
    def vehicle(self) -> Vehicle:
        narrow = self.start.width < 1.0
        return Vehicle(self._way, self._s, self.speed, self.start.length, self.start.width, self._beside, narrow)

    @property
    def acceleration(self) -> float:
        """m/s^2, of the last step."""
        return self._acceleration

    @property
    def pose(self) -> Vector:
        """In the world; it leans a little towards where it moves to the side."""
        x, y, yaw = self._way.poses(np.array([self._s]))[0].tolist()
        return x - self._beside * np.sin(yaw), y + self._beside * np.cos(yaw), yaw + self._lean

    def step(
        self,
        number: int,
        view: View,
        table: LaneTable,
        bulges: Mapping[LaneId, Sequence[Bulge]],
        ego: tuple[Vector, float],
        time: float,
        dt: float,
    ) -> None:
        """ego: its pose, and m of its route that it has driven; number: this one's, in the view."""
        decision = decide(self.vehicle, number, self.start.driver, view, table, bulges)
        wanted, keep = self._scripted(decision.acceleration, ego, time)
        self._acceleration = wanted
        self.braking = wanted < -0.5 or self.speed < 0.1
        speed = max(self.speed + wanted * dt, 0.0)
        driven = 0.5 * (self.speed + speed) * dt
        self.speed, self._s = speed, self._s + driven
        round_it = float(decision.beside[0])
        target = self.start.beside if keep else round_it if round_it > 0.05 else self._resting
        change = float(np.clip(target - self._beside, -_SIDEWAYS * dt, _SIDEWAYS * dt)) * min(1.0, driven / dt / 2.0)
        self._beside += change
        self._lean = float(np.arctan2(change, max(driven, 0.02))) if driven > 1e-6 else self._lean

    @property
    def _resting(self) -> float:
        """m to the left that it keeps when it need not do otherwise."""
        return 0.0 if isinstance(self.start.script, PullsOut) else self.start.beside

    def _scripted(self, wanted: float, ego: tuple[Vector, float], time: float) -> tuple[float, bool]:
        """The acceleration that its script leaves, and whether it keeps the side that it stands at."""
        script = self.start.script
        if isinstance(script, PullsOut) and not self._began:
            pose, _ = ego
            behind = self._s - self._way.nearest((pose[0], pose[1]), self._s - script.gap)
            self._began = 0.0 < behind < script.gap
            if not self._began:
                return min(wanted, -1.0), True
        if isinstance(script, Brakes):
            if not self._began and ego[1] > script.after:
                self._began = True
            if self._began and (self._stopped_at is None or time < self._stopped_at + script.wait):
                if self.speed < 0.05 and self._stopped_at is None:
                    self._stopped_at = time
                return min(wanted, -5.0), False
        return wanted, False


class Walker:
    """One person."""

    def __init__(self, start: WalkerStart) -> None:
        self._start = start
        ahead = np.array(start.end) - np.array(start.start)
        self._length = float(np.hypot(*ahead))
        self._along, self._sign = 0.0, 1.0
        self._yaw = float(np.arctan2(ahead[1], ahead[0]))
        self.moving = start.trigger is None

    @property
    def pose(self) -> Vector:
        x, y = self._start.start
        facing = self._yaw if self._sign > 0 else self._yaw + np.pi
        return x + self._along * np.cos(self._yaw), y + self._along * np.sin(self._yaw), facing

    @property
    def velocity(self) -> tuple[float, float]:
        """m/s in the world."""
        speed = self._start.speed * self._sign * self.moving
        return speed * np.cos(self._yaw), speed * np.sin(self._yaw)

    def step(self, cars: np.ndarray, driven: float, dt: float) -> None:
        """cars: discs (D, 3) that people keep away from; driven: m of its route that the ego car has driven."""
        start = self._start
        if start.trigger is not None and self._along == 0.0:
            left = start.crosses_at - driven
            self.moving = 0.0 < left < start.trigger
            if not self.moving:
                return
        x, y, yaw = self.pose
        to_x, to_y = cars[:, 0] - x, cars[:, 1] - y
        near = np.hypot(to_x, to_y) - cars[:, 2] < _PERSON_YIELDS
        self.moving = not (near & (to_x * np.cos(yaw) + to_y * np.sin(yaw) > 0.0)).any()
        if not self.moving or (start.trigger is not None and self._along >= self._length):
            self.moving = False
            return
        self._along += self._sign * start.speed * dt
        if self._along >= self._length or (self._along <= 0.0 and self._sign < 0):
            self._along = float(np.clip(self._along, 0.0, self._length))
            if start.trigger is None:
                self._sign = -self._sign


def moved(view: View, movers: Sequence[Mover], seconds: float) -> View:
    """As it will be if everybody goes on as they do: what can be foreseen. The lights keep their colours. movers: whose
    the view's vehicles are, in their order."""
    vehicles, poses = [], []
    for number, vehicle in enumerate(view.vehicles):
        push = min(movers[number].acceleration, 0.0)
        stops = vehicle.speed / -push if push < 0.0 else np.inf
        time = min(seconds, stops)
        s = vehicle.s + vehicle.speed * time + 0.5 * push * time * time
        x, y, yaw = vehicle.way.poses(np.array([s]))[0]
        poses.append((x - vehicle.beside * np.sin(yaw), y + vehicle.beside * np.cos(yaw), yaw))
        vehicles.append(replace(vehicle, s=s, speed=max(vehicle.speed + push * seconds, 0.0)))
    return replace(
        view,
        vehicles=vehicles,
        poses=np.array(poses).reshape(-1, 3),
        people=view.people + seconds * view.velocities,
    )
