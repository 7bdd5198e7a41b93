"""Groups of commands of which only the one that was asked for is imported: the others' libraries may be missing."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

import typer


def lazy_group(name: str, package: str, commands: Mapping[str, str], help: str) -> typer.Typer:
    """A typer app with one command for each of `commands` (name -> help), which is the `app` of the module of that
    name, with _ for -, in `package`. name: how the group is called from the shell."""
    group = typer.Typer(help=help, no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
    for command, text in commands.items():
        group.command(
            command,
            help=text,
            add_help_option=False,
            context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
        )(_forward(f"{name} {command}", f"{package}.{command.replace('-', '_')}"))

    @group.callback()
    def keep_names() -> None:
        """Keeps it a group while it has a single command."""

    return group


def _forward(name: str, module: str) -> Callable[[typer.Context], None]:
    def command(context: typer.Context) -> None:
        try:
            subcommand = importlib.import_module(module)
            subcommand.app(args=context.args, prog_name=name)
        except ModuleNotFoundError as error:
            typer.echo(
                f"`{name}` needs the module {error.name}, which is not installed. "
                "`wam doctor` prints the line that installs what is missing.",
                err=True,
            )
            raise typer.Exit(1) from error

    return command
