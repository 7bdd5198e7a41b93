"""A run of the demo, whatever the robot: its processes, who stands beside it, and what it leaves behind."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from wam_planner.bringup import Row, programs
from wam_planner.bringup.recording import recorder_row
from wam_planner.processes import Processes, Program
from wam_tools.demo.operator_node import OperatorNode

START_PATIENCE = 60.0  # s for everything to be up; the first import of torch on a cold disk is the slowest
REST_PATIENCE = 3.0  # s for the robot to stand after it arrived
STILL = 0.05  # m/s or rad/s
PERIOD = 0.1  # s


class RunError(RuntimeError):
    """The run did not come to an end of its own; the text says what was missing."""


@dataclass(frozen=True)
class Folder:
    """What a run leaves behind, by name."""

    path: Path

    @property
    def bag(self) -> Path:
        return self.path / "bag"

    @property
    def truth(self) -> Path:
        return self.path / "truth.jsonl"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    def clear(self) -> None:
        """Make it, empty."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)


@dataclass(frozen=True)
class Graph:
    """What runs. rows: of the table; robot: a key of TABLES; remaps: topic of the recorder -> topic of this robot;
    simulated_time: whether stamps are those of a simulator's clock."""

    rows: Sequence[Row]
    robot: str
    remaps: Mapping[str, str]
    simulated_time: bool = False

    def programs(self, bag: Path, domain: int) -> list[Program]:
        """With the recorder, on a ROS domain."""
        recorder = recorder_row(self.robot, self.remaps, {"bag": str(bag)}, self.simulated_time)
        # A run in which something had to be started again is no good run: nothing respawns here.
        return [
            replace(program, respawn=False, environment={"ROS_DOMAIN_ID": str(domain), "OMP_NUM_THREADS": "2"})
            for program in programs((recorder, *self.rows))
        ]


class Stage:
    """While everything runs. look: called once a period with what is being waited for."""

    def __init__(self, processes: Processes, operator: OperatorNode, log: Path, look: Callable[[str], None]) -> None:
        self.operator = operator
        self._processes, self._log, self._look = processes, log, look

    def wait(self, what: str, patience: float = START_PATIENCE) -> Iterator[None]:
        """Once a period until the caller has what he waits for; RunError when it takes too long."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self._processes.watch() is not None:
                raise RunError(f"{what}: a process ended, see {self._log}")
            if self.operator.refusal:
                raise RunError(self.operator.refusal)
            self._look(what)
            yield
            time.sleep(PERIOD)
        raise RunError(f"waited {patience:.0f} s: {what}. {self.operator.complaint} See {self._log}")

    def engage(self) -> None:
        """Once there is a plan."""
        for _ in self.wait("waiting for a plan"):
            if self.operator.plans:
                break
        for _ in self.wait("engaging"):
            if self.operator.engage(True)[0]:
                break


@contextmanager
def staged(graph: Graph, folder: Folder, look: Callable[[str], None]) -> Iterator[Stage]:
    """The graph on a ROS domain of its own, with its lines in the folder's log."""
    domain = random.SystemRandom().randint(1, 100)
    lines = _Log(folder.log)
    with (
        lines,
        OperatorNode(domain, f"{graph.robot}_bridge") as operator,
        Processes(graph.programs(folder.bag, domain), lines.add) as processes,
    ):
        yield Stage(processes, operator, folder.log, look)


class _Log:
    """What the processes say, in a file. Lines come from several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def __enter__(self) -> _Log:
        self._file = self._path.open("w")
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._file.close()

    def add(self, line: str) -> None:
        """Write one line; too late is no error."""
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")
                self._file.flush()
