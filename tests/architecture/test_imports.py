"""Who may import whom."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from architecture.tree import LAUNCH, PACKAGES, PYTHON_PACKAGES, ROOT, imported_packages, imports, relative

FIRST_PARTY = {package.name for package in PACKAGES}
MESSAGES = {"builtin_interfaces", "rcl_interfaces", "std_srvs"}  # and everything that ends in _msgs
ROS = {"cv_bridge", "launch", "launch_ros", "rclpy", "rosidl_runtime_py", "tf2_ros"}

# What has one home, as the start of the paths that may import it. The vendor's SDK has a client and a simulated robot.
HOMES = {
    "carla": ("src/wam_carla/wam_carla/world.py", "src/wam_sim/wam_sim/virtual_carla/"),
    "launch": ("src/wam_planner/wam_planner/bringup/launching.py",),
    "launch_ros": ("src/wam_planner/wam_planner/bringup/launching.py",),
    "diffusers": ("models/wam_models/",),
    "mujoco": ("src/wam_sim/wam_sim/",),
    "torch": ("models/wam_models/",),
    "transformers": ("models/wam_models/",),
    "unitree_sdk2py": ("src/wam_go2/wam_go2/sdk_process.py", "src/wam_sim/wam_sim/virtual_go2/"),
}
TORCH_FREE = ("types.py", "policy.py", "baselines.py")
SOURCES = [path for package in PYTHON_PACKAGES for path in package.sources]
ONLY_ON_ROS = {"ackermann_msgs", "cv_bridge", "launch", "launch_ros"}


def is_ros(module: str) -> bool:
    """Whether a module comes with ROS or is made of its messages."""
    package = module.partition(".")[0]
    return package in ROS | MESSAGES or package.endswith("_msgs")


def may_import_ros(path: Path) -> bool:
    """Nodes and what they are made of: conversions at their border, executor, quality of service, bring-up."""
    part = path.name in {"conversions.py", "executor.py", "launching.py", "qos.py"}
    return part or path.name.endswith("_node.py") or LAUNCH in path.parents


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_nodes_and_conversions_import_ros(path):
    found = [(module, line) for module, line in imports(path) if is_ros(module)]
    assert not found or may_import_ros(path), f"move what needs {found} into a node or into conversions.py"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_each_heavy_library_has_one_home(path):
    for module in imported_packages(path) & HOMES.keys():
        assert relative(path).startswith(HOMES[module]), f"{module} belongs to {HOMES[module]}"


@pytest.mark.parametrize("path", [path for path in SOURCES if path.is_relative_to(ROOT / "models")], ids=relative)
def test_models_know_no_ros_no_simulator_and_no_robot(path):
    found = imported_packages(path)
    assert not {module for module in found if is_ros(module)}
    assert not found & ({"mujoco", "carla", "unitree_sdk2py"} | (FIRST_PARTY - {"wam_models"}))


@pytest.mark.parametrize("name", TORCH_FREE)
def test_the_border_of_a_policy_is_plain_numpy(name):
    """Imports at the top only: load_policy reaches for a model when it is asked for one."""
    found = imported_packages(ROOT / "models" / "wam_models" / name, top_only=True)
    assert found <= sys.stdlib_module_names | {"numpy", "wam_models"}


@pytest.mark.parametrize("package", PYTHON_PACKAGES, ids=lambda package: package.name)
def test_a_package_declares_the_packages_it_imports(package):
    used = {module for path in package.sources for module in imported_packages(path)} & (FIRST_PARTY - {package.name})
    assert used <= package.depends, f"package.xml lacks {sorted(used - package.depends)}"


def test_packages_do_not_depend_on_each_other_in_a_circle():
    depends = {package.name: package.depends & FIRST_PARTY for package in PACKAGES}
    while leaves := [name for name, needs in depends.items() if not needs]:
        for leaf in leaves:
            del depends[leaf]
        depends = {name: needs - set(leaves) for name, needs in depends.items()}
    assert not depends, f"a circle among {sorted(depends)}"


@pytest.mark.parametrize("path", [*SOURCES, *LAUNCH.glob("*.py")], ids=relative)
def test_every_file_is_python_3_10(path):
    """The Python of Humble. Older grammar is all that `feature_version` checks; the tests on 3.10 check the rest."""
    ast.parse(path.read_text(), feature_version=(3, 10))


NODES = [path for path in SOURCES if may_import_ros(path) and relative(path) not in HOMES["launch"]]


@pytest.mark.parametrize("path", NODES, ids=relative)
def test_what_only_a_full_ros_has_is_not_needed_to_import_a_node(path):
    """The wheels have no cv_bridge and no launch: a node may try them, inside a function or a `try`."""
    assert not imported_packages(path, top_only=True) & ONLY_ON_ROS


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_what_speaks_to_launch_is_imported_by_launch_files_alone(path):
    assert "wam_planner.bringup.launching" not in {module for module, _ in imports(path)}
