"""From a run to training windows: which frames a model sees, which come next, and what the robot should do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_models.data.bags import Run, relative_poses
from wam_models.metis.config import MetisConfig
from wam_models.preprocessing import state_vector
from wam_models.types import EgoState

# Metres between the label and what was driven, up to which the recorded future is the label's future.
IMITATED_WITHIN = 0.15


@dataclass(frozen=True)
class Windows:
    """All windows of a run, one a frame. context: (N, K) frame numbers, oldest first; future: (N, F) frame numbers;
    states: (N, 8); actions: (N, points, values); imitated: (N,) whether the future frames show the label driven, so
    that they may serve as target for the video expert."""

    context: np.ndarray
    future: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    imitated: np.ndarray


def make_windows(run: Run, config: MetisConfig, use_acceleration: bool) -> Windows:
    """Windows of the frames that have a label. Where the bag has no teacher, the label is what was driven next.

    A context that reaches back before the first frame repeats that frame: the robot stood there.
    """
    times = config.action.dt * np.arange(1, config.action.points + 1)
    count = len(run.stamps)
    driven = _driven(run, times)
    complete = run.stamps + times[-1] <= run.stamps[-1] + 1e-3
    if run.labels is None:
        labels, usable = driven, complete
    else:
        labels, usable = _at_times(run, times), np.ones(count, dtype=bool)
    gap = np.hypot(*np.moveaxis(labels[..., :2] - driven[..., :2], -1, 0)).max(axis=-1)

    acceleration = np.gradient(run.twists[:, :2], run.stamps, axis=0) if count > 1 else np.zeros((count, 2))
    states = []
    for i in range(count):
        goal = None
        if run.goal is not None:
            local = relative_poses(np.array([*run.goal, 0.0]), run.poses[i])
            goal = (float(local[0]), float(local[1]))
        states.append(state_vector(EgoState(*run.twists[i], *acceleration[i]), goal, use_acceleration))
    back = config.context_dt * np.arange(config.context_frames)[::-1]
    ahead = config.future_dt * np.arange(1, config.future_frames + 1)
    return Windows(
        context=_nearest(run.stamps, run.stamps[usable, None] - back),
        future=_nearest(run.stamps, run.stamps[usable, None] + ahead),
        states=np.array(states)[usable],
        actions=labels[usable][..., : config.action.values],
        imitated=(complete & (gap < IMITATED_WITHIN))[usable],
    )


def _nearest(stamps: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    right = np.searchsorted(stamps, wanted).clip(1, max(len(stamps) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(stamps) - 1)
    return np.where(wanted - stamps[left] <= stamps[right] - wanted, left, right)


def _driven(run: Run, times: np.ndarray) -> np.ndarray:
    """(N, H, 3) where the robot really was, in base_link of each frame; the last pose beyond the end of the run."""
    at = run.stamps[:, None] + times
    track = np.stack([np.interp(at, run.stamps, run.poses[:, i]) for i in range(3)], axis=-1)
    return relative_poses(track, run.poses[:, None])


def _at_times(run: Run, times: np.ndarray) -> np.ndarray:
    """The labels interpolated at `times`; they start at the robot."""
    assert run.labels is not None and run.label_times is not None
    known = np.concatenate([[0.0], run.label_times])
    padded = np.concatenate([np.zeros_like(run.labels[:, :1]), run.labels], axis=1)
    padded[..., 2] = np.unwrap(padded[..., 2], axis=1)
    out = np.empty((len(padded), len(times), 3))
    for i, row in enumerate(padded):
        for j in range(3):
            out[i, :, j] = np.interp(times, known, row[:, j])
    return out
