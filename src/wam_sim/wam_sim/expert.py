"""The privileged driver: knows the whole world, looks two seconds ahead along arcs, and says where it will be.

It is the teacher of every policy and the upper bound every score is printed beside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_models.types import Trajectory
from wam_sim.navigation import NavigationField
from wam_sim.objects import PERSON_RADIUS
from wam_sim.worlds import YardWorld

# The footprint as three discs along the body: cheap to test, 1 cm larger than the rectangle at its corners.
BODY_DISCS = np.array([0.23, 0.0, -0.23])
BODY_DISC_RADIUS = 0.21
# m of clearance the expert pays to keep: 0.30 left students less room for their errors, 0.50 got stuck in doorways.
_COMFORT = 0.40
_STEP = 0.125  # s between two decisions of the look-ahead: half of the trajectory's spacing


def body_discs(poses: np.ndarray) -> np.ndarray:
    """(..., 3, 2) m, middles of the body's discs at poses (..., 3)."""
    along = np.stack([np.cos(poses[..., 2]), np.sin(poses[..., 2])], axis=-1)
    return poses[..., None, :2] + BODY_DISCS[:, None] * along[..., None, :]


def body_clearance(field: NavigationField, poses: np.ndarray) -> np.ndarray:
    """(...) m from the body at poses (..., 3), in the world, to the nearest thing that stands; below 0 inside it."""
    return field.clearance_at(body_discs(poses)).min(axis=-1) - BODY_DISC_RADIUS


@dataclass(frozen=True)
class Pace:
    """How an instruction says to walk. cruise: m/s in the open."""

    cruise: float


PACES = {"slowly": Pace(0.45), "normally": Pace(0.75), "briskly": Pace(1.0)}


class YardExpert:
    """Arc library over the navigation field. One instance a world; it remembers nothing between plans."""

    horizon = 8
    dt = 0.25

    def __init__(self, world: YardWorld, pace: str = "normally") -> None:
        self._field = world.field
        self._goal = np.array(world.goal)
        self._cruise = PACES[pace].cruise
        speeds = np.array([0.0, 0.25, 0.5, 0.75, 1.0]) * self._cruise
        turns = np.array([0.0, 0.1, 0.2, 0.35, 0.5, 0.7, 0.95, 1.2])
        turns = np.concatenate([-turns[:0:-1], turns])
        v, w = (grid.ravel() for grid in np.meshgrid(speeds, turns, indexing="ij"))
        self._v, self._w = v, w
        times = np.arange(1, 13) * _STEP
        angle = w[:, None] * times
        # Arcs from standing at the origin, sampled at `times`: sinc keeps w = 0 exact.
        reach = v[:, None] * times * np.sinc(angle / (2 * np.pi))
        self._x, self._y, self._yaw = reach * np.cos(angle / 2), reach * np.sin(angle / 2), angle
        self._times = times

    def plan(
        self,
        pose: np.ndarray,
        twist: np.ndarray,
        walkers: list[tuple[float, float, float]],
        walker_velocities: np.ndarray,
        stamp: float = 0.0,
    ) -> Trajectory:
        """Where the expert will be in the next two seconds, in base_link, from a pose and twist (3,) in the world."""
        people = np.array([w[:2] for w in walkers]).reshape(-1, 2)
        state, speed = np.array(pose, dtype=float), np.array([max(twist[0], 0.0), twist[2]])
        poses = []
        for step in range(self.horizon * 2):
            now = step * _STEP
            speed = self._decide(state, speed, people + walker_velocities * now, walker_velocities)
            middle = state[2] + 0.5 * speed[1] * _STEP
            state = state + np.array([speed[0] * np.cos(middle), speed[0] * np.sin(middle), speed[1]]) * _STEP
            if step % 2:
                poses.append(state)
        c, s = np.cos(pose[2]), np.sin(pose[2])
        ahead = np.array(poses) - pose
        ahead[:, :2] = ahead[:, :2] @ np.array([[c, -s], [s, c]])
        return Trajectory(stamp, self.dt, ahead)

    def _decide(self, pose: np.ndarray, speed: np.ndarray, people: np.ndarray, velocities: np.ndarray) -> np.ndarray:
        """(v, w) to hold for one step: the best arc that can be reached from the present speed and touches nothing."""
        if np.hypot(*(pose[:2] - self._goal)) < 0.25:
            return _approach(speed, np.zeros(2))
        c, s = np.cos(pose[2]), np.sin(pose[2])
        x = pose[0] + c * self._x - s * self._y
        y = pose[1] + s * self._x + c * self._y
        heading = pose[2] + self._yaw
        discs = body_discs(np.stack([x, y, heading], axis=-1))
        clearance = self._field.clearance_at(discs).min(axis=-1) - BODY_DISC_RADIUS  # (arcs, times)
        for person, velocity in zip(people, velocities, strict=True):
            future = person + velocity * self._times[:, None]
            gap = np.hypot(*np.moveaxis(discs - future[None, :, None], -1, 0)).min(axis=-1)
            clearance = np.minimum(clearance, gap - BODY_DISC_RADIUS - PERSON_RADIUS)

        # What is touched late can still be avoided later: only the first second forbids, the rest costs.
        soon = clearance[:, :8].min(axis=1)
        tight = np.clip(_COMFORT - clearance, 0, _COMFORT).mean(axis=1) / _COMFORT
        to_goal = np.hypot(x - self._goal[0], y - self._goal[1])
        arrived = np.where(to_goal.min(axis=1) < 0.25, to_goal.argmin(axis=1), x.shape[1] - 1)
        rows = np.arange(len(x))
        end = np.stack([x[rows, arrived], y[rows, arrived]], axis=-1)
        remaining = self._field.cost_at(end)
        away = self._heading_error(end, heading[rows, arrived])
        safe_speed = 0.3 + 1.2 * np.clip(soon, 0, None)
        score = (
            remaining
            + 3.0 * tight
            + 0.15 * away
            + 0.12 * np.abs(self._w - speed[1])
            + 0.05 * np.abs(self._w)
            + 2.0 * np.clip(self._v - safe_speed, 0, None)
            + np.where(soon < 0.02, 50.0 - 50.0 * np.minimum(soon, 0), 0.0)
            + np.where(clearance.min(axis=1) < 0.02, 1.0, 0.0)
        )
        best = int(np.argmin(score))
        return _approach(speed, np.array([self._v[best], self._w[best]]))

    def _heading_error(self, at: np.ndarray, heading: np.ndarray) -> np.ndarray:
        """Radians between a heading and the way downhill on the cost to the goal, for points (N, 2)."""
        e = 0.15
        gx = self._field.cost_at(at + (e, 0)) - self._field.cost_at(at - (e, 0))
        gy = self._field.cost_at(at + (0, e)) - self._field.cost_at(at - (0, e))
        return np.abs((np.arctan2(-gy, -gx) - heading + np.pi) % (2 * np.pi) - np.pi)


def _approach(speed: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The nearest speed to the wanted one that 1.5 m/s^2 and 3 rad/s^2 allow within one step."""
    limit = np.array([1.5, 3.0]) * _STEP
    return speed + np.clip(wanted - speed, -limit, limit)
