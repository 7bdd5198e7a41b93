"""The modules that nothing dangerous may get past have every branch tested."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("coverage")

HERE = Path(__file__).parent
MODULES = ("car_limits.py", "limits.py", "safety_gate.py")


@pytest.mark.once
def test_every_branch_of_the_gate_and_the_limits_is_taken(tmp_path):
    coverage = [sys.executable, "-m", "coverage"]
    data = f"--data-file={tmp_path / 'data'}"
    tests = [str(HERE / f"test_{name}") for name in MODULES]
    subprocess.run(
        [*coverage, "run", data, "--branch", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        check=True,
        capture_output=True,
        timeout=120,
    )
    report = tmp_path / "report.json"
    include = ",".join(f"*/wam_controller/{name}" for name in MODULES)
    subprocess.run(
        [*coverage, "json", data, f"--include={include}", "-o", str(report)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    files = json.loads(report.read_text())["files"]
    missed = {Path(name).name: (entry["missing_lines"], entry["missing_branches"]) for name, entry in files.items()}
    assert missed == {name: ([], []) for name in MODULES}
