"""From one plan to the next: what of the last plan is being driven already, and how far the next one jumps off it."""

from __future__ import annotations

import math

import numpy as np

from wam_controller.tracker import Reference
from wam_models.se2 import Vector, relative


def committed_points(reference: Reference, stamp: float, pose: Vector, dt: float, seconds: float) -> np.ndarray | None:
    """Of the plan to come, with points every dt s after `stamp`: the first ones, (P, 3) in base_link at `pose`, that
    lie within `seconds`, as the plan that is being driven has them. None where there are none, since the reference ends
    earlier or `seconds` hold no point."""
    lead = stamp - reference.stamp
    count = math.floor(min(seconds, reference.horizon - lead) / dt + 1e-6)
    if count < 1:
        return None
    poses = (reference.sample(lead + (i + 1) * dt)[0] for i in range(count))
    return np.array([relative(pose, each) for each in poses])


def jump(before: Reference, after: Reference, time: float) -> float:
    """Metres between where two plans want the robot at one time, at which the second takes over."""
    (x0, y0, _), (x1, y1, _) = (reference.sample(time - reference.stamp)[0] for reference in (before, after))
    return math.hypot(x1 - x0, y1 - y0)
