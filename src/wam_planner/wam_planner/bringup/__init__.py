"""The nodes of a robot as one table, for `ros2 launch` and for `wam up` alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wam_planner.bringup.carla import CarlaOptions, carla_table
from wam_planner.bringup.go2 import Go2Options, go2_table
from wam_planner.bringup.replay import ReplayOptions, replay_table
from wam_planner.bringup.rows import (
    Row,
    Value,
    bundled_models,
    command,
    config_file,
    executable,
    find_model,
    option_rows,
    parse_options,
    prefix,
    programs,
)

__all__ = [
    "TABLES",
    "CarlaOptions",
    "Go2Options",
    "ReplayOptions",
    "Row",
    "Value",
    "bundled_models",
    "carla_table",
    "command",
    "config_file",
    "executable",
    "find_model",
    "go2_table",
    "option_rows",
    "parse_options",
    "prefix",
    "programs",
    "replay_table",
]

# Robot, or a recording in its place -> its options and the table for them.
TABLES: dict[str, tuple[type[Any], Callable[[Any], tuple[Row, ...]]]] = {
    "go2": (Go2Options, go2_table),
    "carla": (CarlaOptions, carla_table),
    "replay": (ReplayOptions, replay_table),
}
