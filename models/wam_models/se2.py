"""Planar rigid motions: a pose is (x m, y m, yaw rad), a twist (vx m/s, vy m/s, yaw rate rad/s) in the moving frame.

Plain floats: these run in control loops, where an array of three costs more than the arithmetic.
"""

from __future__ import annotations

import math

Vector = tuple[float, float, float]

# Below this rotation a quotient of small numbers is worse than the first terms of its series.
_SMALL_ANGLE = 1e-4


def wrap(angle: float) -> float:
    """The same angle in [-pi, pi); exactly pi becomes -pi."""
    return (angle + math.pi) % (2.0 * math.pi) - math.pi


def compose(a: Vector, b: Vector) -> Vector:
    """Pose b, given in frame a, in the frame that a is given in."""
    cos, sin = math.cos(a[2]), math.sin(a[2])
    return a[0] + cos * b[0] - sin * b[1], a[1] + sin * b[0] + cos * b[1], wrap(a[2] + b[2])


def relative(a: Vector, b: Vector) -> Vector:
    """Pose b as seen from pose a, both in one frame."""
    cos, sin = math.cos(a[2]), math.sin(a[2])
    dx, dy = b[0] - a[0], b[1] - a[1]
    return cos * dx + sin * dy, -sin * dx + cos * dy, wrap(b[2] - a[2])


def advance(twist: Vector, seconds: float) -> Vector:
    """The pose, in the starting base_link, after moving with a constant twist: the exponential map of SE(2)."""
    dx, dy, angle = twist[0] * seconds, twist[1] * seconds, twist[2] * seconds
    if abs(angle) < _SMALL_ANGLE:
        along, across = 1.0 - angle * angle / 6.0, angle / 2.0
    else:
        along, across = math.sin(angle) / angle, (1.0 - math.cos(angle)) / angle
    return along * dx - across * dy, across * dx + along * dy, angle


def constant_twist(pose: Vector, seconds: float) -> Vector:
    """The twist that reaches `pose`, given in the starting base_link, in `seconds`: the inverse of `advance`."""
    dx, dy, angle = pose
    half = 0.5 * angle
    along = 1.0 - half * half / 3.0 if abs(angle) < _SMALL_ANGLE else half / math.tan(half)
    return (along * dx + half * dy) / seconds, (along * dy - half * dx) / seconds, angle / seconds
