"""What time it was on the robot while its recording was made."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from wam_models.data.findings import Findings

# s by which a stamp may be older than the one before it without the recording having begun anew.
_RESTART = 1.0


class RecordedClock:
    """The recorder's clock where stamps are of the same one, so that what came late is late again; the newest stamp
    otherwise, as with simulated time, or a recorder with a clock of its own."""

    def __init__(self, first: Iterable[tuple[float, float]], early: float, late: float, findings: Findings) -> None:
        """first: when something was recorded and its stamp, s, of messages from which it can be told whether there is
        one clock; NaN for what has no stamp. early, late: s that stamps of one clock lie ahead of it and behind it, at
        most, in the middle."""
        behind = [logged - stamp for logged, stamp in first if math.isfinite(stamp)]
        middle = statistics.median(behind) if behind else 0.0
        self._by_stamps = not -early <= middle <= late
        if self._by_stamps:
            text = f"what is recorded was stamped {middle:.3f} s before, in the middle: the stamps are the clock"
            findings.add("two_clocks", text)
        self.now = -math.inf

    def see(self, logged: float, stamp: float) -> float:
        """s at a message. logged: s, when it was recorded; stamp: s, of a picture or odometry, NaN of anything else.
        Without one clock, -inf before the first stamp."""
        if not self._by_stamps:
            self.now = logged
        elif math.isfinite(stamp):
            newer = stamp > self.now or self.now - stamp > _RESTART
            self.now = stamp if newer else self.now
        return self.now
