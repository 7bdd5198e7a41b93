"""What a replay leaves behind beside its numbers: predictions, videos, a file for rerun, the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """Of several bags in a folder each, but for the page. What could not be written, a sentence each: a video that
    fails takes nothing else with it. places: of the first cameras; main: the policy that the page is about."""
    names = list(found["policies"])
    told, videos, lost = {job.bag: job for job in jobs}, dict[Path, Path](), list[str]()
    with Progress(console=console, transient=True) as progress:
        for each in replays:
            folder = out if len(jobs) == 1 else out / each.name
            write_predictions(folder / "predictions.mcap", each)
            if rerun:
                write_rerun(folder / "replay.rrd", each, told[each.bag], names, places[each.bag])
            if not video:
                continue
            file = folder / "overlay.mp4"
            show = partial(_advance, progress, progress.add_task(f"video of {each.name}", total=None))
            try:
                write_overlay(file, each, told[each.bag], names, places[each.bag], show)
                videos[each.bag] = file
            except (OSError, ValueError, RuntimeError) as error:
                lost.append(f"{file} could not be written: {error}")
    write_report(out / "report.html", replays, found, spent, main, places, videos)
    return lost


def _advance(progress: Progress, task: TaskID, done: float, seconds: float) -> None:
    progress.update(task, completed=done, total=seconds)
