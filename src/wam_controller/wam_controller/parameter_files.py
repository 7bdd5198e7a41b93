"""Parameter files of ROS 2 read without ROS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


def read_table(path: str | Path) -> dict[str, Any]:
    """A YAML file of names and values. Raises ValueError when it is none."""
    try:
        values = yaml.safe_load(Path(path).read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is no table of names and values")
    return values


def read_parameters(path: str | Path, node: str) -> dict[str, Any]:
    """What a file like those in config/ says of a node. Raises ValueError when it cannot be read or has none such."""
    try:
        return dict(read_table(path)[f"/**/{node}"]["ros__parameters"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} has no section /**/{node}: give a file like config/go2.yaml") from error
