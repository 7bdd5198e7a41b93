"""What stands in a yard: each kind is a few MuJoCo primitives, and its footprint is what a walking robot can touch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import shapely
from shapely.affinity import rotate, scale, translate
from shapely.geometry import Point, Polygon, box

# Parts that start above this height (m) pass over a standing Go2 (0.45 m with its head) and cannot be touched.
REACHABLE_HEIGHT = 0.5
PERSON_RADIUS = 0.30  # m

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Part:
    """One primitive in the object's frame. shape: box, cylinder, capsule, ellipsoid or sphere; size as MuJoCo takes
    it (half extents; radius and half height); position (x, y, z) m; rpy: roll, pitch, yaw rad; material: a texture."""

    shape: str
    size: tuple[float, ...]
    position: tuple[float, float, float]
    colour: Colour
    rpy: tuple[float, float, float] = (0.0, 0.0, 0.0)
    material: str | None = None

    def footprint(self) -> Polygon | None:
        """Outline on the ground in the object's frame, or None when the part is out of the robot's reach."""
        x, y, z = self.position
        roll, pitch, yaw = self.rpy
        lying = abs(roll) > 0.1 or abs(pitch) > 0.1
        if self.shape == "box":
            outline = box(-self.size[0], -self.size[1], self.size[0], self.size[1])
            half_height = self.size[2]
        elif self.shape == "ellipsoid":
            outline = scale(Point(0, 0).buffer(1.0, quad_segs=6), self.size[0], self.size[1])
            half_height = self.size[2]
        elif self.shape == "sphere":
            outline = Point(0, 0).buffer(self.size[0], quad_segs=6)
            half_height = self.size[0]
        elif lying:  # a wheel, an axle: cylinder rolled onto its side, axis along y of the object
            cap = self.size[0] if self.shape == "capsule" else 0.0
            outline = box(-self.size[0], -self.size[1] - cap, self.size[0], self.size[1] + cap)
            half_height = self.size[0]
        else:
            outline = Point(0, 0).buffer(self.size[0], quad_segs=6)
            half_height = self.size[1] + (self.size[0] if self.shape == "capsule" else 0.0)
        if z - half_height > REACHABLE_HEIGHT:
            return None
        return translate(rotate(outline, yaw, origin=(0, 0), use_radians=True), x, y)


@dataclass(frozen=True)
class Thing:
    """An object placed in the world: pose (x, y, yaw) of its frame and, for what walks, a beat to pace up and down."""

    kind: str
    parts: tuple[Part, ...]
    pose: tuple[float, float, float]
    beat: tuple[float, float] | None = field(default=None)  # (length m, speed m/s) along the object's x axis

    def footprint(self) -> shapely.Geometry:
        """Outline in world coordinates at its starting pose."""
        x, y, yaw = self.pose
        outline = shapely.union_all([p for p in (part.footprint() for part in self.parts) if p is not None])
        return translate(rotate(outline, yaw, origin=(0, 0), use_radians=True), x, y)


def _grey(rng: np.random.Generator, low: float = 0.2, high: float = 0.8) -> Colour:
    base = rng.uniform(low, high)
    tint = rng.normal(0, 0.03, 3)
    return tuple(np.clip(base + tint, 0, 1))  # type: ignore[return-value]


def _vivid(rng: np.random.Generator) -> Colour:
    return tuple(np.clip(rng.dirichlet([0.6, 0.6, 0.6]) * rng.uniform(0.6, 1.3) + 0.08, 0, 1))  # type: ignore[return-value]


def _wood(rng: np.random.Generator) -> Colour:
    base = np.array([0.55, 0.38, 0.22]) * rng.uniform(0.6, 1.35)
    return tuple(np.clip(base, 0, 1))  # type: ignore[return-value]


def _any_colour(rng: np.random.Generator) -> Colour:
    return (_vivid, _grey, _wood, lambda rng: _grey(rng, 0.03, 0.15))[int(rng.integers(4))](rng)


def crate(rng: np.random.Generator) -> tuple[Part, ...]:
    a, b, h = rng.uniform(0.18, 0.45), rng.uniform(0.18, 0.45), rng.uniform(0.2, 0.55)
    colour = _wood(rng) if rng.random() < 0.5 else _vivid(rng)
    return (Part("box", (a, b, h), (0, 0, h), colour, material="panel"),)


def barrel(rng: np.random.Generator) -> tuple[Part, ...]:
    r, h = rng.uniform(0.18, 0.35), rng.uniform(0.3, 0.6)
    return (Part("cylinder", (r, h), (0, 0, h), _vivid(rng), material="panel"),)


def post(rng: np.random.Generator) -> tuple[Part, ...]:
    r, h = rng.uniform(0.06, 0.14), rng.uniform(0.6, 1.4)
    return (Part("capsule", (r, h), (0, 0, h), _grey(rng) if rng.random() < 0.5 else _vivid(rng)),)


def cone(rng: np.random.Generator) -> tuple[Part, ...]:
    colour = (0.9, rng.uniform(0.25, 0.45), 0.08)
    return (
        Part("box", (0.18, 0.18, 0.02), (0, 0, 0.02), colour),
        Part("cylinder", (0.12, 0.12), (0, 0, 0.16), colour),
        Part("cylinder", (0.09, 0.1), (0, 0, 0.36), (0.95, 0.95, 0.95)),
        Part("cylinder", (0.05, 0.12), (0, 0, 0.56), colour),
    )


def bench(rng: np.random.Generator) -> tuple[Part, ...]:
    length, colour, leg = rng.uniform(0.5, 0.9), _wood(rng), _grey(rng, 0.15, 0.4)
    return (
        Part("box", (length, 0.22, 0.03), (0, 0, 0.45), colour),
        Part("box", (length, 0.03, 0.18), (0, -0.2, 0.7), colour),
        Part("box", (0.05, 0.2, 0.21), (-length + 0.1, 0, 0.21), leg),
        Part("box", (0.05, 0.2, 0.21), (length - 0.1, 0, 0.21), leg),
    )


def planter(rng: np.random.Generator) -> tuple[Part, ...]:
    r = rng.uniform(0.22, 0.4)
    green = (rng.uniform(0.1, 0.3), rng.uniform(0.4, 0.65), rng.uniform(0.1, 0.25))
    return (
        Part("box", (r, r, 0.22), (0, 0, 0.22), _grey(rng), material="panel"),
        Part("ellipsoid", (r * 0.9, r * 0.9, 0.35), (0, 0, 0.65), green),
    )


def bin(rng: np.random.Generator) -> tuple[Part, ...]:
    colour = _vivid(rng)
    r = rng.uniform(0.2, 0.3)
    return (
        Part("box", (r, r * 0.9, 0.45), (0, 0, 0.5), colour),
        Part("box", (r * 1.08, r, 0.04), (0, 0, 0.99), tuple(0.6 * c for c in colour)),  # type: ignore[arg-type]
    )


def chair(rng: np.random.Generator) -> tuple[Part, ...]:
    colour, leg = _vivid(rng), _grey(rng, 0.1, 0.4)
    legs = tuple(Part("cylinder", (0.025, 0.22), (sx * 0.2, sy * 0.2, 0.22), leg) for sx in (-1, 1) for sy in (-1, 1))
    return (
        Part("box", (0.23, 0.23, 0.03), (0, 0, 0.46), colour),
        Part("box", (0.03, 0.23, 0.25), (-0.21, 0, 0.72), colour),
        Part("box", (0.18, 0.18, 0.02), (0, 0, 0.18), leg),  # the stretchers close the gap between the legs
        *legs,
    )


def shelf(rng: np.random.Generator) -> tuple[Part, ...]:
    length, colour = rng.uniform(0.4, 0.8), _wood(rng)
    boards = tuple(Part("box", (length, 0.18, 0.02), (0, 0, z), colour) for z in (0.1, 0.5, 0.9, 1.3))
    return (
        Part("box", (length, 0.02, 0.7), (0, -0.17, 0.7), tuple(0.7 * c for c in colour)),  # type: ignore[arg-type]
        Part("box", (0.03, 0.18, 0.7), (-length, 0, 0.7), colour),
        Part("box", (0.03, 0.18, 0.7), (length, 0, 0.7), colour),
        *boards,
    )


def low_wall(rng: np.random.Generator) -> tuple[Part, ...]:
    length, height = rng.uniform(0.5, 1.2), rng.uniform(0.2, 0.45)
    return (Part("box", (length, 0.1, height), (0, 0, height), _grey(rng), material="panel"),)


def trolley(rng: np.random.Generator) -> tuple[Part, ...]:
    colour, side = _vivid(rng), (np.pi / 2, 0.0, 0.0)
    corners = [(sx * 0.3, sy * 0.2, 0.08) for sx in (-1, 1) for sy in (-1, 1)]
    wheels = tuple(Part("cylinder", (0.08, 0.03), corner, (0.1, 0.1, 0.1), rpy=side) for corner in corners)
    return (
        Part("box", (0.4, 0.25, 0.03), (0, 0, 0.18), _grey(rng, 0.2, 0.5)),
        Part("box", (0.34, 0.22, 0.2), (0, 0, 0.42), colour),
        Part("cylinder", (0.02, 0.25), (-0.38, 0, 0.9), _grey(rng), rpy=(np.pi / 2, 0, 0)),
        Part("cylinder", (0.02, 0.36), (-0.38, 0.22, 0.55), _grey(rng)),
        Part("cylinder", (0.02, 0.36), (-0.38, -0.22, 0.55), _grey(rng)),
        *wheels,
    )


def assembly(rng: np.random.Generator) -> tuple[Part, ...]:
    """Parts of no kind that has a name, standing, lying or held up over a gap: what teaches that covered ground is
    covered, whatever covers it."""
    length = rng.uniform(0.15, 0.6)

    def spot() -> tuple[float, float]:
        return float(rng.uniform(-length, length)), float(rng.uniform(-0.2, 0.2))

    parts: list[Part] = []
    for _ in range(int(rng.integers(1, 4))):
        shape = str(rng.choice(["box", "cylinder", "capsule", "ellipsoid", "lying"]))
        tall, wide = rng.uniform(0.1, 0.45), rng.uniform(0.05, 0.3)
        if shape == "box":
            parts.append(Part("box", (wide, rng.uniform(0.05, 0.25), tall), (*spot(), tall), _any_colour(rng)))
        elif shape == "cylinder":
            parts.append(Part("cylinder", (0.7 * wide, tall), (*spot(), tall), _any_colour(rng)))
        elif shape == "capsule":
            parts.append(Part("capsule", (0.5 * wide, tall), (*spot(), tall), _any_colour(rng)))
        elif shape == "ellipsoid":
            parts.append(
                Part("ellipsoid", (wide, rng.uniform(0.1, 0.3), tall), (*spot(), 0.7 * tall), _any_colour(rng))
            )
        else:  # across the object, like a roll or a wheel
            radius = rng.uniform(0.06, 0.32)
            rolled = (np.pi / 2, 0.0, 0.0)
            parts.append(
                Part("cylinder", (radius, rng.uniform(0.03, 0.3)), (*spot(), radius), _any_colour(rng), rpy=rolled)
            )
    for _ in range(int(rng.integers(0, 3))):  # held up: the ground is seen beneath, but nothing passes there
        high, bottom = rng.uniform(0.03, 0.2), rng.uniform(0.12, 0.45)
        size = (max(length, 0.2) * rng.uniform(0.5, 1.0), rng.uniform(0.08, 0.25), high)
        shape = str(rng.choice(["box", "ellipsoid"]))
        parts.append(Part(shape, size, (0.0, 0.0, bottom + high), _any_colour(rng)))
    return tuple(parts)


def span(rng: np.random.Generator) -> tuple[Part, ...]:
    """A beam on two supports with the ground open beneath it, and more on top: too low to pass under, whatever the
    picture shows behind it."""
    reach = rng.uniform(0.3, 0.9)
    plain = rng.random() < 0.5
    one = _vivid(rng) if rng.random() < 0.5 else _grey(rng, 0.05, 0.8)

    def colour() -> Colour:
        return one if plain else _any_colour(rng)

    bottom, high = rng.uniform(0.14, 0.45), rng.uniform(0.02, 0.2)
    beam_depth = rng.uniform(0.05, 0.28)
    parts = [Part("box", (reach * rng.uniform(0.7, 1.1), beam_depth, high), (0.0, 0.0, bottom + high), colour())]
    shape, wide = str(rng.choice(["box", "cylinder", "capsule", "legs"])), rng.uniform(0.03, 0.15)
    for x in (-reach, reach):
        half = (bottom + rng.uniform(0.0, 2.0) * high) / 2
        if shape == "legs":
            for y in (-beam_depth, beam_depth):
                parts.append(Part("cylinder", (rng.uniform(0.015, 0.04), half), (x, y, half), colour()))
        elif shape == "box":
            parts.append(Part("box", (wide, rng.uniform(0.05, 0.25), half), (x, 0.0, half), colour()))
        else:
            parts.append(Part(shape, (wide, half), (x, 0.0, half), colour()))
    for _ in range(int(rng.integers(0, 3))):
        size = (reach * rng.uniform(0.2, 0.7), beam_depth * rng.uniform(0.4, 1.0), rng.uniform(0.03, 0.25))
        at = (float(rng.uniform(-0.4, 0.4)) * reach, 0.0, bottom + 2 * high + size[2])
        parts.append(Part(str(rng.choice(["box", "ellipsoid"])), size, at, colour()))
    return tuple(parts)


def motorcycle(rng: np.random.Generator) -> tuple[Part, ...]:
    paint, dark, metal = _vivid(rng), (0.07, 0.07, 0.08), (0.6, 0.6, 0.62)
    side = (np.pi / 2, 0.0, 0.0)
    return (
        Part("cylinder", (0.3, 0.06), (0.65, 0, 0.3), dark, rpy=side),
        Part("cylinder", (0.3, 0.07), (-0.6, 0, 0.3), dark, rpy=side),
        Part("cylinder", (0.14, 0.07), (0.65, 0, 0.3), metal, rpy=side),
        Part("cylinder", (0.14, 0.08), (-0.6, 0, 0.3), metal, rpy=side),
        Part("box", (0.35, 0.13, 0.16), (0, 0, 0.42), metal),
        Part("ellipsoid", (0.3, 0.15, 0.14), (0.15, 0, 0.72), paint),
        Part("box", (0.33, 0.12, 0.05), (-0.4, 0, 0.72), dark),
        Part("capsule", (0.03, 0.3), (0.5, 0, 0.62), metal, rpy=(0.0, -0.45, 0.0)),
        Part("capsule", (0.02, 0.3), (0.4, 0, 0.95), dark, rpy=side),
    )


def rock(rng: np.random.Generator) -> tuple[Part, ...]:
    parts = []
    for _ in range(int(rng.integers(2, 4))):
        size = tuple(rng.uniform(0.18, 0.42, 2)) + (rng.uniform(0.15, 0.4),)
        x, y = rng.uniform(-0.2, 0.2, 2)
        tilt = tuple(rng.uniform(-0.09, 0.09, 2))
        colour, yaw = _grey(rng, 0.25, 0.55), rng.uniform(0, 3)
        parts.append(Part("ellipsoid", size, (x, y, size[2] * 0.6), colour, rpy=(*tilt, yaw)))
    return tuple(parts)


def bollards(rng: np.random.Generator) -> tuple[Part, ...]:
    number, gap, colour = int(rng.integers(2, 4)), rng.uniform(0.45, 0.6), _grey(rng, 0.15, 0.5)
    parts: list[Part] = []
    for i in range(number):
        x = (i - (number - 1) / 2) * gap
        parts.append(Part("cylinder", (0.09, 0.4), (x, 0, 0.4), colour))
        parts.append(Part("cylinder", (0.095, 0.04), (x, 0, 0.68), (0.9, 0.85, 0.2)))
        parts.append(Part("sphere", (0.09,), (x, 0, 0.8), colour))
    return tuple(parts)


def person(rng: np.random.Generator) -> tuple[Part, ...]:
    trousers, coat, skin = _grey(rng, 0.1, 0.35), _vivid(rng), (rng.uniform(0.4, 0.85), 0.5, 0.4)
    return (
        Part("capsule", (0.08, 0.33), (0.06, 0.1, 0.42), trousers),
        Part("capsule", (0.08, 0.33), (-0.06, -0.1, 0.42), trousers),
        Part("capsule", (0.18, 0.2), (0, 0, 1.15), coat),
        Part("capsule", (0.05, 0.22), (0.02, 0.25, 1.15), coat),
        Part("capsule", (0.05, 0.22), (-0.02, -0.25, 1.15), coat),
        Part("sphere", (0.12,), (0, 0, 1.66), skin),
    )


Maker = Callable[[np.random.Generator], tuple[Part, ...]]
KNOWN_OUTDOOR: tuple[Maker, ...] = (crate, barrel, post, cone, bench, planter, bin, low_wall, trolley)
KNOWN_INDOOR: tuple[Maker, ...] = (crate, barrel, post, chair, shelf, bin, trolley, planter)
# What a training split has beside the known kinds; a kind named three times stands there three times as often.
TRAINING: dict[str, tuple[Maker, ...]] = {"train": 3 * (assembly,), "gaps": 3 * (assembly,) + 8 * (span,)}
# These occur in `unseen` and nowhere else.
UNSEEN: tuple[Maker, ...] = (motorcycle, rock, bollards)
