"""Towns by split and seed: where the roads run.

Junctions lie on a jittered lattice, of squares in `train` and `val`, of bricks in `unseen`, whose junctions have three
arms at 120 degrees; some of the ways between neighbours are missing. Where only two meet the road bends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely

from wam_models.se2 import Vector, compose, wrap
from wam_sim.town.curves import Curve, through
from wam_sim.town.network import LANE_WIDTH, SIDEWALK_WIDTH, Connection, Junction, Road, RoadEnd, RoadNetwork

SPLITS = ("train", "val", "unseen")
# Apart from the yard's: the same seed makes no related world.
_STREAM = 7
# m from the middle of a junction to where its roads begin: a right turn then has a radius of more than 8 m.
_REACH = 15.0
# Arms of a junction are at least this far apart, rad.
_APART = math.radians(58.0)
# m, of every lane.
_MIN_RADIUS = 8.0
_ATTEMPTS = 200

Node = tuple[int, int]


@dataclass(frozen=True)
class _Style:
    """columns, rows: nodes of the lattice; spacing: m; jitter: m, of nodes; sway: rad, of the directions in which roads
    leave junctions; bricks: every second way between rows is missing; missing: share of the other ways that are."""

    columns: int
    rows: int
    spacing: float
    jitter: float
    sway: float
    bricks: bool
    missing: float


_STYLES = {
    "train": _Style(4, 4, 95.0, 9.0, 0.12, False, 0.12),
    "val": _Style(4, 4, 95.0, 9.0, 0.12, False, 0.12),
    "unseen": _Style(6, 4, 85.0, 5.0, 0.1, True, 0.04),
}


def make_network(split: str, seed: int) -> RoadNetwork:
    """Raises ValueError for another split."""
    if split not in SPLITS:
        raise ValueError(f"no split is called {split!r}: there are {', '.join(SPLITS)}")
    rng = np.random.default_rng((_STREAM, SPLITS.index(split), seed))
    for _ in range(_ATTEMPTS):
        network = _attempt(_STYLES[split], rng)
        if network is not None:
            return network
    raise AssertionError(f"no town of {split} {seed} came out in {_ATTEMPTS} attempts")


def _attempt(style: _Style, rng: np.random.Generator) -> RoadNetwork | None:
    """A town, or None where roads meet too sharply, bend too tightly or come too near to each other."""
    places, ways = _lattice(style, rng)
    if ways is None:
        return None
    crossings = {node: number for number, node in enumerate(sorted(ways)) if len(ways[node]) >= 3}
    if len(crossings) < 2:
        return None
    headings = {
        (a, b): _heading(places[a], places[b]) + float(rng.uniform(-style.sway, style.sway))
        for a in ways
        for b in ways[a]
    }
    for node in crossings:
        around = sorted(headings[node, other] % math.tau for other in ways[node])
        if min(b - a for a, b in zip(around, [*around[1:], around[0] + math.tau])) < _APART:
            return None
    roads, arms = _roads(places, ways, crossings, headings)
    junctions = tuple(
        Junction(100 + number, places[node], tuple(end for _, end in sorted(arms[node])))
        for node, number in crossings.items()
    )
    network = RoadNetwork(roads, _connections(roads, junctions), junctions)
    return network if _is_sound(network) else None


def _lattice(
    style: _Style, rng: np.random.Generator
) -> tuple[dict[Node, tuple[float, float]], dict[Node, list[Node]] | None]:
    """Where the nodes are, and which of them are joined: all are connected, and none ends blindly; None if not."""
    nodes = [(column, row) for row in range(style.rows) for column in range(style.columns)]
    places = {
        (column, row): (
            style.spacing * column + float(rng.uniform(-style.jitter, style.jitter)),
            style.spacing * row + _lift(style, column, row) + float(rng.uniform(-style.jitter, style.jitter)),
        )
        for column, row in nodes
    }
    across = [((c, r), (c + 1, r)) for c, r in nodes if c + 1 < style.columns]
    along = [((c, r), (c, r + 1)) for c, r in nodes if r + 1 < style.rows and not (style.bricks and (c + r) % 2 == 1)]
    kept = [way for way in across + along if rng.uniform() >= style.missing]
    ways: dict[Node, list[Node]] = {}
    for a, b in kept:
        ways.setdefault(a, []).append(b)
        ways.setdefault(b, []).append(a)
    # What ends blindly is not built, and so on until nothing does.
    while blind := [node for node, others in ways.items() if len(others) == 1]:
        for node in blind:
            for other in ways.pop(node, []):
                ways[other] = [each for each in ways[other] if each != node]
        ways = {node: others for node, others in ways.items() if others}
    reached, waiting = set(), list(ways)[:1]
    while waiting:
        node = waiting.pop()
        if node not in reached:
            reached.add(node)
            waiting += ways[node]
    return places, ways if ways and reached == ways.keys() else None


def _lift(style: _Style, column: int, row: int) -> float:
    """What makes a wall of bricks a honeycomb: nodes with a way up lie higher, those with one down lower."""
    return 0.0 if not style.bricks else style.spacing * (0.22 if (column + row) % 2 == 0 else -0.22)


def _heading(a: tuple[float, float], b: tuple[float, float]) -> float:
    return math.atan2(b[1] - a[1], b[0] - a[0])


def _roads(
    places: dict[Node, tuple[float, float]],
    ways: dict[Node, list[Node]],
    crossings: dict[Node, int],
    headings: dict[tuple[Node, Node], float],
) -> tuple[tuple[Road, ...], dict[Node, list[tuple[float, RoadEnd]]]]:
    """From junction to junction, through the nodes where only two ways meet; and at each junction the directions of the
    road ends."""
    roads: list[Road] = []
    arms: dict[Node, list[tuple[float, RoadEnd]]] = {node: [] for node in crossings}
    done: set[tuple[Node, Node]] = set()
    for node in crossings:
        for first in ways[node]:
            if (node, first) in done:
                continue
            stops, before, here = [_arm(places[node], headings[node, first])], node, first
            while here not in crossings:
                ahead = next(other for other in ways[here] if other != before)
                stops.append((*places[here], _heading(places[before], places[ahead])))
                before, here = here, ahead
            done |= {(node, first), (here, before)}
            back = headings[here, before]
            x, y, yaw = _arm(places[here], back)
            stops.append((x, y, wrap(yaw + math.pi)))
            number = len(roads) + 1
            roads.append(Road(number, through(stops), 100 + crossings[node], 100 + crossings[here]))
            arms[node].append((headings[node, first] % math.tau, RoadEnd(number, False)))
            arms[here].append((back % math.tau, RoadEnd(number, True)))
    return tuple(roads), arms


def _arm(centre: tuple[float, float], heading: float) -> Vector:
    """Where a road begins at a junction, facing away from it."""
    return compose((*centre, heading), (_REACH, 0.0, 0.0))


def _connections(roads: tuple[Road, ...], junctions: tuple[Junction, ...]) -> tuple[Connection, ...]:
    lines = {road.id: road.line for road in roads}
    made: list[Connection] = []
    for junction in junctions:
        for entry in junction.arms:
            for exit in junction.arms:
                if exit != entry:
                    line = through([_towards(lines[entry.road], entry), _away(lines[exit.road], exit)])
                    made.append(Connection(1000 + len(made), line, junction.id, entry, exit))
    return tuple(made)


def _towards(line: Curve, end: RoadEnd) -> Vector:
    """Facing the junction."""
    return line.end if end.at_end else compose(line.start, (0.0, 0.0, math.pi))


def _away(line: Curve, end: RoadEnd) -> Vector:
    return compose(line.end, (0.0, 0.0, math.pi)) if end.at_end else line.start


def _is_sound(network: RoadNetwork) -> bool:
    try:
        lanes = network.lanes
    except ValueError:
        return False
    if any(abs(arc.curvature) > 1.0 / _MIN_RADIUS for lane in lanes.values() for arc in lane.centre.arcs):
        return False
    half = LANE_WIDTH + SIDEWALK_WIDTH
    ground = [
        shapely.LineString([pose[:2] for pose in road.line.poses(2.0)]).buffer(half, cap_style="flat")
        for road in network.roads
    ]
    centres = [shapely.Point(junction.centre).buffer(_REACH + 2.0 * half) for junction in network.junctions]
    apart = [shapely.difference(area, shapely.union_all(centres)) for area in ground]
    return not any(a.intersects(b) for number, a in enumerate(apart) for b in apart[:number])
