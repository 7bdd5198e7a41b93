"""`wam doctor`: looks at this machine and prints what it lacks with the line that mends it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from wam_tools import machine, network, workspace
from wam_tools.finding import Finding, Level
from wam_tools.output import console, show_table, write_json

app = typer.Typer()
MARKS = {Level.OK: "[green]ok[/]", Level.NOTE: "[yellow]note[/]", Level.LACKS: "[red]lacks[/]"}


@app.command()
def doctor(
    interface: Annotated[
        str | None,
        typer.Option(help="Network interface of the robot, such as eth0: checked for address and multicast."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the findings to this file too.")] = None,
) -> None:
    """What this machine lacks, and the line that mends it. Exit status 1 when something needed is missing."""
    findings = examine(interface)
    show_table(
        "wam doctor",
        ("", "checked", "found", "mended by"),
        ((MARKS[f.level], f.name, f.found, f.fix) for f in findings),
    )
    if json is not None:
        write_json(json, [asdict(finding) for finding in findings])
    lacking = [finding.name for finding in findings if finding.level is Level.LACKS]
    if lacking:
        console.print(f"This machine lacks: {', '.join(lacking)}.")
        raise typer.Exit(1)
    console.print("This machine has everything that is needed.")


def examine(interface: str | None) -> list[Finding]:
    """Every check, in the order in which a fault in one explains a fault in the next."""
    return [
        machine.python(),
        *machine.wheels(),
        machine.cyclone_dds(),
        machine.carla_client(),
        machine.rendering(),
        machine.disk(Path.cwd()),
        workspace.messages(),
        *map(workspace.bundled_model, workspace.MODELS),
        workspace.camera_calibration(),
        network.ros_domain(),
        network.multicast(interface or network.LOOPBACK),
        network.robot_interface(interface),
    ]
