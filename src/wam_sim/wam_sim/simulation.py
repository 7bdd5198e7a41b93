"""One robot in one world: body, camera, contact. Time passes only when it is stepped."""

from __future__ import annotations

from collections import deque

import numpy as np
import shapely

from wam_sim.body import BodyState, footprint, step_body
from wam_sim.camera import CameraEffects
from wam_sim.objects import PERSON_RADIUS
from wam_sim.scene import Scene
from wam_sim.worlds import YardWorld

GOAL_RADIUS = 0.5  # m: a walk has arrived when the middle of the robot is this near
PERSON_YIELDS = 0.75  # m between outlines: a person stands still while a robot is this near
MAX_STEP = 0.02  # s
INSTRUCTION = "walk to the goal"


class YardSimulation:
    """Deterministic for (world, seed). camera_size: (height, width) px.

    Attributes after each step: time s; pose (3,) x, y m, yaw rad in the world; twist (3,) m/s, m/s, rad/s in the body;
    clearance m between the outlines of the robot and the nearest thing; in_contact; reached; path_length m.
    """

    def __init__(
        self,
        world: YardWorld,
        camera_size: tuple[int, int] = (180, 320),
        seed: int = 0,
        pose: tuple[float, float, float] | None = None,
        twist: tuple[float, float, float] = (0.0, 0.0, 0.0),
        instruction: str = INSTRUCTION,
    ) -> None:
        self.world, self.instruction = world, instruction
        self.time = 0.0
        self.path_length = 0.0
        self._state = BodyState(np.array(pose or world.start, dtype=float), np.array(twist))
        self._scene = Scene(world, camera_size)
        self._effects = CameraEffects(seed)
        self._obstacles = np.array(world.static_footprints)
        shapely.prepare(self._obstacles)
        self._walkers = [_Walker(thing.pose, thing.beat) for thing in world.walkers if thing.beat is not None]
        rng = np.random.default_rng([seed, 78])
        # Measured on the real robot's link: 20 to 50 ms between a Move and the first change of speed.
        self._delay = float(rng.uniform(0.02, 0.05))
        self._pending: deque[tuple[float, np.ndarray]] = deque()
        self._command = np.zeros(3)
        self._picture: tuple[float, np.ndarray] | None = None
        self._measure()

    @property
    def pose(self) -> np.ndarray:
        return self._state.pose.copy()

    @property
    def twist(self) -> np.ndarray:
        return self._state.twist.copy()

    @property
    def reached(self) -> bool:
        return float(np.hypot(*(self.pose[:2] - self.world.goal))) <= GOAL_RADIUS

    @property
    def walkers(self) -> list[tuple[float, float, float]]:
        """Poses of everything that walks: (x, y) m, yaw rad."""
        return [walker.pose for walker in self._walkers]

    @property
    def walker_velocities(self) -> np.ndarray:
        """(N, 2) m/s in the world."""
        return np.array([walker.velocity for walker in self._walkers]).reshape(-1, 2)

    @property
    def goal_in_base(self) -> tuple[float, float]:
        """The goal (x, y) m as base_link sees it."""
        x, y, yaw = self.pose
        dx, dy = self.world.goal[0] - x, self.world.goal[1] - y
        c, s = np.cos(yaw), np.sin(yaw)
        return float(c * dx + s * dy), float(-s * dx + c * dy)

    def step(self, command: np.ndarray | tuple[float, float, float], dt: float) -> None:
        """Let dt seconds pass under a velocity command (vx, vy, yaw rate) in the body's frame, given now."""
        self._pending.append((self.time + self._delay, np.asarray(command, dtype=float)))
        remaining = dt
        while remaining > 1e-9:
            slice_ = min(remaining, MAX_STEP)
            while self._pending and self._pending[0][0] <= self.time + 1e-9:
                self._command = self._pending.popleft()[1]
            before = self._state.pose[:2]
            self._state = step_body(self._state, self._command, slice_)
            self.path_length += float(np.hypot(*(self._state.pose[:2] - before)))
            outline = footprint(self._state.pose)
            for walker in self._walkers:
                walker.step(slice_, outline)
            self.time += slice_
            remaining -= slice_
        self._measure()

    def render(self, camera: str = "front") -> np.ndarray:
        """uint8 (H, W, 3) RGB as its one camera sees it now; the same picture until time passes."""
        if self._picture is not None and self._picture[0] == self.time:
            return self._picture[1]
        speed = float(np.hypot(*self._state.twist[:2])) + 0.15 * abs(float(self._state.twist[2]))
        image = self._scene.render(self._state.pose, self.walkers, self._effects.sway(self.time, speed))
        self._picture = self.time, self._effects.expose(image)
        return self._picture[1]

    def close(self) -> None:
        """Free the renderer's memory; call it from the thread that rendered."""
        self._scene.close()

    def _measure(self) -> None:
        outline = footprint(self._state.pose)
        distances = [float(shapely.distance(self._obstacles, outline).min())] if len(self._obstacles) else []
        distances += [max(outline.distance(shapely.Point(w.pose[:2])) - PERSON_RADIUS, 0.0) for w in self._walkers]
        self.clearance = min(distances, default=float("inf"))
        self.in_contact = self.clearance <= 0.0


class _Walker:
    """Paces up and down a beat from its first pose, and stands still while the robot is close: people do."""

    def __init__(self, pose: tuple[float, float, float], beat: tuple[float, float]) -> None:
        self._origin, self._beat = pose, beat
        self._along, self._sign, self.moving = 0.0, 1.0, True

    @property
    def pose(self) -> tuple[float, float, float]:
        x, y, yaw = self._origin
        facing = yaw if self._sign > 0 else yaw + np.pi
        return x + self._along * np.cos(yaw), y + self._along * np.sin(yaw), facing

    @property
    def velocity(self) -> tuple[float, float]:
        speed = self._beat[1] * self._sign * self.moving
        return speed * np.cos(self._origin[2]), speed * np.sin(self._origin[2])

    def step(self, dt: float, robot: shapely.Polygon) -> None:
        x, y, _ = self.pose
        self.moving = robot.distance(shapely.Point(x, y)) - PERSON_RADIUS > PERSON_YIELDS
        if not self.moving:
            return
        length, speed = self._beat
        self._along += self._sign * speed * dt
        if self._along >= length or self._along <= 0.0:
            self._sign = -self._sign
            self._along = float(np.clip(self._along, 0.0, length))
