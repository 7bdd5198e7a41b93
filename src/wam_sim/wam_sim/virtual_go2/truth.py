"""What really happened, for whoever judges a run: one JSON object a line, which no part of the robot reads."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO


@dataclass
class Summary:
    """Of a whole run. seconds: since the first step; NaN where it never happened. clearance: m, the least."""

    world: str
    seconds: float = 0.0
    reached_at: float = math.nan
    contact_at: float = math.nan
    contacts: int = 0
    path_length: float = 0.0
    clearance: float = math.inf


@dataclass
class Truth:
    """Follows a simulation and writes it down. file: None only sums up."""

    file: TextIO | None
    summary: Summary
    _in_contact: bool = field(default=False, init=False)

    @classmethod
    def open(cls, path: Path | None, world: str, facts: dict[str, object]) -> Truth:
        """Begin with the facts about the world. Lines are written as they come, so that others can follow."""
        file = path.open("w", buffering=1) if path is not None else None
        truth = cls(file, Summary(world))
        truth._write({"world": world, **facts})
        return truth

    def step(
        self,
        clock: float,
        seconds: float,
        pose: list[float],
        twist: list[float],
        command: list[float],
        mode: int,
        contact: bool,
        clearance: float,
        reached: bool,
        path_length: float,
    ) -> None:
        """One physics step. clock: s since 1970, the system's; pose: x, y m, yaw rad in the world; twist, command: m/s
        and rad/s in the body."""
        summary = self.summary
        summary.seconds, summary.path_length = seconds, path_length
        summary.clearance = min(summary.clearance, clearance)
        if contact and not self._in_contact:
            summary.contacts += 1
            if math.isnan(summary.contact_at):
                summary.contact_at = seconds
        if reached and math.isnan(summary.reached_at):
            summary.reached_at = seconds
        self._in_contact = contact
        self._write(
            {
                "t": round(clock, 4),
                "pose": [round(value, 4) for value in pose],
                "twist": [round(value, 4) for value in twist],
                "command": [round(value, 4) for value in command],
                "mode": mode,
                "contact": contact,
                "clearance": round(clearance, 4) if math.isfinite(clearance) else None,
                "reached": reached,
            }
        )

    def image(self, clock: float, walkers: list[list[float]]) -> None:
        """An image was taken at this time, s since 1970; walkers: x, y m, yaw rad of everybody who walks about."""
        poses = [[round(value, 3) for value in pose] for pose in walkers]
        self._write({"camera": round(clock, 4), "walkers": poses})

    def close(self) -> None:
        """Write the summary and close the file."""
        values = {name: value if math.isfinite(value) else None for name, value in self._numbers().items()}
        self._write({"summary": {"world": self.summary.world, **values}})
        if self.file is not None:
            self.file.close()

    def _numbers(self) -> dict[str, float]:
        return {name: value for name, value in vars(self.summary).items() if name != "world"}

    def _write(self, values: dict[str, object]) -> None:
        if self.file is not None:
            self.file.write(json.dumps(values) + "\n")
