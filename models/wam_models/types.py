"""The values that cross the border of a policy. Plain numpy, so a robot process can import them without torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import numpy as np


@dataclass(frozen=True)
class EgoState:
    """Motion of the robot in its own base_link (x forward, y left): m/s, rad/s, m/s^2."""

    vx: float
    vy: float
    yaw_rate: float
    ax: float = 0.0
    ay: float = 0.0

    def as_array(self) -> np.ndarray:
        """(5,) float64 in the order vx, vy, yaw_rate, ax, ay."""
        return np.array([self.vx, self.vy, self.yaw_rate, self.ax, self.ay], dtype=np.float64)


@dataclass(frozen=True)
class Observation:
    """What the robot knows at one instant, the stamp of the newest frame.

    frames: uint8 (K, V, H, W, 3) RGB, oldest first; stamps: float64 (K,) seconds, strictly increasing;
    cameras: V names; goal: (x, y) in metres in base_link at the newest stamp, or None; committed: float64 (P, 3) poses
    in base_link at the newest stamp, the first points of the plan to come, which are being driven already.
    Raises ValueError when a shape or type is wrong. Values (NaN speed, black frame) are the policy's to refuse.
    """

    frames: np.ndarray
    stamps: np.ndarray
    cameras: tuple[str, ...]
    ego: EgoState
    instruction: str
    goal: tuple[float, float] | None = None
    committed: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.committed is not None and (self.committed.ndim != 2 or self.committed.shape[1] != 3):
            raise ValueError(f"committed points must be (P, 3), got {self.committed.shape}")
        if self.frames.dtype != np.uint8 or self.frames.ndim != 5 or self.frames.shape[-1] != 3:
            raise ValueError(f"frames must be uint8 (K, V, H, W, 3), got {self.frames.dtype} {self.frames.shape}")
        if self.stamps.shape != (self.frames.shape[0],):
            raise ValueError(f"{self.frames.shape[0]} frames need as many stamps, got {self.stamps.shape}")
        if np.any(np.diff(self.stamps) <= 0):
            raise ValueError("stamps must increase: frames are ordered oldest first")
        if len(self.cameras) != self.frames.shape[1]:
            raise ValueError(f"{self.frames.shape[1]} views need as many camera names, got {self.cameras}")

    @property
    def stamp(self) -> float:
        """Seconds; when the newest frame was captured."""
        return float(self.stamps[-1])


@dataclass(frozen=True)
class Trajectory:
    """Timed poses of base_link. poses: float64 (H, 3) x, y in metres and yaw in radians, in base_link at `stamp`;
    point i is at stamp + (i + 1) * dt seconds. Raises ValueError on another shape, dt <= 0 or a value not finite."""

    stamp: float
    dt: float
    poses: np.ndarray

    def __post_init__(self) -> None:
        if self.poses.ndim != 2 or self.poses.shape[1] != 3 or len(self.poses) == 0:
            raise ValueError(f"poses must be (H, 3) with H >= 1, got {self.poses.shape}")
        if not self.dt > 0:
            raise ValueError(f"dt must be positive, got {self.dt}")
        if not np.isfinite(self.poses).all():
            raise ValueError("poses must be finite")

    @property
    def horizon(self) -> float:
        """Seconds from the stamp to the last point."""
        return len(self.poses) * self.dt

    @property
    def times(self) -> np.ndarray:
        """(H,) seconds after the stamp."""
        return self.dt * np.arange(1, len(self.poses) + 1)


@dataclass(frozen=True)
class ImaginedVideo:
    """The future that a plan would lead to. latents: float32 (C, T, h, w), normalised; the frames they stand for come
    every dt seconds after the stamp."""

    latents: np.ndarray
    dt: float
    _decode: Callable[[], np.ndarray] = field(repr=False, compare=False)

    def frames(self) -> np.ndarray:
        """uint8 (F, H, W, 3). Decoding takes longer than the plan took."""
        return self._decode()


@dataclass(frozen=True)
class Plan:
    """A policy's answer. candidates: (N, H, 3) like Trajectory.poses with scores (N,), higher is better; timings:
    milliseconds by stage, one after the other, so that their sum is the plan's; imagined: only when it was asked
    for."""

    trajectory: Trajectory
    candidates: np.ndarray
    scores: np.ndarray
    timings: dict[str, float]
    model_id: str
    imagined: ImaginedVideo | None = field(default=None, repr=False)


class RefusalReason(str, Enum):
    """Why a policy would not plan; the value is what status messages and reports show."""

    CAMERA_SIZE = "camera_size"
    CAMERA_COUNT = "camera_count"
    CONTEXT_LENGTH = "context_length"
    EGO_NOT_FINITE = "ego_not_finite"
    GOAL_MISSING = "goal_missing"
    GOAL_NOT_FINITE = "goal_not_finite"
    INSTRUCTION_UNKNOWN = "instruction_unknown"
    OUTPUT_NOT_FINITE = "output_not_finite"
    OUT_OF_MEMORY = "out_of_memory"


@dataclass(frozen=True)
class Refusal:
    """A typed no: what is wrong with the observation, and in `message` what would mend it."""

    reason: RefusalReason
    message: str
