"""The virtual CARLA's truth file while it grows and when it is finished: where the car is, and what its judge says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Standing:
    """How a drive stands. began: the car was told to move; completion: share of the route; infractions: so far; speed:
    m/s; ended: why the judge ended it, empty while it goes on; verdict: all that he says, empty until then."""

    began: bool = False
    completion: float = 0.0
    infractions: int = 0
    speed: float = 0.0
    ended: str = ""
    verdict: dict[str, Any] = field(default_factory=dict)


class DriveFollower:
    """Reads what was added since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = ""
        self.standing = Standing()

    def look(self) -> Standing:
        """The state of affairs now."""
        if self._path.exists():
            with self._path.open() as file:
                file.seek(self._offset)
                text = self._rest + file.read()
                self._offset = file.tell()
            *lines, self._rest = text.split("\n")
            for line in lines:
                self._take(json.loads(line))
        return self.standing

    def _take(self, line: dict[str, Any]) -> None:
        if "verdict" in line:
            verdict = line["verdict"]
            self.standing = replace(
                self.standing,
                completion=verdict["completion"],
                infractions=len(verdict["infractions"]),
                ended=verdict["ended"],
                verdict=verdict,
            )
        elif "pose" in line:
            self.standing = replace(self.standing, speed=line["speed"])
            if not self.standing.ended:
                self.standing = replace(
                    self.standing,
                    began=line["began"],
                    completion=line["completion"],
                    infractions=line["infractions"],
                )


@dataclass(frozen=True)
class DriveTrack:
    """A finished truth file, times in s of the simulation, as stamps have them. times, town_times, speeds, completions:
    (N,); poses: (N, 3); instructions: N texts; wall: (N,) s since 1970; frames: (M,) s at which vehicles: M lists of x,
    y, yaw, length, width, and walkers: M lists of x, y, were written down."""

    times: np.ndarray
    town_times: np.ndarray
    wall: np.ndarray
    poses: np.ndarray
    speeds: np.ndarray
    completions: np.ndarray
    instructions: list[str]
    frames: np.ndarray
    vehicles: list[list[list[float]]]
    walkers: list[list[list[float]]]

    @property
    def realtime(self) -> float:
        """Simulated seconds per second of the wall clock."""
        return float((self.times[-1] - self.times[0]) / max(self.wall[-1] - self.wall[0], 1e-9))

    def at(self, moment: float) -> int:
        """The number of the step at that time."""
        return int(np.clip(np.searchsorted(self.times, moment), 0, len(self.times) - 1))


def read_drive(path: Path) -> DriveTrack:
    """A truth file as arrays. Raises ValueError when there is no step in it."""
    steps = [line for line in map(json.loads, path.read_text().splitlines()) if "pose" in line]
    if not steps:
        raise ValueError(f"{path} has no step: the virtual CARLA did not run")
    seen = [step for step in steps if "vehicles" in step]

    def column(name: str, rows: list[dict[str, Any]] = steps) -> np.ndarray:
        return np.array([row[name] for row in rows], dtype=float)

    return DriveTrack(
        times=column("simulated"),
        town_times=column("town_time"),
        wall=column("t"),
        poses=column("pose"),
        speeds=column("speed"),
        completions=column("completion"),
        instructions=[step["instruction"] for step in steps],
        frames=column("simulated", seen),
        vehicles=[step["vehicles"] for step in seen],
        walkers=[step["walkers"] for step in seen],
    )
