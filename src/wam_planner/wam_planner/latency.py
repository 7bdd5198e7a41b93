"""How late the last plans were."""

from __future__ import annotations

import math
from collections import deque

import numpy as np


class LatencyStatistics:
    """Over the last `window` values, in seconds. Everything is NaN before the first."""

    def __init__(self, window: int = 100) -> None:
        self._values: deque[float] = deque(maxlen=window)

    def add(self, seconds: float) -> None:
        """One more measurement."""
        self._values.append(seconds)

    def clear(self) -> None:
        """Forget all measurements."""
        self._values.clear()

    @property
    def last(self) -> float:
        """The newest value."""
        return self._values[-1] if self._values else math.nan

    def percentile(self, percent: float) -> float:
        """The value that `percent` of them do not exceed."""
        return float(np.percentile(self._values, percent)) if self._values else math.nan
