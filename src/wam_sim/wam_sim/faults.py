"""What can be made to go wrong with the virtual robot while it runs, and the words that do it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Switches:
    """A dataclass of enumerations, which lines of two words switch: the name of a field and a value of its."""

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


class CameraFault(Enum):
    """OK: as it is; FROZEN: the same picture for ever; BLACK: a lens cap; CORRUPT: half a JPEG; SILENT: no answer."""

    OK = "ok"
    FROZEN = "frozen"
    BLACK = "black"
    CORRUPT = "corrupt"
    SILENT = "silent"


class StateFault(Enum):
    """OK: as it is; NAN: the estimator diverged; SILENT: nothing is published."""

    OK = "ok"
    NAN = "nan"
    SILENT = "silent"


class SportFault(Enum):
    """OK: as it is; DEAF: calls are neither carried out nor answered; MUTE: carried out, not answered."""

    OK = "ok"
    DEAF = "deaf"
    MUTE = "mute"


@dataclass
class Faults(Switches):
    """The present faults. One word a line switches one of them: "camera frozen", "state silent", "sport ok"."""

    camera: CameraFault = CameraFault.OK
    state: StateFault = StateFault.OK
    sport: SportFault = SportFault.OK
