"""Scorers that know the answer: how good the best candidate is, not how good a policy is. Only for evaluation."""

from __future__ import annotations

import numpy as np

from wam_models.types import Observation, Trajectory


class Oracle:
    """A scorer for best-of-N. dt: s between the candidates' points; set `truth`, the privileged trajectory, before each
    plan."""

    def __init__(self, dt: float) -> None:
        self._dt = dt
        self.truth: Trajectory | None = None

    def __call__(self, candidates: np.ndarray, _: Observation) -> np.ndarray:
        """(N,) minus the mean distance in metres to the truth, over the points that both have.

        Raises ValueError without a truth or where its points are at other times.
        """
        if self.truth is None:
            raise ValueError("an oracle knows nothing until it is told: set truth before the plan")
        if not np.isclose(self.truth.dt, self._dt):
            raise ValueError(f"the truth has points every {self.truth.dt} s, the candidates every {self._dt} s")
        count = min(candidates.shape[1], len(self.truth.poses))
        apart = candidates[:, :count, :2] - self.truth.poses[:count, :2]
        return -np.hypot(apart[..., 0], apart[..., 1]).mean(axis=1)
