"""The town benchmark: many drives of many policies, in closed loop and simulated time, on several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from wam_models.evaluation.town import DriveOutcome
from wam_models.policy import Policy, load_policy
from wam_sim.policy_driver import PolicyDriver
from wam_sim.town.expert import TownExpert
from wam_sim.town.rollout import CAR_PLANS, LATENCY, Driver, ExpertDriver, drive
from wam_sim.town.scenarios import make_world
from wam_sim.town.simulation import TownSimulation

EXPERT = "expert"
BASELINES = ("stop", "constant_velocity", "lane_blind")


@dataclass(frozen=True)
class Contender:
    """What is to be scored. name: a key of the result; source: EXPERT or what load_policy takes; steps: other than the
    checkpoint's own, for a Metis; rung: see load_policy."""

    name: str
    source: str
    steps: int | None = None
    rung: str = "cached"

    def describe(self) -> dict[str, object]:
        """What a score was of, for the file that keeps it; None stands for the model's own."""
        model = None if self.source == EXPERT else load_policy(self.source).spec.model_id
        return {"model_id": model, "steps": self.steps, "rung": self.rung}


@dataclass(frozen=True)
class _Job:
    contender: Contender
    split: str
    seed: int
    scenario: str
    latency: float


def run_town(
    contenders: Sequence[Contender],
    split: str,
    scenarios: Sequence[str],
    episodes: int,
    *,
    workers: int = 1,
    seed: int = 0,
    latency: float = LATENCY,
) -> Iterator[tuple[Contender, DriveOutcome]]:
    """Every contender through each of the scenarios in towns `seed` to `seed + episodes - 1` of the split, in order;
    results as they come. latency: s from the image to the plan in the controller's hands."""
    numbers = range(seed, seed + episodes)
    jobs = [
        _Job(contender, split, number, scenario, latency)
        for contender in contenders
        for scenario in scenarios
        for number in numbers
    ]
    # spawn: a forked child would share its parent's GL context and torch threads
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for job, outcome in zip(jobs, pool.map(_drive, jobs), strict=True):
            yield job.contender, outcome


_loaded: dict[Contender, Policy] = {}


def _policy(contender: Contender) -> Policy:
    """One policy a process, for loading takes long, and one thread, for the workers share the cores."""
    if contender not in _loaded:
        _loaded.clear()
        _loaded[contender] = load_policy(contender.source, steps=contender.steps, rung=contender.rung, threads=1)
    return _loaded[contender]


def _drive(job: _Job) -> DriveOutcome:
    world = make_world(job.split, job.seed, job.scenario)
    driver: Driver
    if job.contender.source == EXPERT:
        simulation = TownSimulation(world, seed=job.seed)
        driver = ExpertDriver(TownExpert(simulation))
    else:
        policy = _policy(job.contender)
        policy.reset(job.seed)
        simulation = TownSimulation(world, seed=job.seed, cameras=policy.spec.cameras)
        driver = PolicyDriver(policy, limits=CAR_PLANS)
    try:
        return drive(simulation, driver, latency=job.latency)
    finally:
        simulation.close()
