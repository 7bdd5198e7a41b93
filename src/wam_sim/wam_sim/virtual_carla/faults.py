"""What can be made to go wrong with the virtual CARLA while it runs, and the words that do it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from wam_sim.faults import Switches


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
class Faults(Switches):
    """The present faults. One word a line switches one of them: "server frozen", "camera late", "ticker ok"."""

    server: ServerFault = ServerFault.OK
    camera: CameraFault = CameraFault.OK
    ticker: TickerFault = TickerFault.OK
