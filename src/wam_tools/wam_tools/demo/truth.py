"""The virtual robot's truth file while it grows: where the robot is, and when a run is over."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TIME_LIMIT = 60.0  # s, of a walk, as the yard benchmark counts
_MOVING = 0.02  # m/s or rad/s of a command; below it the robot is told to stand


@dataclass(frozen=True)
class Verdict:
    """How a run stands. seconds: since it was first told to move; distance: m to the goal."""

    reached: bool
    contact: bool
    timeout: bool
    seconds: float
    distance: float

    @property
    def over(self) -> bool:
        """Nothing that follows would change it."""
        return self.reached or self.contact or self.timeout


class Follower:
    """Reads what was added since the last look. goal: (x, y) m in the world."""

    def __init__(self, path: Path, goal: tuple[float, float]) -> None:
        self._path = path
        self._goal = goal
        self._offset = 0
        self._rest = ""
        self._began: float | None = None
        self.verdict = Verdict(False, False, False, 0.0, math.nan)
        self.speed = 0.0

    def look(self) -> Verdict:
        """The state of affairs now. What happens after the run is over does not count."""
        if not self._path.exists():
            return self.verdict
        with self._path.open() as file:
            file.seek(self._offset)
            text = self._rest + file.read()
            self._offset = file.tell()
        *lines, self._rest = text.split("\n")
        for line in lines:
            step = json.loads(line)
            if "pose" in step:
                self._take(step)
        return self.verdict

    def _take(self, step: dict[str, Any]) -> None:
        self.speed = max(map(abs, step["twist"]))
        if self._began is None and max(map(abs, step["command"])) > _MOVING:
            self._began = step["t"]
        if self.verdict.over:
            return
        seconds = 0.0 if self._began is None else step["t"] - self._began
        self.verdict = Verdict(
            reached=step["reached"],
            contact=step["contact"],
            timeout=seconds > TIME_LIMIT,
            seconds=seconds,
            distance=float(np.hypot(step["pose"][0] - self._goal[0], step["pose"][1] - self._goal[1])),
        )


@dataclass(frozen=True)
class Track:
    """A finished truth file. times: (N,) s since 1970; poses, twists: (N, 3); frames: (M,) s when images were taken,
    with walkers: for each of them, poses (x, y, yaw) of everybody who walks about; clearance: m, the least while
    walking."""

    times: np.ndarray
    poses: np.ndarray
    twists: np.ndarray
    frames: np.ndarray
    walkers: list[list[list[float]]]
    clearance: float

    @property
    def path_length(self) -> float:
        """Metres walked."""
        return float(np.hypot(*np.diff(self.poses[:, :2], axis=0).T).sum())


def read_track(path: Path) -> Track:
    """A truth file as arrays. Raises ValueError when there is no step in it."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    steps = [line for line in lines if "pose" in line]
    images = [line for line in lines if "camera" in line]
    if not steps:
        raise ValueError(f"{path} has no step: the simulated robot did not run")
    return Track(
        times=np.array([step["t"] for step in steps]),
        poses=np.array([step["pose"] for step in steps]),
        twists=np.array([step["twist"] for step in steps]),
        frames=np.array([image["camera"] for image in images]),
        walkers=[image["walkers"] for image in images],
        clearance=min((step["clearance"] for step in steps if step["clearance"] is not None), default=math.inf),
    )
