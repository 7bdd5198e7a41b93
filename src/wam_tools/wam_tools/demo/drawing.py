"""Pictures of one moment of a run: the camera with the plan in it, and the world from above. BGR uint8, as OpenCV's."""

from __future__ import annotations

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
INK, PAPER, WALL, THING, PERSON = (60, 55, 50), (246, 244, 240), (120, 116, 110), (165, 158, 150), (190, 110, 170)
_SHIFT = 3  # binary digits of a pixel that OpenCV draws with
_FONT = cv2.FONT_HERSHEY_DUPLEX


@dataclass(frozen=True)
class Mount:
    """Where the camera sits on the robot. matrix: (3, 3) K in px; position: (3,) m in base_link; pitch: rad down."""

    matrix: np.ndarray
    position: np.ndarray
    pitch: float


def draw_plan(image: np.ndarray, plan: np.ndarray, pose: np.ndarray, mount: Mount) -> np.ndarray:
    """The camera's image (h, w, 3) with the plan as a band on the ground, as wide as the robot, and its points.

    plan: (H, 3) poses in odom; pose: (4,) x, y, z m and yaw rad of base_link in odom when the image was taken.
    """
    start = np.array([pose[0], pose[1], pose[3]])
    left, right = ribbon(np.vstack([start, plan]), WIDTH)
    result = image.copy()
    if len(left):
        edges = [project(edge, pose, mount.matrix, mount.position, mount.pitch)[0] for edge in (left, right)]
        seen = np.isfinite(edges[0]).all(axis=1) & np.isfinite(edges[1]).all(axis=1)
        outline = np.vstack([edges[0][seen], edges[1][seen][::-1]])
        if len(outline) >= 3:
            band = image.copy()
            cv2.fillPoly(band, [_fixed(outline)], PLAN, cv2.LINE_AA, _SHIFT)
            result = cv2.addWeighted(band, 0.45, image, 0.55, 0.0)
            for edge in edges:
                cv2.polylines(result, [_fixed(edge[seen])], False, PLAN, 2, cv2.LINE_AA, _SHIFT)
    points = np.column_stack([plan[:, :2], np.zeros(len(plan))])
    pixels, depths = project(points, pose, mount.matrix, mount.position, mount.pitch)
    for pixel, depth in zip(pixels, depths):
        if np.isfinite(pixel).all() and np.abs(pixel).max() < 4 * max(image.shape):
            radius = int(np.clip(0.04 * mount.matrix[0, 0] / depth, 2, 12))
            cv2.circle(result, tuple(_fixed(pixel)), radius << _SHIFT, (255, 255, 255), -1, cv2.LINE_AA, _SHIFT)
    return result


class TopView:
    """A world from above, x of odom up the page. size: (height, width) px."""

    def __init__(self, world: YardWorld, size: tuple[int, int]) -> None:
        x0, y0 = np.minimum(world.start[:2], world.goal) - 2.5
        x1, y1 = np.maximum(world.start[:2], world.goal) + 2.5
        self._scale = min(size[0] / (x1 - x0), size[1] / (y1 - y0))
        self._middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        self._size = size
        self._ground = np.full((*size, 3), PAPER, np.uint8)
        for thing in world.things:
            if thing.beat is None:
                colour = WALL if thing.kind in ("wall", "building") else THING
                self._fill(self._ground, thing.footprint(), colour)
        goal = tuple(self._pixels(np.array([world.goal]))[0])
        radius = int(GOAL_RADIUS * self._scale)
        cv2.circle(self._ground, goal, radius << _SHIFT, GOAL, 2, cv2.LINE_AA, _SHIFT)
        cv2.circle(self._ground, goal, 3 << _SHIFT, GOAL, -1, cv2.LINE_AA, _SHIFT)

    def draw(self, path: np.ndarray, pose: np.ndarray, plan: np.ndarray | None, walkers: np.ndarray) -> np.ndarray:
        """path: (N, 3) walked so far; pose: (3,) now; plan: (H, 3) or None; walkers: (W, 3); all in odom."""
        image = self._ground.copy()
        for walker in walkers:
            self._fill(image, shapely.Point(walker[:2]).buffer(PERSON_RADIUS), PERSON)
        if len(path) > 1:
            cv2.polylines(image, [self._pixels(path)], False, PATH, 2, cv2.LINE_AA, _SHIFT)
        self._fill(image, footprint(pose), ROBOT)
        nose = pose[:2] + 0.5 * LENGTH * np.array([np.cos(pose[2]), np.sin(pose[2])])
        cv2.polylines(image, [self._pixels(np.array([pose[:2], nose]))], False, INK, 2, cv2.LINE_AA, _SHIFT)
        if plan is not None:
            line = self._pixels(np.vstack([pose, plan]))
            cv2.polylines(image, [line], False, PLAN, 3, cv2.LINE_AA, _SHIFT)
            for point in line[1:]:
                cv2.circle(image, tuple(point), 3 << _SHIFT, PLAN, -1, cv2.LINE_AA, _SHIFT)
        return image

    def _pixels(self, points: np.ndarray) -> np.ndarray:
        offset = (points[:, :2] - self._middle) * self._scale
        return _fixed(np.column_stack([self._size[1] / 2 - offset[:, 1], self._size[0] / 2 - offset[:, 0]]))

    def _fill(self, image: np.ndarray, shape: shapely.Geometry | None, colour: Colour) -> None:
        for part in shapely.get_parts(shape) if shape is not None else ():
            outline = self._pixels(np.array(part.exterior.coords))
            cv2.fillPoly(image, [outline], colour, cv2.LINE_AA, _SHIFT)


def strip(width: int, height: int, texts: list[str]) -> np.ndarray:
    """A dark strip with texts at equal distances."""
    image = np.full((height, width, 3), INK, np.uint8)
    for i, text in enumerate(texts):
        at = (14 + i * (width - 14) // len(texts), int(0.66 * height))
        cv2.putText(image, text, at, _FONT, 0.5, PAPER, 1, cv2.LINE_AA)
    return image


def _fixed(points: np.ndarray) -> np.ndarray:
    """Pixels as OpenCV's fixed-point integers; far outside is clipped, where 32 bits would overflow."""
    return np.round(np.clip(points, -1e5, 1e5) * (1 << _SHIFT)).astype(np.int32)
