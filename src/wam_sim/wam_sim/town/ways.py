"""The lanes of a town as arrays, and ways through them: what everybody who drives there asks, many times a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from wam_sim.town.network import LaneId, RoadEnd, RoadNetwork

# m between two samples of a lane, at the most.
_SPACING = 1.0
# m/s^2 to the side that drivers allow themselves in a bend.
_LATERAL = 2.2
# m: two lanes through a junction whose middles come nearer than this cannot be driven at once.
_CONFLICT = 2.7


@dataclass(frozen=True)
class Entry:
    """Where a way enters a junction. at: m along the way of the stop line; leaves: m where the junction ends; lane: the
    one through it; arm: the road end that it comes from; turn: left, straight or right."""

    at: float
    leaves: float
    lane: LaneId
    junction: int
    arm: RoadEnd
    turn: str


@dataclass(frozen=True)
class _Samples:
    """s: (N,) m along; poses: (N, 3), yaw unwrapped; limit: (N,) m/s that the bend allows."""

    s: np.ndarray
    poses: np.ndarray
    limit: np.ndarray


class LaneTable:
    """The lanes of one network, sampled once."""

    def __init__(self, network: RoadNetwork) -> None:
        self.network = network
        self.lanes = network.lanes
        self._ways = {LaneId(way.id, -1): way for way in network.connections}
        self._samples = {}
        for number, lane in self.lanes.items():
            poses = np.array(lane.centre.poses(_SPACING))
            poses[:, 2] = np.unwrap(poses[:, 2])
            s = np.linspace(0.0, lane.centre.length, len(poses))
            bend = np.abs(np.gradient(poses[:, 2], s))
            self._samples[number] = _Samples(s, poses, np.sqrt(_LATERAL / np.maximum(bend, 1e-3)))
        self.crossing = lru_cache(maxsize=None)(self._crossing)

    def samples(self, lane: LaneId) -> _Samples:
        return self._samples[lane]

    def entry(self, lane: LaneId, at: float) -> Entry | None:
        """Of a way that reaches this lane after `at` m; None where the lane is none through a junction."""
        way = self._ways.get(lane)
        if way is None:
            return None
        return Entry(at, at + self.lanes[lane].centre.length, lane, way.junction, way.entry, way.turn)

    def _crossing(self, one: LaneId, other: LaneId) -> tuple[float, float, float] | None:
        """m along `one` where it comes near to `other`, and m along `other` where that begins and ends; None where they
        keep apart, or begin as one."""
        a, b = self._ways.get(one), self._ways.get(other)
        if a is None or b is None or a.junction != b.junction or a.entry == b.entry:
            return None
        first, second = self._samples[one], self._samples[other]
        apart = np.hypot(*np.moveaxis(first.poses[:, None, :2] - second.poses[None, :, :2], -1, 0))
        near = apart < _CONFLICT
        if not near.any():
            return None
        along, across = first.s[near.any(axis=1)], second.s[near.any(axis=0)]
        return float(along[0]), float(across[0]), float(across[-1])


class Way:
    """Lane after lane. Where the given ones end it goes on, at random with `rng`, else with the first that follows."""

    def __init__(self, table: LaneTable, lanes: Sequence[LaneId], rng: np.random.Generator | None = None) -> None:
        self._table, self._rng = table, rng
        self.lanes: list[LaneId] = []
        self.entries: list[Entry] = []
        self.begins: list[float] = []
        self._s = np.zeros(0)
        self._poses = np.zeros((0, 3))
        self._limit = np.zeros(0)
        for lane in lanes:
            self._append(lane)

    @property
    def length(self) -> float:
        """m that are known by now."""
        return float(self._s[-1])

    def poses(self, s: np.ndarray) -> np.ndarray:
        """(N, 3) in the middle of the lane, yaw unwrapped along the way."""
        self._reach(float(np.max(s)))
        return np.stack([np.interp(s, self._s, column) for column in self._poses.T], axis=-1)

    def limits(self, s: np.ndarray) -> np.ndarray:
        """(N,) m/s that the bends allow."""
        self._reach(float(np.max(s)))
        return np.interp(s, self._s, self._limit)

    def next_entry(self, s: float) -> Entry | None:
        """The junction that `s` is in or that comes next; None where none is known yet."""
        self._reach(s + 60.0)
        return next((entry for entry in self.entries if entry.leaves > s), None)

    def nearest(self, point: tuple[float, float], near: float, window: float = 15.0) -> float:
        """m along the way of what is nearest to a point, looked for around `near`; below 0 before its beginning."""
        near = max(near, 0.0)
        self._reach(near + window + 1.0)
        s = np.arange(max(near - window, 0.0), near + window, 0.5)
        there = self.poses(s)
        best = int(np.hypot(there[:, 0] - point[0], there[:, 1] - point[1]).argmin())
        x, y, yaw = there[best]
        return float(s[best] + (point[0] - x) * np.cos(yaw) + (point[1] - y) * np.sin(yaw))

    def _reach(self, s: float) -> None:
        while self.length < s + 1.0:
            following = self._table.lanes[self.lanes[-1]].following
            self._append(following[int(self._rng.integers(len(following))) if self._rng is not None else 0])

    def _append(self, lane: LaneId) -> None:
        samples = self._table.samples(lane)
        begin = float(self._s[-1]) if len(self._s) else 0.0
        poses = samples.poses.copy()
        if len(self._s):
            poses[:, 2] += 2.0 * np.pi * np.round((self._poses[-1, 2] - poses[0, 2]) / (2.0 * np.pi))
        skip = 1 if len(self._s) else 0  # where one ends the next begins
        self.lanes.append(lane)
        self.begins.append(begin)
        if (entry := self._table.entry(lane, begin)) is not None:
            self.entries.append(entry)
        self._s = np.concatenate([self._s, begin + samples.s[skip:]])
        self._poses = np.concatenate([self._poses, poses[skip:]])
        self._limit = np.concatenate([self._limit, samples.limit[skip:]])
