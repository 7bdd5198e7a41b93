"""Every package has the same shape, and no file outgrows its one reason to exist."""

from __future__ import annotations

import ast
import re

import pytest
import tomllib
from architecture.tree import PACKAGES, PYTHON_PACKAGES, ROOT, relative, tracked_files

NODE_LINES = 300
MODULE_LINES = 400
# A machine's own folders. /tmp and /opt are named by programs on purpose; these are somebody's.
MACHINE_PATHS = re.compile(rb"(?<![\w.$}~-])/(?:work|root|home|mnt|Users)/\w")
NODES = [path for package in PYTHON_PACKAGES for path in package.sources if path.name.endswith("_node.py")]
MODULES = [path for package in PYTHON_PACKAGES for path in package.sources if path not in NODES]


def test_the_design_has_its_packages():
    names = {"wam_carla", "wam_controller", "wam_go2", "wam_models", "wam_msgs", "wam_planner", "wam_sim", "wam_tools"}
    assert names <= {package.name for package in PACKAGES}


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_manifests_agree(package):
    manifest = package.manifest
    assert manifest.findtext("name") == package.name
    assert manifest.findtext("version") == "0.1.0"
    assert manifest.findtext("license") == "Apache-2.0"
    assert manifest.find("maintainer").attrib["email"] == "maintainers@wam.invalid"


@pytest.mark.parametrize("package", PYTHON_PACKAGES, ids=lambda package: package.name)
def test_a_python_package_has_its_files(package):
    assert (package.folder / "resource" / package.name).is_file()
    assert (package.folder / package.name / "__init__.py").is_file()
    assert list((package.folder / "test").rglob("test_*.py")), "a package without tests"
    settings = (package.folder / "setup.cfg").read_text()
    assert settings.count(f"=$base/lib/{package.name}\n") == 2, "colcon looks for executables in lib/<package>"
    assert package.manifest.findtext("export/build_type") == "ament_python"


@pytest.mark.parametrize("package", PYTHON_PACKAGES, ids=lambda package: package.name)
def test_setup_and_manifest_describe_the_same_package(package):
    call = next(
        node.value
        for node in ast.parse((package.folder / "setup.py").read_text()).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    )
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    assert ast.literal_eval(given["description"]) == package.manifest.findtext("description")
    assert ast.literal_eval(given["version"]) == package.manifest.findtext("version")


def entry_points() -> list[tuple[str, str, str]]:
    lines = re.compile(r'"(\w+) = ([\w.]+):(\w+)"')
    return [match for package in PYTHON_PACKAGES for match in lines.findall((package.folder / "setup.py").read_text())]


@pytest.mark.parametrize(("executable", "module", "function"), entry_points(), ids=lambda part: part)
def test_every_executable_exists(executable, module, function):
    package = next(package for package in PYTHON_PACKAGES if package.name == module.partition(".")[0])
    path = package.folder.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    names = set()
    for node in ast.parse(source.read_text()).body:
        names |= {node.name} if isinstance(node, ast.FunctionDef) else set()
        names |= {alias.asname or alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
    assert function in names, f"{executable} calls {module}:{function}"


@pytest.mark.parametrize("path", NODES, ids=relative)
def test_a_node_only_wires(path):
    assert len(path.read_text().splitlines()) <= NODE_LINES


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_can_be_read_in_one_sitting(path):
    assert len(path.read_text().splitlines()) <= MODULE_LINES


def test_no_file_names_a_folder_of_one_machine():
    assert [relative(path) for path in tracked_files() if MACHINE_PATHS.search(path.read_bytes())] == []


def test_the_root_is_no_package():
    """colcon would take it for one and hide every package below."""
    assert not [name for name in ("package.xml", "setup.py", "setup.cfg") if (ROOT / name).exists()]
    assert set(tomllib.loads((ROOT / "pyproject.toml").read_text())) == {"tool"}
