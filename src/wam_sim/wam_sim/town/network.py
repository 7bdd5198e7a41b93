"""The lane graph of a town: two-lane roads between junctions, and what connects their lanes there.

Right-hand traffic. The frame is x east, y north, metres; roads and lanes are counted as OpenDRIVE counts them: lane -1
is right of the road's line and runs along it, lane 1 is left of it and runs against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from wam_models.se2 import relative
from wam_sim.town.curves import Curve

LANE_WIDTH = 3.5  # m
SIDEWALK_WIDTH = 2.0  # m, on both sides of a road, none in junctions
# rad: a way through a junction that bends more is a turn.
_TURN = 0.6


class LaneId(NamedTuple):
    road: int
    lane: int


class RoadEnd(NamedTuple):
    """at_end: of the road's line, else its start."""

    road: int
    at_end: bool


@dataclass(frozen=True)
class Road:
    """Two lanes. line: in the middle; start, end: the junctions that it joins, which may be one."""

    id: int
    line: Curve
    start: int
    end: int


@dataclass(frozen=True)
class Connection:
    """One lane through a junction, of id -1. line: its left border, from the middle of one road to that of another;
    entry, exit: the road ends that it joins."""

    id: int
    line: Curve
    junction: int
    entry: RoadEnd
    exit: RoadEnd

    @property
    def turn(self) -> str:
        """left, straight or right."""
        bend = relative(self.line.start, self.line.end)[2]
        return "straight" if abs(bend) < _TURN else "left" if bend > 0 else "right"

    @property
    def enters_from(self) -> LaneId:
        return LaneId(self.entry.road, -1 if self.entry.at_end else 1)

    @property
    def leads_to(self) -> LaneId:
        return LaneId(self.exit.road, 1 if self.exit.at_end else -1)


@dataclass(frozen=True)
class Junction:
    """arms: the road ends at it, anticlockwise."""

    id: int
    centre: tuple[float, float]
    arms: tuple[RoadEnd, ...]


@dataclass(frozen=True)
class Lane:
    """In the direction of driving. centre: in its middle; junction: that it lies in, or None; following: lanes that
    begin where it ends."""

    id: LaneId
    centre: Curve
    junction: int | None
    following: tuple[LaneId, ...]


@dataclass(frozen=True)
class RoadNetwork:
    roads: tuple[Road, ...]
    connections: tuple[Connection, ...]
    junctions: tuple[Junction, ...]

    @cached_property
    def lanes(self) -> dict[LaneId, Lane]:
        """All, those through junctions too. Raises ValueError where a bend is too tight for its lane."""
        half = LANE_WIDTH / 2.0
        leaving: dict[LaneId, list[LaneId]] = {}
        for way in self.connections:
            leaving.setdefault(way.enters_from, []).append(LaneId(way.id, -1))
        lanes = [
            Lane(LaneId(road.id, side), centre, None, tuple(leaving.get(LaneId(road.id, side), ())))
            for road in self.roads
            for side, centre in ((-1, road.line.beside(-half)), (1, road.line.beside(half).backwards()))
        ]
        lanes += [
            Lane(LaneId(way.id, -1), way.line.beside(-half), way.junction, (way.leads_to,)) for way in self.connections
        ]
        return {lane.id: lane for lane in lanes}
