"""What LeRobot normalises by: least, greatest, mean, spread and quantiles of each feature."""

from __future__ import annotations

from typing import Any

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
# Of each picture one pixel in so many, along both sides.
_EVERY = 4


def column_stats(values: np.ndarray) -> dict[str, Any]:
    """Lists of D numbers, `count` of one. values: (N,) or (N, D)."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    found = {"min": rows.min(axis=0), "max": rows.max(axis=0), "mean": rows.mean(axis=0), "std": rows.std(axis=0)}
    found |= dict(zip(QUANTILES, np.quantile(rows, list(QUANTILES.values()), axis=0), strict=True))
    return {"count": [len(rows)], **{name: numbers.tolist() for name, numbers in found.items()}}


class PictureStats:
    """Counts how often a colour has each of its 256 values."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), np.int64)
        self._pictures = 0

    def add(self, picture: np.ndarray) -> None:
        """picture: uint8 (H, W, 3)."""
        seen = picture[::_EVERY, ::_EVERY]
        for channel in range(3):
            self._counts[channel] += np.bincount(seen[..., channel].ravel(), minlength=256)
        self._pictures += 1

    def merge(self, other: PictureStats) -> None:
        self._counts += other._counts
        self._pictures += other._pictures

    def stats(self) -> dict[str, Any]:
        """Lists of shape (3, 1, 1) in 0 to 1, `count` of one."""
        values = np.arange(256) / 255.0
        share = self._counts / self._counts.sum(axis=1, keepdims=True)
        mean = share @ values
        found = {"min": 0.0, "max": 1.0, **QUANTILES}
        upto = share.cumsum(axis=1)
        rows = {name: self._at(upto, part) for name, part in found.items()}
        rows |= {"mean": mean, "std": np.sqrt(np.maximum(share @ values**2 - mean**2, 0.0))}
        return {"count": [self._pictures], **{name: row.reshape(3, 1, 1).tolist() for name, row in rows.items()}}

    def _at(self, upto: np.ndarray, part: float) -> np.ndarray:
        """(3,) the value that this part of all does not exceed; at 0 the least that occurs."""
        # Sums of shares end a rounding below 1.
        wanted = min(max(part, 1e-12), 1.0 - 1e-12)
        return np.array([np.searchsorted(row, wanted) for row in upto]) / 255.0
