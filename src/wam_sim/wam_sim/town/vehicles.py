"""What drives in a town: each kind is about ten MuJoCo primitives, x forward, on the ground under its middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wam_sim.objects import Colour, Part

Maker = Callable[[np.random.Generator], tuple[Part, ...]]

# Materials that the town's scene gives a light of their own; the colour of a tail lamp changes with the brakes.
GLASS, HEAD_LAMP, TAIL_LAMP = "glass", "head_lamp", "tail_lamp"

_TYRE: Colour = (0.05, 0.05, 0.055)
_SHADE: Colour = (0.035, 0.035, 0.04)
_PANE: Colour = (0.07, 0.09, 0.11)
_WHITE: Colour = (1.0, 0.98, 0.86)
_RED: Colour = (0.55, 0.02, 0.02)
_ACROSS = (np.pi / 2.0, 0.0, 0.0)


@dataclass(frozen=True)
class VehicleKind:
    """length, width: m of the outline round base_link; make: its parts, of random colours."""

    name: str
    length: float
    width: float
    make: Maker


def _paint(rng: np.random.Generator) -> Colour:
    """Half of all cars are white, grey or black, as on real streets."""
    if rng.random() < 0.5:
        grey = float(rng.choice([0.08, 0.3, 0.5, 0.72, 0.92])) + float(rng.normal(0.0, 0.03))
        base = np.full(3, grey)
    else:
        base = rng.dirichlet([0.5, 0.5, 0.5]) * rng.uniform(0.6, 1.1) + 0.05
    red, green, blue = np.clip(base, 0.03, 1.0)
    return float(red), float(green), float(blue)


def _box(x: tuple[float, float], width: float, z: tuple[float, float], colour: Colour, material: str = "") -> Part:
    """From x[0] to x[1] along, from z[0] to z[1] upwards, `width` m wide in the middle."""
    size = ((x[1] - x[0]) / 2.0, width / 2.0, (z[1] - z[0]) / 2.0)
    return Part("box", size, ((x[0] + x[1]) / 2.0, 0.0, (z[0] + z[1]) / 2.0), colour, material=material or None)


def _axle(x: float, radius: float, width: float) -> Part:
    """Two wheels as one roller: between them it is too dark to see."""
    return Part("cylinder", (radius, width / 2.0), (x, 0.0, radius), _TYRE, rpy=_ACROSS)


def _shade(length: float, width: float) -> Part:
    """The dark under a vehicle, which joins it to the road: there are no cast shadows."""
    return _box((-length / 2.0, length / 2.0), width, (0.0, 0.035), _SHADE)


def _lamps(length: float, width: float, front: float, rear: float, size: float = 0.11) -> tuple[Part, ...]:
    """Head and tail lamps at the heights `front` and `rear`, which stand out of the body a little."""
    aside, ahead = width / 2.0 - 0.28, length / 2.0 - 0.03
    return tuple(
        Part("box", (0.04, 1.8 * size, size), (sign * ahead, side * aside, z), colour, material=material)
        for sign, z, colour, material in ((1.0, front, _WHITE, HEAD_LAMP), (-1.0, rear, _RED, TAIL_LAMP))
        for side in (1.0, -1.0)
    )


@dataclass(frozen=True)
class _Shape:
    """Of a car: wheel: radius; belt: m up to the windows; bonnet: m up to the bonnet, as far as `screen`; roof: m;
    screen, back: m along where the windows begin at the front and end behind."""

    length: float
    width: float
    wheel: float
    bonnet: float
    belt: float
    roof: float
    screen: float
    back: float

    def parts(self, rng: np.random.Generator) -> tuple[Part, ...]:
        paint, half, low = _paint(rng), self.length / 2.0, 0.75 * self.wheel
        inner = self.width - 0.25
        body = [
            _shade(self.length - 0.3, self.width - 0.1),
            _box((-half + 0.03, half - 0.05), self.width, (low, self.bonnet), paint),
            _box((self.back, self.screen), inner, (self.bonnet, self.roof - 0.06), _PANE, GLASS),
            _box((self.back + 0.1, self.screen - 0.4), inner + 0.04, (self.roof - 0.08, self.roof), paint),
            _axle(half * 0.6, self.wheel, self.width + 0.02),
            _axle(-half * 0.6, self.wheel, self.width + 0.02),
            *_lamps(self.length, self.width, self.bonnet - 0.2, self.belt - 0.15),
        ]
        if self.belt > self.bonnet:
            body.append(_box((-half + 0.03, self.screen + 0.1), self.width - 0.02, (self.bonnet, self.belt), paint))
        return tuple(body)


def _sedan(rng: np.random.Generator) -> tuple[Part, ...]:
    return _Shape(4.7, 1.95, 0.33, 0.88, 0.92, 1.46, 0.85, -1.55).parts(rng)


def _hatchback(rng: np.random.Generator) -> tuple[Part, ...]:
    return _Shape(4.0, 1.78, 0.31, 0.90, 0.95, 1.50, 0.85, -1.85).parts(rng)


def _suv(rng: np.random.Generator) -> tuple[Part, ...]:
    return _Shape(4.6, 1.95, 0.38, 1.05, 1.10, 1.75, 0.85, -2.15).parts(rng)


def _van(rng: np.random.Generator) -> tuple[Part, ...]:
    paint = _paint(rng)
    return (
        _shade(5.0, 1.9),
        _box((-2.65, 2.6), 2.0, (0.28, 1.15), paint),
        _box((-2.62, 1.2), 1.98, (1.15, 2.25), paint),
        _box((1.1, 1.95), 1.85, (1.15, 1.95), _PANE, GLASS),
        _box((-2.67, -2.5), 1.5, (1.35, 1.95), _PANE, GLASS),
        _axle(1.65, 0.35, 2.02),
        _axle(-1.65, 0.35, 2.02),
        *_lamps(5.3, 2.0, 0.8, 1.0),
    )


def _truck(rng: np.random.Generator) -> tuple[Part, ...]:
    paint, load = _paint(rng), float(rng.uniform(0.55, 0.95))
    return (
        _shade(6.2, 2.1),
        _box((-3.2, 3.0), 1.9, (0.45, 0.7), (0.12, 0.12, 0.13)),
        _box((-3.25, 1.35), 2.25, (0.8, 3.0), (load, load, load)),
        _box((1.5, 3.2), 2.1, (0.5, 2.3), paint),
        _box((2.3, 3.24), 1.9, (1.4, 2.1), _PANE, GLASS),
        _axle(2.2, 0.42, 2.15),
        _axle(-1.9, 0.42, 2.2),
        *_lamps(6.5, 2.2, 0.8, 0.72, 0.12),
    )


def _bus(rng: np.random.Generator) -> tuple[Part, ...]:
    paint, roof = _paint(rng), _paint(rng)
    return (
        _shade(10.6, 2.4),
        _box((-5.5, 5.5), 2.5, (0.35, 1.25), paint),
        _box((-5.45, 5.47), 2.46, (1.25, 2.4), _PANE, GLASS),
        _box((-5.5, 5.45), 2.5, (2.4, 3.1), roof),
        _axle(3.4, 0.48, 2.52),
        _axle(-2.9, 0.48, 2.52),
        *_lamps(11.0, 2.5, 0.8, 1.05, 0.14),
    )


def _pickup(rng: np.random.Generator) -> tuple[Part, ...]:
    paint = _paint(rng)
    return (
        _shade(5.0, 1.8),
        _box((-2.65, 2.65), 1.9, (0.5, 0.95), paint),
        _box((0.6, 2.6), 1.88, (0.95, 1.15), paint),
        _box((-0.6, 1.1), 1.75, (0.95, 1.75), _PANE, GLASS),
        _box((-0.55, 0.8), 1.78, (1.72, 1.82), paint),
        _box((-2.55, -0.7), 1.5, (0.96, 0.99), _SHADE),
        _axle(1.7, 0.4, 1.92),
        _axle(-1.65, 0.4, 1.92),
        *_lamps(5.4, 1.9, 0.95, 0.85),
    )


def _tractor(rng: np.random.Generator) -> tuple[Part, ...]:
    paint = _paint(rng)
    return (
        _shade(3.6, 1.6),
        _box((-0.4, 1.9), 0.8, (0.6, 1.45), paint),
        _box((-1.5, 0.0), 1.3, (1.2, 2.5), _PANE, GLASS),
        _box((-1.6, 0.1), 1.45, (2.5, 2.65), paint),
        _axle(1.3, 0.5, 1.6),
        *(Part("cylinder", (0.8, 0.24), (-1.1, side * 0.8, 0.8), _TYRE, rpy=_ACROSS) for side in (1.0, -1.0)),
        *_lamps(3.9, 1.3, 1.25, 1.35, 0.1),
    )


def _rider(coat: Colour, trousers: Colour, skin: Colour, saddle: float) -> tuple[Part, ...]:
    return (
        Part("capsule", (0.09, 0.26), (0.1, 0.11, saddle - 0.25), trousers, rpy=(0.0, -0.35, 0.0)),
        Part("capsule", (0.09, 0.26), (0.1, -0.11, saddle - 0.25), trousers, rpy=(0.0, -0.35, 0.0)),
        Part("capsule", (0.19, 0.2), (0.05, 0.0, saddle + 0.36), coat, rpy=(0.0, 0.3, 0.0)),
        Part("sphere", (0.14,), (0.17, 0.0, saddle + 0.83), skin),
    )


def _cyclist(rng: np.random.Generator) -> tuple[Part, ...]:
    paint, coat, trousers = _paint(rng), _paint(rng), _paint(rng)
    return (
        *(Part("cylinder", (0.34, 0.025), (x, 0.0, 0.34), _TYRE, rpy=_ACROSS) for x in (0.54, -0.54)),
        Part("capsule", (0.035, 0.42), (0.0, 0.0, 0.62), paint, rpy=(0.0, np.pi / 2.0, 0.0)),
        Part("capsule", (0.03, 0.25), (0.42, 0.0, 0.98), _TYRE, rpy=_ACROSS),
        Part("box", (0.04, 0.05, 0.05), (-0.75, 0.0, 0.72), _RED, material=TAIL_LAMP),
        Part("box", (0.04, 0.05, 0.05), (0.62, 0.0, 0.9), _WHITE, material=HEAD_LAMP),
        *_rider(coat, trousers, (float(rng.uniform(0.4, 0.85)), 0.5, 0.4), 0.92),
    )


def _motorcyclist(rng: np.random.Generator) -> tuple[Part, ...]:
    paint, coat = _paint(rng), _paint(rng)
    return (
        *(Part("cylinder", (0.31, 0.08), (x, 0.0, 0.31), _TYRE, rpy=_ACROSS) for x in (0.75, -0.7)),
        Part("box", (0.4, 0.16, 0.2), (0.0, 0.0, 0.5), (0.3, 0.3, 0.32)),
        Part("ellipsoid", (0.35, 0.18, 0.16), (0.25, 0.0, 0.84), paint),
        Part("box", (0.38, 0.14, 0.06), (-0.45, 0.0, 0.8), _TYRE),
        Part("capsule", (0.03, 0.33), (0.5, 0.0, 1.02), _TYRE, rpy=_ACROSS),
        Part("box", (0.04, 0.1, 0.06), (-0.85, 0.0, 0.75), _RED, material=TAIL_LAMP),
        Part("box", (0.04, 0.1, 0.09), (0.72, 0.0, 0.85), _WHITE, material=HEAD_LAMP),
        *_rider(coat, (0.08, 0.08, 0.1), _paint(rng), 0.88),
    )


# By how they look: known ones drive everywhere, the others occur in `unseen` and nowhere else.
VEHICLES: dict[str, tuple[VehicleKind, ...]] = {
    "known": (
        VehicleKind("sedan", 4.7, 1.97, _sedan),
        VehicleKind("hatchback", 4.0, 1.80, _hatchback),
        VehicleKind("suv", 4.6, 1.97, _suv),
        VehicleKind("van", 5.34, 2.02, _van),
        VehicleKind("truck", 6.52, 2.25, _truck),
    ),
    "unseen": (
        VehicleKind("bus", 11.02, 2.52, _bus),
        VehicleKind("pickup", 5.42, 1.92, _pickup),
        VehicleKind("tractor", 3.92, 2.08, _tractor),
    ),
}
CYCLISTS: dict[str, tuple[VehicleKind, ...]] = {
    "known": (VehicleKind("cyclist", 1.8, 0.6, _cyclist),),
    "unseen": (VehicleKind("motorcyclist", 2.15, 0.75, _motorcyclist),),
}
