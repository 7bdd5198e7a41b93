"""`wam bag repair`: a bag whose recording was cut off, or that was damaged since, whole again as far as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from wam_models.data.bag_repair import repair
from wam_tools.output import console, write_json

app = typer.Typer()


@app.command("repair")
def repair_bag(
    bag: Annotated[Path, typer.Argument(help="A rosbag2 folder, or an .mcap or .db3 file. It stays as it is.")],
    out: Annotated[Path | None, typer.Option(help="Folder to make; default: beside it, ending in _repaired.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write what was saved to this file too.")] = None,
) -> None:
    """Save every message that can be read into a new bag with an index. Exit status 1 when there is none."""
    target = out or bag.parent / f"{bag.stem if bag.is_file() else bag.name}_repaired"
    try:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(f"reading {bag}", total=1.0)
            found = repair(bag, target, lambda share: progress.update(task, completed=share))
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for damage in found.damages or ["nothing was wrong with it but, perhaps, its metadata"]:
        typer.echo(damage, err=True)
    typer.echo(f"{target}: {found.messages} messages, {found.end - found.start:.1f} s")
    if json is not None:
        seconds = found.end - found.start
        write_json(
            json,
            {"bag": str(target), "messages": found.messages, "seconds": seconds, "damages": found.damages},
        )
