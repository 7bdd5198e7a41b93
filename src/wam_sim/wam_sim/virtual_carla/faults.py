"""What can be made to go wrong with the virtual CARLA while it runs, and the words that do it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ServerFault(Enum):
    """OK: as it is; FROZEN: answers nobody, and does what it was asked for once it is OK again; GONE: crashed. From
    GONE to OK is a new server, which knows nothing of the one before."""

    OK = "ok"
    FROZEN = "frozen"
    GONE = "gone"


class CameraFault(Enum):
    """OK: as it is; LATE: pictures come after the next tick; MISSING: none come; FROZEN: the same picture for ever;
    BLACK: a lens cap."""

    OK = "ok"
    LATE = "late"
    MISSING = "missing"
    FROZEN = "frozen"
    BLACK = "black"


class TickerFault(Enum):
    """OK: as it is; OTHER: somebody else ticks as well, whenever the world waits for a tick."""

    OK = "ok"
    OTHER = "other"


@dataclass
class Faults:
    """The present faults. One word a line switches one of them: "server frozen", "camera late", "ticker ok"."""

    server: ServerFault = ServerFault.OK
    camera: CameraFault = CameraFault.OK
    ticker: TickerFault = TickerFault.OK

    def switch(self, line: str) -> None:
        """Raises ValueError with the words it knows for a line it does not."""
        parts = line.split()
        if len(parts) == 2 and parts[0] in vars(self):
            kind = type(getattr(self, parts[0]))
            if parts[1] in {fault.value for fault in kind}:
                setattr(self, parts[0], kind(parts[1]))
                return
        known = "; ".join(f"{name} {'|'.join(f.value for f in type(kind))}" for name, kind in vars(self).items())
        raise ValueError(f"unknown fault {line.strip()!r}; known: {known}")
