"""How near a plan comes to what the run's lidar met, as a loss.

The error of a flow counts a decimetre alike in every direction, and where the teacher passes a thing now on one side
and now on the other, its mean goes through the middle. What a scan says about the planned body tells the two apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from wam_models.data.bags import relative_poses
from wam_models.data.store import WindowStore
from wam_models.training.recipe import Clearance

POINTS = 128  # obstacles kept of each frame, the nearest
FAR = 100.0  # m: where the points are that no obstacle needs
_AROUND = np.arange(-30, 11, 2)  # frames of the run whose scans are put together: what is beside has left the picture
_REACH = 2.6  # m around base_link, what a body can come near to in two seconds
_GRID = 0.06  # m: of several points in one cell one is kept


def obstacles(
    store: WindowStore, lidar: float, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> np.ndarray:
    """float16 (M, POINTS, 2) m in base_link of each frame of the store, at FAR where there are fewer; kept beside it.
    lidar: m ahead of base_link where it is mounted."""
    made_of = repr((lidar, POINTS, FAR, _AROUND.tolist(), _REACH, _GRID))
    path = store.folder / f"obstacles-{hashlib.sha256(made_of.encode()).hexdigest()[:12]}.npy"
    if not path.exists():
        out = np.full((len(store.frame_run), POINTS, 2), FAR, dtype=np.float16)
        for run in progress(np.unique(store.frame_run).tolist()):
            first, last = np.flatnonzero(store.frame_run == run)[[0, -1]]
            out[first : last + 1] = _around_each(store.poses[first : last + 1], store.met[first : last + 1], lidar)
        partial = path.with_suffix(".partial.npy")
        np.save(partial, out)
        partial.rename(path)
    return np.load(path, mmap_mode="r")


def _around_each(poses: np.ndarray, met: np.ndarray, lidar: float) -> np.ndarray:
    """(N, POINTS, 2) of the frames of one run."""
    local = met.astype(float) + np.array([lidar, 0.0])
    c, s = np.cos(poses[:, None, 2]), np.sin(poses[:, None, 2])
    x, y = local[..., 0], local[..., 1]
    world = np.stack([poses[:, None, 0] + c * x - s * y, poses[:, None, 1] + s * x + c * y, np.zeros_like(x)], axis=-1)
    out = np.full((len(poses), POINTS, 2), FAR)
    for number, pose in enumerate(poses):
        near = np.unique(np.clip(number + _AROUND, 0, len(poses) - 1))
        points = world[near].reshape(-1, 3)
        points = relative_poses(points[np.isfinite(points[:, 0])], pose)[:, :2]
        distance = np.hypot(*points.T)
        order = np.argsort(distance)[: np.count_nonzero(distance < _REACH)]
        _, one_a_cell = np.unique(np.round(points[order] / _GRID), axis=0, return_index=True)
        kept = points[order][np.sort(one_a_cell)[:POINTS]]
        out[number, : len(kept)] = kept
    return out


def shortfall(planned: Tensor, taught: Tensor, points: Tensor, settings: Clearance) -> Tensor:
    """Mean over poses on the plan and between, m, that the planned body comes nearer to a point than it need: nearer
    than settings.margin, and nearer than the taught one comes there. planned, taught: (B, H, 3) m and rad in base_link;
    points: (B, P, 2)."""
    with torch.no_grad():
        needed = _clearance(taught, points, settings).clamp(max=settings.margin)
    return (needed - _clearance(planned, points, settings)).clamp(min=0).mean()


def _clearance(poses: Tensor, points: Tensor, settings: Clearance) -> Tensor:
    """(B, 2 H) m between the body's discs and the nearest point, at the poses and half way before each."""
    before = torch.cat([torch.zeros_like(poses[:, :1]), poses[:, :-1]], dim=1)
    between = torch.stack([(before + poses) / 2, poses], dim=2).flatten(1, 2)
    along = torch.stack([between[..., 2].cos(), between[..., 2].sin()], dim=-1)
    discs = between[:, :, None, :2] + between.new_tensor(settings.discs)[:, None] * along[:, :, None]
    distance = torch.cdist(discs.flatten(1, 2), points, compute_mode="donot_use_mm_for_euclid_dist")
    return distance.amin(dim=2).unflatten(1, discs.shape[1:3]).amin(dim=2) - settings.radius
