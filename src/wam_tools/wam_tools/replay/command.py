"""The command itself: options in, replays, table, files, exit status."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, TaskID

from wam_controller.parameter_files import read_parameters
from wam_controller.parameters import Value
from wam_models.data.bag_reader import BagReader
from wam_models.data.store import bag_folders
from wam_models.data.topics import describe, robot_in
from wam_planner.bringup import CarlaOptions, Go2Options, config_file, find_model
from wam_planner.settings import PLANNER
from wam_tools.output import console, show_table, write_json
from wam_tools.replay.job import BagReplay, Job, replay
from wam_tools.replay.metrics import metrics, number, policy_names, reasons, scores_of, timings
from wam_tools.replay.mounts import camera_place, parse_mount
from wam_tools.replay.overlay import write_overlay
from wam_tools.replay.predictions import write_predictions
from wam_tools.replay.report import write_report
from wam_tools.replay.rerun_log import load_rerun, write_rerun

app = typer.Typer()

_BASELINES = {
    "go2": ("stop", "constant_velocity", "straight"),
    "carla": ("stop", "constant_velocity", "lane_blind"),
}
_MODELS = {"go2": Go2Options.model, "carla": CarlaOptions.model}


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
        folders = _bags(bags)
        robot = _robot(folders)
        said = parse_mount(mount) if mount is not None else None
        if rerun:
            load_rerun()  # before the work, not after it
        settings = _settings(parameters or config_file(f"{robot}.yaml"), {"steps": steps, "seed": seed})
        asked = _named(model or [_MODELS[robot]])
        beside = {name: f"baseline:{name}" for name in _BASELINES[robot] if name not in asked}
        jobs = [
            Job(bag, name, asked | beside, settings, topics, start, end, every, instruction, goal)
            for bag, name in zip(folders, _told_apart(folders), strict=True)
        ]
        out.mkdir(parents=True, exist_ok=True)
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
    found = metrics(replays, failed)
    _show(replays, found)
    spent = timings(replays, time.monotonic() - began, _peak_mib())
    for path in filter(None, (out / "metrics.json", json)):
        write_json(path, found)
    write_json(out / "timings.json", spent)
    places = {each.bag: said or camera_place(robot, each) for each in replays}
    names = list(found["policies"])
    told, videos = {job.bag: job for job in jobs}, dict[Path, Path]()
    with Progress(console=console, transient=True) as progress:
        for each in replays:
            folder, job, place = out if len(jobs) == 1 else out / each.name, told[each.bag], places[each.bag]
            write_predictions(folder / "predictions.mcap", each)
            if rerun:
                write_rerun(folder / "replay.rrd", each, job, names, place)
            if video:
                videos[each.bag] = folder / "overlay.mp4"
                show = partial(_advance, progress, progress.add_task(f"video of {each.name}", total=None))
                write_overlay(videos[each.bag], each, job, names, place, show)
    write_report(out / "report.html", replays, found, spent, next(iter(asked)), places, videos)
    console.print(
        f"{spent['bag_seconds']:.0f} s of recordings in {spent['wall_seconds']:.0f} s, "
        f"{spent['x_real_time']:.1f} x real time, at most {spent['peak_mib']:.0f} MiB; look at {out / 'report.html'}."
    )
    silent = [name for name, policy in found["policies"].items() if not policy["plans"] and name in asked]
    for name in silent:
        typer.echo(f"{name} never planned: {_why(found['policies'][name])}", err=True)
    if silent or failed:
        raise typer.Exit(1)


def _bags(paths: Sequence[Path]) -> list[Path]:
    """Raises BagError for a folder without a bag."""
    found = []
    for path in paths:
        loose = [] if (path / "metadata.yaml").exists() else sorted([*path.glob("*.mcap"), *path.glob("*.db3")])
        whole = not path.is_dir() or (path / "metadata.yaml").exists()
        found += loose or ([path] if whole else bag_folders([path]))
    return found


def _told_apart(bags: Sequence[Path]) -> list[str]:
    """The shortest ends of their paths that differ; `bag`, as runs of the demo call theirs, says nothing alone."""
    parts = [bag.resolve().parts for bag in bags]
    for length in range(2 if any(each[-1] == "bag" for each in parts) else 1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(names):
            return names
    raise ValueError("a bag is named twice: name each of them once")


def _robot(bags: Sequence[Path]) -> str:
    """Whose bags they are. Raises ValueError when they are of several."""
    found = set()
    for path in bags:
        with BagReader(path) as bag:
            found.add(robot_in(bag.channels))
    if len(found) > 1:
        raise ValueError("bags of a car and of a walking robot: replay those of one robot at a time")
    return found.pop()


def _settings(file: Path, options: Mapping[str, Value | None]) -> dict[str, Value]:
    """What the file says, and above it the options that are given. Raises ValueError with the rule."""
    given = {name: value for name, value in options.items() if value is not None}
    said = {**read_parameters(file, "planner"), **given}
    said.pop("use_sim_time", None)  # every node has it; a recording is its own clock
    unknown = sorted(said.keys() - {each.name for each in PLANNER})
    wrong = [f"unknown parameter {name}" for name in unknown]
    wrong += [each.violation(said[each.name]) for each in PLANNER if each.name in said]
    if any(wrong):
        raise ValueError(f"{file}: " + "; ".join(filter(None, wrong)))
    return {each.name: each.default for each in PLANNER} | said


def _named(models: Sequence[str]) -> dict[str, str]:
    """The models by short names that tell them apart."""
    named: dict[str, str] = {}
    for model in models:
        short = model.removeprefix("baseline:") if model.startswith("baseline:") else Path(model).name
        number = sum(name.partition("#")[0] == short for name in named)
        named[f"{short}#{number + 1}" if number else short] = find_model(model)
    return named


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


def _show(replays: Sequence[BagReplay], found: dict[str, Any]) -> None:
    show_table("topics", ("role", "topic"), describe(replays[0].topics))
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
    why = [(name, _why(policy)) for name, policy in found["policies"].items()]
    show_table("pictures without a plan, plans not to be driven", ("policy", "reasons"), (row for row in why if row[1]))


def _why(policy: dict[str, Any]) -> str:
    """Refusals, broken rules and pictures that were not planned from."""
    return ", ".join(f"{name} {count}" for name, count in reasons(policy).items())


def _peak_mib() -> float:
    """Of this process and, apart from it, its largest worker."""
    usage = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return max(usage) / 1024.0
