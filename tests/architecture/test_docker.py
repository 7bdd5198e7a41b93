"""The image cannot be built in a test; what can be read of it must be true."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import fields

import pytest
import yaml
from architecture.tree import PACKAGES, ROOT

from wam_planner.bringup import Go2Options

LAUNCH = "ros2 launch wam_planner go2.launch.py"
DOCKER = ROOT / "docker"


def dockerfile() -> str:
    """With its continued lines joined."""
    return (DOCKER / "Dockerfile").read_text().replace("\\\n", " ")


def copied() -> list[str]:
    lines = re.findall(r"^COPY (?!--from)(.+)$", dockerfile(), re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def services() -> dict:
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]


@pytest.mark.parametrize("source", copied())
def test_every_copied_file_exists(source):
    assert (ROOT / source).exists()


def test_rosdep_sees_every_manifest():
    manifests = {str((package.folder / "package.xml").relative_to(ROOT)) for package in PACKAGES}
    assert manifests == {source for source in copied() if source.endswith("package.xml")}


def test_scripts_and_requirements_that_it_runs_exist():
    for name in re.findall(r"(?:scripts|requirements)/[\w.]+", dockerfile()):
        assert (ROOT / name).is_file(), name


def test_the_image_starts_what_the_readme_starts():
    assert LAUNCH in (ROOT / "README.md").read_text()
    assert LAUNCH in (DOCKER / "entrypoint.sh").read_text()
    assert (ROOT / "launch" / "go2.launch.py").is_file()


@pytest.mark.parametrize("arguments", [(), ("sim:=true", "goal:=8.0,1.0")])
def test_launch_arguments_reach_launch(arguments, tmp_path):
    assert entrypoint(tmp_path, *arguments) == [*LAUNCH.split(), *arguments]


def test_another_command_runs_instead(tmp_path):
    assert entrypoint(tmp_path, "ros2", "topic", "list") == ["ros2", "topic", "list"]


def entrypoint(folder, *arguments: str) -> list[str]:
    """The command that the entry point ends in, with `ros2` replaced by one that prints its command line."""
    ros2 = folder / "ros2"
    ros2.write_text('#!/bin/bash\nprintf "%s\\n" ros2 "$@"\n')
    ros2.chmod(0o755)
    script = folder / "entrypoint.sh"
    script.write_text(re.sub(r"^\. /.*$", "", (DOCKER / "entrypoint.sh").read_text(), flags=re.MULTILINE))
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", script, *arguments], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.mark.parametrize("name", services())
def test_services_use_the_hosts_network_and_real_launch_arguments(name):
    service = services()[name]
    assert service["network_mode"] == "host"
    assert service["build"]["target"] in re.findall(r"^FROM \S+ AS (\w+)", dockerfile(), re.MULTILINE)
    script, *arguments = service["entrypoint"]
    assert script == "/entrypoint.sh"
    assert {argument.partition(":=")[0] for argument in arguments} <= {option.name for option in fields(Go2Options)}
