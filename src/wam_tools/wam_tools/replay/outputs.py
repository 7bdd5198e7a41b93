"""What a replay leaves behind beside its numbers: predictions, videos, a file for rerun, the page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from wam_tools.output import console
from wam_tools.replay.job import BagReplay, Job
from wam_tools.replay.mounts import CameraPlace
from wam_tools.replay.overlay import write_overlay
from wam_tools.replay.predictions import write_predictions
from wam_tools.replay.report import write_report
from wam_tools.replay.rerun_log import write_rerun

_OF_A_BAG = ("predictions.mcap", "replay.rrd", "overlay.mp4")


def make_room(out: Path) -> None:
    """Makes the folder, or takes the files of an earlier replay out of it, which would stand beside the new ones."""
    try:
        bags = [bag["bag"] for bag in json.loads((out / "metrics.json").read_text())["bags"]]
    except (OSError, ValueError, KeyError, TypeError):  # no replay was there
        bags = []
    for folder in (out / str(bag) for bag in bags):
        for name in _OF_A_BAG:
            (folder / name).unlink(missing_ok=True)
        for empty in (folder, *folder.parents):
            if empty == out or not empty.is_dir() or any(empty.iterdir()):
                break
            empty.rmdir()
    for name in _OF_A_BAG if bags else ():
        (out / name).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)


def write_files(
    out: Path,
    replays: Sequence[BagReplay],
    jobs: Sequence[Job],
    places: Mapping[Path, CameraPlace | None],
    found: dict[str, Any],
    spent: dict[str, Any],
    main: str,
    video: bool,
    rerun: bool,
) -> list[str]:
    """Of several bags in a folder each, but for the page. What could not be written, a sentence each: a file that
    fails takes no other with it. places: of the first cameras; main: the policy that the page is about."""
    names = list(found["policies"])
    told, videos, lost = {job.bag: job for job in jobs}, dict[Path, Path](), list[str]()
    with Progress(console=console, transient=True) as progress:
        for each in replays:
            folder = out if len(jobs) == 1 else out / each.name
            with _alone(folder / "predictions.mcap", lost) as file:
                write_predictions(file, each)
            if rerun:
                with _alone(folder / "replay.rrd", lost) as file:
                    write_rerun(file, each, told[each.bag], names, places[each.bag])
            if video:
                show = partial(_advance, progress, progress.add_task(f"video of {each.name}", total=None))
                with _alone(folder / "overlay.mp4", lost) as file:
                    write_overlay(file, each, told[each.bag], names, places[each.bag], show)
                    videos[each.bag] = file
    write_report(out / "report.html", replays, found, spent, main, places, videos)
    return lost


@contextmanager
def _alone(file: Path, lost: list[str]) -> Iterator[Path]:
    """lost: takes why the file could not be written."""
    try:
        yield file
    except (OSError, ValueError, RuntimeError) as error:
        lost.append(f"{file} could not be written: {error}")


def _advance(progress: Progress, task: TaskID, done: float, seconds: float) -> None:
    progress.update(task, completed=done, total=seconds)
