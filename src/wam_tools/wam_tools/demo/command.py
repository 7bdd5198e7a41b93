"""The command itself: options in, runs, table, files, exit status."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from wam_planner.bringup import Go2Options
from wam_sim.worlds import YardWorld
from wam_tools.demo import media
from wam_tools.demo.bag import BagError, read_recording
from wam_tools.demo.course import choose
from wam_tools.demo.metrics import moving_window
from wam_tools.demo.report import TIMING_COLUMNS, WALK_COLUMNS, Result, failed, summarise
from wam_tools.demo.run import Folder, RunError, walk
from wam_tools.demo.truth import Verdict, read_track
from wam_tools.output import console, show_table, write_json

app = typer.Typer()
GIF_SECONDS = 7.0  # of each run


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for bags, videos and plots.")] = Path("out/demo"),
    model: Annotated[str, typer.Option(help="A bundled model, a checkpoint directory, or baseline:straight.")] = (
        Go2Options.model
    ),
    first_seed: Annotated[int, typer.Option(help="Worlds are taken from this seed on.", min=0)] = 0,
    gif: Annotated[Path | None, typer.Option(help="Write an animation of all runs to this file too.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file too.")] = None,
) -> None:
    """Walk three unseen worlds, indoors, outdoors and at night. Exit status 1 unless all are reached without
    contact."""
    began = time.monotonic()
    with _progress() as progress:
        results = [_run(world, model, out / world.name, progress) for world in choose(first_seed)]
    show_table(f"wam demo, {model}", WALK_COLUMNS, (result.walk_row() for result in results))
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


def _run(world: YardWorld, model: str, path: Path, progress: Progress) -> Result:
    """One world, from the first process to the last picture."""
    folder = Folder(path)
    task = progress.add_task(world.name, total=float("nan"), what="starting", distance="")
    start = max(abs(world.goal[0] - world.start[0]) + abs(world.goal[1] - world.start[1]), 1.0)
    progress.update(task, total=start)

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
    window = moving_window(recording.commands)
    media.write_video(path / "video.mp4", world, recording, track, window)
    media.write_plot(path / "plot.png", world, recording, track)
    outcome = "reached" if result.good else "contact" if result.contact else result.failure or "not reached"
    progress.update(task, what=outcome, completed=start if result.reached else None)
    return result


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=16),
        TextColumn("{task.fields[what]:<20} {task.fields[distance]}"),
        TimeElapsedColumn(),
        console=console,
    )
