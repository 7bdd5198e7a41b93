"""What one check of `wam doctor` found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

# Installs everything: a workspace of wheels, or what a ROS from apt lacks.
SETUP = "scripts/beside_ros.sh .venv" if Path("/opt/ros").is_dir() else "make setup"


class Level(str, Enum):
    """How bad it is: NOTE spoils one use of several, LACKS means that the demo cannot run."""

    OK = "ok"
    NOTE = "note"
    LACKS = "lacks"


@dataclass(frozen=True)
class Finding:
    """One row of the table. fix: the line that mends it, empty when all is well."""

    name: str
    level: Level
    found: str
    fix: str = ""
