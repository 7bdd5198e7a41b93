"""The nodes of a robot as one table, for `ros2 launch` and for `wam up` alike."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from wam_planner.processes import Program

Value = bool | int | float | str


def _option(default: Value, description: str) -> Any:
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class Go2Options:
    """What a user may choose about a Go2; the launch arguments and the flags of `wam up go2` are made from it."""

    sim: bool = _option(False, "a simulated robot in a MuJoCo yard instead of a real one")
    interface: str = _option("", "network card that leads to the robot, such as eth0; simulated: lo")
    domain: int = _option(0, "DDS domain of the robot; a real one is in 0")
    model: str = _option("metis-yard", "a bundled model, a checkpoint directory, or baseline:straight")
    instruction: str = _option("walk to the goal", "what the robot is told")
    goal: str = _option(
        "", "x,y in m forward and left of where the robot starts; empty: wait for one on the topic goal"
    )
    world: str = _option("val:0", "simulated world as SPLIT:SEED; splits: train, val, unseen")


@dataclass(frozen=True)
class Row:
    """One program. name: its node name, and the prefix of its lines; parameter_files: in config/, later ones win;
    remaps: topic -> topic; arguments: a program that is no ROS node takes these and nothing else; condition: `sim`,
    `real` or `always`; respawn: see Program."""

    package: str
    executable: str
    name: str
    parameter_files: tuple[str, ...] = ()
    parameters: Mapping[str, Value] = field(default_factory=dict)
    remaps: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    condition: str = "always"
    respawn: bool = True

    @property
    def is_node(self) -> bool:
        """Whether it takes ROS arguments."""
        return not self.arguments


def go2_table(options: Go2Options) -> tuple[Row, ...]:
    """The rows for these options, in the order they start: the robot, then what stops it, then what moves it. Raises
    ValueError for a simulated robot on a network card."""
    if options.sim and options.interface not in ("", "lo"):
        # The simulation's bridge stands its robot up by itself, and would do so to a real one that it hears first.
        raise ValueError(
            f"interface is {options.interface!r}: a simulated robot is on lo and never shares a wire with a real one, "
            "which its bridge would make stand up; leave interface out, or sim"
        )
    camera = "go2_camera_sim.yaml" if options.sim else "go2_camera.yaml"
    interface = options.interface or ("lo" if options.sim else "")
    rows = (
        Row(
            "wam_sim",
            "virtual_go2",
            "virtual_go2",
            arguments=("--world", options.world, "--interface", interface, "--domain", str(options.domain)),
            condition="sim",
            respawn=False,
        ),
        Row(
            "wam_go2",
            "go2_bridge_node",
            "go2_bridge",
            parameter_files=("go2.yaml",),
            parameters={
                "interface": interface,
                "dds_domain": options.domain,
                "calibration_file": str(config_file(camera)),
                # A real robot stands up only when someone beside it says so.
                "stand_up_on_start": options.sim,
            },
        ),
        Row("wam_controller", "safety_gate_node", "safety_gate", parameter_files=("go2.yaml",)),
        Row("wam_controller", "controller_node", "controller", parameter_files=("go2.yaml",)),
        Row(
            "wam_planner",
            "planner_node",
            "planner",
            parameter_files=("go2.yaml",),
            parameters={
                "model": find_model(options.model),
                "instruction": options.instruction,
                "goal": options.goal,
            },
        ),
    )
    here = "sim" if options.sim else "real"
    return tuple(row for row in rows if row.condition in ("always", here))


TABLES: dict[str, tuple[type[Go2Options], Callable[[Go2Options], tuple[Row, ...]]]] = {"go2": (Go2Options, go2_table)}


def option_rows(kind: type[Go2Options]) -> list[tuple[str, Any, str]]:
    """Name, default and description of each option."""
    return [(each.name, each.default, each.metadata["description"]) for each in fields(kind)]


def parse_options(kind: type[Go2Options], texts: Mapping[str, str]) -> Go2Options:
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
    return text


def programs(rows: tuple[Row, ...]) -> list[Program]:
    """The rows as processes, for machines without launch."""
    return [Program(row.name, command(row), respawn=row.respawn) for row in rows]


def command(row: Row) -> tuple[str, ...]:
    """The command line of one row. Raises ValueError when its package or executable is not built."""
    if not row.is_node:
        return (str(executable(row)), *row.arguments)
    words = [str(executable(row)), "--ros-args", "-r", f"__node:={row.name}"]
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


def find_model(name: str) -> str:
    """A bundled model by its name; anything else is what it says: a directory or a baseline."""
    bundled = prefix("wam_models") / "share/wam_models/bundled" / name
    return str(bundled) if name and bundled.is_dir() else name


def _yaml(value: Value) -> str:
    """A parameter value that the ROS parser reads back with its own type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)
