"""What lies on the ground of a town: its surfaces as one picture, and what is painted or set on them as ribbons.

The picture is coarse; a line on the road would blur in it where the road is seen at a low angle. So the lines and the
kerbs are ribbons of triangles, which stay sharp at every distance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import shapely
from shapely.geometry.polygon import orient

from wam_models.se2 import Vector, compose
from wam_sim import textures
from wam_sim.objects import Colour
from wam_sim.town.curves import Curve
from wam_sim.town.lights import Lights
from wam_sim.town.network import LANE_WIDTH, SIDEWALK_WIDTH, Road, RoadEnd, RoadNetwork
from wam_sim.town.world import Look

# m of ground beyond the outermost street.
MARGIN = 45.0
# m: width of the lines on the road, and how far those at its edges stay away from the kerb.
LINE_WIDTH, EDGE_GAP = 0.17, 0.16
STOP_LINE = 0.45  # m, along
# m before the end of a road at which its stop line ends.
STOP_GAP = 0.2
_DASH, _DASH_PERIOD = 3.0, 7.0  # m
_KERB_WIDTH, _KERB_HEIGHT = 0.18, 0.13  # m
# m above the ground, so that the line covers it.
_PAINT_HEIGHT = 0.012
# px/m of the picture of the ground, and at most so many on a side.
_RESOLUTION, _MOST = 5.0, 4096
# m that one repetition of a pattern covers.
_ROAD_TILE, _PAVEMENT_TILE, _GROUND_TILE = 9.0, 4.0, 14.0
# m by which a chord may miss a bend.
_SAG = 0.025
# m round a street lamp in which half of its light falls, and the share of its picture that the ground has without any.
_POOL, _UNLIT = 4.5, 0.45


@dataclass(frozen=True)
class Ground:
    """image: uint8 (H, W, 3) RGB, its first row the farthest north; bounds: x0, y0, x1, y1, m of its outer edges."""

    image: np.ndarray
    bounds: tuple[float, float, float, float]


@dataclass(frozen=True)
class Ribbon:
    """kind: line or kerb; vertices: (N, 3) m in the world; faces: (M, 3) of them, anticlockwise from above."""

    kind: str
    vertices: np.ndarray
    faces: np.ndarray


def asphalt(network: RoadNetwork) -> list[shapely.Polygon]:
    """What cars may drive on: of every road, then of every junction."""
    roads = [_strip(road.line, LANE_WIDTH) for road in network.roads]
    return roads + [_junction(network, junction.id) for junction in network.junctions]


def streets(network: RoadNetwork) -> list[shapely.Polygon]:
    """The same with the sidewalks, which run on round the corners of junctions."""
    roads = [_strip(road.line, LANE_WIDTH + SIDEWALK_WIDTH) for road in network.roads]
    wider = [_junction(network, junction.id).buffer(SIDEWALK_WIDTH) for junction in network.junctions]
    # Round a corner of tiny arcs GEOS leaves a speck of 1e-26 m^2 beside what it widens.
    return roads + [max(shapely.get_parts(area), key=shapely.area) for area in wider]


def paint_ground(network: RoadNetwork, look: Look, lamps: Iterable[tuple[float, float]], seed: int) -> Ground:
    """lamps: (x, y) m of the street lamps, which shine by night."""
    paved = streets(network)
    x0, y0, x1, y1 = shapely.union_all(paved).buffer(MARGIN).bounds
    scale = min(_RESOLUTION, _MOST / max(x1 - x0, y1 - y0))
    width, height = math.ceil((x1 - x0) * scale), math.ceil((y1 - y0) * scale)
    bounds = (x0, y1 - height / scale, x0 + width / scale, y1)
    image = _pattern(look.ground, _GROUND_TILE * scale, (height, width), seed)
    for areas, surface, tile in (
        (paved, look.pavement, _PAVEMENT_TILE),
        (asphalt(network), look.road, _ROAD_TILE),
    ):
        mask = np.zeros((height, width), np.uint8)
        for area in areas:
            corners = (np.array(area.exterior.coords) - (x0, y1)) * (scale, -scale) - 0.5
            cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 255, shift=4)
        cv2.copyTo(_pattern(surface, tile * scale, (height, width), seed + 1), mask, image)
    _add_grain(image, seed)
    if look.night:
        _light_pools(image, [((x - x0) * scale, (y1 - y) * scale) for x, y in lamps], scale)
    return Ground(image, bounds)


def ribbons(network: RoadNetwork, lights: Mapping[int, Lights]) -> list[Ribbon]:
    """The lines and kerbs of every road, then the kerbs of every junction: each of them is one ribbon."""
    made: list[Ribbon] = []
    for road in network.roads:
        made += [_lines(road, lights), _kerbs([_points(road.line, LANE_WIDTH), _points(road.line, -LANE_WIDTH)[::-1]])]
    mouths = shapely.union_all([_strip(road.line, LANE_WIDTH + 0.05, 0.3) for road in network.roads])
    for junction in network.junctions:
        clockwise = orient(_junction(network, junction.id), -1.0).exterior
        corners = shapely.line_merge(shapely.difference(clockwise, mouths), directed=True)
        parts = list(corners.geoms) if hasattr(corners, "geoms") else [corners]
        made.append(_kerbs([np.array(part.coords) for part in parts if part.length > 0.5]))
    return made


def stop_line(road: Road, end: RoadEnd) -> tuple[Vector, Vector]:
    """Poses at the near and the far border of the stop line at the end of a road, in the middle of the road, facing
    the junction."""
    sign = 1.0 if end.at_end else -1.0
    whole = road.line.length
    far = whole - STOP_GAP if end.at_end else STOP_GAP
    turn = (0.0, 0.0, 0.0 if end.at_end else math.pi)
    return compose(road.line.pose(far - sign * STOP_LINE), turn), compose(road.line.pose(far), turn)


def _strip(line: Curve, half: float, longer: float = 0.0) -> shapely.Polygon:
    """The ground within `half` metres beside a curve; longer: m that it goes on beyond its ends."""
    left, right = (_points(line, side * half, longer) for side in (1.0, -1.0))
    return shapely.Polygon(np.concatenate([right, left[::-1]]))


def _junction(network: RoadNetwork, number: int) -> shapely.Polygon:
    """All lanes through a junction and what lies between them."""
    lanes = [
        shapely.Polygon(np.concatenate([_points(way.line, 0.0), _points(way.line, -LANE_WIDTH)[::-1]])).buffer(0.02)
        for way in network.connections
        if way.junction == number
    ]
    return shapely.Polygon(shapely.union_all(lanes).exterior)


def _stations(line: Curve) -> list[float]:
    """m along a curve: as near to each other as its bends need."""
    stations, s = [0.0], 0.0
    for arc in line.arcs:
        step = math.sqrt(8.0 * _SAG / max(abs(arc.curvature), 1e-4))
        count = math.ceil(arc.length / step)
        stations += [s + arc.length * number / count for number in range(1, count + 1)]
        s += arc.length
    return stations


def _points(line: Curve, offset: float, longer: float = 0.0, stations: list[float] | None = None) -> np.ndarray:
    """(N, 2) m: `offset` metres to the left of a curve."""
    stations = stations or _stations(line)
    if longer:
        stations = [-longer, *stations, line.length + longer]
    return np.array([compose(line.pose(s), (0.0, offset, 0.0))[:2] for s in stations])


def _lines(road: Road, lights: Mapping[int, Lights]) -> Ribbon:
    line, flat = road.line, [(LINE_WIDTH / 2.0, _PAINT_HEIGHT), (-LINE_WIDTH / 2.0, _PAINT_HEIGHT)]
    edge = LANE_WIDTH - EDGE_GAP - LINE_WIDTH / 2.0
    parts = [_extrude(_points(line, side * edge), flat) for side in (1.0, -1.0)]
    number = max(1, int(line.length // _DASH_PERIOD))
    for dash in range(number):
        middle = (dash + 0.5) * line.length / number
        stations = [middle + step * _DASH / 2.0 for step in (-1.0, 0.0, 1.0)]
        parts.append(_extrude(_points(line, 0.0, stations=stations), flat))
    for junction, at_end in ((road.start, False), (road.end, True)):
        if junction in lights:
            near, far = stop_line(road, RoadEnd(road.id, at_end))
            ends = [[compose(pose, (0.0, y, 0.0))[:2] for y in (-0.1, -edge)] for pose in (far, near)]
            corners = np.array([ends[0][0], ends[0][1], ends[1][1], ends[1][0]])[::-1]
            parts.append((np.insert(corners, 2, _PAINT_HEIGHT, axis=1), np.array([[0, 1, 2], [0, 2, 3]])))
    return _join("line", parts)


def _kerbs(edges: list[np.ndarray]) -> Ribbon:
    """edges: (N, 2) along the border of the asphalt, which is on their right."""
    profile = [(_KERB_WIDTH, _KERB_HEIGHT), (0.0, _KERB_HEIGHT), (0.0, 0.0)]
    return _join("kerb", [_extrude(edge, profile) for edge in edges])


def _extrude(points: np.ndarray, profile: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of a profile drawn along points (N, 2). profile: (m to the left, m up), from left to right."""
    ahead = np.gradient(points, axis=0)
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    left = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    count = len(points)
    for (a, za), (b, zb) in zip(profile, profile[1:]):  # a strip of its own for each side, so that edges stay edges
        i = count * len(vertices) + np.arange(count - 1)
        faces += [np.stack([i, i + count, i + count + 1], axis=1), np.stack([i, i + count + 1, i + 1], axis=1)]
        vertices += [np.insert(points + offset * left, 2, z, axis=1) for offset, z in ((a, za), (b, zb))]
    return np.concatenate(vertices), np.concatenate(faces)


def _join(kind: str, parts: list[tuple[np.ndarray, np.ndarray]]) -> Ribbon:
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    faces = np.concatenate([faces + start for (_, faces), start in zip(parts, starts)])
    return Ribbon(kind, np.concatenate([vertices for vertices, _ in parts]), faces)


def _pattern(surface: tuple[str, Colour, Colour], tile: float, shape: tuple[int, int], seed: int) -> np.ndarray:
    """uint8 (*shape, 3): a surface whose pattern repeats after `tile` px."""
    name, first, second = surface
    side = max(round(tile), 4)
    drawn = cv2.resize(textures.draw(name, first, second, seed), (side, side), interpolation=cv2.INTER_AREA)
    height, width = shape
    return np.tile(drawn, (height // side + 1, width // side + 1, 1))[:height, :width].copy()


def _add_grain(image: np.ndarray, seed: int) -> None:
    """Fine noise and broad patches, in place: nothing outdoors has one colour."""
    rng = np.random.default_rng([seed, 83])
    height, width = image.shape[:2]
    fine = rng.normal(0.0, 5.0, (256, 256)).astype(np.float32)
    broad = cv2.resize(rng.normal(0.0, 4.0, (16, 16)).astype(np.float32), (256, 256), interpolation=cv2.INTER_CUBIC)
    tile = np.clip(np.round(fine + broad), -20, 20)
    for sign, change in ((1, cv2.add), (-1, cv2.subtract)):
        part = np.repeat(np.maximum(sign * tile, 0).astype(np.uint8)[..., None], 3, axis=2)
        whole = np.tile(part, (height // 256 + 1, width // 256 + 1, 1))[:height, :width]
        change(image, np.ascontiguousarray(whole), image)


def _light_pools(image: np.ndarray, lamps: list[tuple[float, float]], scale: float) -> None:
    """Darker everywhere but under the lamps (px), in place."""
    height, width = image.shape[:2]
    coarse = 4
    light = np.zeros((height // coarse + 1, width // coarse + 1), np.float32)
    for x, y in lamps:
        column, row = int(x / coarse), int(y / coarse)
        if 0 <= row < light.shape[0] and 0 <= column < light.shape[1]:
            light[row, column] += 1.0
    sigma = _POOL * scale / coarse
    light = cv2.GaussianBlur(light, (0, 0), sigma) * (2.0 * math.pi * sigma**2)
    share = _UNLIT + (1.0 - _UNLIT) * np.minimum(light, 1.0)
    whole = cv2.resize(share, (light.shape[1] * coarse, light.shape[0] * coarse), interpolation=cv2.INTER_LINEAR)
    whole = np.round(whole[:height, :width] * 255).astype(np.uint8)
    cv2.multiply(image, cv2.cvtColor(whole, cv2.COLOR_GRAY2RGB), image, scale=1 / 255)
