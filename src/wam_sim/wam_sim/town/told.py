"""Before the same picture, told left and told right: whether words change where a policy goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import product

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
# s between two pictures: that of one moment is not drawn twice, and the light stays green for all of them.
_MOMENT = 0.01


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
    instruction and the other, and sees what it would have seen on its way there at that speed."""
    spec = policy.spec
    behind = spec.context_dt * np.arange(spec.context_frames)[::-1]
    farthest = max(_BEFORE) + max(_SPEEDS) * float(behind[0])
    for number in range(seed, seed + towns):
        world = _before_junction(make_world(split, number, "turn_left"), farthest)
        if world is None:
            continue
        simulation = TownSimulation(world, seed=number, cameras=spec.cameras)
        with closing(simulation):
            for before, speed in product(_BEFORE, _SPEEDS):
                frames = np.stack([_seen(simulation, farthest - before - speed * ago, spec.cameras) for ago in behind])
                ends = [_end(policy, frames, speed, SAYINGS[turn][0]) for turn in ("left", "right")]
                yield Told(world.name, before, speed, ends[0], ends[1])


def _seen(simulation: TownSimulation, driven: float, cameras: tuple[str, ...]) -> np.ndarray:
    """uint8 (V, H, W, 3) of the cameras after so many m of the route, with the car put there."""
    simulation.state = replace(simulation.state, pose=simulation.world.route.pose(driven))
    simulation.time += _MOMENT
    return np.stack([simulation.render(camera) for camera in cameras])


def _before_junction(world: TownWorld, before: float) -> TownWorld | None:
    """The same town with the car `before` m from the line, at green and alone; None where that is not on its road or
    it cannot turn both ways."""
    network, first = world.network, world.route.lanes[0]
    turns = {way.turn for way in network.connections if way.enters_from == first.id}
    if not {"left", "right"} <= turns or before >= first.centre.length:
        return None
    entry = next(way for way in network.connections if way.id == world.route.lanes[1].id.road)
    lights = world.lights[entry.junction]
    group = next(number for number, arms in enumerate(lights.groups) if entry.entry in arms)
    green = replace(lights, offset=group * lights.share + 2.0)
    assert world.route.lanes[1].id == LaneId(entry.id, -1)
    route = Route(world.route.lanes, first.centre.length - before, world.route.end, ((before, entry.turn),))
    return replace(world, route=route, lights={**world.lights, entry.junction: green}, vehicles=(), walkers=())


def _end(policy: Policy, frames: np.ndarray, speed: float, text: str) -> float | None:
    spec = policy.spec
    stamps = spec.context_dt * np.arange(1 - spec.context_frames, 1)
    policy.reset(0)
    answer = policy.plan(Observation(frames, stamps, spec.cameras, EgoState(speed, 0.0, 0.0), text))
    return float(answer.trajectory.poses[-1, 1]) if isinstance(answer, Plan) else None
