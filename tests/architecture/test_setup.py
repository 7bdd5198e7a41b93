"""`make setup` says what a machine lacks, repeats only what changed, and heals what was cut off.

A machine of stand-ins runs the real script: its interpreter writes down what it was asked to do instead of doing it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from architecture.tree import ROOT

TOOLS = [
    "bash",
    "cat",
    "chmod",
    "cp",
    "cut",
    "dirname",
    "env",
    "find",
    "flock",
    "grep",
    "mkdir",
    "rm",
    "sed",
    "sha256sum",
    "sort",
    "tail",
    "touch",
    "tr",
    "xargs",
]
LIBRARIES = "libEGL.so.1 (x)\\nlibGL.so.1 (x)\\nlibgthread-2.0.so.0 (x)\\n"

# Answers questions as Python would; of `-m venv` and `-m pip install` it keeps a record. pip ends as PIP_STATUS says.
PYTHON = f"""#!/usr/bin/env bash
case "$1 $2" in
    "-c "*sys.executable*) echo "$0" ;;
    "-c "*) exec {sys.executable} "$@" ;;
    "-m venv")
        echo venv >>"$CALLS"
        mkdir -p "$4/bin" "$4/lib/python3.11/site-packages"
        rm -f "$4"/.[a-z]*
        cp "$0" "$4/bin/python"
        cp "$(dirname "$0")/colcon" "$4/bin/"
        ;;
    "-m pip") [ "$3" = --version ] || {{ echo pip >>"$CALLS"; exit "$(cat "$PIP_STATUS")"; }} ;;
    *) echo "$1" >>"$CALLS" ;;
esac
"""
FIRST = ["venv", "pip", "scripts/repair_wheels.py", "pip", "colcon"]


@dataclass
class Machine:
    """A folder with a copy of the workspace's set-up and the commands that it may call."""

    folder: Path
    workspace: Path

    def command(self, name: str, body: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(body if body.startswith("#!") else f"#!/usr/bin/env bash\n{body}\n")
        path.chmod(0o755)

    def setup(self) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        """Runs the set-up; what it said, and what it did since the last one."""
        calls = self.folder / "calls"
        calls.write_text("")
        environment = {
            "PATH": str(self.folder / "bin"),
            "HOME": str(self.folder),
            "CALLS": str(calls),
            "PIP_STATUS": str(self.folder / "pip_status"),
        }
        run = subprocess.run(
            [self.workspace / "scripts" / "setup.sh"], env=environment, capture_output=True, text=True, check=False
        )
        return run, calls.read_text().split()


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path, tmp_path / "workspace")
    (tmp_path / "bin").mkdir()
    (tmp_path / "pip_status").write_text("0")
    for name in TOOLS:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name))
    for name in ("git", "c++", "apt-get", "dpkg-query"):
        made.command(name, ":")
    made.command("id", "echo 1000")
    made.command("ldconfig", f"printf '{LIBRARIES}'")
    made.command("python3.11", PYTHON)
    made.command("colcon", 'mkdir -p install && echo colcon >>"$CALLS"')
    for folder in ("scripts", "requirements", "src/wam_msgs"):
        shutil.copytree(ROOT / folder, made.workspace / folder)
    (made.workspace / "scripts" / "cyclonedds.sh").write_text("#!/usr/bin/env bash\n")
    return made


def test_a_second_run_does_nothing(machine):
    run, calls = machine.setup()
    assert (run.returncode, calls) == (0, FIRST), run.stderr
    run, calls = machine.setup()
    assert (run.returncode, calls) == (0, [])
    assert "ready" in run.stdout


@pytest.mark.parametrize(
    ("changed", "repeated"),
    [
        ("requirements/robot.txt", ["pip", "scripts/repair_wheels.py"]),
        ("requirements/ros.txt", ["pip", "scripts/repair_wheels.py", "colcon"]),
        ("requirements/sdk.txt", ["pip"]),
        ("src/wam_msgs/msg/Trajectory.msg", ["colcon"]),
        ("scripts/env.sh", []),
    ],
)
def test_a_change_repeats_its_stage(machine, changed, repeated):
    machine.setup()
    with (machine.workspace / changed).open("a") as file:
        file.write("# changed\n")
    assert machine.setup()[1] == repeated


def test_a_failed_download_goes_on_where_it_stopped(machine):
    (machine.folder / "pip_status").write_text("1")
    run, calls = machine.setup()
    assert run.returncode != 0
    assert "setup.log" in run.stdout + run.stderr
    assert calls == ["venv", "pip"]
    (machine.folder / "pip_status").write_text("0")
    assert machine.setup()[1] == FIRST[1:]


def test_a_killed_installation_starts_from_a_new_environment(machine):
    (machine.folder / "pip_status").write_text("137")
    machine.setup()
    (machine.folder / "pip_status").write_text("0")
    assert machine.setup()[1] == FIRST


def test_an_environment_that_was_cut_off_is_made_anew(machine):
    machine.setup()
    (machine.workspace / ".venv" / "bin" / "python").unlink()
    assert machine.setup()[1] == FIRST[:-1]  # the packages were built for the same one


def test_a_folder_that_moved_is_set_up_anew(machine):
    machine.setup()
    machine.workspace = machine.workspace.rename(machine.folder / "elsewhere")
    assert machine.setup()[1] == FIRST


def test_a_failed_build_is_tried_again(machine):
    machine.command("colcon", 'echo colcon >>"$CALLS"; exit 1')
    assert machine.setup()[0].returncode != 0
    machine.command("colcon", 'mkdir -p install && echo colcon >>"$CALLS"')
    shutil.copy(machine.folder / "bin" / "colcon", machine.workspace / ".venv" / "bin" / "colcon")
    run, calls = machine.setup()
    assert (run.returncode, calls) == (0, ["colcon"])


def test_without_python_it_says_which_one(machine):
    (machine.folder / "bin" / "python3.11").unlink()
    run, calls = machine.setup()
    assert run.returncode != 0
    assert "Python 3.11 is missing" in run.stderr
    assert calls == []


@pytest.mark.parametrize(
    ("lost", "package"), [("git", "git"), ("c++", "g++"), ("ldconfig", "libegl1"), ("ldconfig", "libgl1")]
)
def test_a_user_is_told_what_to_install(machine, lost, package):
    (machine.folder / "bin" / lost).unlink()
    if lost == "ldconfig":
        machine.command("ldconfig", ":")
    run, calls = machine.setup()
    assert run.returncode != 0
    line = next(line for line in run.stderr.splitlines() if "sudo apt-get install" in line)
    assert package in line.split()
    assert calls == []
    assert not (machine.workspace / ".venv").exists()


def test_root_installs_what_is_missing(machine):
    machine.command("id", "echo 0")
    machine.command("ldconfig", ":")
    machine.command("apt-get", 'echo "apt-get-$1" >>"$CALLS"')
    run, calls = machine.setup()
    assert run.returncode == 0
    assert calls == ["apt-get-update", "apt-get-install", *FIRST]


def test_the_environment_says_when_there_is_none(tmp_path):
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    run = subprocess.run([tmp_path / "scripts" / "run", "true"], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "make setup" in run.stderr


def test_wheels_name_this_environment_after_the_repair(tmp_path):
    spec = importlib.util.spec_from_file_location("repair_wheels", ROOT / "scripts" / "repair_wheels.py")
    repair_wheels = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(repair_wheels)
    builder = "/opt/python/cp311-cp311"
    targets = tmp_path / "share" / "std_msgs" / "cmake" / "export.cmake"
    other = tmp_path / "share" / "std_msgs" / "cmake" / "config.cmake"
    targets.parent.mkdir(parents=True)
    numpy = f"{builder}/lib/python3.11/site-packages/numpy/_core/include"
    targets.write_text(f'INCLUDE "{builder}/include/python3.11;{numpy};/usr/include"')
    other.write_text('set(name "/opt/python is not ours")')
    assert repair_wheels.repair(tmp_path, "/here/python", "/here/numpy") == [targets]
    assert targets.read_text() == 'INCLUDE "/here/python;/here/numpy;/usr/include"'
    assert other.read_text() == 'set(name "/opt/python is not ours")'
    assert repair_wheels.repair(tmp_path, "/here/python", "/here/numpy") == []


def test_no_wheel_names_the_machine_that_built_it():
    share = Path(os.environ["VIRTUAL_ENV"]) / "share"
    assert [path for path in share.rglob("*.cmake") if "/opt/python/" in path.read_text()] == []
