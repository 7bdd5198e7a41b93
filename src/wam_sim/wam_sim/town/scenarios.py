"""Drives by name: a town of a split and a seed, a route through it, and what happens there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import numpy as np

from wam_sim.town.draft import (
    KERB,
    Draft,
    add_cones,
    add_crossing,
    add_cyclist,
    add_traffic,
    free_place,
    park,
    vehicle_at,
    vehicle_on_route,
)
from wam_sim.town.instructions import SAID_BEFORE, SAYINGS
from wam_sim.town.layout import SPLITS, make_network
from wam_sim.town.lights import Lights, make_lights
from wam_sim.town.looks import make_look
from wam_sim.town.network import Junction, Lane, LaneId, RoadNetwork
from wam_sim.town.routes import Route, make_route
from wam_sim.town.surroundings import signal_poles, surroundings
from wam_sim.town.world import Brakes, Misleading, PullsOut, TownWorld

# Towns that are looked at for a place where a scenario can happen.
_OTHER_TOWNS = 80


class _NoPlaceError(Exception):
    """A town in which a scenario cannot happen."""


@lru_cache(maxsize=2)
def _town(split: str, seed: int) -> RoadNetwork:
    return make_network(split, seed)


def make_world(split: str, seed: int, scenario: str = "route") -> TownWorld:
    """The same for the same arguments. Raises ValueError for another split or scenario."""
    if split not in SPLITS:
        raise ValueError(f"no split is called {split!r}: there are {', '.join(SPLITS)}")
    if scenario not in SCENARIOS:
        raise ValueError(f"no scenario is called {scenario!r}: there are {', '.join(SCENARIOS)}")
    rng = np.random.default_rng([seed, SPLITS.index(split), list(SCENARIOS).index(scenario), 83])
    for another in range(_OTHER_TOWNS):
        network = _town(split, seed + 100_000 * another)
        lights = {junction.id: make_lights(junction, float(rng.uniform(0.0, 60.0))) for junction in network.junctions}
        draft = Draft(split, seed, network, lights, rng, make_route(network, 200.0, rng))
        try:
            SCENARIOS[scenario](draft)
        except _NoPlaceError:
            continue  # few towns of Y-junctions have a way straight on
        break
    else:
        raise AssertionError(f"no town of {split} from {seed} on has a place for {scenario}")
    add_traffic(draft)
    lights_of_day = ("day", "dusk", "night", "fog") if split == "unseen" else ("day", "dusk", "fog")
    look = make_look(split, str(rng.choice(lights_of_day)), rng)
    around = surroundings(network, split, np.random.default_rng([seed, SPLITS.index(split), 84]))
    return TownWorld(
        split=split,
        seed=seed,
        scenario=scenario,
        network=network,
        lights=draft.lights,
        route=draft.route,
        look=look,
        things=(*around, *signal_poles(network, draft.lights), *draft.things),
        vehicles=tuple(draft.vehicles),
        walkers=tuple(draft.walkers),
        misleading=tuple(draft.misleading),
        speed=draft.speed,
    )


def _route(draft: Draft) -> None:
    """What a town brings: turns, lights, traffic, parked cars, cyclists, people who cross. It turns at its first
    junction, or who does not steer would come far."""
    draft.route = make_route(draft.network, 260.0, draft.rng)
    while next((turn for _, turn in draft.route.turns), "straight") == "straight":
        draft.route = make_route(draft.network, 260.0, draft.rng)
    for _ in range(int(draft.rng.integers(1, 3))):
        if (s := free_place(draft)) is not None:
            add_crossing(draft, s)
    for _ in range(int(draft.rng.integers(2, 5))):
        if (s := free_place(draft)) is not None:
            park(draft, s, float(draft.rng.uniform(-0.3, 0.35)))
    if draft.rng.random() < 0.5 and (s := free_place(draft, clear_of_junctions=26.0)) is not None:
        park(draft, s, 0.9)
    if draft.rng.random() < 0.6 and (s := free_place(draft)) is not None:
        add_cyclist(draft, s)
    if draft.rng.random() < 0.4 and (s := free_place(draft)) is not None:
        add_cones(draft, s)


def _lane_following(draft: Draft) -> None:
    draft.route = _straight_on(draft, 120.0)


def _curves(draft: Draft) -> None:
    def bend(route: Route) -> float:
        yaw = np.unwrap([route.pose(s)[2] for s in np.arange(0.0, route.length, 4.0)])
        turned = np.abs(np.diff(yaw))
        on_roads = [route.at(s)[0].junction is None for s in np.arange(0.0, route.length - 4.0, 4.0)]
        return float(turned[: len(on_roads)][on_roads[: len(turned)]].sum())

    draft.route = max((make_route(draft.network, 180.0, draft.rng) for _ in range(12)), key=bend)
    draft.traffic = 0.5


def _red_light(draft: Draft) -> None:
    draft.route = _through_junction(draft, None, before=55.0)
    at, _ = draft.route.turns[0]
    lane, _ = draft.route.at(at - 1.0)
    lights = draft.lights[_junction_of(draft, at)]
    arm = _arm(draft, lane)
    group = next(number for number, arms in enumerate(lights.groups) if arm in arms)
    # Green 15 s after the start, which is about 6 s after one arrives.
    draft.lights[lights.junction] = replace(lights, offset=(group * lights.share - 15.0) % lights.cycle)


def _lead_braking(draft: Draft) -> None:
    draft.route = _straight_on(draft, 110.0)
    lead = vehicle_on_route(draft, draft.kind(), 18.0, speed=6.0)
    draft.vehicles.append(replace(lead, script=Brakes(float(draft.rng.uniform(15.0, 40.0)), 4.0)))
    draft.traffic = 0.5


def _crossing(draft: Draft) -> None:
    draft.route = _straight_on(draft, 100.0)
    add_crossing(draft, float(draft.rng.uniform(45.0, 60.0)))
    draft.traffic = 0.5


def _parked_car(draft: Draft) -> None:
    draft.route = _straight_on(draft, 100.0)
    park(draft, float(draft.rng.uniform(45.0, 55.0)), float(draft.rng.uniform(0.75, 0.95)))


def _cut_in(draft: Draft) -> None:
    draft.route = _straight_on(draft, 110.0)
    start = vehicle_on_route(draft, draft.kind(), float(draft.rng.uniform(42.0, 52.0)), speed=0.0)
    script = PullsOut(float(draft.rng.uniform(16.0, 24.0)))
    draft.vehicles.append(replace(start, beside=KERB - 0.7, script=script))
    draft.traffic = 0.5


def _unprotected_turn(draft: Draft) -> None:
    """Left, while those who come the other way, or from the right where there is no other way, have green too."""
    for _ in range(40):
        draft.route = _through_junction(draft, "left", before=40.0)
        at, _ = draft.route.turns[0]
        junction = next(j for j in draft.network.junctions if j.id == _junction_of(draft, at))
        if len(junction.arms) == 4 or draft.split == "unseen":
            break
    arm = _arm(draft, draft.route.at(at - 1.0)[0])
    lights = _together(junction, arm)
    draft.lights[junction.id] = replace(lights, offset=0.0)
    opposite = [other for other in lights.groups[0] if other != arm]
    for other in opposite:
        lane = draft.network.lanes[LaneId(other.road, -1 if other.at_end else 1)]
        tail = lane.centre.length
        for gap in draft.rng.uniform(4.0, 14.0, 4):
            kind = draft.kind()
            along = tail - float(gap) - 0.5 * kind.length
            tail = along - 0.5 * kind.length
            if tail > 0.0:
                ways = [each for each in lane.following if _turn(draft, each) != "left"]
                lanes = (lane.id, ways[int(draft.rng.integers(len(ways)))]) if ways else (lane.id,)
                draft.vehicles.append(vehicle_at(draft, kind, lanes, along, 6.0))


def _together(junction: Junction, arm: object) -> Lights:
    """The first group is that of `arm`; where each goes alone, the arm to its right joins it."""
    lights = make_lights(junction)
    groups = list(lights.groups)
    mine = next(group for group in groups if arm in group)
    groups.remove(mine)
    if len(mine) == 1:
        # Anticlockwise, the next arm is the one to the right of who arrives here.
        arms = junction.arms
        right = arms[(arms.index(mine[0]) + 1) % len(arms)]
        groups = [group for group in groups if right not in group]
        mine = (*mine, right)
    return replace(lights, groups=(mine, *groups))


def _turn_left(draft: Draft) -> None:
    _turn_scenario(draft, "left")


def _turn_right(draft: Draft) -> None:
    _turn_scenario(draft, "right")


def _go_straight(draft: Draft) -> None:
    _turn_scenario(draft, "straight")


def _turn_scenario(draft: Draft, turn: str) -> None:
    draft.route = _through_junction(draft, turn, before=50.0)
    draft.traffic = 0.6


def _misled(draft: Draft) -> None:
    """Told to turn where no junction is near, for about two seconds, before the right instruction comes."""
    draft.route = _through_junction(draft, None, before=85.0)
    at, turn = draft.route.turns[0]
    others = [key for key in ("left", "right", "straight") if key != turn]
    end = max(at - SAID_BEFORE, 16.0)
    wrong = SAYINGS[str(draft.rng.choice(others))][0]
    draft.misleading.append(Misleading(max(end - 18.0, 0.0), end, wrong))
    draft.traffic = 0.6


SCENARIOS: dict[str, Callable[[Draft], None]] = {
    "route": _route,
    "lane_following": _lane_following,
    "curves": _curves,
    "red_light": _red_light,
    "lead_braking": _lead_braking,
    "crossing": _crossing,
    "parked_car": _parked_car,
    "cut_in": _cut_in,
    "unprotected_turn": _unprotected_turn,
    "turn_left": _turn_left,
    "turn_right": _turn_right,
    "straight": _go_straight,
    "misled": _misled,
}


def _straight_on(draft: Draft, length: float) -> Route:
    """Along one road, as far as it goes up to `length` m, ending before its junction."""
    roads = [lane for lane in draft.network.lanes.values() if lane.junction is None]
    long = [lane for lane in roads if lane.centre.length > length + 15.0]
    choice = long or sorted(roads, key=lambda lane: lane.centre.length)[-6:]
    lane = choice[int(draft.rng.integers(len(choice)))]
    start = float(draft.rng.uniform(3.0, max(lane.centre.length - length - 10.0, 4.0)))
    return Route((lane,), start, min(start + length, lane.centre.length - 6.0), ())


def _through_junction(draft: Draft, turn: str | None, before: float, after: float = 45.0) -> Route:
    """To a junction, `before` m of road, through it and on. Raises _NoPlaceError where there is no such turn."""
    ways = [way for way in draft.network.connections if turn in (None, way.turn)]
    if not ways:
        raise _NoPlaceError
    lanes = draft.network.lanes
    fit = [way for way in ways if lanes[way.enters_from].centre.length > before + 5.0] or ways
    way = fit[int(draft.rng.integers(len(fit)))]
    first, through, last = lanes[way.enters_from], lanes[LaneId(way.id, -1)], lanes[way.leads_to]
    start = max(first.centre.length - before, 2.0)
    end = min(after, last.centre.length - 5.0)
    return Route((first, through, last), start, end, ((first.centre.length - start, way.turn),))


def _junction_of(draft: Draft, at: float) -> int:
    """Of the junction that begins `at` m along the route."""
    number = draft.route.at(at + 0.5)[0].junction
    assert number is not None
    return number


def _arm(draft: Draft, lane: Lane) -> object:
    """The road end at which a road's lane ends."""
    return next(way.entry for way in draft.network.connections if way.enters_from == lane.id)


def _turn(draft: Draft, lane: LaneId) -> str:
    return next(way.turn for way in draft.network.connections if way.id == lane.road)
