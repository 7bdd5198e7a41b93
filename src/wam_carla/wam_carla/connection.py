"""The state of the way to the server: what it is, why, and when to try again. Pure; seconds of a steady clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class ServerLost(RuntimeError):
    """The server does not answer, or answers no longer. Trying again later may help by itself."""


class Refused(RuntimeError):
    """The server answers, and yet the car cannot be driven there. The text names what a human must change."""


class BridgeState(Enum):
    """The value is what people read."""

    CONNECTING = "CONNECTING"  # no car yet
    READY = "READY"  # the car drives and sees
    DEGRADED = "DEGRADED"  # the car drives, but something is missing; the reason says what
    LOST = "LOST"  # there was a car, and the server is gone
    REFUSED = "REFUSED"  # a human must change something first


@dataclass(frozen=True)
class Verdict:
    """may_move: whether commands reach the car."""

    state: BridgeState
    reason: str
    may_move: bool = False


@dataclass(frozen=True)
class BackOff:
    """s between attempts: the first pause, doubled up to the last; a session that lasted `proven` starts anew."""

    first: float = 1.0
    last: float = 30.0
    proven: float = 5.0


class Connection:
    """Told what happened, says what that means. `retry_at`: when to try again; infinite while connected."""

    def __init__(self, back_off: BackOff, now: float) -> None:
        self._back_off = back_off
        self._pause = back_off.first
        self._since = math.nan  # connected
        self._had_car = False
        self._fault: Verdict | None = None
        self.complaint = ""  # what is wrong with a connection that stands
        self.held = ""  # why commands may not pass although it stands
        self.retry_at = now
        self.losses = 0

    def on_connected(self, now: float) -> None:
        """There is a car, and time passes."""
        self._since, self._had_car, self._fault = now, True, None
        self.complaint, self.retry_at = "", math.inf

    def on_lost(self, now: float, reason: str) -> None:
        """The server is gone, or was not there."""
        self.losses += math.isfinite(self._since)
        self._end(now, Verdict(BridgeState.LOST if self._had_car else BridgeState.CONNECTING, reason))

    def on_refused(self, now: float, reason: str) -> None:
        """See Refused. It is tried again all the same, for the human may mend it meanwhile."""
        self._end(now, Verdict(BridgeState.REFUSED, reason))

    @property
    def verdict(self) -> Verdict:
        """Now."""
        if self._fault is not None:
            return self._fault
        if not math.isfinite(self._since):
            return Verdict(BridgeState.CONNECTING, "connecting")
        if self.held:
            return Verdict(BridgeState.DEGRADED, self.held)
        if self.complaint:
            return Verdict(BridgeState.DEGRADED, self.complaint, may_move=True)
        return Verdict(BridgeState.READY, "driving", may_move=True)

    def _end(self, now: float, verdict: Verdict) -> None:
        if now - self._since >= self._back_off.proven:
            self._pause = self._back_off.first
        self.retry_at = now + self._pause
        self._pause = min(2.0 * self._pause, self._back_off.last)
        self._since, self._fault = math.nan, verdict
