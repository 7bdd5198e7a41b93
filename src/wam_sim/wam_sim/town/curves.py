"""Plane curves of straight lines and circular arcs: what roads and lanes run along.

Both kinds are exact in OpenDRIVE, and what lies beside one at a constant distance is of the same kind again. Poses are
those of wam_models.se2.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

from wam_models.se2 import Vector, advance, compose, relative, wrap

# Bends less than this between two poses are a straight line, rad.
_STRAIGHT = 1e-9


@dataclass(frozen=True)
class Arc:
    """start: pose; length: m, above 0; curvature: 1/m, left positive, 0 for a straight line."""

    start: Vector
    length: float
    curvature: float = 0.0

    def pose(self, s: float) -> Vector:
        """`s` metres along."""
        return compose(self.start, advance((1.0, 0.0, self.curvature), s))

    @property
    def end(self) -> Vector:
        return self.pose(self.length)

    def beside(self, offset: float) -> Arc:
        """The arc `offset` metres to the left of this one. Raises ValueError where that is beyond its centre."""
        stretch = 1.0 - self.curvature * offset
        if stretch <= 0.0:
            raise ValueError(f"{offset} m to the left is beyond the centre of a bend of {1 / self.curvature:.1f} m")
        return Arc(compose(self.start, (0.0, offset, 0.0)), self.length * stretch, self.curvature / stretch)

    def backwards(self) -> Arc:
        """The same places in the other direction."""
        return Arc(compose(self.end, (0.0, 0.0, math.pi)), self.length, -self.curvature)


@dataclass(frozen=True)
class Curve:
    """Arcs, each of which begins where and as the one before ends."""

    arcs: tuple[Arc, ...]

    @cached_property
    def _starts(self) -> list[float]:
        """Metres along the curve at which each arc begins, and the length."""
        return [0.0, *accumulate(arc.length for arc in self.arcs)]

    @property
    def length(self) -> float:
        return self._starts[-1]

    @property
    def start(self) -> Vector:
        return self.arcs[0].start

    @property
    def end(self) -> Vector:
        return self.arcs[-1].end

    def pose(self, s: float) -> Vector:
        """`s` metres along; before the start and beyond the end the first and the last arc go on."""
        arc, start = self._at(s)
        return arc.pose(s - start)

    def beside(self, offset: float) -> Curve:
        """The curve `offset` metres to the left. Raises ValueError where a bend is too tight for it."""
        return Curve(tuple(arc.beside(offset) for arc in self.arcs))

    def backwards(self) -> Curve:
        """The same places in the other direction."""
        return Curve(tuple(arc.backwards() for arc in reversed(self.arcs)))

    def poses(self, step: float) -> list[Vector]:
        """About `step` metres apart, both ends among them."""
        count = max(1, math.ceil(self.length / step))
        return [self.pose(self.length * number / count) for number in range(count + 1)]

    def _at(self, s: float) -> tuple[Arc, float]:
        index = min(max(bisect_right(self._starts, s) - 1, 0), len(self.arcs) - 1)
        return self.arcs[index], self._starts[index]


def through(poses: Iterable[Vector]) -> Curve:
    """The smooth curve through poses, two arcs from each to the next."""
    stops = list(poses)
    return Curve(tuple(arc for a, b in zip(stops, stops[1:]) for arc in _biarc(a, b)))


def _biarc(start: Vector, end: Vector) -> tuple[Arc, ...]:
    """Two arcs that meet with one heading, the tangents at both ends equally long."""
    vx, vy = end[0] - start[0], end[1] - start[1]
    t0, t1 = ((math.cos(yaw), math.sin(yaw)) for yaw in (start[2], end[2]))
    sx, sy = t0[0] + t1[0], t0[1] + t1[1]
    # Of the tangents' length d: 2 (1 - t0 . t1) d^2 + 2 (v . (t0 + t1)) d - v . v = 0.
    a, b, c = 2.0 * (1.0 - t0[0] * t1[0] - t0[1] * t1[1]), 2.0 * (vx * sx + vy * sy), -(vx * vx + vy * vy)
    d = -c / b if a < 1e-12 else (-b + math.sqrt(b * b - 4.0 * a * c)) / (2.0 * a)
    joint = (start[0] + end[0] + d * (t0[0] - t1[0])) / 2.0, (start[1] + end[1] + d * (t0[1] - t1[1])) / 2.0
    first = _arc_to(start, joint)
    return first, _arc_to(first.end, (end[0], end[1]))


def _arc_to(start: Vector, point: tuple[float, float]) -> Arc:
    """The arc from a pose to a point."""
    x, y, _ = relative(start, (*point, 0.0))
    chord, angle = math.hypot(x, y), wrap(math.atan2(y, x))
    if abs(angle) < _STRAIGHT:
        return Arc(start, chord)
    curvature = 2.0 * math.sin(angle) / chord
    return Arc(start, 2.0 * angle / curvature, curvature)
