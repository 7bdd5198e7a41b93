"""Checks of the machine itself: interpreter, libraries, rendering, disk."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from wam_tools.finding import SETUP, Finding, Level

TESTED_PYTHONS = ((3, 10), (3, 11), (3, 12))
CYCLONE_DDS = "0.10.2"
DISK_NEEDED = 2e9  # bytes: bags, videos and a training cache of the demo's size
RENDER_TIMEOUT = 60.0  # s; a software renderer on two busy cores takes about five

RENDERING_LIBRARIES = "sudo apt-get install -y libegl1 libgl1 libgl1-mesa-dri"

# Module to import, distribution that pip knows, what it is for; what the demo needs comes first.
WHEELS = (
    ("rclpy", "ros-jazzy-rclpy", "ROS 2"),
    ("numpy", "numpy", "everything"),
    ("torch", "torch", "models"),
    ("diffusers", "diffusers", "models"),
    ("safetensors", "safetensors", "checkpoints"),
    ("mujoco", "mujoco", "simulation"),
    ("cv2", "opencv-python", "images"),
    ("transforms3d", "transforms3d", "quaternions"),
    ("rosbags", "rosbags", "bags"),
    ("scipy", "scipy", "simulation"),
    ("yaml", "PyYAML", "configuration"),
    ("matplotlib", "matplotlib", "plots"),
    ("unitree_sdk2py", "unitree-sdk2py-dimos", "Unitree Go2"),
)

# In a process of its own: a broken driver ends the process instead of raising.
RENDER = """
from wam_sim.simulation import YardSimulation
from wam_sim.worlds import make_world
image = YardSimulation(make_world("train", 0), camera_size=(96, 160)).render()
assert image.std() > 1.0, "the picture is empty"
print(image.shape)
"""


def python() -> Finding:
    """The wheels are pinned for 3.11; Humble and Jazzy bring 3.10 and 3.12."""
    found = f"Python {platform.python_version()} in {sys.prefix}"
    if sys.version_info[:2] in TESTED_PYTHONS:
        return Finding("python", Level.OK, found)
    return Finding(
        "python", Level.NOTE, f"{found}, which is not tested", "sudo apt-get install -y python3.11 && make setup"
    )


def wheels() -> Iterator[Finding]:
    """One finding for each library: missing, of another version than the tests ran with, or well."""
    tested = pins()
    for module, distribution, purpose in WHEELS:
        found = installed_version(distribution)
        wanted = tested.get(distribution.lower(), [])
        if find_spec(module) is None:
            yield Finding(module, Level.LACKS, f"missing, needed for {purpose}", SETUP)
        elif found is None:
            yield Finding(module, Level.OK, "present, not installed by pip")
        elif wanted and found.partition("+")[0] not in wanted:
            yield Finding(module, Level.NOTE, f"{found}, tested with {' and '.join(wanted)}", SETUP)
        else:
            yield Finding(module, Level.OK, found)


def carla_client() -> Finding:
    """Only who drives a car needs it, and there are machines for which it does not exist."""
    if find_spec("carla") is None:
        mended = "pip install -r requirements/carla.txt"
        return Finding("carla", Level.NOTE, "missing, needed for a car and nothing else", mended)
    return Finding("carla", Level.OK, installed_version("carla") or "present, not installed by pip")


def pins() -> dict[str, list[str]]:
    """Tested versions by distribution: the lock, and what Ubuntu packages. Empty where wam_tools is not installed."""
    tested: dict[str, list[str]] = {}
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        for file in sorted(Path(prefix, "share", "wam_tools", "requirements").glob("*.txt")):
            for line in file.read_text().splitlines():
                name, _, pin = line.partition("#")[0].partition(";")[0].partition("==")
                versions = tested.setdefault(name.partition("[")[0].strip().lower(), [])
                if pin.strip() and pin.strip() not in versions:
                    versions.append(pin.strip())
    return tested


def installed_version(distribution: str) -> str | None:
    """None when pip did not install it; a ROS or an apt that did is as good."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def cyclone_dds() -> Finding:
    """Any version but the robot's own is refused: 11.x imports well, and never finds a robot or says why."""
    found = installed_version("cyclonedds")
    if found == CYCLONE_DDS:
        return Finding("cyclonedds", Level.OK, found)
    if found is None:
        return Finding("cyclonedds", Level.LACKS, "missing, needed for Unitree Go2", SETUP)
    reason = f"{found} is refused: a Go2 speaks Cyclone DDS {CYCLONE_DDS}, and this version never finds it"
    return Finding("cyclonedds", Level.LACKS, reason, "rm .venv/.sdk && make setup")


def rendering() -> Finding:
    """Renders one picture, as the simulator does."""
    try:
        run = subprocess.run(
            [sys.executable, "-c", RENDER], capture_output=True, text=True, timeout=RENDER_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return Finding("rendering", Level.LACKS, f"no picture after {RENDER_TIMEOUT:.0f} s", RENDERING_LIBRARIES)
    if run.returncode == 0:
        return Finding("rendering", Level.OK, f"one picture {run.stdout.strip()} without a display")
    said = run.stderr.strip().splitlines() or [f"the renderer ended with status {run.returncode}"]
    return Finding("rendering", Level.LACKS, said[-1], f"{RENDERING_LIBRARIES}; export MUJOCO_GL=egl")


def disk(folder: Path) -> Finding:
    """Free space where `out/` would be written."""
    free = shutil.disk_usage(folder).free
    level = Level.OK if free >= DISK_NEEDED else Level.LACKS
    fix = "" if level is Level.OK else f"free {(DISK_NEEDED - free) / 1e9:.1f} GB, or work in another folder"
    return Finding("disk", level, f"{free / 1e9:.0f} GB free in {folder}", fix)
