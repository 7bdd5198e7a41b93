"""Pictures of one moment of a run: the camera with the plan in it, and the world from above. BGR uint8, as OpenCV's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import shapely

from wam_sim.body import LENGTH, WIDTH, footprint
from wam_sim.objects import PERSON_RADIUS
from wam_sim.simulation import GOAL_RADIUS
from wam_sim.worlds import YardWorld
from wam_tools.demo.projection import project, ribbon

Colour = tuple[int, int, int]
PLAN, ROBOT, PATH, GOAL = (90, 220, 60), (40, 160, 255), (200, 120, 30), (70, 70, 230)
DRIVEN, BROKEN = (40, 160, 255), (50, 50, 225)  # what was driven; a plan that breaks a rule
INK, PAPER, WALL, THING, PERSON = (60, 55, 50), (246, 244, 240), (120, 116, 110), (165, 158, 150), (190, 110, 170)
_SHIFT = 3  # binary digits of a pixel that OpenCV draws with
_FONT = cv2.FONT_HERSHEY_DUPLEX


@dataclass(frozen=True)
class Mount:
    """Where the camera sits on the robot. matrix: (3, 3) K in px; position: (3,) m in base_link; pitch: rad down."""

    matrix: np.ndarray
    position: np.ndarray
    pitch: float


def draw_plan(
    image: np.ndarray,
    plan: np.ndarray,
    pose: np.ndarray,
    mount: Mount,
    width: float = WIDTH,
    colour: Colour = PLAN,
) -> np.ndarray:
    """The camera's image (h, w, 3) with the plan as a band on the ground, as wide as the robot, and its points.

    plan: (H, 3) poses in odom; pose: (4,) x, y, z m and yaw rad of base_link in odom when the image was taken;
    width: m, of the robot; colour: of the band.
    """
    start = np.array([pose[0], pose[1], pose[3]])
    left, right = ribbon(np.vstack([start, plan]), width)
    result = image.copy()
    if len(left):
        edges = [project(edge, pose, mount.matrix, mount.position, mount.pitch)[0] for edge in (left, right)]
        seen = np.isfinite(edges[0]).all(axis=1) & np.isfinite(edges[1]).all(axis=1)
        outline = np.vstack([edges[0][seen], edges[1][seen][::-1]])
        if len(outline) >= 3:
            band = image.copy()
            cv2.fillPoly(band, [_fixed(outline)], colour, cv2.LINE_AA, _SHIFT)
            result = cv2.addWeighted(band, 0.45, image, 0.55, 0.0)
            for edge in edges:
                cv2.polylines(result, [_fixed(edge[seen])], False, colour, 2, cv2.LINE_AA, _SHIFT)
    points = np.column_stack([plan[:, :2], np.zeros(len(plan))])
    pixels, depths = project(points, pose, mount.matrix, mount.position, mount.pitch)
    for pixel, depth in zip(pixels, depths):
        if np.isfinite(pixel).all() and np.abs(pixel).max() < 4 * max(image.shape):
            radius = int(np.clip(0.04 * mount.matrix[0, 0] / depth, 2, 12))
            cv2.circle(result, tuple(_fixed(pixel)), radius << _SHIFT, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
    return result


class Canvas:
    """Ground seen from above, the first axis up the page. size: (height, width) px; scale: px a metre; middle: (x, y) m
    at the middle of the page; yaw: rad, of the direction that is up."""

    def __init__(self, size: tuple[int, int], scale: float, middle: np.ndarray, yaw: float = 0.0) -> None:
        self.image = _blank(*size, PAPER)
        self._scale, self._middle = scale, middle
        cos, sin = np.cos(yaw), np.sin(yaw)
        self._turn = np.array([[cos, -sin], [sin, cos]])
        self._half = np.array([size[1] / 2, size[0] / 2])

    def copy(self) -> Canvas:
        """The same page, to draw on."""
        other = object.__new__(Canvas)
        other.__dict__ = {**self.__dict__, "image": self.image.copy()}
        return other

    def fill(self, shape: shapely.Geometry | None, colour: Colour) -> None:
        """A shape with an area; None is none."""
        for part in shapely.get_parts(shape) if shape is not None else ():
            self.polygon(np.array(part.exterior.coords), colour)

    def polygon(self, corners: np.ndarray, colour: Colour) -> None:
        """corners: (N, 2 or more) m."""
        cv2.fillPoly(self.image, [self._pixels(corners)], colour, cv2.LINE_AA, _SHIFT)

    def line(self, points: np.ndarray, colour: Colour, width: int = 2) -> None:
        """points: (N, 2 or more) m; width: px."""
        cv2.polylines(self.image, [self._pixels(points)], False, colour, width, cv2.LINE_AA, _SHIFT)

    def circle(self, point: np.ndarray, radius: float, colour: Colour, width: int = -1) -> None:
        """radius: px; width: px of the line, -1 for a disc."""
        centre = tuple(self._pixels(np.asarray(point)[None])[0])
        cv2.circle(self.image, centre, int(radius * (1 << _SHIFT)), colour, width, cv2.LINE_AA, _SHIFT)

    def plan(self, pose: np.ndarray, plan: np.ndarray, colour: Colour = PLAN, width: int = 3) -> None:
        """pose: (3,) where the robot is; plan: (H, 3); width: px."""
        line = np.vstack([pose, plan])
        self.line(line, colour, width)
        for point in line[1:]:
            self.circle(point, width, colour)

    def legend(self, rows: Sequence[tuple[str, Colour]]) -> None:
        """A line of text a row into the upper left corner, each with a mark in its colour."""
        for row, (text, colour) in enumerate(rows):
            base = 20 + 17 * row
            cv2.rectangle(self.image, (10, base - 7), (22, base - 3), colour, -1)
            cv2.putText(self.image, _plain(text), (28, base), _FONT, 0.42, INK, 1, cv2.LINE_AA)

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        offset = (points[:, :2] - self._middle) @ self._turn * self._scale
        return _fixed(self._half - offset[:, ::-1])


class TopView:
    """A yard from above, x of odom up the page. size: (height, width) px."""

    def __init__(self, world: YardWorld, size: tuple[int, int]) -> None:
        x0, y0 = np.minimum(world.start[:2], world.goal) - 2.5
        x1, y1 = np.maximum(world.start[:2], world.goal) + 2.5
        scale = min(size[0] / (x1 - x0), size[1] / (y1 - y0))
        self._ground = Canvas(size, scale, np.array([(x0 + x1) / 2, (y0 + y1) / 2]))
        for thing in world.things:
            if thing.beat is None:
                self._ground.fill(thing.footprint(), WALL if thing.kind in ("wall", "building") else THING)
        goal = np.array(world.goal)
        self._ground.circle(goal, int(GOAL_RADIUS * scale), GOAL, 2)
        self._ground.circle(goal, 3, GOAL)

    def draw(self, path: np.ndarray, pose: np.ndarray, plan: np.ndarray | None, walkers: np.ndarray) -> np.ndarray:
        """path: (N, 3) walked so far; pose: (3,) now; plan: (H, 3) or None; walkers: (W, 3); all in odom."""
        page = self._ground.copy()
        for walker in walkers:
            page.fill(shapely.Point(walker[:2]).buffer(PERSON_RADIUS), PERSON)
        if len(path) > 1:
            page.line(path, PATH)
        page.fill(footprint(pose), ROBOT)
        nose = pose[:2] + 0.5 * LENGTH * np.array([np.cos(pose[2]), np.sin(pose[2])])
        page.line(np.array([pose[:2], nose]), INK)
        if plan is not None:
            page.plan(pose, plan)
        return page.image


def strip(width: int, height: int, texts: list[str]) -> np.ndarray:
    """A dark strip with texts at equal distances, each cut off where the next begins."""
    image = _blank(height, width, INK)
    column = (width - 14) // len(texts)
    for i, text in enumerate(texts):
        at = (14 + i * column, int(0.66 * height))
        cv2.putText(image, _cut(text, column - 8), at, _FONT, 0.5, PAPER, 1, cv2.LINE_AA)
    return image


def caption(image: np.ndarray, text: str) -> None:
    """Write a text into the picture's upper left corner, dark on light."""
    if text:
        (width, height), _ = cv2.getTextSize(text, _FONT, 0.55, 1)
        cv2.rectangle(image, (8, 8), (24 + width, 24 + height), PAPER, -1)
        cv2.putText(image, text, (16, 16 + height), _FONT, 0.55, INK, 1, cv2.LINE_AA)


def _blank(height: int, width: int, colour: Colour) -> np.ndarray:
    """Filled by rows, which is ten times as fast as by pixels."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.tile(np.array(colour, np.uint8), (width, 1))
    return image


def _plain(text: str) -> str:
    """Only what OpenCV has letters for."""
    return text.encode("ascii", "replace").decode()


def _cut(text: str, width: int) -> str:
    """The text, or as much of its beginning as is `width` px wide in a strip."""
    text, whole = _plain(text), len(text)
    while text and cv2.getTextSize(text + "..." * (len(text) < whole), _FONT, 0.5, 1)[0][0] > width:
        text = text[:-1]
    return text + "..." * (len(text) < whole)


def _fixed(points: np.ndarray) -> np.ndarray:
    """Pixels as OpenCV's fixed-point integers; far outside is clipped, where 32 bits would overflow."""
    return np.round(np.clip(points, -1e5, 1e5) * (1 << _SHIFT)).astype(np.int32)
