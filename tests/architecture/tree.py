"""The repository as data: its packages, their files, and what each file imports."""

from __future__ import annotations

import ast
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"


@dataclass(frozen=True)
class Package:
    """A folder with a package.xml."""

    name: str
    folder: Path

    @property
    def manifest(self) -> ET.Element:
        return ET.parse(self.folder / "package.xml").getroot()

    @property
    def is_python(self) -> bool:
        return (self.folder / "setup.py").exists()

    @property
    def sources(self) -> list[Path]:
        """Python files of the package itself, without its tests."""
        return sorted((self.folder / self.name).rglob("*.py"))

    @property
    def depends(self) -> set[str]:
        """Everything that the manifest declares for running."""
        tags = ("depend", "exec_depend")
        return {element.text.strip() for tag in tags for element in self.manifest.iter(tag) if element.text}


PACKAGES = (
    *(Package(path.parent.name, path.parent) for path in sorted(ROOT.glob("src/*/package.xml"))),
    Package("wam_models", ROOT / "models"),
)
PYTHON_PACKAGES = tuple(package for package in PACKAGES if package.is_python)


def imports(path: Path, *, top_only: bool = False) -> Iterator[tuple[str, int]]:
    """(dotted module, line) of every import; top_only leaves out those inside functions, classes and `try`."""
    tree = ast.parse(path.read_text(), str(path))
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, node.lineno


def imported_packages(path: Path, *, top_only: bool = False) -> set[str]:
    """First part of every module that the file imports."""
    return {module.partition(".")[0] for module, _ in imports(path, top_only=top_only)}


def tracked_files() -> list[Path]:
    """Files that git would commit: known or new, without the ignored ones."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def relative(path: Path) -> str:
    """As people name it in a report."""
    return str(path.relative_to(ROOT))
