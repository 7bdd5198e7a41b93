"""From an observation to numbers and from numbers to a trajectory. Both are saved with the weights they serve."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np

from wam_models.types import EgoState

# A camera whose aspect ratio is further off than this sees the world through another lens than the model learned.
MAX_ASPECT_ERROR = 0.15
# Metres: a goal farther away than this is only a direction.
GOAL_SATURATION = 5.0


def resize_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """uint8 (H, W, 3) -> uint8 (*size, 3); averages over pixels when shrinking."""
    if frame.shape[:2] == size:
        return frame
    return cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_AREA)


def aspect_error(frame_size: tuple[int, int], size: tuple[int, int]) -> float:
    """How far the ratio of height to width is off, 0 for none, 0.1 for ten per cent."""
    ratio = (frame_size[0] / frame_size[1]) / (size[0] / size[1])
    return max(ratio, 1 / ratio) - 1


def state_vector(ego: EgoState, goal: tuple[float, float] | None, use_acceleration: bool) -> np.ndarray:
    """(8,): vx, vy, yaw_rate, ax, ay and the goal as saturated distance and direction (cos, sin); no goal is three
    zeros, which no goal has. Accelerations are zeros for a model that was trained without them."""
    motion = ego.as_array()
    if not use_acceleration:
        motion[3:] = 0.0
    aim = np.zeros(3)
    if goal is not None:
        bearing = np.arctan2(goal[1], goal[0])
        aim = np.array([min(np.hypot(*goal) / GOAL_SATURATION, 1.0), np.cos(bearing), np.sin(bearing)])
    return np.concatenate([motion, aim])


@dataclass(frozen=True)
class Normaliser:
    """z-score of the actions, one mean and deviation for each point and value: near points move less than far ones.

    mean, std: (points, values).
    """

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, actions: np.ndarray) -> Normaliser:
        """actions: (N, points, values). A value that never changes keeps a deviation of 1 cm or 0.01 rad."""
        return cls(actions.mean(axis=0), np.maximum(actions.std(axis=0), 0.01))

    def normalise(self, actions: np.ndarray) -> np.ndarray:
        return (actions - self.mean) / self.std

    def denormalise(self, values: np.ndarray) -> np.ndarray:
        return values * self.std + self.mean

    def to_dict(self) -> dict[str, Any]:
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Normaliser:
        return cls(np.array(values["mean"], dtype=np.float64), np.array(values["std"], dtype=np.float64))


@dataclass(frozen=True)
class Preprocessing:
    """What the weights expect of their inputs. max_unknown_words: share of an instruction's words."""

    image_size: tuple[int, int]
    use_acceleration: bool = False
    max_unknown_words: float = 0.34

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        return cls(**{**values, "image_size": tuple(values["image_size"])})


def to_poses(actions: np.ndarray) -> np.ndarray:
    """Actions (..., points, 2 or 3) -> poses (..., points, 3); without a yaw it is the direction of travel, kept where
    the robot moves less than 1 cm between points."""
    if actions.shape[-1] == 3:
        return actions
    steps = np.diff(actions, axis=-2, prepend=np.zeros_like(actions[..., :1, :]))
    yaw = np.zeros(actions.shape[:-1])
    last = np.zeros(actions.shape[:-2])
    for i in range(actions.shape[-2]):
        moved = np.hypot(steps[..., i, 0], steps[..., i, 1]) > 0.01
        last = np.where(moved, np.arctan2(steps[..., i, 1], steps[..., i, 0]), last)
        yaw[..., i] = last
    return np.concatenate([actions, yaw[..., None]], axis=-1)
