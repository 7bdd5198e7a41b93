"""Ways to drive: lane after lane, with the turns at junctions."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np

from wam_models.se2 import Vector
from wam_sim.town.network import Lane, LaneId, RoadNetwork


@dataclass(frozen=True)
class Route:
    """lanes: each begins where the one before ends; start, end: m along the first and the last; turns: (m along the
    route where the junction begins, left | straight | right).

    Raises ValueError for one that leaves the map: lanes that do not follow each other, an end that is on none.
    """

    lanes: tuple[Lane, ...]
    start: float
    end: float
    turns: tuple[tuple[float, str], ...]

    def __post_init__(self) -> None:
        if not self.lanes:
            raise ValueError("a route needs a lane")
        for lane, following in zip(self.lanes, self.lanes[1:]):
            if following.id not in lane.following:
                raise ValueError(f"the route leaves the map: {following.id} does not follow {lane.id}")
        for name, along, lane in (("start", self.start, self.lanes[0]), ("end", self.end, self.lanes[-1])):
            if not -1e-6 <= along <= lane.centre.length + 1e-6:
                raise ValueError(
                    f"the route leaves the map: its {name} is {along:.1f} m along {lane.id}, which has "
                    f"{lane.centre.length:.1f} m"
                )

    @cached_property
    def _begins(self) -> list[float]:
        """m along the route at which each lane begins, and the last one ends."""
        return [-self.start, *(s - self.start for s in accumulate(lane.centre.length for lane in self.lanes))]

    @property
    def length(self) -> float:
        """m."""
        return self._begins[-2] + self.end

    def at(self, s: float) -> tuple[Lane, float]:
        """The lane `s` metres along the route, and how far along it that is."""
        index = min(max(bisect_right(self._begins, s) - 1, 0), len(self.lanes) - 1)
        return self.lanes[index], s - self._begins[index]

    def pose(self, s: float) -> Vector:
        """In the middle of the lane, `s` metres along."""
        lane, along = self.at(s)
        return lane.centre.pose(along)


def make_route(network: RoadNetwork, length: float, rng: np.random.Generator) -> Route:
    """From a random place on a road to one about `length` metres of driving away, turning at random, on a road too."""
    turn_of = {LaneId(way.id, -1): way.turn for way in network.connections}
    roads = [lane for lane in network.lanes.values() if lane.junction is None]
    first = roads[int(rng.integers(len(roads)))]
    start = float(rng.uniform(0.1, 0.5)) * first.centre.length
    lanes, driven, turns = [first], first.centre.length - start, []
    while driven < length or lanes[-1].junction is not None:
        following = lanes[-1].following
        chosen = network.lanes[following[int(rng.integers(len(following)))]]
        if chosen.junction is not None:
            turns.append((driven, turn_of[chosen.id]))
        lanes.append(chosen)
        driven += chosen.centre.length
    # The last lane is a road: the route ends on it, where the length is reached or a few metres into it.
    left = driven - lanes[-1].centre.length
    end = float(np.clip(length - left, min(10.0, lanes[-1].centre.length), lanes[-1].centre.length))
    return Route(tuple(lanes), start, end, tuple(turns))
