"""A world being made, and who and what is put into it: parked cars, cyclists, people, cones, traffic."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import shapely

from wam_models.se2 import compose
from wam_sim.objects import Thing, cone, person
from wam_sim.town.idm import Driver
from wam_sim.town.lights import Lights
from wam_sim.town.network import LANE_WIDTH, SIDEWALK_WIDTH, LaneId, RoadNetwork
from wam_sim.town.routes import Route
from wam_sim.town.vehicles import CYCLISTS, VEHICLES, VehicleKind
from wam_sim.town.world import Misleading, VehicleStart, WalkerStart

# m left of the middle of a lane.
KERB = -0.5 * LANE_WIDTH
_FAR_KERB = 1.5 * LANE_WIDTH


@dataclass
class Draft:
    """A world being made. places: m along the route at which something stands or happens already."""

    split: str
    seed: int
    network: RoadNetwork
    lights: dict[int, Lights]
    rng: np.random.Generator
    route: Route
    places: list[float] = field(default_factory=list)
    things: list[Thing] = field(default_factory=list)
    vehicles: list[VehicleStart] = field(default_factory=list)
    walkers: list[WalkerStart] = field(default_factory=list)
    misleading: list[Misleading] = field(default_factory=list)
    speed: float = 4.0
    traffic: float = 1.0

    def kind(self) -> VehicleKind:
        """At random, of those of the split."""
        kinds = VEHICLES["unseen" if self.split == "unseen" and self.rng.random() < 0.5 else "known"]
        return kinds[int(self.rng.integers(len(kinds)))]


def free_place(draft: Draft, clear_of_junctions: float = 14.0, gap: float = 22.0) -> float | None:
    """m along the route, on a road and away from junctions and from what stands there already; None where a few dozen
    draws find no such place."""
    for _ in range(60):
        s = float(draft.rng.uniform(25.0, max(draft.route.length - 15.0, 26.0)))
        lane, along = draft.route.at(s)
        far = all(abs(s - other) > gap for other in draft.places)
        clear = clear_of_junctions < along < lane.centre.length - clear_of_junctions
        if lane.junction is None and clear and far:
            draft.places.append(s)
            return s
    return None


def park(draft: Draft, s: float, left_edge: float) -> None:
    """A car that stands at the right, its left side `left_edge` m left of the kerb."""
    kind = draft.kind()
    aside = KERB + left_edge - 0.5 * kind.width
    lean = float(draft.rng.normal(0.0, 0.02)) + (np.pi if draft.rng.random() < 0.2 else 0.0)
    pose = compose(draft.route.pose(s), (0.0, aside, lean))
    draft.things.append(Thing("parked", kind.make(draft.rng), pose))


def add_cones(draft: Draft, s: float) -> None:
    """A few along the kerb, each farther into the lane."""
    for number in range(int(draft.rng.integers(2, 5))):
        pose = compose(draft.route.pose(s + 1.8 * number), (0.0, KERB + 0.15 * number, 0.0))
        draft.things.append(Thing("cone", cone(draft.rng), pose))


def add_crossing(draft: Draft, s: float) -> None:
    """Somebody who sets out when the ego car comes near, from the right or the left."""
    right, left = KERB - 0.9, _FAR_KERB + 0.9
    from_left = bool(draft.rng.random() < 0.4)
    here = draft.route.pose(s)
    start, end = (compose(here, (0.0, y, 0.0))[:2] for y in ((left, right) if from_left else (right, left)))
    trigger = float(draft.rng.uniform(32.0, 38.0) if from_left else draft.rng.uniform(21.0, 30.0))
    speed = float(draft.rng.uniform(1.1, 1.7))
    draft.walkers.append(WalkerStart(person(draft.rng), start, end, speed, trigger, s))


def add_cyclist(draft: Draft, s: float) -> None:
    """Ahead on the route, near its kerb."""
    kinds = CYCLISTS["unseen" if draft.split == "unseen" and draft.rng.random() < 0.5 else "known"]
    kind = kinds[int(draft.rng.integers(len(kinds)))]
    pace = float(draft.rng.uniform(3.0, 4.5))
    start = vehicle_on_route(draft, kind, s, speed=pace)
    draft.vehicles.append(replace(start, beside=-1.3, driver=Driver(speed=pace, headway=1.0, standing=1.5)))


def vehicle_on_route(draft: Draft, kind: VehicleKind, s: float, speed: float) -> VehicleStart:
    """On the route, and along it."""
    lane, along = draft.route.at(s)
    index = draft.route.lanes.index(lane)
    return vehicle_at(draft, kind, tuple(each.id for each in draft.route.lanes[index:]), along, speed)


def vehicle_at(draft: Draft, kind: VehicleKind, lanes: tuple[LaneId, ...], along: float, speed: float) -> VehicleStart:
    """`along` m into the first of the lanes, with a driver of its own habits."""
    driver = Driver(speed=float(draft.rng.uniform(6.0, 8.5)), headway=float(draft.rng.uniform(1.1, 1.7)))
    return VehicleStart(kind.name, kind.make(draft.rng), kind.length, kind.width, lanes, along, driver, speed)


def add_traffic(draft: Draft) -> None:
    """Cars on the roads round the route, with room for the ego car; people on the pavements."""
    lanes = draft.network.lanes
    line = shapely.LineString([draft.route.pose(s)[:2] for s in np.arange(0.0, draft.route.length, 5.0)])
    near = [
        lane
        for lane in lanes.values()
        if lane.junction is None and line.distance(shapely.Point(lane.centre.pose(0.5 * lane.centre.length)[:2])) < 90.0
    ]
    begin = draft.route.pose(0.0)
    standing = [compose(begin, (x, 0.0, 0.0))[:2] for x in (-8.0, 0.0, 8.0, 16.0)]
    taken = [lanes[each.lanes[0]].centre.pose(each.along)[:2] for each in draft.vehicles] + standing
    taken += [thing.pose[:2] for thing in draft.things]
    for _ in range(int(round(14 * draft.traffic))):
        lane = near[int(draft.rng.integers(len(near)))]
        along = float(draft.rng.uniform(4.0, max(lane.centre.length - 6.0, 5.0)))
        here = lane.centre.pose(along)
        if all(np.hypot(here[0] - x, here[1] - y) > 13.0 for x, y in taken):
            kind, speed = draft.kind(), float(draft.rng.uniform(2.0, 7.0))
            draft.vehicles.append(vehicle_at(draft, kind, (lane.id,), along, speed))
            taken.append(here[:2])
    for _ in range(int(round(8 * draft.traffic))):
        lane = near[int(draft.rng.integers(len(near)))]
        along = float(draft.rng.uniform(2.0, max(lane.centre.length - 16.0, 3.0)))
        aside = KERB - float(draft.rng.uniform(0.8, SIDEWALK_WIDTH - 0.4))
        ends = [compose(lane.centre.pose(along + x), (0.0, aside, 0.0))[:2] for x in (0.0, 12.0)]
        if all(np.hypot(ends[0][0] - t.pose[0], ends[0][1] - t.pose[1]) > 4.0 for t in draft.things):
            draft.walkers.append(WalkerStart(person(draft.rng), ends[0], ends[1], float(draft.rng.uniform(0.8, 1.5))))
