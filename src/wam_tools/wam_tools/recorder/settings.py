"""The recorder's parameters, and what is said of a run beside its messages. Pure."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from wam_controller.parameters import Parameter, Value
from wam_tools.recorder.recording import too_full

RECORDER = (
    Parameter("bag", "", "folder to make; empty: one named after the time, in folder"),
    Parameter("folder", "bags", "where bags are made that have no name of their own"),
    Parameter("robot", "go2", "what the bag says it was"),
    Parameter("bridge", "go2_bridge", "node of the robot's bridge, whose state is recorded"),
    Parameter("cameras", "front", "those that are recorded: front, or front,left,right"),
    Parameter("pictures", "compressed", "JPEGs, or raw pixels, many times as large", choices=("compressed", "raw")),
    Parameter("camera_rate", 5.0, "Hz below which a camera's pictures are complained of", 0, 120),
    Parameter("odometry_rate", 10.0, "Hz below which odometry is complained of", 0, 1000),
    Parameter("free_disk", 1.0, "GB of the disk that stay free: the recording ends before", 0.01, 1000),
    Parameter("note", "", "a line about the run that is kept in the bag"),
)


def bag_path(settings: Mapping[str, Value]) -> Path:
    """The folder that the settings ask for."""
    if settings["bag"]:
        return Path(str(settings["bag"]))
    return Path(str(settings["folder"])) / time.strftime("%Y-%m-%d_%H-%M-%S")


def check_room(path: Path, free_disk: float) -> None:
    """Raises ValueError when no bag can be made at `path`. free_disk: bytes that stay free."""
    if path.exists():
        raise ValueError(f"{path} exists: remove it or record into another folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be made: {error}") from error
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"{path} cannot be made: {path.parent} is not ours to write into")
    if fault := too_full(path, free_disk):
        raise ValueError(fault)


def about(settings: Mapping[str, Value]) -> dict[str, object]:
    """What is known before the first message; see wam_models.data.about."""
    return {
        "robot": settings["robot"],
        "note": settings["note"],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "host": platform.node(),
        "commit": _commit(),
        "parameters": {},
    }


def _commit() -> str:
    """Of this stack's code as it runs, with `+` where it was changed since; empty where it is no checkout."""
    git = ["git", "-C", str(Path(__file__).resolve().parent)]
    try:
        commit, changed = (
            subprocess.run([*git, *words], capture_output=True, text=True, timeout=10.0, check=True).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit + ("+" if changed else "")
