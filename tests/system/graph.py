"""The nodes of the bring-up table as real processes, without the robot's own rows."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from system.fake_robot import FakeRobot

from wam_planner.bringup import Go2Options, go2_table, programs
from wam_planner.processes import Processes, Program

NODES = ("safety_gate", "controller", "planner")


class Graph:
    """A fake robot and the processes that drive it. log: every line they printed."""

    def __init__(self, robot: FakeRobot, processes: Processes, log: list[str]) -> None:
        self.robot = robot
        self.processes = processes
        self.log = log

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the process of that name."""
        os.kill(self.processes.pid(name), number)


@contextmanager
def graph(
    nodes: tuple[str, ...] = NODES,
    model: str = "baseline:straight",
    goal: str = "200,0",
    instruction: str = "walk to the goal",
) -> Iterator[Graph]:
    """The named nodes on a ROS domain of their own, beside a robot that does not move yet."""
    options = Go2Options(model=model, goal=goal, instruction=instruction)
    domain = random.SystemRandom().randint(1, 100)
    log: list[str] = []
    with FakeRobot(domain) as robot, Processes(node_programs(nodes, domain, options), log.append) as processes:
        yield Graph(robot, processes, log)


def node_programs(nodes: tuple[str, ...], domain: int, options: Go2Options) -> list[Program]:
    """The rows of the table with these names, as programs on a ROS domain."""
    rows = go2_table(options)
    wanted = programs(tuple(row for row in rows if row.name in nodes))
    return [replace(program, environment={"ROS_DOMAIN_ID": str(domain)}) for program in wanted]
