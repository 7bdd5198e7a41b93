"""How subcommands answer: a table for people, the same as JSON for programs."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

# Columns of a file or a pipe, which have no width of their own.
_WIDTH = 120


def _console() -> Console:
    """As wide as the terminal, or as COLUMNS says."""
    found = Console()
    return found if found.is_terminal or "COLUMNS" in os.environ else Console(width=_WIDTH)


console = _console()


def show_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Prints one table; numbers as they are written by the caller, who knows their unit and digits. Columns without any
    name have no head."""
    columns = list(columns)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold", vertical="top")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console.print(title, markup=False, highlight=False)
    console.print(table)


def write_json(path: Path, data: Any) -> None:
    """Writes `data` whole or not at all, making the folder. NaN becomes null, as JSON knows no NaN."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(json.dumps(_finite(data), indent=2) + "\n")
    unfinished.replace(path)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
