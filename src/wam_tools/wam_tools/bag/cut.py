"""`wam bag cut`: a part of a bag as a bag of its own, in time, in topics, or both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from wam_models.data.about import NOTE
from wam_models.data.bag_copy import copy_messages
from wam_models.data.bag_reader import BagError, BagReader
from wam_models.data.bag_writer import whole_bag
from wam_models.data.topics import guess_topics
from wam_tools.message_types import typestore
from wam_tools.output import console

app = typer.Typer()


@app.command("cut")
def cut_bag(
    bag: Annotated[Path, typer.Argument(help="A rosbag2 folder, or an .mcap or .db3 file. It stays as it is.")],
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    start: Annotated[float, typer.Option(min=0.0, help="s after the first message.")] = 0.0,
    end: Annotated[float | None, typer.Option(min=0.0, help="s after the first message; default: to the end.")] = None,
    topic: Annotated[
        list[str] | None, typer.Option(help="Keep this one and others that are given so; default: all.")
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Leave this one out; may be given several times.")] = None,
) -> None:
    """Copy a part of a bag, its messages as they are. What was told before the part still holds in it: instruction,
    goal and whatever is latched come along. Exit status 1 when nothing is in that part, or the bag
    breaks off in it."""
    try:
        with BagReader(bag, typestore) as reader, Progress(console=console, transient=True) as progress:
            known = {channel.topic for channel in reader.channels}
            if unknown := sorted({*(topic or []), *(drop or [])} - known):
                raise BagError(f"{bag} has no topic {', '.join(unknown)}; it has {', '.join(sorted(known))}")
            first, last = reader.start, reader.end
            until = last if end is None else min(first + end, last)
            if end is not None and end <= start:
                raise BagError(f"the part ends at {end:g} s, which is not after its start at {start:g} s")
            if not first + start < until:
                raise BagError(f"{bag} has nothing from {start:g} s on: it is {last - first:.1f} s long")
            task = progress.add_task(f"copying {bag}", total=until - first - start)
            with whole_bag(out, typestore()) as writer:
                writer.describe(NOTE, reader.notes.get(NOTE, ""))
                count = copy_messages(
                    reader,
                    writer,
                    set(topic or known) - set(drop or []),
                    first + start if start else None,
                    None if end is None else until,
                    _told(reader),
                    lambda logged: progress.update(task, completed=1e-9 * logged - first - start),
                )
                if not count:
                    raise BagError(f"{bag} has no message of these topics in that part")
            broken = [finding.first for finding in reader.findings if finding.kind == "breaks_off"]
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{out}: {count} messages, {until - first - start:.1f} s")
    for reason in broken:
        typer.echo(reason, err=True)
    if broken:
        raise typer.Exit(1)


def _told(reader: BagReader) -> set[str]:
    """Topics on which the last message holds until there is another, whatever the bag knows of its publishers."""
    try:
        topics = guess_topics(reader.channels)
    except BagError:  # no camera in it
        return set()
    return {topics.instruction, topics.goal, *topics.camera_info.values()} - {""}
