"""One run of the demo: the whole graph as real processes in one world, from standing up to the goal."""

from __future__ import annotations

import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from wam_planner.bringup import Go2Options, Row, go2_table, programs
from wam_planner.processes import Processes, Program
from wam_sim.worlds import YardWorld
from wam_tools.demo.operator_node import OperatorNode
from wam_tools.demo.truth import Follower, Verdict

INSTRUCTION = "walk to the goal"
# What the virtual robot needs after StandUp, and what the bridge waits for it; a real one takes up to 10 s.
DEAD_WINDOW, SETTLE_TIME = 3.0, 3.5
START_PATIENCE = 60.0  # s for everything to be up; the first import of torch on a cold disk is the slowest
REST_PATIENCE = 3.0  # s for the robot to stand after it arrived
_STILL = 0.05  # m/s or rad/s
_PERIOD = 0.1  # s


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


def walk(world: YardWorld, model: str, folder: Folder, progress: Callable[[str, Verdict], None]) -> Verdict:
    """Walk one world; progress: called a few times a second with what is going on. Raises RunError."""
    folder.clear()
    dice = random.SystemRandom()
    ros_domain, dds_domain = dice.randint(1, 100), dice.randint(101, 200)
    lines = _Log(folder.log)
    table = _programs(world, model, folder, ros_domain, dds_domain)
    follower = Follower(folder.truth, world.goal)
    with lines, OperatorNode(ros_domain) as operator, Processes(table, lines.add) as processes:

        def wait(what: str, patience: float) -> Iterator[None]:
            """Once a period until the caller has what he waits for; RunError when it takes too long."""
            deadline = time.monotonic() + patience
            while time.monotonic() < deadline:
                status = processes.watch()
                if status is not None:
                    raise RunError(f"{what}: a process ended, see {folder.log}")
                if operator.refusal:
                    raise RunError(operator.refusal)
                progress(what, follower.look())
                yield
                time.sleep(_PERIOD)
            raise RunError(f"waited {patience:.0f} s: {what}. {operator.complaint} See {folder.log}")

        operator.ask(INSTRUCTION, world.goal)
        for _ in wait("standing up", START_PATIENCE):
            if operator.state == "READY":
                break
        for _ in wait("waiting for a plan", START_PATIENCE):
            if operator.plans:
                break
        for _ in wait("engaging", START_PATIENCE):
            if operator.engage(True)[0]:
                break
        for _ in wait("walking", START_PATIENCE + 30.0):
            if follower.verdict.over:
                break
        resting = time.monotonic() + REST_PATIENCE
        while follower.look().reached and follower.speed > _STILL and time.monotonic() < resting:
            time.sleep(_PERIOD)
        operator.engage(False)
    return follower.verdict


def _programs(world: YardWorld, model: str, folder: Folder, ros_domain: int, dds_domain: int) -> list[Program]:
    options = Go2Options(sim=True, domain=dds_domain, model=model, world=f"{world.split}:{world.seed}")
    rows = [_adapt(row, folder) for row in go2_table(options)]
    # What records must not slow what it records, on two cores either.
    behind = ("nice", "-n", "10")
    recorder = Program("recorder", (*behind, sys.executable, "-m", "wam_tools.demo.recorder_node", str(folder.bag)))
    # A run in which something had to be started again is no good run: nothing respawns here.
    return [
        replace(program, respawn=False, environment={"ROS_DOMAIN_ID": str(ros_domain), "OMP_NUM_THREADS": "2"})
        for program in (recorder, *programs(tuple(rows)))
    ]


def _adapt(row: Row, folder: Folder) -> Row:
    if row.name == "virtual_go2":
        extra = ("--truth", str(folder.truth), "--dead-window", str(DEAD_WINDOW))
        return replace(row, arguments=(*row.arguments, *extra))
    if row.name == "go2_bridge":
        return replace(row, parameters={**row.parameters, "settle_time": SETTLE_TIME})
    if row.name == "planner":
        return replace(row, parameters={**row.parameters, "instruction": "", "goal": ""})
    return row


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
