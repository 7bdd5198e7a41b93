"""The `wam` command: a table of subcommands, each in a module of its own name with a typer `app`.

Only the module that was asked for is imported, so `wam doctor` starts on a machine that lacks everything else.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import typer

SUBCOMMANDS = {
    "up": "Start the nodes of a robot, real or simulated.",
    "demo": "Walk three unseen worlds with the whole graph; video, plot and bag of each.",
    "bench": "Score policies in closed loop without ROS.",
    "train": "Train a model from recorded runs; continues where it stopped.",
    "models": "List, show and verify checkpoints.",
    "doctor": "What this machine lacks, and the line that mends it.",
}

app = typer.Typer(
    help="World-action models on robots.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


def _forward(name: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        try:
            subcommand = importlib.import_module(f"wam_tools.{name}")
            subcommand.app(args=context.args, prog_name=f"wam {name}")
        except ModuleNotFoundError as error:
            typer.echo(
                f"`wam {name}` needs the module {error.name}, which is not installed. "
                "`wam doctor` prints the line that installs what is missing.",
                err=True,
            )
            raise typer.Exit(1) from error

    return command


for _name, _help in SUBCOMMANDS.items():
    app.command(
        _name,
        help=_help,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_forward(_name))


def main() -> None:
    """Entry point; exits 0 only when what the subcommand checks holds."""
    app(prog_name="wam")
