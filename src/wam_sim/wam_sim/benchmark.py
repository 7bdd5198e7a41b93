"""The yard benchmark: many walks of many policies, in closed loop and simulated time, on several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from wam_models.evaluation.oracle import Oracle
from wam_models.evaluation.yard import WalkOutcome
from wam_models.policy import Policy, load_policy
from wam_sim.expert import YardExpert
from wam_sim.policy_driver import PolicyDriver
from wam_sim.rollout import LATENCY, Driver, ExpertDriver, walk
from wam_sim.simulation import YardSimulation
from wam_sim.worlds import YardWorld, make_world

EXPERT = "expert"
BASELINES = ("stop", "straight", "constant_velocity")


@dataclass(frozen=True)
class Contender:
    """What is to be scored. name: a key of the result; source: EXPERT or what load_policy takes; mask, steps: other
    than the checkpoint's own, for a Metis; rung, candidates: see load_policy; commit: see PolicyDriver;
    oracle: candidates are chosen by the privileged expert's plan, which no robot has."""

    name: str
    source: str
    steps: int | None = None
    mask: str | None = None
    tracker: str = "holonomic"
    rung: str = "cached"
    candidates: int = 1
    commit: float = 0.0
    oracle: bool = False

    def describe(self) -> dict[str, object]:
        """What a score was of, for the file that keeps it; None stands for the model's own."""
        model = None if self.source == EXPERT else load_policy(self.source).spec.model_id
        names = "steps", "mask", "tracker", "rung", "candidates", "commit", "oracle"
        return {"model_id": model, **{name: getattr(self, name) for name in names}}


def run_yard(
    contenders: Sequence[Contender],
    split: str,
    episodes: int,
    *,
    workers: int = 1,
    seed: int = 0,
    latency: float = LATENCY,
) -> Iterator[tuple[Contender, WalkOutcome]]:
    """Every contender through worlds `seed` to `seed + episodes - 1` of the split, in order; results as they come.
    latency: s from the image to the plan in the controller's hands."""
    numbers = range(seed, seed + episodes)
    jobs = [(contender, split, number, latency) for contender in contenders for number in numbers]
    # spawn: a forked child would share its parent's GL context and torch threads
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for job, outcome in zip(jobs, pool.map(_walk, jobs), strict=True):
            yield job[0], outcome


_loaded: dict[Contender, Policy] = {}


def _policy(contender: Contender) -> Policy:
    """One policy a process, for loading takes longer than a walk, and one thread, for the workers share the cores."""
    if contender not in _loaded:
        _loaded.clear()
        _loaded[contender] = load_policy(
            contender.source,
            steps=contender.steps,
            mask=contender.mask,
            rung=contender.rung,
            candidates=contender.candidates,
            threads=1,
        )
    return _loaded[contender]


def _driver(contender: Contender, world: YardWorld, seed: int) -> Driver:
    if contender.source == EXPERT:
        return ExpertDriver(YardExpert(world))
    policy = _policy(contender)
    policy.reset(seed)
    told = None
    if contender.oracle:
        from wam_models.metis.planning import MetisPolicy  # torch, which nothing else here needs

        if not isinstance(policy, MetisPolicy):
            raise ValueError(f"{contender.source} chooses among no candidates: an oracle is for a Metis")
        policy.scorer = oracle = Oracle(policy.spec.dt)
        told = oracle, ExpertDriver(YardExpert(world))
    return PolicyDriver(policy, commit=contender.commit, oracle=told)


def _walk(job: tuple[Contender, str, int, float]) -> WalkOutcome:
    contender, split, seed, latency = job
    world = make_world(split, seed)
    simulation = YardSimulation(world, seed=seed)
    try:
        return walk(simulation, _driver(contender, world, seed), tracker=contender.tracker, latency=latency)
    finally:
        simulation.close()
