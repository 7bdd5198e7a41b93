"""How everybody drives who keeps the rules: the traffic, and the expert beside whom policies are scored.

What is decided here is an acceleration, by the intelligent driver model, against the nearest of all that asks for one:
who drives ahead, who crosses, a red light, a junction that others may drive first, a way round something that stands in
the lane while somebody comes towards it; and how far beside the middle of the lane to drive.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wam_sim.town.idm import Driver
from wam_sim.town.lights import Colour
from wam_sim.town.network import LaneId, RoadEnd
from wam_sim.town.ways import Entry, LaneTable, Way

# m along the way at which it is looked at.
_AHEAD = np.arange(0.0, 46.0, 1.0)
_FAR_AHEAD = np.arange(0.0, 100.0, 2.0)
# Of a car's outline: this many discs along it.
_DISCS = 5
_PERSON = 0.35  # m, the radius of whom one keeps clear
# s: where a person will be who walks on.
_STEPS_AHEAD = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
# m kept between outlines where one passes the other.
_SIDE = 0.2
_ROUND = 0.55
# m/s^2: a yellow light is driven through where it would take more than this to stop.
_YELLOW_BRAKING = 3.0
_CLEAR_OF_LINE = 1.5  # m behind the car
# More than this beside the middle of the lane needs the other lane too.
_OTHER_LANE = 0.45
# m/s: who is slower than what is wanted by less is not overtaken.
_WORTH_PASSING = 2.0

Colours = Callable[[int, RoadEnd], Colour]


@dataclass(frozen=True)
class Bulge:
    """What stands in a lane from `start` to `end` m along it, and the m to the left of its middle that clear it."""

    start: float
    end: float
    offset: float


@dataclass(frozen=True)
class Vehicle:
    """One who drives. s: m along the way; beside: m left of its middle; speed: m/s; narrow: others pass it in its
    lane."""

    way: Way
    s: float
    speed: float
    length: float
    width: float
    beside: float = 0.0
    narrow: bool = False


@dataclass(frozen=True)
class View:
    """One moment, as all see it. vehicles, with their poses (M, 3); people (P, 2) m and their velocities (P, 2) m/s;
    standing: discs (K, 3) x, y, radius m of what stands in or beside lanes; colours: of the lights."""

    vehicles: Sequence[Vehicle]
    poses: np.ndarray
    people: np.ndarray
    velocities: np.ndarray
    standing: np.ndarray
    colours: Colours


@dataclass(frozen=True)
class Decision:
    """acceleration: m/s^2; beside: (N,) m left of the middle of the way that are kept at _AHEAD."""

    acceleration: float
    beside: np.ndarray


def discs(poses: np.ndarray, lengths: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """(..., 5, 3) x, y, radius m, that cover outlines of `lengths` and `widths` (...) at poses (..., 3)."""
    along = np.linspace(-0.5, 0.5, _DISCS) * (lengths - widths)[..., None]
    x = poses[..., 0, None] + along * np.cos(poses[..., 2, None])
    y = poses[..., 1, None] + along * np.sin(poses[..., 2, None])
    # Halfway between two discs the outline's edge is a little nearer to the outside than they are.
    return np.stack([x, y, np.broadcast_to(0.5 * widths[..., None] + 0.08, x.shape)], axis=-1)


def time_to(distance: float, speed: float, acceleration: float = 1.5, top: float = math.inf) -> float:
    """s to drive that many metres, speeding up until at `top` m/s."""
    if distance <= 0.0:
        return 0.0
    top = max(top, speed)
    reached = math.sqrt(speed * speed + 2.0 * acceleration * distance)
    if reached <= top:
        return (reached - speed) / acceleration
    speeding_up = (top * top - speed * speed) / (2.0 * acceleration)
    return (top - speed) / acceleration + (distance - speeding_up) / top


def decide(
    me: Vehicle,
    number: int | None,
    driver: Driver,
    view: View,
    table: LaneTable,
    bulges: Mapping[LaneId, Sequence[Bulge]],
) -> Decision:
    """What `me` does now. number: its own in `view`, or None for one that is not in it."""
    path = me.way.poses(me.s + _AHEAD)
    others = [i for i in range(len(view.vehicles)) if i != number]
    beside, ahead = _beside(me, driver, view, others, path, bulges)
    wanted = _free(me, driver)
    if (need := _oncoming(me, driver, view, others, ahead)) is not None:
        wanted = min(wanted, driver.drive(me.speed, need))
    nearest, blocked = _in_the_way(me, driver, view, others, path, beside)
    wanted = min(wanted, nearest)
    entry = me.way.next_entry(me.s)
    if entry is not None and (gap := _junction(me, driver, entry, view, others, table, blocked)) is not None:
        wanted = min(wanted, driver.drive(me.speed, gap))
    return Decision(wanted, beside)


def _free(me: Vehicle, driver: Driver) -> float:
    """With nobody there: the bends ahead say how fast."""
    limits = me.way.limits(me.s + _AHEAD[:30])
    allowed = np.sqrt(limits**2 + 2.0 * 1.2 * _AHEAD[:30])
    return driver.drive(me.speed, limit=float(allowed.min()))


def _beside(
    me: Vehicle,
    driver: Driver,
    view: View,
    others: list[int],
    path: np.ndarray,
    bulges: Mapping[LaneId, Sequence[Bulge]],
) -> tuple[np.ndarray, list[Bulge]]:
    """(N,) m to the left at _AHEAD; and the bulges ahead that need the other lane, in m from here."""
    keep = np.zeros(len(_AHEAD))
    wide = []
    for lane, begin in zip(me.way.lanes, me.way.begins):
        for bulge in bulges.get(lane, ()):
            start, end = begin + bulge.start - me.s, begin + bulge.end - me.s
            if end > -12.0 and start < 100.0:
                offset = bulge.offset + 0.5 * me.width
                keep = np.maximum(keep, offset * _ramp(_AHEAD, start, end))
                if offset > _OTHER_LANE:
                    wide.append(Bulge(start, end, offset))
    if not me.narrow:
        entry = me.way.next_entry(me.s)
        to_line = np.inf if entry is None else entry.at - me.s
        for i in others:
            if view.vehicles[i].narrow:
                along, left = _seen_from(path, view.poses[i])
                begun = -6.0 < along < 5.0 and me.beside > 0.3
                # Before a junction they wait in a row: side by side they would cut each other off in it.
                slow = view.vehicles[i].speed < driver.speed - _WORTH_PASSING
                begins = slow and along < min(35.0, to_line - 16.0) and -1.9 < left < -0.4
                if begins or (begun and -3.0 < left < -0.4):
                    offset = max(left, -1.9) + 0.5 * view.vehicles[i].width + 0.5 * me.width + _ROUND
                    keep = np.maximum(keep, offset * _ramp(_AHEAD, along - 1.0, along + 1.0))
    return keep, wide


def _ramp(s: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 to 1 and back, smoothly; 1 while a car passes what lies from start to end."""
    rise, fall = np.clip((s - (start - 12.0)) / 9.0, 0.0, 1.0), np.clip(((end + 11.0) - s) / 8.0, 0.0, 1.0)
    both = np.minimum(rise, fall)
    return both * both * (3.0 - 2.0 * both)


def _seen_from(path: np.ndarray, pose: np.ndarray) -> tuple[float, float]:
    """m along and to the left of a path (N, 3) of samples 1 m apart; before its beginning along is below 0."""
    best = int(np.hypot(path[:, 0] - pose[0], path[:, 1] - pose[1]).argmin())
    x, y, yaw = path[best]
    dx, dy = pose[0] - x, pose[1] - y
    return best + dx * math.cos(yaw) + dy * math.sin(yaw), dy * math.cos(yaw) - dx * math.sin(yaw)


def _oncoming(me: Vehicle, driver: Driver, view: View, others: list[int], wide: list[Bulge]) -> float | None:
    """m from the nose to where to wait until the other lane is free; None where there is nothing to wait for."""
    near = [bulge for bulge in wide if 10.0 < bulge.start < 32.0]
    if not near:
        return None
    bulge = min(near, key=lambda each: each.start)
    path = me.way.poses(me.s + _FAR_AHEAD)
    there = bulge.end + 8.0
    passing = time_to(there, max(me.speed, 2.0), top=driver.speed)
    for i in others:
        x, y, yaw = view.poses[i]
        best = int(np.hypot(path[:, 0] - x, path[:, 1] - y).argmin())
        if math.cos(yaw - path[best, 2]) > -0.3 or _FAR_AHEAD[best] < bulge.start - 15.0:
            continue
        left = (y - path[best, 1]) * math.cos(path[best, 2]) - (x - path[best, 0]) * math.sin(path[best, 2])
        if 1.0 < left < 6.0 and _FAR_AHEAD[best] - view.vehicles[i].speed * passing < there:
            return bulge.start - 11.0 - 0.5 * me.length
    return None


def _in_the_way(
    me: Vehicle, driver: Driver, view: View, others: list[int], path: np.ndarray, beside: np.ndarray
) -> tuple[float, float | None]:
    """The least acceleration that anybody in the way asks for; and m to the nearest vehicle there that stands."""
    cos, sin = np.cos(path[:, 2]), np.sin(path[:, 2])
    keep = beside + (me.beside - beside[0]) * np.clip(1.0 - _AHEAD / 10.0, 0.0, 1.0)
    line = path[:, :2] + keep[:, None] * np.stack([-sin, cos], axis=-1)
    lengths = np.array([view.vehicles[i].length for i in others])
    widths = np.array([view.vehicles[i].width for i in others])
    cars = discs(view.poses[others], lengths, widths).reshape(-1, 3) if others else np.zeros((0, 3))
    speeds = np.array([view.vehicles[i].speed for i in others])
    yaws = view.poses[others][:, 2] if others else np.zeros(0)
    walking = view.people[:, None] + view.velocities[:, None] * _STEPS_AHEAD[:, None]
    walking = walking.reshape(-1, 2)
    people = np.column_stack([walking, np.full(len(walking), _PERSON)])
    everything = np.concatenate([cars, people, view.standing])
    x, y, yaw = path[0]
    in_front = (everything[:, 0] - x) * math.cos(yaw) + (everything[:, 1] - y) * math.sin(yaw) > 0.0
    close = np.hypot(everything[:, 0] - x, everything[:, 1] - y) < 52.0
    which = np.flatnonzero(in_front & close)
    if not len(which):
        return math.inf, None
    picked = everything[which]
    apart = np.hypot(line[:, None, 0] - picked[None, :, 0], line[:, None, 1] - picked[None, :, 1])
    touched = apart < 0.5 * me.width + _SIDE + picked[None, :, 2]
    least, standing = math.inf, None
    for column in np.flatnonzero(touched.any(axis=0)):
        index = int(touched[:, column].argmax())
        gap = _AHEAD[index] + 0.5 * me.width + _SIDE - 0.5 * me.length
        owner, ahead = int(which[column]) // _DISCS, 0.0
        if owner < len(others):
            ahead = max(float(speeds[owner]) * math.cos(yaws[owner] - path[index, 2]), 0.0)
            if speeds[owner] < 1.0:
                standing = _AHEAD[index] if standing is None else min(standing, _AHEAD[index])
        least = min(least, driver.drive(me.speed, gap, ahead))
    return least, standing


def _junction(
    me: Vehicle,
    driver: Driver,
    entry: Entry,
    view: View,
    others: list[int],
    table: LaneTable,
    blocked: float | None,
) -> float | None:
    """m from the nose to where to stop, plus what the driver keeps anyway; None where the way is free."""
    nose = me.s + 0.5 * me.length
    to_line = entry.at - nose
    if to_line > -0.5:
        colour = view.colours(entry.junction, entry.arm)
        full = blocked is not None and entry.at < me.s + blocked < entry.leaves + 9.0
        hurried = colour is Colour.YELLOW and me.speed**2 / 2.0 / _YELLOW_BRAKING > max(to_line, 0.1)
        if full or colour is Colour.RED or (colour is Colour.YELLOW and not hurried):
            return to_line + 1.0
    wait = None
    for i in others:
        crossing = _must_yield(me, driver, entry, view.vehicles[i], view, table)
        if crossing is not None:
            wait = crossing if wait is None else min(wait, crossing)
    # Who cannot wait beyond the line with all of the car waits before it: red would find the tail on it.
    if wait is not None and to_line > -0.5 and wait - driver.standing - to_line < me.length + _CLEAR_OF_LINE:
        return to_line + 1.0
    return wait


def _must_yield(me: Vehicle, driver: Driver, mine: Entry, other: Vehicle, view: View, table: LaneTable) -> float | None:
    """m from the nose to 1.5 m before where the ways meet, plus what the driver keeps anyway, or None."""
    theirs = other.way.next_entry(other.s)
    if theirs is None or theirs.junction != mine.junction:
        return None
    crossing = table.crossing(mine.lane, theirs.lane)
    if crossing is None or not _goes_first(theirs, mine, table):
        return None
    along, begins, ends = crossing
    to_crossing = mine.at + along - (me.s + 0.5 * me.length)
    inside = other.s + 0.5 * other.length > theirs.at
    if to_crossing < 0.0 or other.s - 0.5 * other.length > theirs.at + ends:
        return None
    if not inside and view.colours(theirs.junction, theirs.arm) is not Colour.GREEN:
        return None
    to_line = theirs.at - other.s
    if to_line > 40.0:
        return None
    arrives = time_to(to_line + begins - 0.5 * other.length, other.speed)
    mine_clear = time_to(to_crossing + me.length + 5.0, me.speed, top=driver.speed)
    return to_crossing + 1.0 if arrives < mine_clear + 1.0 else None


def _goes_first(theirs: Entry, mine: Entry, table: LaneTable) -> bool:
    """Who turns left lets the others go; of two who do, or of two who do not, who comes from the right goes first."""
    if (theirs.turn == "left") != (mine.turn == "left"):
        return mine.turn == "left"
    a, b = (table.samples(entry.lane).poses[0, 2] for entry in (mine, theirs))
    return math.sin(b - a) > 0.0  # they head to our left: they come from our right
