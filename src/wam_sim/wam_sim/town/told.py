"""Before the same picture, told left and told right: whether words change where a policy goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from wam_models.policy import Policy
from wam_models.types import EgoState, Observation, Plan
from wam_sim.town.instructions import SAYINGS
from wam_sim.town.network import LaneId
from wam_sim.town.routes import Route
from wam_sim.town.scenarios import make_world
from wam_sim.town.simulation import TownSimulation
from wam_sim.town.world import TownWorld

# m from the middle of the car to the stop line.
_BEFORE = (1.0, 4.0, 8.0)
_SPEEDS = (2.0, 4.0)  # m/s


@dataclass(frozen=True)
class Told:
    """One picture. left, right: m to the left where the plan ends that was made for those words, None where the policy
    refused."""

    world: str
    before: float
    speed: float
    left: float | None
    right: float | None

    @property
    def apart(self) -> bool:
        """Whether they go to different sides."""
        return self.left is not None and self.right is not None and self.left > 0.0 > self.right


def ask_both(policy: Policy, split: str, towns: int, seed: int = 0) -> Iterator[Told]:
    """At green lights of junctions where both turns can be taken, one junction a town. The policy has to know the one
    instruction and the other."""
    for number in range(seed, seed + towns):
        world = make_world(split, number, "turn_left")
        for before in _BEFORE:
            there = _before_junction(world, before)
            if there is None:
                continue
            simulation = TownSimulation(there, seed=number, cameras=policy.spec.cameras)
            frame = np.stack([simulation.render(camera) for camera in policy.spec.cameras])
            simulation.close()
            for speed in _SPEEDS:
                ends = [_end(policy, frame, speed, SAYINGS[turn][0]) for turn in ("left", "right")]
                yield Told(there.name, before, speed, ends[0], ends[1])


def _before_junction(world: TownWorld, before: float) -> TownWorld | None:
    """The same town with the car `before` m from the line, at green and alone; None where it cannot turn both ways."""
    network, first = world.network, world.route.lanes[0]
    turns = {way.turn for way in network.connections if way.enters_from == first.id}
    if not {"left", "right"} <= turns:
        return None
    entry = next(way for way in network.connections if way.id == world.route.lanes[1].id.road)
    lights = world.lights[entry.junction]
    group = next(number for number, arms in enumerate(lights.groups) if entry.entry in arms)
    green = replace(lights, offset=group * lights.share + 2.0)
    assert world.route.lanes[1].id == LaneId(entry.id, -1)
    route = Route(world.route.lanes, first.centre.length - before, world.route.end, ((before, entry.turn),))
    return replace(world, route=route, lights={**world.lights, entry.junction: green}, vehicles=(), walkers=())


def _end(policy: Policy, frame: np.ndarray, speed: float, text: str) -> float | None:
    spec = policy.spec
    stamps = spec.context_dt * np.arange(1 - spec.context_frames, 1)
    frames = np.repeat(frame[None], spec.context_frames, axis=0)
    policy.reset(0)
    answer = policy.plan(Observation(frames, stamps, spec.cameras, EgoState(speed, 0.0, 0.0), text))
    return float(answer.trajectory.poses[-1, 1]) if isinstance(answer, Plan) else None
