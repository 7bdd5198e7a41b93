"""Drives through towns, recorded as bags: which drive, by whom, pushed off its way how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from wam_models.evaluation.town import COLLISIONS, Ended
from wam_models.types import Trajectory
from wam_sim.ranging import measure, people, segments_of
from wam_sim.run_recorder import RecordedRun, RunRecorder, Sensors
from wam_sim.town.car import CarModel, outline
from wam_sim.town.expert import TownExpert
from wam_sim.town.lights import Colour
from wam_sim.town.questions import TownQuestioner
from wam_sim.town.rollout import Driver, ExpertDriver, drive
from wam_sim.town.scenarios import SCENARIOS, make_world
from wam_sim.town.scene import CAMERAS, HORIZONTAL_FOV
from wam_sim.town.simulation import TownSimulation

# Counts up whenever a world and an episode give another drive.
RECORDER = 6
FRAME_PERIOD = 0.5  # s: the spacing of the trajectories
SENSORS = Sensors(
    HORIZONTAL_FOV, np.linspace(-HORIZONTAL_FOV / 2, HORIZONTAL_FOV / 2, 101), max_range=40.0, period=FRAME_PERIOD
)
_SEEN = 45.0  # m to a stop line within which its light matters

# The scenarios of each way to begin, one after the other within a town.
STARTS = {"routes": ("route",), "scenarios": tuple(name for name in SCENARIOS if name != "route")}
_TIME_LIMIT = {"routes": 120.0, "scenarios": 40.0}  # s


def record_drive(
    path: Path,
    split: str,
    seed: int,
    *,
    episode: int = 0,
    starts: str = "scenarios",
    what_ifs: int = 0,
    driver: Callable[[TownSimulation], Driver] | None = None,
    time_limit: float | None = None,
) -> RecordedRun:
    """One drive in the town (split, seed), kept as a bag at `path`.

    episode: which of the scenarios of `starts`, a key of STARTS; what_ifs: questions to the expert at each frame;
    driver: simulation -> Driver, default the expert, pushed off its way now and then.
    """
    rng = np.random.default_rng([seed, episode, 85])
    scenario = STARTS[starts][episode % len(STARTS[starts])]
    world = make_world(split, seed, scenario)
    aside, lean = float(np.clip(rng.normal(0.0, 0.5), -1.0, 1.0)), float(rng.normal(0.0, 0.06))
    world = replace(world, offset=(0.0, aside, lean), speed=float(rng.uniform(0.0, 6.0)), phrase=int(rng.integers(4)))
    simulation = TownSimulation(world, seed=1000 * seed + episode)
    expert = TownExpert(simulation)
    teacher = ExpertDriver(expert)
    driving = teacher if driver is None else driver(simulation)
    questioner = TownQuestioner(simulation, expert, what_ifs, np.random.default_rng([seed, episode, 86]))
    try:
        lidar = _Lidar(simulation)
        frames = 0
        note: dict[str, object] = {"world": world.name, "episode": episode}
        with RunRecorder(path, SENSORS, note) as recorder:

            def keep(now: TownSimulation, plan: Trajectory | None) -> None:
                nonlocal frames
                label = plan if driving is teacher and plan is not None else expert.plan()
                told = now.instruction
                recorder.frame(
                    now.time, now.render(), now.pose, now.twist, told, label, lidar.ranges(), stop_line=_stop_line(now)
                )
                for answer in questioner.ask():
                    recorder.what_if(now.time, now.pose, answer)
                frames += 1

            outcome = drive(
                simulation,
                driving,
                plan_period=FRAME_PERIOD,
                latency=float(rng.uniform(0.06, 0.16)),
                time_limit=_TIME_LIMIT[starts] if time_limit is None else time_limit,
                disturb=_Pushes(rng) if driver is None else None,
                on_plan=keep,
            )
    finally:
        simulation.close()
    hit = any(each.kind in COLLISIONS for each in outcome.infractions)
    return RecordedRun(path, frames, outcome.ended is Ended.COMPLETED, hit)


def _stop_line(simulation: TownSimulation) -> float:
    """m from base_link to the line at which a light tells to stop, inf where none does."""
    ego = simulation.ego
    entry = ego.way.next_entry(ego.s)
    if entry is None or not 0.0 < entry.at - ego.s < _SEEN:
        return float("inf")
    return entry.at - ego.s if simulation.colour(entry.junction, entry.arm) is not Colour.GREEN else float("inf")


class _Lidar:
    """A flat lidar under the front camera."""

    def __init__(self, simulation: TownSimulation) -> None:
        self._simulation = simulation
        self._standing = segments_of([thing.footprint() for thing in simulation.world.things])

    def ranges(self) -> np.ndarray:
        """(B,) m on the bearings of SENSORS."""
        simulation = self._simulation
        x, y, yaw = simulation.state.pose
        ahead = CAMERAS["front"].x
        eye = np.array([x + ahead * np.cos(yaw), y + ahead * np.sin(yaw), yaw])
        near = np.hypot(*np.moveaxis(self._standing.mean(axis=1) - eye[:2], -1, 0)) < SENSORS.max_range + 15.0
        cars = [
            outline(mover.pose, CarModel(length=mover.start.length, width=mover.start.width))
            for mover in simulation.movers
        ]
        moving = segments_of(cars), people([walker.pose[:2] for walker in simulation.walkers])
        return measure(np.concatenate([self._standing[near], *moving]), eye, SENSORS.bearings, SENSORS.max_range)


class _Pushes:
    """Turns the wheel and the pedals for about three quarters of a second in every four: a gust, a rut, a slip."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._until = self._next = float(rng.uniform(1.0, 4.0))
        self._steering = self._acceleration = 0.0

    def __call__(self, time: float, steering: float, acceleration: float) -> tuple[float, float]:
        if time >= self._next:
            self._until = time + float(self._rng.uniform(0.4, 1.0))
            self._next = self._until + float(self._rng.exponential(2.5)) + 1.0
            self._steering, self._acceleration = self._rng.normal(0.0, [0.12, 1.2]).tolist()
        if time < self._until:
            return steering + self._steering, acceleration + self._acceleration
        return steering, acceleration
