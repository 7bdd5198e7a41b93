"""Walks in the yard, recorded as bags: from where to where, by whom, pushed off its way how."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from wam_models.types import Trajectory
from wam_sim.expert import YardExpert
from wam_sim.ranging import BEARINGS, MAX_RANGE, scan, segments_of
from wam_sim.rollout import Driver, ExpertDriver, walk
from wam_sim.run_recorder import RecordedRun, RunRecorder, Sensors
from wam_sim.scene import HORIZONTAL_FOV
from wam_sim.simulation import YardSimulation
from wam_sim.starts import STARTS
from wam_sim.what_ifs import Questioner
from wam_sim.worlds import make_world

# Counts up whenever a world and an episode give another run.
RECORDER = 1
FRAME_PERIOD = 0.25  # s: the spacing of the trajectories
SENSORS = Sensors(HORIZONTAL_FOV, BEARINGS, MAX_RANGE, FRAME_PERIOD)

# Said in the field's plain words; the pace is what each asks for.
INSTRUCTIONS = {
    "normally": ("walk to the goal", "go to the goal", "head for the goal", "walk to the target", "go to the target"),
    "slowly": ("walk slowly to the goal", "go slowly to the goal", "walk carefully to the target"),
    "briskly": ("walk quickly to the goal", "go quickly to the target", "hurry to the goal"),
}


def record_run(
    path: Path,
    split: str,
    seed: int,
    *,
    episode: int = 0,
    starts: str = "lane",
    what_ifs: int = 0,
    driver: Callable[[YardSimulation], Driver] | None = None,
    time_limit: float | None = None,
) -> RecordedRun:
    """One run in the world (split, seed), kept as a bag at `path`.

    episode varies start, instruction, disturbances and noise within a world; starts: a key of STARTS; what_ifs: how
    many questions the expert is asked at each frame; time_limit: s, other than that of the starts. driver: simulation
    -> Driver, default the expert, pushed off its way now and then, so that the bag shows how to get back.
    """
    rng = np.random.default_rng([seed, episode, 79])
    pace = str(rng.choice(list(INSTRUCTIONS), p=(0.7, 0.15, 0.15)))
    instruction = str(rng.choice(INSTRUCTIONS[pace]))
    begin = STARTS[starts].draw(_world(split, seed), episode, rng)
    world, twist = begin.world, (begin.speed, 0.0, 0.0)
    simulation = YardSimulation(
        world, seed=1000 * seed + episode, pose=begin.pose, twist=twist, instruction=instruction
    )
    expert = YardExpert(world, pace)
    teacher = ExpertDriver(expert)
    driving = teacher if driver is None else driver(simulation)
    questioner = None
    if what_ifs:
        questioner = Questioner(world, begin.pose[:2], pace, what_ifs, np.random.default_rng([seed, episode, 80]))
    try:
        segments = segments_of(world.static_footprints)
        frames = 0
        with RunRecorder(path, SENSORS, {"world": world.name, "pace": pace, "episode": episode}) as recorder:
            recorder.goal(simulation.time, world.goal)

            def keep(now: YardSimulation, plan: Trajectory | None) -> None:
                nonlocal frames
                label = plan if driving is teacher and plan is not None else teacher.plan(now)
                ranges = scan(segments, now.pose, now.walkers)
                recorder.frame(now.time, now.render(), now.pose, now.twist, now.instruction, label, ranges)
                for answer in questioner.ask(now) if questioner else ():
                    recorder.what_if(now.time, now.pose, answer)
                frames += 1

            result = walk(
                simulation,
                driving,
                plan_period=FRAME_PERIOD,
                latency=float(rng.uniform(0.06, 0.16)),
                time_limit=STARTS[starts].time_limit if time_limit is None else time_limit,
                disturb=_Pushes(rng) if driver is None else None,
                on_plan=keep,
            )
    finally:
        simulation.close()
    return RecordedRun(path, frames, result.reached, result.contact)


_world = lru_cache(maxsize=1)(make_world)  # a worker makes the runs of a world one after the other


class _Pushes:
    """Adds to the command for about three quarters of a second in every three: a slip, a shove, a wrong turn."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._until = self._next = float(rng.uniform(0.5, 3.0))
        self._push = np.zeros(3)

    def __call__(self, time: float, command: np.ndarray) -> np.ndarray:
        if time >= self._next:
            self._until = time + float(self._rng.uniform(0.4, 1.1))
            self._next = self._until + float(self._rng.exponential(2.0)) + 0.6
            self._push = self._rng.normal(0, [0.15, 0.15, 0.7])
        return command + self._push if time < self._until else command
