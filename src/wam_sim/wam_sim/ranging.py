"""What a flat lidar beside the camera measures: exact distances to the outlines of everything the robot could touch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from wam_sim.objects import PERSON_RADIUS
from wam_sim.scene import CAMERA_POSITION, HORIZONTAL_FOV

MAX_RANGE = 12.0  # m; where nothing is nearer the range is infinite, as sensor_msgs/LaserScan has it
BEARINGS = np.linspace(-HORIZONTAL_FOV / 2, HORIZONTAL_FOV / 2, 81)  # rad, left is positive; 1 degree apart
_WALKER = np.array(shapely.Point(0, 0).buffer(PERSON_RADIUS, quad_segs=4).exterior.coords)


def segments_of(outlines: list[shapely.Geometry]) -> np.ndarray:
    """(S, 2, 2) the edges of all outlines, as start and end (x, y) m."""
    rings = [
        np.asarray(ring.coords)
        for outline in outlines
        for polygon in shapely.get_parts(outline)
        for ring in (polygon.exterior, *polygon.interiors)
    ]
    edges = [np.stack([ring[:-1], ring[1:]], axis=1) for ring in rings]
    return np.concatenate(edges) if edges else np.zeros((0, 2, 2))


def scan(segments: np.ndarray, pose: np.ndarray, walkers: list[tuple[float, float, float]]) -> np.ndarray:
    """(81,) m from the camera of a body at `pose` (3,) to the first edge on each of BEARINGS; inf beyond MAX_RANGE.
    segments: (S, 2, 2) in the world; walkers: poses of people."""
    x, y, yaw = pose
    eye = np.array([x + CAMERA_POSITION[0] * np.cos(yaw), y + CAMERA_POSITION[0] * np.sin(yaw), yaw])
    return measure(np.concatenate([segments, people([walker[:2] for walker in walkers])]), eye, BEARINGS, MAX_RANGE)


def people(places: Sequence[tuple[float, float]]) -> np.ndarray:
    """(S, 2, 2) the outlines of people who stand at (x, y) m."""
    outlines = [np.stack([_WALKER[:-1], _WALKER[1:]], axis=1) + np.array(place) for place in places]
    return np.concatenate(outlines) if outlines else np.zeros((0, 2, 2))


def measure(segments: np.ndarray, eye: np.ndarray, bearings: np.ndarray, max_range: float) -> np.ndarray:
    """(B,) m from `eye`, x, y, yaw (3,), to the first of the segments (S, 2, 2) on each bearing, rad; inf beyond
    max_range."""
    angle = eye[2] + bearings
    rays = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    start, along = segments[:, 0] - eye[:2], segments[:, 1] - segments[:, 0]
    # eye + r * ray = start + s * along, solved for every ray and edge at once.
    crossed = rays[:, None, 0] * along[None, :, 1] - rays[:, None, 1] * along[None, :, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (start[:, 0] * along[:, 1] - start[:, 1] * along[:, 0])[None] / crossed
        share = (start[None, :, 0] * rays[:, None, 1] - start[None, :, 1] * rays[:, None, 0]) / crossed
    hit = (distance >= 0) & (share >= 0) & (share <= 1) & np.isfinite(distance)
    ranges = np.where(hit, distance, np.inf).min(axis=1, initial=np.inf)
    return np.where(ranges <= max_range, ranges, np.inf)
