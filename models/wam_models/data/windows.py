"""From a run to training windows: which frames a model sees, which come next, and what the robot should do."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from wam_models.data.bags import Run, relative_poses
from wam_models.metis.config import MetisConfig
from wam_models.preprocessing import state_vector
from wam_models.types import EgoState

# Metres between the label and what was driven, up to which the recorded future is the label's future; or, of labels
# that go far, that share of their way.
IMITATED_WITHIN, IMITATED_SHARE = 0.15, 0.06


@dataclass(frozen=True)
class Windows:
    """All windows of a run: one a frame, then one an answer to a what-if, with the context of its frame.

    context: (N, K) frame numbers, oldest first; future: (N, F) frame numbers; states: (N, 8); actions: (N, points,
    values); instructions: (N,) texts; imitated: (N,) whether the future frames show the label driven, so that they may
    serve as target for the video expert.
    """

    context: np.ndarray
    future: np.ndarray
    states: np.ndarray
    actions: np.ndarray
    instructions: np.ndarray
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
        labels, usable = _at_times(run.labels, run.label_times, times), np.ones(count, dtype=bool)
    gap = np.hypot(*np.moveaxis(labels[..., :2] - driven[..., :2], -1, 0)).max(axis=-1)
    alike = np.maximum(IMITATED_WITHIN, IMITATED_SHARE * np.hypot(labels[:, -1, 0], labels[:, -1, 1]))

    acceleration = np.gradient(run.twists[:, :2], run.stamps, axis=0) if count > 1 else np.zeros((count, 2))
    goals = None if run.goal is None else np.broadcast_to(run.goal, (count, 2))
    told = np.array(run.instructions)
    states = _states(run.poses, run.twists, acceleration, goals, use_acceleration)
    back = config.context_dt * np.arange(config.context_frames)[::-1]
    ahead = config.future_dt * np.arange(1, config.future_frames + 1)
    context = _nearest(run.stamps, run.stamps[:, None] - back)
    future = _nearest(run.stamps, run.stamps[:, None] + ahead)
    windows = Windows(
        context=context[usable],
        future=future[usable],
        states=states[usable],
        actions=labels[usable][..., : config.action.values],
        instructions=told[usable],
        imitated=(complete & (gap < alike))[usable],
    )
    if run.what_ifs is None:
        return windows
    asked = run.what_ifs
    standing = np.zeros((len(asked.frame), 2))
    aims = asked.goals if asked.goals is not None or goals is None else goals[asked.frame]
    answers = Windows(
        context=context[asked.frame],
        future=future[asked.frame],
        states=_states(run.poses[asked.frame], asked.twists, standing, aims, use_acceleration),
        actions=_at_times(asked.labels, run.label_times, times)[..., : config.action.values],
        instructions=told[asked.frame] if asked.instructions is None else np.array(asked.instructions),
        imitated=np.zeros(len(asked.frame), dtype=bool),
    )
    both = ((getattr(windows, each.name), getattr(answers, each.name)) for each in fields(Windows))
    return Windows(*(np.concatenate(pair) for pair in both))


def _states(
    poses: np.ndarray, twists: np.ndarray, acceleration: np.ndarray, goals: np.ndarray | None, use_acceleration: bool
) -> np.ndarray:
    """(N, 8) of N moments, with goals (N, 2) in odom or none."""
    out = []
    for i, (pose, twist) in enumerate(zip(poses, twists, strict=True)):
        goal = None
        if goals is not None:
            local = relative_poses(np.array([*goals[i], 0.0]), pose)
            goal = (float(local[0]), float(local[1]))
        out.append(state_vector(EgoState(*twist, *acceleration[i]), goal, use_acceleration))
    return np.array(out)


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


def _at_times(labels: np.ndarray, label_times: np.ndarray | None, times: np.ndarray) -> np.ndarray:
    """Labels (N, H, 3) interpolated at `times`; they start at the robot."""
    assert label_times is not None
    known = np.concatenate([[0.0], label_times])
    padded = np.concatenate([np.zeros_like(labels[:, :1]), labels], axis=1)
    padded[..., 2] = np.unwrap(padded[..., 2], axis=1)
    out = np.empty((len(padded), len(times), 3))
    for i, row in enumerate(padded):
        for j in range(3):
            out[i, :, j] = np.interp(times, known, row[:, j])
    return out
