"""What a machine with ROS from apt relies on: rosdep keys, package discovery, the install space."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from architecture.tree import PACKAGES, PYTHON_PACKAGES, ROOT, imported_packages

FIRST_PARTY = {package.name for package in PACKAGES}

# Libraries that apt has, by the key that rosdep knows them under.
ROSDEP = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "jinja2": "python3-jinja2",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "psutil": "python3-psutil",
    "rich": "python3-rich",
    "scipy": "python3-scipy",
    "shapely": "python3-shapely",
    "transforms3d": "python3-transforms3d",
    "typer": "python3-typer",
    "yaml": "python3-yaml",
}
# Packages of ROS, each its own key.
ROS_KEYS = {
    "ackermann_msgs",
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "diagnostic_msgs",
    "geometry_msgs",
    "launch",
    "launch_ros",
    "lifecycle_msgs",
    "nav_msgs",
    "rcl_interfaces",
    "rclpy",
    "ros2launch",
    "rosgraph_msgs",
    "rosidl_default_runtime",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "tf2_msgs",
}
# Libraries that it has not; requirements/robot.txt, sdk.txt, carla.txt and desk.txt bring them, by the name that pip
# knows.
PIP = {
    "accelerate": "accelerate",
    "carla": "carla",
    "cyclonedds": "cyclonedds",
    "diffusers": "diffusers",
    "imageio": "imageio",
    "imageio_ffmpeg": "imageio-ffmpeg",
    "mcap": "mcap",
    "mujoco": "mujoco",
    "peft": "peft",
    "pyarrow": "pyarrow",
    "rerun": "rerun-sdk",
    "rosbags": "rosbags",
    "safetensors": "safetensors",
    "tokenizers": "transformers",
    "torch": "torch",
    "transformers": "transformers",
    "unitree_sdk2py": "unitree-sdk2py-dimos",
}


def pip_names(file: str) -> set[str]:
    lines = (ROOT / "requirements" / file).read_text().splitlines()
    return {re.split(r"[\[=<>~; ]", line, maxsplit=1)[0] for line in lines if line and not line.startswith("#")}


def third_party(package) -> set[str]:
    used = {module for path in package.sources for module in imported_packages(path)}
    return used - sys.stdlib_module_names - FIRST_PARTY


@pytest.mark.parametrize("package", PYTHON_PACKAGES, ids=lambda package: package.name)
def test_every_import_is_declared(package):
    """A module that is in neither table above is a ROS package and its own key."""
    keys = {ROSDEP.get(module, module) for module in third_party(package) - PIP.keys()}
    assert keys <= package.depends, f"package.xml lacks {sorted(keys - package.depends)}"


@pytest.mark.parametrize("package", PYTHON_PACKAGES, ids=lambda package: package.name)
def test_what_rosdep_cannot_bring_is_in_the_requirements(package):
    wanted = {PIP[module] for module in third_party(package) & PIP.keys()}
    assert wanted <= set().union(*map(pip_names, ("robot.txt", "sdk.txt", "carla.txt", "desk.txt")))


def test_every_declared_key_is_known():
    """A key that rosdep does not know stops `rosdep install` for the whole workspace."""
    for package in PACKAGES:
        unknown = package.depends - FIRST_PARTY - ROS_KEYS - set(ROSDEP.values())
        assert not unknown, f"{package.name} depends on {sorted(unknown)}: add to a table here what rosdep knows"


def test_the_lock_pins_every_requirement():
    locked = dict(
        line.split("==") for line in (ROOT / "requirements" / "lock.txt").read_text().splitlines() if "==" in line
    )
    for file in ("ros.txt", "apt.txt", "robot.txt", "sdk.txt", "desk.txt", "dev.txt"):
        for line in (ROOT / "requirements" / file).read_text().splitlines():
            pin, _, python = line.partition("#")[0].partition(";")
            if pin.strip() and "<" not in python:
                name, version = re.sub(r"\[.*\]", "", pin).strip().split("==")
                assert locked[name.lower()] == version, f"{file} and lock.txt disagree on {name}"


def test_colcon_finds_these_packages_and_no_other():
    listing = subprocess.run(
        [sys.executable, "-m", "colcon", "list", "--names-only"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert set(listing.split()) == FIRST_PARTY


def share(package: str) -> Path:
    """The package's share folder, found as ros2 finds it: by the index of resources."""
    for prefix in os.environ["AMENT_PREFIX_PATH"].split(os.pathsep):
        if (Path(prefix) / "share" / "ament_index" / "resource_index" / "packages" / package).is_file():
            return Path(prefix) / "share" / package
    raise AssertionError(f"{package} is not in the resource index: colcon build")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_the_install_space_knows_the_package(package):
    assert (share(package.name) / "package.xml").is_file()


@pytest.mark.parametrize(
    ("folder", "pattern"), [("launch", "*.launch.py"), ("config", "*.yaml"), ("config/layouts", "*")]
)
def test_launch_files_and_configuration_are_installed(folder, pattern):
    wanted = sorted(path.name for path in (ROOT / folder).glob(pattern))
    assert wanted
    assert sorted(path.name for path in (share("wam_planner") / folder).glob(pattern)) == wanted


def test_checkpoints_are_installed_whole():
    for checkpoint in (ROOT / "models" / "bundled").glob("*/"):
        installed = share("wam_models") / "bundled" / checkpoint.name
        assert {path.name for path in checkpoint.iterdir()} == {path.name for path in installed.iterdir()}


@pytest.mark.parametrize("package", PYTHON_PACKAGES, ids=lambda package: package.name)
def test_executables_are_installed_where_ros2_run_looks(package):
    names = re.findall(r'"(\w+) = [\w.]+:\w+"', (package.folder / "setup.py").read_text())
    executables = share(package.name).parents[1] / "lib" / package.name
    for name in names:
        assert os.access(executables / name, os.X_OK), f"{name} is not in {executables}"
