"""Where a robot really was: its recorded odometry as one continuous line, with holes where nothing is known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from wam_models.data.findings import Findings
from wam_models.se2 import Vector

# s between two samples beyond which nobody knows what was in between.
_HOLE = 0.5
# m/s beyond what any of our robots drives: the estimate was reset, or another robot's.
_LEAP = 40.0


class Track:
    """Poses (x, y m, yaw rad) of base_link in odom over time. stamps: (N,) s; poses: (N, 3); in any order."""

    def __init__(
        self,
        stamps: Sequence[float] | np.ndarray,
        poses: Sequence[Vector] | np.ndarray,
        findings: Findings | None = None,
    ) -> None:
        """findings: takes what is wrong with them; such samples are left out, or are the edge of a hole."""
        findings = Findings() if findings is None else findings
        rows = np.column_stack([np.array(stamps, dtype=float), np.array(poses, dtype=float).reshape(-1, 3)])
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            text = f"odometry number {int(np.argmin(finite))} holds NaN or infinity"
            findings.add("odometry_not_finite", text, int((~finite).sum()))
        rows = rows[finite]
        backwards = int((np.diff(rows[:, 0]) < 0).sum())
        if backwards:
            first = rows[int(np.argmax(np.diff(rows[:, 0]) < 0)) + 1, 0]
            findings.add("odometry_out_of_order", f"odometry stamped {first:.3f} s comes after a newer one", backwards)
        _, order = np.unique(rows[:, 0], return_index=True)
        rows = rows[order]
        self.stamps, self.poses = rows[:, 0].copy(), rows[:, 1:].copy()
        steps = np.diff(self.stamps)
        metres = np.hypot(*np.diff(self.poses[:, :2], axis=0).T)
        gaps, leaps = steps > _HOLE, metres > _LEAP * np.maximum(steps, 1e-3)
        for kind, bad, sizes, unit in (("gap", gaps, steps, "s"), ("leap", leaps, metres, "m")):
            if bad.any():
                at = int(np.argmax(bad))
                text = f"odometry has a {kind} of {sizes[at]:.2f} {unit} after {self.stamps[at]:.3f} s"
                findings.add(f"odometry_{kind}", text, int(bad.sum()))
        self._hole_after = gaps | leaps
        yaw = np.unwrap(self.poses[:, 2]) if len(self.poses) else self.poses[:, 2]
        # Interpolation copies what is not in one piece, each time.
        self._columns = (self.poses[:, 0].copy(), self.poses[:, 1].copy(), yaw)

    def __len__(self) -> int:
        return len(self.stamps)

    def at(self, times: np.ndarray) -> np.ndarray:
        """(T, 3) at `times` (T,) s, yaw in [-pi, pi); NaN outside the recording and in holes."""
        if len(self) < 2:
            return np.full((len(times), 3), math.nan)
        out = np.stack([np.interp(times, self.stamps, values) for values in self._columns], axis=1)
        out[:, 2] = (out[:, 2] + np.pi) % (2.0 * np.pi) - np.pi
        after = np.searchsorted(self.stamps, times)
        outside = (times < self.stamps[0]) | (times > self.stamps[-1])
        between = np.clip(after, 1, len(self) - 1) - 1
        exact = self.stamps[np.clip(after, 0, len(self) - 1)] == times
        out[outside | (self._hole_after[between] & ~exact)] = math.nan
        return out
