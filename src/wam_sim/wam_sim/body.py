"""The Go2 as its sport service moves it: velocity commands in, a footprint that lags and cannot jerk out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

LENGTH, WIDTH = 0.70, 0.32  # m, standing footprint
LAG = 0.12  # s, first-order answer of the gait to a velocity command
MAX_ACCELERATION = np.array([2.5, 2.0, 6.0])  # m/s^2, m/s^2, rad/s^2
MAX_VELOCITY = np.array([3.8, 1.0, 4.0])  # m/s, m/s, rad/s: the vendor's limits, forwards


@dataclass(frozen=True)
class BodyState:
    """pose: (3,) x, y m and yaw rad in the world; twist: (3,) vx, vy m/s and yaw rate rad/s in the body."""

    pose: np.ndarray
    twist: np.ndarray


def step_body(state: BodyState, command: np.ndarray, dt: float) -> BodyState:
    """Advance by dt seconds (50 ms at most) under a velocity command (3,) in the body's frame."""
    command = np.clip(command, -MAX_VELOCITY, MAX_VELOCITY)
    wanted = (command - state.twist) * min(dt / LAG, 1.0)
    twist = state.twist + np.clip(wanted, -MAX_ACCELERATION * dt, MAX_ACCELERATION * dt)
    x, y, yaw = state.pose
    middle = yaw + 0.5 * twist[2] * dt
    c, s = np.cos(middle), np.sin(middle)
    turned = (yaw + twist[2] * dt + np.pi) % (2 * np.pi) - np.pi
    pose = np.array([x + (c * twist[0] - s * twist[1]) * dt, y + (s * twist[0] + c * twist[1]) * dt, turned])
    return BodyState(pose, twist)


def footprint(pose: np.ndarray) -> shapely.Polygon:
    """Outline of the robot at a pose (3,), in the world."""
    c, s = np.cos(pose[2]), np.sin(pose[2])
    half = np.array([[LENGTH, WIDTH], [-LENGTH, WIDTH], [-LENGTH, -WIDTH], [LENGTH, -WIDTH]]) / 2
    return shapely.Polygon(half @ np.array([[c, s], [-s, c]]) + pose[:2])
