"""The command itself: options in, replays, table, files, exit status."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, TaskID

from wam_models.data.store import find_bags
from wam_models.data.topics import describe
from wam_planner.settings import parse_goal
from wam_tools.output import console, show_table, write_json
from wam_tools.replay.asked import baselines_beside, named_models, robot_of, settings_of, told_apart
from wam_tools.replay.job import THE_END, BagReplay, Job, replay
from wam_tools.replay.metrics import metrics, number, policy_names, reasons, same_moments, scores_of, timings
from wam_tools.replay.mounts import camera_place, parse_mount
from wam_tools.replay.outputs import make_room, write_files
from wam_tools.replay.rerun_log import load_rerun

app = typer.Typer()


@app.command("replay")
def replay_bags(
    bags: Annotated[
        list[Path], typer.Argument(help="Bags: rosbag2 folders, folders of them, or .mcap and .db3 files.")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(help="A bundled model, a checkpoint directory or a baseline; may be given several times."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for report, metrics and predictions.")] = Path("out/replay"),
    topics: Annotated[Path | None, typer.Option(help="YAML that names the topics; default: guessed and shown.")] = None,
    parameters: Annotated[
        Path | None, typer.Option(help="A file like config/go2.yaml; default: that of the robot in the bag.")
    ] = None,
    instruction: Annotated[str | None, typer.Option(help="What to do, whatever the bag says.")] = None,
    goal: Annotated[
        str | None,
        typer.Option(help="x,y in m from the start, or `end`, where it ended, whatever the bag says."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Flow steps a plan; 0: the model's own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the noise a plan starts from.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Plan from one in so many of the robot's observations.")] = 1,
    start: Annotated[float | None, typer.Option(min=0.0, help="s after the first message.")] = None,
    end: Annotated[float | None, typer.Option(min=0.0, help="s after the first message.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with a bag of its own.")] = 1,
    video: Annotated[bool, typer.Option(help="Write overlay.mp4: the plans in the camera and from above.")] = True,
    rerun: Annotated[bool, typer.Option(help="Write replay.rrd for the Rerun viewer.")] = False,
    mount: Annotated[
        str | None,
        typer.Option(help="Where the camera sits: x,y,z m from the ground, pitch in degrees down[, robot's width m]."),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write the metrics to this file too.")] = None,
) -> None:
    """Recorded runs through any model, without ROS: every picture through the robot's own observation buffer,
    preprocessing, policy and validator; its plans beside what the robot then did. Exit status 1 when a bag could not
    be replayed, or a model never planned."""
    began = time.monotonic()
    try:
        folders = find_bags(bags)
        robot = robot_of(folders)
        said = parse_mount(mount) if mount is not None else None
        if rerun:
            load_rerun()  # before the work, not after it
        settings = settings_of(robot, parameters, {"steps": steps, "seed": seed})
        asked = named_models(robot, model or ())
        jobs = [
            Job(
                bag,
                name,
                asked | baselines_beside(robot, asked),
                settings,
                topics,
                start,
                end,
                every,
                instruction,
                goal,
            )
            for bag, name in zip(folders, told_apart(folders), strict=True)
        ]
        if goal not in (None, THE_END):
            parse_goal(str(goal))  # before the work, not after it
        if topics is not None and not topics.is_file():
            raise ValueError(f"{topics} is missing: --topics is a YAML file")
        make_room(out)
        failed: dict[str, str] = {}
        with Progress(console=console, transient=True) as progress:
            replays = list(_replays(jobs, workers, progress, failed))
    except (ValueError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for reason in failed.values():
        typer.echo(reason, err=True)
    if not replays:
        raise typer.Exit(1)
    replays.sort(key=lambda each: folders.index(each.bag))
    found = metrics(replays, failed, jobs[0].asked)
    _show(replays, found, jobs[0])
    spent = timings(replays, time.monotonic() - began, _peak_mib())
    for path in filter(None, (out / "metrics.json", json)):
        write_json(path, found)
    write_json(out / "timings.json", spent)
    places = {each.bag: said or camera_place(robot, each) for each in replays}
    lost = write_files(out, replays, jobs, places, found, spent, next(iter(asked)), video, rerun)
    wall = time.monotonic() - began
    console.print(
        f"{spent['bag_seconds']:.0f} s of recordings in {wall:.0f} s, {spent['bag_seconds'] / wall:.1f} x real time, "
        f"at most {spent['peak_mib']:.0f} MiB; look at {out / 'report.html'}."
    )
    for reason in lost:
        typer.echo(reason, err=True)
    silent = [name for name, policy in found["policies"].items() if not policy["plans"] and name in asked]
    for name in silent:
        typer.echo(f"{name} never planned: {_why(found['policies'][name])}", err=True)
    if silent or failed or lost:
        raise typer.Exit(1)


def _replays(jobs: Sequence[Job], workers: int, progress: Progress, failed: dict[str, str]) -> Iterator[BagReplay]:
    """failed: takes the name of each bag that could not be replayed, and why; the others are not lost with it."""
    if workers == 1 or len(jobs) == 1:
        for job in jobs:
            show = partial(_advance, progress, progress.add_task(job.name, total=None))
            try:
                yield replay(job, show)
            except ValueError as error:
                failed[job.name] = str(error)
        return
    task = progress.add_task("bags", total=len(jobs))
    # Not forked: torch's threads do not survive that.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        names = {pool.submit(replay, job): job.name for job in jobs}
        for done in as_completed(names):
            progress.update(task, advance=1)
            try:
                yield done.result()
            except (ValueError, BrokenProcessPool) as error:
                failed[names[done]] = f"{names[done]}: {error}"


def _advance(progress: Progress, task: TaskID, done: float, seconds: float) -> None:
    progress.update(task, completed=done, total=seconds)


def _show(replays: Sequence[BagReplay], found: dict[str, Any], job: Job) -> None:
    asked = {name: f"as asked: {value}" for name, value in job.asked.items() if name in ("goal", "instruction")}
    show_table(
        "topics", ("role", "topic"), [(role, asked.get(role, name)) for role, name in describe(replays[0].topics)]
    )
    for each in replays:
        if each.findings:
            rows = [(finding.kind, finding.count, finding.first) for finding in each.findings]
            show_table(f"{each.name}: what is wrong with it", ("finding", "times", "first"), rows)
    scores = {name: scores_of(replays, name) for name in policy_names(replays)}
    seconds = sorted({second for each in scores.values() for second in each.error}, key=int)
    show_table(
        "plans against what the robot then did",
        ("policy", "plans", "ADE m", "FDE m", *(f"{s} s m" for s in seconds), "MAOE deg", "yaw deg", "jump m"),
        (
            (
                name,
                f"{each.scored} of {each.plans}",
                *(number(value, 2) for value in (each.ade, each.fde, *(each.error.get(s) for s in seconds))),
                *(number(value, 1) for value in (each.maoe, each.heading)),
                number((each.jump or {}).get("p50"), 2),
            )
            for name, each in scores.items()
        ),
    )
    if found["together"]:
        show_table(*same_moments(found))
    why = [(name, _why(policy)) for name, policy in found["policies"].items()]
    show_table("pictures without a plan, plans not to be driven", ("policy", "reasons"), (row for row in why if row[1]))


def _why(policy: dict[str, Any]) -> str:
    """Refusals, broken rules and pictures that were not planned from."""
    return ", ".join(f"{name} {count}" for name, count in reasons(policy).items())


def _peak_mib() -> float:
    """Of this process and, apart from it, its largest worker."""
    usage = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(usage) / 1024.0
