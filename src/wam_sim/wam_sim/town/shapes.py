"""Parts as triangles: a hundred parts in one mesh are drawn as fast as one alone, if one picture colours them all.

That picture, the atlas, holds the fronts of buildings in bands and below them one patch for every colour.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from transforms3d.euler import euler2mat

from wam_models.se2 import Vector
from wam_sim.objects import Colour, Part
from wam_sim.town.looks import BAYS, STOREYS
from wam_sim.town.surroundings import BAY, FRONTS, STOREY

_AROUND, _STACKS = 8, 4  # sides of a cylinder, and rings of half a sphere
_PATCH = 4  # px of a colour: its middle is out of reach of its neighbours


@dataclass(frozen=True)
class Mesh:
    """vertices: (N, 3) m; faces: (M, 3) of them, anticlockwise from outside; places: (N, 2) in a picture, from its
    upper left corner to its lower right one in 0 to 1."""

    vertices: np.ndarray
    faces: np.ndarray
    places: np.ndarray


class Atlas:
    """image: uint8 (H, W, 3) RGB. fronts: uint8 (bands * h, W, 3), one band below the other for each of FRONTS."""

    def __init__(self, fronts: np.ndarray, colours: Iterable[Colour]) -> None:
        self._height, width, _ = fronts.shape
        self._row = width // _PATCH
        self._numbers: dict[Colour, int] = {}
        for colour in colours:
            self._numbers.setdefault(colour, len(self._numbers))
        rows = math.ceil(max(len(self._numbers), 1) / self._row)
        patches = np.zeros((rows * self._row, 3))
        patches[: len(self._numbers)] = list(self._numbers)
        block = np.ones((_PATCH, _PATCH, 1))
        drawn = np.kron((255 * np.clip(patches, 0, 1)).round().reshape(rows, self._row, 3), block).astype(np.uint8)
        self.image = np.concatenate([fronts, drawn])

    def place(self, colour: Colour) -> tuple[float, float]:
        """The middle of its patch. Raises KeyError for a colour that the atlas was not made with."""
        row, column = divmod(self._numbers[colour], self._row)
        height, width, _ = self.image.shape
        return (column + 0.5) * _PATCH / width, (self._height + (row + 0.5) * _PATCH) / height

    def mesh(self, parts: Sequence[tuple[Part, Vector]]) -> Mesh:
        """Parts, each in the frame of a pose, as one mesh."""
        vertices, faces, places, count = [], [], [], 0
        for part, (x, y, yaw) in parts:
            points, triangles = _triangles(part)
            place = self._front(part, x + y) if part.material in FRONTS else self.place(part.colour)
            cos, sin = math.cos(yaw), math.sin(yaw)
            turn = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
            vertices.append(points @ turn + (x, y, 0.0))
            faces.append(triangles + count)
            places.append(np.broadcast_to(place, (len(points), 2)))
            count += len(points)
        return Mesh(np.concatenate(vertices), np.concatenate(faces), np.concatenate(places))

    def _front(self, part: Part, shift: float) -> np.ndarray:
        """(24, 2): windows of the usual size on the four sides of a box; which of them are lit differs with `shift`."""
        depth, width, height = (2.0 * size for size in part.size)
        storeys = min(max(round(height / STOREY), 1), STOREYS)
        band = self._height / len(FRONTS)
        bottom = (FRONTS.index(part.material or "") + 1) * band - 0.5
        top = bottom + 1.0 - band * storeys / STOREYS
        places = np.empty((6, 4, 2))
        for side, across in enumerate((width, width, depth, depth)):
            left = (round(abs(shift)) + 3 * side) % BAYS / BAYS
            right = left + max(round(across / BAY), 1) / BAYS
            places[side] = (left, bottom), (right, bottom), (right, top), (left, top)
        places[4:] = 0.0, top
        return places.reshape(24, 2) / (1.0, self.image.shape[0])


def _triangles(part: Part) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, 3) and faces (M, 3) of a part in the frame of its thing."""
    if part.shape == "box":
        points, faces = _cube()
        points = points * part.size
    elif part.shape in ("sphere", "ellipsoid"):
        points, faces = _ball()
        points = points * (part.size if part.shape == "ellipsoid" else part.size[0])
    elif part.shape == "cylinder":
        points, faces = _tube()
        points = points * (part.size[0], part.size[0], part.size[1])
    else:  # a capsule: the halves of a ball, moved apart
        points, faces = _ball(divided=True)
        upper = np.arange(len(points)) >= len(points) // 2
        points = points * part.size[0] + np.where(upper, part.size[1], -part.size[1])[:, None] * (0.0, 0.0, 1.0)
    if any(part.rpy):
        roll, pitch, yaw = part.rpy
        points = points @ euler2mat(yaw, pitch, roll, axes="rzyx").T
    return points + part.position, faces


@lru_cache(maxsize=1)
def _cube() -> tuple[np.ndarray, np.ndarray]:
    """Of half extents 1, with four vertices for each side: +x, -x, +y, -y, +z, -z; of the upright ones from the lower
    left as seen from outside."""
    sides = []
    for ahead, right, up in (
        ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
        ((-1, 0, 0), (0, -1, 0), (0, 0, 1)),
        ((0, 1, 0), (-1, 0, 0), (0, 0, 1)),
        ((0, -1, 0), (1, 0, 0), (0, 0, 1)),
        ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
        ((0, 0, -1), (-1, 0, 0), (0, 1, 0)),
    ):
        a, r, u = (np.array(direction, dtype=float) for direction in (ahead, right, up))
        sides.append(np.stack([a - r - u, a + r - u, a + r + u, a - r + u]))
    faces = [(4 * side + i, 4 * side + j, 4 * side + k) for side in range(6) for i, j, k in ((0, 1, 2), (0, 2, 3))]
    return np.concatenate(sides), np.array(faces)


def _revolved(profile: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """profile: (radius, height) from below to above, turned about the z axis."""
    angles = 2.0 * np.pi * np.arange(_AROUND) / _AROUND
    ring = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = np.concatenate([np.insert(radius * ring, 2, height, axis=1) for radius, height in profile])
    i = np.arange(_AROUND)
    j = (i + 1) % _AROUND
    faces = []
    for number, ((lower, _), (upper, _)) in enumerate(zip(profile, profile[1:])):
        a, b = number * _AROUND, (number + 1) * _AROUND
        if lower > 0.0:
            faces.append(np.stack([a + i, a + j, b + j], axis=1))
        if upper > 0.0:
            faces.append(np.stack([a + i, b + j, b + i], axis=1))
    return points, np.concatenate(faces)


@lru_cache(maxsize=2)
def _ball(divided: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Of radius 1. divided: the first half of its vertices is the lower one, and both halves have a ring at the
    equator, joined by faces without area until they are moved apart."""
    angles = np.linspace(0.0, np.pi / 2.0, _STACKS - 1)
    upper = [(float(np.cos(angle)), float(np.sin(angle))) for angle in angles[:-1]] + [(0.0, 1.0)]
    lower = [(radius, -height) for radius, height in upper[::-1]]
    return _revolved(lower + upper if divided else lower + upper[1:])


@lru_cache(maxsize=1)
def _tube() -> tuple[np.ndarray, np.ndarray]:
    """Of radius and half height 1."""
    pieces = [_revolved(profile) for profile in (((0, -1), (1, -1)), ((1, -1), (1, 1)), ((1, 1), (0, 1)))]
    starts = np.cumsum([0, *(len(points) for points, _ in pieces)])
    faces = np.concatenate([faces + start for (_, faces), start in zip(pieces, starts)])
    return np.concatenate([points for points, _ in pieces]), faces
