"""The door: it names every subcommand, starts without heavy libraries, and says what is missing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from wam_tools import cli


def test_help_names_every_subcommand():
    answer = CliRunner().invoke(cli.app, ["--help"])
    assert answer.exit_code == 0
    for name in cli.SUBCOMMANDS:
        assert f" {name} " in answer.output


def test_the_door_itself_imports_nothing_heavy():
    code = "import sys, wam_tools.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "mujoco", "rclpy", "cv2"} & set(loaded)


@pytest.mark.parametrize("name", cli.SUBCOMMANDS)
def test_every_subcommand_explains_itself(name):
    run = subprocess.run(
        [sys.executable, "-m", "wam_tools", name, "--help"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert f"Usage: wam {name}" in run.stdout


def test_a_missing_library_is_named_without_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, "wam_tools.doctor", None)
    answer = CliRunner().invoke(cli.app, ["doctor"])
    assert answer.exit_code == 1
    assert "wam_tools.doctor" in answer.output
    assert "wam doctor" in answer.output
    assert "Traceback" not in answer.output
