"""Who knows the route that the virtual CARLA's car should drive: says what its driver is told, judges the drive, writes
down what really happened."""

from __future__ import annotations

import json
import math
import threading
from pathlib import Path
from typing import Any, TextIO

from wam_models.evaluation.town import Verdict, driving_score
from wam_sim.town.criteria import Criteria
from wam_sim.town.simulation import TownSimulation

_PICTURE = 2  # ticks between two lines that say where everybody else is
_SIGHT = 80.0  # m within which they are anybody's business


class Referee:
    """Called on the server's thread, but for `instruction` and `close`. truth: file for JSON lines, one a tick, and one
    with the verdict once the drive is over. The drive begins when the car is first told to move: before that, nobody
    waits for it.

    instruction: for the driver now, empty before the first tick.
    """

    def __init__(self, truth: Path | None = None) -> None:
        self.instruction = ""
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        if truth is not None:
            truth.parent.mkdir(parents=True, exist_ok=True)
            self._file = truth.open("w", buffering=1)
        self._simulation: TownSimulation | None = None
        self._judge: Criteria | None = None
        self._ticks = 0
        self._began = self._told = False

    def watch(self, simulation: TownSimulation) -> None:
        """Another drive begins; one that had not ended counts as broken off."""
        with self._lock:
            if self._began:
                self._tell()
            world = simulation.world
            self._simulation = simulation
            self._judge = Criteria(world.route, world.network, world.lights, simulation.model)
            self._began = self._told = False
            self._write({"world": world.name, "split": world.split, "seed": world.seed, "scenario": world.scenario})

    def on_step(self, values: dict[str, Any]) -> None:
        """values: of VirtualServer's on_step, which go into the truth file."""
        with self._lock:
            simulation, judge = self._simulation, self._judge
            if simulation is None or judge is None:
                return
            self._began |= bool(values["told_to_move"])
            if self._began:
                judge.step(simulation.time, simulation.state, simulation.contacts, simulation.time_to_contact)
            self.instruction = simulation.instruction
            self._ticks += 1
            self._write(values | self._standing(simulation, judge))
            if judge.ended is not None:
                self._tell()

    def close(self, **rest: object) -> None:
        """The verdict of a drive that goes on still, and `rest` as the last line."""
        with self._lock:
            self._tell()
            self._write(rest)
            if self._file is not None:
                self._file.close()
                self._file = None

    def _standing(self, simulation: TownSimulation, judge: Criteria) -> dict[str, Any]:
        """How the drive stands; times are those of the town, which its lights follow."""
        standing = {
            "town_time": simulation.time,
            "instruction": self.instruction,
            "began": self._began,
            "progress": judge.progress,
            "completion": judge.completion,
            "ended": judge.ended.value if judge.ended else None,
            "infractions": len(judge.infractions),
        }
        if self._ticks % _PICTURE == 0:
            standing["vehicles"] = [
                [*mover.pose, mover.start.length, mover.start.width]
                for mover in simulation.movers
                if _near(simulation, mover.pose)
            ]
            standing["walkers"] = [
                list(walker.pose[:2]) for walker in simulation.walkers if _near(simulation, walker.pose)
            ]
        return standing

    def _tell(self) -> None:
        """The verdict, once."""
        if self._told or self._judge is None or self._simulation is None:
            return
        self._told = True
        if not self._began:
            self._judge.step(self._simulation.time, self._simulation.state)
        self._write({"verdict": as_json(self._judge.finish())})

    def _write(self, values: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(values) + "\n")


def as_json(verdict: Verdict) -> dict[str, Any]:
    """With its driving score; None where nothing came near."""
    values = dict(vars(verdict))
    values |= {
        "ended": verdict.ended.value,
        "infractions": [{**vars(each), "kind": each.kind.value} for each in verdict.infractions],
        "time_to_contact": verdict.time_to_contact if math.isfinite(verdict.time_to_contact) else None,
        "driving_score": driving_score(verdict),
    }
    return values


def _near(simulation: TownSimulation, pose: Any) -> bool:
    x, y, _ = simulation.state.pose
    return math.hypot(pose[0] - x, pose[1] - y) < _SIGHT
