"""`wam bag to-lerobot`: bags as one dataset that LeRobot trains on, and `wam train` reads back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.progress import track

from wam_models.data.bag_reader import BagError, BagReader
from wam_models.data.bags import CAMERA, read_run
from wam_models.data.lerobot.grid import picture_intervals, rate
from wam_models.data.lerobot.writer import Exported, LeRobotWriter
from wam_models.data.store import find_bags
from wam_models.data.topics import Topics, guess_topics, read_topics
from wam_tools.output import console, show_table, write_json

app = typer.Typer(help="Bags as one LeRobotDataset v3 folder.")


@app.command()
def to_lerobot(
    bags: Annotated[
        list[Path], typer.Argument(help="Bags: rosbag2 folders, folders of them, or .mcap and .db3 files.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the dataset, which must not be there yet.")],
    fps: Annotated[
        int | None, typer.Option(min=1, help="Frames/s; default: the median picture rate of the bags, rounded.")
    ] = None,
    topics: Annotated[Path | None, typer.Option(help="YAML that names the topics; default: guessed.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write what became of each bag to this file too.")] = None,
) -> None:
    """Every bag becomes an episode: pictures as H.264 video, state and action as numbers, the instruction in force as
    task. Exit status 1 when a bag could not be exported."""
    failed: dict[str, str] = {}
    try:
        folders = find_bags(bags)
        frames = fps or _rate(folders, topics)
        with LeRobotWriter(out, frames) as writer:
            for bag in track(folders, "exporting", console=console, transient=True):
                try:
                    with BagReader(bag) as opened:
                        names = _topics(opened, topics)
                    writer.add(read_run(bag, names), str(bag))
                except BagError as error:
                    failed[str(bag)] = str(error)
                    typer.echo(str(error), err=True)
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    _show(writer.exported)
    total = sum(each.frames for each in writer.exported)
    console.print(f"{len(writer.exported)} episodes, {total} frames at {frames} frames/s in {out}", highlight=False)
    if json is not None:
        episodes = [asdict(each) for each in writer.exported]
        write_json(json, {"fps": frames, "frames": total, "episodes": episodes, "failed": failed})
    if failed:
        raise typer.Exit(1)


def _rate(bags: Sequence[Path], topics: Path | None) -> int:
    """Frames/s. A bag that cannot be read says nothing here; the export names it."""
    found = [np.zeros(0), *_intervals(bags, topics)]
    return rate(np.concatenate(found))


def _intervals(bags: Sequence[Path], topics: Path | None) -> Iterator[np.ndarray]:
    for path in track(bags, "picture rate", console=console, transient=True):
        try:
            with BagReader(path) as bag:
                yield picture_intervals(bag, _topics(bag, topics).cameras[CAMERA])
        except BagError:
            continue


def _topics(bag: BagReader, file: Path | None) -> Topics:
    """Raises BagError when the bag has not what the file says, or no camera can be guessed."""
    names = read_topics(file, bag.channels) if file else guess_topics(bag.channels, (CAMERA,))
    if CAMERA not in names.cameras:
        raise BagError(f"{file} names no camera {CAMERA!r}, which models see through")
    return names


def _show(exported: Sequence[Exported]) -> None:
    rows: list[tuple[Any, ...]] = [
        (
            each.bag,
            each.frames,
            each.pictures,
            each.dropped,
            each.repeated,
            "; ".join(each.instructions),
            ", ".join(each.left_out),
        )
        for each in exported
    ]
    heads = ("bag", "frames", "pictures", "dropped", "repeated", "instructions", "left out")
    show_table("episodes", heads, rows)
