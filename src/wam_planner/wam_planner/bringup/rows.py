"""One program of a table, what a user may choose about it, and the command line that starts it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from wam_planner.processes import Program

Value = bool | int | float | str
Options = TypeVar("Options")


def option(default: Value, description: str) -> Any:
    """A field of a class of options."""
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class Row:
    """One program. name: its node name, and the prefix of its lines; parameter_files: in config/, later ones win;
    remaps: topic -> topic; arguments: of its own, before those of ROS; is_node: whether it takes ROS arguments;
    condition: `sim`, `real` or `always`; respawn: see Program."""

    package: str
    executable: str
    name: str
    parameter_files: tuple[str, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    remaps: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    is_node: bool = True
    condition: str = "always"
    respawn: bool = True


def here(rows: tuple[Row, ...], sim: bool) -> tuple[Row, ...]:
    """Those whose condition holds."""
    return tuple(row for row in rows if row.condition in ("always", "sim" if sim else "real"))


def option_rows(kind: type[Any]) -> list[tuple[str, Any, str]]:
    """Name, default and description of each option."""
    return [(each.name, each.default, each.metadata["description"]) for each in fields(kind)]


def parse_options(kind: type[Options], texts: Mapping[str, str]) -> Options:
    """Options from texts, as launch gives them. Raises ValueError with the rule on one that cannot be read."""
    chosen: dict[str, Any] = {
        name: _parse(name, default, texts[name]) for name, default, _ in option_rows(kind) if name in texts
    }
    return kind(**chosen)


def _parse(name: str, default: Value, text: str) -> Value:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name} is {text!r}: it must be true or false")
        return text.lower() == "true"
    if isinstance(default, int):
        if not text.isdecimal():
            raise ValueError(f"{name} is {text!r}: it must be a whole number")
        return int(text)
    if isinstance(default, float):
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{name} is {text!r}: it must be a number") from None
    return text


def programs(rows: tuple[Row, ...]) -> list[Program]:
    """The rows as processes, for machines without launch."""
    return [Program(row.name, command(row), respawn=row.respawn) for row in rows]


def command(row: Row) -> tuple[str, ...]:
    """The command line of one row. Raises ValueError when its package or executable is not built."""
    words = [str(executable(row)), *row.arguments]
    if not row.is_node:
        return tuple(words)
    words += ["--ros-args", "-r", f"__node:={row.name}"]
    for name in row.parameter_files:
        words += ["--params-file", str(config_file(name))]
    for name, value in row.parameters.items():
        if value != "":  # the parser takes no empty text; it is the default of each of these
            words += ["-p", f"{name}:={_yaml(value)}"]
    for topic, other in row.remaps.items():
        words += ["-r", f"{topic}:={other}"]
    return tuple(words)


def executable(row: Row) -> Path:
    """Where a row's program is installed. Raises ValueError when it is not."""
    path = prefix(row.package) / "lib" / row.package / row.executable
    if not path.is_file():
        raise ValueError(f"{row.package} has no executable {row.executable}: build it again")
    return path


def prefix(package: str) -> Path:
    """Where a package is installed, by the ament index. Raises ValueError when it is nowhere."""
    for folder in map(Path, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        if (folder / "share/ament_index/resource_index/packages" / package).is_file():
            return folder
    raise ValueError(
        f"package {package} is not built, or its workspace is not sourced: run `make setup`, or colcon build"
    )


def config_file(name: str) -> Path:
    """A file of config/, as installed."""
    return prefix("wam_planner") / "share/wam_planner/config" / name


def bundled_models() -> Path:
    """The folder of the checkpoints that ship with the repository, as installed."""
    return prefix("wam_models") / "share/wam_models/bundled"


def find_model(name: str) -> str:
    """A bundled model by its name; a directory and a baseline as they are, and so is nothing at all. Raises ValueError
    for what is none of these."""
    bundled = bundled_models()
    if name and (bundled / name).is_dir():
        return str(bundled / name)
    if name and not name.startswith("baseline:") and not Path(name).is_dir():
        known = ", ".join(sorted(path.name for path in bundled.iterdir() if path.is_dir()))
        raise ValueError(f"no checkpoint at {name}: give a directory, or a bundled model ({known})")
    return name


def _yaml(value: Value) -> str:
    """A parameter value that the ROS parser reads back with its own type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
