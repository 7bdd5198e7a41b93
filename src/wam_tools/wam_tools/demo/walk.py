"""One walk of the demo: the whole graph as real processes in one yard, from standing up to the goal."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace

from wam_planner.bringup import Go2Options, Row, go2_table
from wam_sim.worlds import YardWorld
from wam_tools.demo.run import PERIOD, REST_PATIENCE, START_PATIENCE, STILL, Folder, Graph, staged
from wam_tools.demo.truth import Follower, Verdict

INSTRUCTION = "walk to the goal"
# What the virtual robot needs after StandUp, and what the bridge waits for it; a real one takes up to 10 s.
DEAD_WINDOW, SETTLE_TIME = 3.0, 3.5


def walk(world: YardWorld, model: str, folder: Folder, progress: Callable[[str, Verdict], None]) -> Verdict:
    """Walk one world; progress: called a few times a second with what is going on. Raises RunError."""
    folder.clear()
    follower = Follower(folder.truth, world.goal)
    with staged(_graph(world, model, folder), folder, lambda what: progress(what, follower.look())) as stage:
        stage.operator.ask(INSTRUCTION, world.goal)
        for _ in stage.wait("standing up"):
            if stage.operator.state == "READY":
                break
        stage.engage()
        for _ in stage.wait("walking", START_PATIENCE + 30.0):
            if follower.verdict.over:
                break
        resting = time.monotonic() + REST_PATIENCE
        while follower.look().reached and follower.speed > STILL and time.monotonic() < resting:
            time.sleep(PERIOD)
        stage.operator.engage(False)
    return follower.verdict


def _graph(world: YardWorld, model: str, folder: Folder) -> Graph:
    domain = random.SystemRandom().randint(101, 200)
    options = Go2Options(sim=True, domain=domain, model=model, world=f"{world.split}:{world.seed}")
    return Graph([_adapt(row, folder) for row in go2_table(options)], "go2", {})


def _adapt(row: Row, folder: Folder) -> Row:
    if row.name == "virtual_go2":
        extra = ("--truth", str(folder.truth), "--dead-window", str(DEAD_WINDOW))
        return replace(row, arguments=(*row.arguments, *extra))
    if row.name == "go2_bridge":
        return replace(row, parameters={**row.parameters, "settle_time": SETTLE_TIME})
    if row.name == "planner":
        return replace(row, parameters={**row.parameters, "instruction": "", "goal": ""})
    return row
