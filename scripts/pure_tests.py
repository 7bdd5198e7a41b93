"""Prints the test files that this interpreter can run: all they import, directly or through this repository, is there.

    python scripts/pure_tests.py models/test src/wam_controller/test

On standard error it names the others, and the libraries that they lack.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE_FOLDERS = (ROOT / "models", ROOT / "models" / "test", *sorted((ROOT / "src").glob("*")))


def main(folders: list[str]) -> None:
    for folder in folders:
        for path in sorted(Path(folder).rglob("test_*.py")):
            missing = missing_modules(path.resolve())
            if missing:
                print(f"left out, no {', '.join(sorted(missing))}: {path}", file=sys.stderr)
            else:
                print(path)


def missing_modules(path: Path) -> set[str]:
    """Libraries that importing a test file would look for in vain."""
    missing: set[str] = set()
    seen: set[Path] = set()
    todo = [path, *(folder / "conftest.py" for folder in path.parents if folder.is_relative_to(ROOT))]
    while todo:
        file = todo.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        for module in imported(file):
            own = source_files(module)
            todo += own
            if not own and not installed(module.partition(".")[0]):
                missing.add(module.partition(".")[0])
    return missing


def imported(file: Path) -> Iterator[str]:
    """Modules that importing the file imports: those at its top, not those inside functions."""
    for node in ast.parse(file.read_text(), str(file)).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names if source_files(node.module))


def source_files(module: str) -> list[Path]:
    """The files of this repository that importing a module runs; none for a library."""
    parts = module.split(".")
    for folder in SOURCE_FOLDERS:
        top = folder / parts[0]
        if not (top.is_dir() or top.with_suffix(".py").is_file()):
            continue
        heads = [folder.joinpath(*parts[:depth]) for depth in range(1, len(parts) + 1)]
        files = [file for head in heads for file in (head / "__init__.py", head.with_suffix(".py"))]
        return [file for file in files if file.is_file()]
    return []


@cache
def installed(name: str) -> bool:
    """Whether this interpreter has a library."""
    return name in sys.stdlib_module_names or find_spec(name) is not None


if __name__ == "__main__":
    main(sys.argv[1:])
