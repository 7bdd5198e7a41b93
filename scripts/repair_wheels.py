"""Makes the ROS wheels' exported CMake targets point into this environment.

They name include folders of the machine that built them, `/opt/python/cp311-cp311/...`, which exist nowhere else, and
every message package that links one of them would refuse to configure.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

BUILDER = r"/opt/python/cp3\d+-cp3\d+"
NUMPY_INCLUDE = re.compile(BUILDER + r"/lib/python3\.\d+/site-packages/numpy/(?:_core|core)/include")
PYTHON_INCLUDE = re.compile(BUILDER + r"/include/python3\.\d+")


def repair(prefix: Path, python_include: str, numpy_include: str) -> list[Path]:
    """The files below `prefix`/share that were changed. A second call finds nothing to do and returns none."""
    changed = []
    for path in sorted((prefix / "share").rglob("*.cmake")):
        before = path.read_text()
        after = NUMPY_INCLUDE.sub(lambda _: numpy_include, before)
        after = PYTHON_INCLUDE.sub(lambda _: python_include, after)
        if after != before:
            path.write_text(after)
            changed.append(path)
    return changed


if __name__ == "__main__":
    repaired = repair(Path(sys.prefix), sysconfig.get_path("include"), np.get_include())
    print(f"{len(repaired)} files of {sys.prefix}/share now name this environment's include folders")
