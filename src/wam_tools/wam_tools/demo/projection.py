"""From the ground of the odom frame into the camera's image."""

from __future__ import annotations

import math

import numpy as np

NEAR = 0.15  # m in front of the camera; what is nearer cannot be drawn


def project(
    points: np.ndarray, pose: np.ndarray, camera: np.ndarray, position: np.ndarray, pitch: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (N, 2) and depths (N,) m of points (N, 3) in odom; what lies nearer than NEAR, or behind, has NaN pixels.

    pose: (4,) x, y, z m and yaw rad of base_link in odom; camera: (3, 3) K; position: (3,) m of the optical centre in
    base_link; pitch: rad, positive looks down.
    """
    cos, sin = math.cos(pose[3]), math.sin(pose[3])
    offset = points - pose[:3]
    body = np.stack([cos * offset[:, 0] + sin * offset[:, 1], -sin * offset[:, 0] + cos * offset[:, 1], offset[:, 2]])
    forward, left, up = body - np.asarray(position)[:, None]
    depth = math.cos(pitch) * forward - math.sin(pitch) * up
    down = -math.sin(pitch) * forward - math.cos(pitch) * up
    image = camera @ np.stack([-left, down, depth])
    pixels = np.full((len(points), 2), np.nan)
    visible = depth > NEAR
    pixels[visible] = (image[:2, visible] / image[2, visible]).T
    return pixels, depth


def ribbon(poses: np.ndarray, width: float, step: float = 0.08) -> tuple[np.ndarray, np.ndarray]:
    """Left and right edge, each (M, 3) m on the ground of the same frame, of a band `width` m wide along poses (H, 3),
    resampled every `step` m so that it bends with the lens."""
    line = poses[:, :2]
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
    if along[-1] < 1e-6:
        return np.empty((0, 3)), np.empty((0, 3))
    at = np.linspace(0.0, along[-1], max(int(along[-1] / step), 2))
    centre = np.stack([np.interp(at, along, line[:, axis]) for axis in (0, 1)], axis=1)
    tangent = np.gradient(centre, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = 0.5 * width * np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    ground = np.zeros((len(at), 1))
    return np.hstack([centre + normal, ground]), np.hstack([centre - normal, ground])
