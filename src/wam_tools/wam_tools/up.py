"""`wam up`: starts the table of nodes of a robot as plain processes, for machines without `ros2 launch`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from wam_planner.bringup import TABLES, Row, option_rows, programs
from wam_planner.processes import run_table

app = typer.Typer(
    help="Start the nodes of a robot, real, simulated or recorded; Ctrl-C ends them all.", no_args_is_help=True
)

_HELP = {
    "go2": "Walk a Go2, a real one or one in a simulated yard.",
    "carla": "Drive a car in CARLA, on a server or in a simulated town.",
    "replay": "Play a bag to the nodes in the place of a robot, and see what they plan and command now.",
}


def _starter(kind: type[Any], table: Callable[[Any], tuple[Row, ...]]) -> Callable[..., None]:
    """A command whose flags are the options of the table, as the launch file's arguments are."""

    def start(**chosen: Any) -> None:
        try:
            rows = programs(table(kind(**chosen)))
        except ValueError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from error
        raise typer.Exit(run_table(rows))

    flags = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=_flag(default, text))
        for name, default, text in option_rows(kind)
    ]
    start.__signature__ = inspect.Signature(flags)  # type: ignore[attr-defined]
    start.__annotations__ = {flag.name: flag.annotation for flag in flags}
    return start


def _flag(default: bool | int | float | str, text: str) -> Any:
    return Annotated[type(default), typer.Option(help=text)]


for _robot, (_kind, _table) in TABLES.items():
    app.command(_robot, help=_HELP[_robot])(_starter(_kind, _table))
