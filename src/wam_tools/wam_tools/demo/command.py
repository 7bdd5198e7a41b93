"""The command itself: options in, runs, table, files, exit status."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from wam_models.data.bag_reader import BagError
from wam_planner.bringup import CarlaOptions, Go2Options
from wam_sim.town.world import TownWorld
from wam_sim.worlds import YardWorld
from wam_tools.demo import media
from wam_tools.demo.bag import CAR, Recording, read_recording
from wam_tools.demo.course import choose, choose_towns
from wam_tools.demo.drive import drive
from wam_tools.demo.drive_truth import Standing, read_drive
from wam_tools.demo.metrics import moving_window
from wam_tools.demo.report import (
    DRIVE_COLUMNS,
    TIMING_COLUMNS,
    WALK_COLUMNS,
    DriveResult,
    Result,
    failed,
    failed_drive,
    summarise,
    summarise_drive,
)
from wam_tools.demo.run import Folder, RunError
from wam_tools.demo.town_scene import TownScene
from wam_tools.demo.truth import Verdict, read_track
from wam_tools.demo.walk import walk
from wam_tools.demo.yard_scene import YardScene
from wam_tools.output import console, show_table, write_json

app = typer.Typer()
GIF_SECONDS = 7.0  # of each run


@app.command()
def demo(
    car: Annotated[bool, typer.Option("--car", help="Drive a car through three unseen towns instead.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for bags, videos and plots.", show_default="out/demo or out/demo-car")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="A bundled model, a checkpoint directory, or baseline:straight (a car: baseline:lane_blind).",
            show_default=f"{Go2Options.model} or {CarlaOptions.model}",
        ),
    ] = "",
    first_seed: Annotated[int, typer.Option(help="Worlds are taken from this seed on.", min=0)] = 0,
    gif: Annotated[Path | None, typer.Option(help="Write an animation of all runs to this file too.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file too.")] = None,
) -> None:
    """Walk three unseen worlds, indoors, outdoors and at night, or drive through three unseen towns, by day, at night
    and in fog. Exit status 1 unless all are reached without contact, or completed without an infraction."""
    began = time.monotonic()
    out = out or Path("out/demo-car" if car else "out/demo")
    model = model or (CarlaOptions.model if car else Go2Options.model)
    results: Sequence[Result | DriveResult]
    with _progress() as progress:
        if car:
            drives = [_drive(world, model, out / world.name, progress) for world in choose_towns(first_seed)]
            results, columns, rows = drives, DRIVE_COLUMNS, [result.drive_row() for result in drives]
        else:
            walks = [_walk(world, model, out / world.name, progress) for world in choose(first_seed)]
            results, columns, rows = walks, WALK_COLUMNS, [result.walk_row() for result in walks]
    show_table(f"wam demo, {model}", columns, rows)
    show_table("how long it took", TIMING_COLUMNS, (result.timing_row() for result in results))
    report = {"model": model, "seconds": round(time.monotonic() - began, 1), "runs": [r.entry() for r in results]}
    for path in filter(None, (out / "demo.json", json)):
        write_json(path, report)
    videos = [path for result in results if (path := out / result.world / "video.mp4").exists()]
    if gif is not None and videos:
        media.write_gif(gif, videos, GIF_SECONDS)
    console.print(f"Videos, plots and bags are in {out}; it took {time.monotonic() - began:.0f} s.")
    if not all(result.good for result in results):
        raise typer.Exit(1)


def _walk(world: YardWorld, model: str, path: Path, progress: Progress) -> Result:
    """One world, from the first process to the last picture."""
    folder = Folder(path)
    start = max(abs(world.goal[0] - world.start[0]) + abs(world.goal[1] - world.start[1]), 1.0)
    task = progress.add_task(world.name, total=start, what="starting", distance="")

    def show(what: str, verdict: Verdict) -> None:
        progress.update(
            task,
            what=what,
            completed=max(start - verdict.distance, 0.0) if verdict.seconds else 0.0,
            distance=f"{verdict.distance:4.1f} m to go",
        )

    try:
        verdict = walk(world, model, folder, show)
        progress.update(task, what="drawing")
        recording, track = read_recording(folder.bag), read_track(folder.truth)
    except (RunError, BagError, ValueError) as error:
        progress.update(task, what=f"failed: {error}")
        return failed(world.name, str(error))
    result = summarise(world.name, verdict, recording, track)
    _picture(path, YardScene(world, track), recording)
    progress.update(task, what=result.outcome, completed=start if result.reached else None)
    return result


def _drive(world: TownWorld, model: str, path: Path, progress: Progress) -> DriveResult:
    """One town, from the first process to the last picture."""
    folder = Folder(path)
    task = progress.add_task(world.name, total=1.0, what="starting", distance="")

    def show(what: str, standing: Standing) -> None:
        percent = f"{100.0 * standing.completion:3.0f} % of {world.route.length:.0f} m"
        progress.update(task, what=what, completed=standing.completion, distance=percent)

    try:
        standing = drive(world, model, folder, show)
        progress.update(task, what="drawing")
        recording, track = read_recording(folder.bag, CAR), read_drive(folder.truth)
    except (RunError, BagError, ValueError) as error:
        progress.update(task, what=f"failed: {error}")
        return failed_drive(world.name, str(error))
    result = summarise_drive(world.name, standing, recording, track)
    _picture(path, TownScene(world, track), recording)
    progress.update(task, what=result.outcome, completed=standing.completion)
    return result


def _picture(path: Path, scene: media.Scene, recording: Recording) -> None:
    """Video and plot of a run; a robot that was never told to move has no video."""
    window = moving_window(recording.commands)
    if math.isfinite(window[0]):
        media.write_video(path / "video.mp4", scene, recording, window)
    media.write_plot(path / "plot.png", scene, recording)


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[what]:<20} {task.fields[distance]}"),
        TimeElapsedColumn(),
        console=console,
    )
