"""The car's whole graph as real processes with the virtual CARLA in the bridge's, and who stands beside it."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from system.go2_harness import Stop, wait_for

from wam_planner.bringup import CarlaOptions, carla_table, command, programs
from wam_planner.processes import Processes
from wam_tools.demo.operator_node import OperatorNode

PATIENCE = 60.0  # s
STILL = 0.1  # m/s: slower is standing, for who engages
SIZE = ("--camera-size", "48x80")  # of the pictures: small ones are drawn faster, and nobody here looks at them
WATCHED = {"image_width": 80, "image_height": 48}


class Car:
    """The bridge with its town, in a process of its own. truth: what really happened, a step a tick."""

    def __init__(self, folder: Path, domain: int, options: CarlaOptions) -> None:
        self._truth = folder / "truth.jsonl"
        self._log = (folder / "bridge.log").open("w")
        row = next(each for each in carla_table(options) if each.name == "carla_bridge")
        row = replace(
            row,
            arguments=(*row.arguments, *SIZE, "--truth", str(self._truth)),
            parameters={**row.parameters, **WATCHED},
        )
        self._process = subprocess.Popen(
            command(row),
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
        )

    def __enter__(self) -> Car:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def fault(self, line: str) -> None:
        """Switch a fault, as wam_sim.virtual_carla.faults describes."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    @property
    def steps(self) -> list[dict[str, Any]]:
        if not self._truth.exists():
            return []
        whole, _, _ = self._truth.read_text().rpartition("\n")
        return [step for step in map(json.loads, whole.splitlines()) if "pose" in step]

    @property
    def speed(self) -> float:
        """m/s, now."""
        steps = self.steps
        return float(steps[-1]["speed"]) if steps else 0.0

    def stop_since(self, moment: float) -> Stop:
        """Simulated seconds and metres from `moment`, s since 1970, until the car stood."""
        wait_for(lambda: self.steps[-1]["t"] > moment and self.speed == 0.0, "the car to stand", PATIENCE)
        steps = [step for step in self.steps if step["t"] >= moment]
        stood = next(step for step in steps if step["speed"] == 0.0)
        metres = math.dist(steps[0]["pose"][:2], stood["pose"][:2])
        return Stop(stood["simulated"] - steps[0]["simulated"], metres)


class CarGraph:
    """The car, the nodes that drive it, and the operator. log: every line the nodes printed."""

    def __init__(self, car: Car, operator: OperatorNode, processes: Processes, log: list[str]) -> None:
        self.car, self.operator, self.processes, self.log = car, operator, processes, log

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the node of that name."""
        os.kill(self.processes.pid(name), number)

    def drive(self, speed: float) -> None:
        """Engage as soon as there is a plan, and wait until the car is at least so fast, m/s."""
        operator = self.operator
        wait_for(lambda: operator.state == "READY", "the bridge", PATIENCE)
        operator.engage(False)
        plans = operator.plans
        wait_for(lambda: operator.plans > plans and self.car.speed < STILL, "a plan, and the car to stand", PATIENCE)
        wait_for(lambda: operator.engage(True)[0], "the gate", PATIENCE)
        wait_for(lambda: self.car.speed >= speed, "the car to drive", PATIENCE)


@contextmanager
def car_graph(folder: Path, scenario: str = "lane_following", world: str = "val:0") -> Iterator[CarGraph]:
    """The rows of the table, on a ROS domain of their own, with the policy that drives straight on."""
    options = CarlaOptions(sim=True, model="baseline:lane_blind", world=world, scenario=scenario)
    domain = random.SystemRandom().randint(1, 100)
    rows = tuple(row for row in carla_table(options) if row.name != "carla_bridge")
    table = [replace(program, environment={"ROS_DOMAIN_ID": str(domain)}) for program in programs(rows)]
    log: list[str] = []
    with (
        Car(folder, domain, options) as car,
        OperatorNode(domain, "carla_bridge") as operator,
        Processes(table, log.append) as processes,
    ):
        yield CarGraph(car, operator, processes, log)


def now() -> float:
    """s since 1970, the clock of the truth file."""
    return time.time()
