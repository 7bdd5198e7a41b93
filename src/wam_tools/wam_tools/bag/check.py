"""`wam bag check`: is this bag good enough to replay, and to train on?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, TaskID

from wam_models.data.store import bag_folders
from wam_tools.bag.health import SPEEDS, Health, measure
from wam_tools.output import console, show_table, write_json

app = typer.Typer()

_BAR = 40  # characters of the whole


@dataclass(frozen=True)
class Check:
    """ok: None for what is only said; why: what a break of the rule does, and what mends it."""

    name: str
    found: str
    rule: str
    ok: bool | None
    why: str = ""


def checks(health: Health) -> list[Check]:
    """All rules against one bag."""
    camera, odometry, pictures, motion = health.camera, health.odometry, health.pictures, health.motion
    found = [
        Check(
            "picture rate",
            f"{camera.rate:.1f} Hz",
            "5 Hz or more",
            camera.rate >= 5.0,
            "models look back in steps of 0.2 to 0.25 s: raise the camera's rate",
        ),
        Check(
            "longest gap of pictures",
            f"{camera.gap:.2f} s",
            "0.5 s or less",
            camera.gap <= 0.5,
            "windows across a gap show one picture twice: record over a cable, or cut the bag there",
        ),
        Check(
            "jitter of picture stamps",
            f"{1e3 * camera.jitter:.0f} ms",
            "half an interval or less",
            camera.jitter <= 0.5 / camera.rate,
            "are pictures stamped when they were taken, or when they were sent?",
        ),
        Check(
            "delay of pictures",
            f"{camera.delay:.3f} s",
            "-0.05 to 0.3 s",
            -0.05 <= camera.delay <= 0.3,
            "stamps are by another clock, or late: synchronise the clocks (chrony), or expect `two_clocks` in a replay",
        ),
        Check(
            "unreadable pictures",
            _percent(pictures.unreadable),
            "none",
            pictures.unreadable == 0.0,
            "cut that part out",
        ),
        Check(
            "repeated pictures",
            _percent(pictures.repeated),
            "1 % or less",
            pictures.repeated <= 0.01,
            "the camera or its driver froze: a model learns that nothing moves",
        ),
        Check(
            "exposure",
            f"{pictures.brightness:.0f} of 255; {_percent(pictures.dark)} dark, {_percent(pictures.bright)} bright",
            "5 % dark or bright at the most",
            pictures.dark + pictures.bright <= 0.05,
            "the model sees black or white there: set the camera's exposure",
        ),
        Check("camera_info", "yes" if health.calibrated else "none: no plan is drawn into pictures", "", None),
    ]
    if motion is None:
        why = "plans and pictures only: nothing can be scored or trained without it; see `--topics`"
        return [*found, Check("odometry", "no", "there", False, why)]
    found += [
        Check(
            "odometry rate",
            f"{odometry.rate:.1f} Hz",
            "10 Hz or more",
            odometry.rate >= 10.0,
            "poses between two samples are guessed",
        ),
        Check(
            "longest gap of odometry",
            f"{odometry.gap:.2f} s",
            "0.5 s or less",
            odometry.gap <= 0.5,
            "no plan across it is scored, and poses in it are a straight line: cut the bag there",
        ),
        Check(
            "picture to nearest odometry",
            f"{1e3 * health.sync:.0f} ms, p99",
            "100 ms or less",
            health.sync <= 0.1,
            "the planner calls it UNSYNCED and does not plan: are both stamped by one clock?",
        ),
        Check(
            "twist against poses",
            f"{motion.twist_error:.2f} m/s, {motion.yaw_rate_error:.2f} rad/s",
            "0.15 m/s, 0.2 rad/s or less",
            None if math.isnan(motion.twist_error) else motion.twist_error <= 0.15 and motion.yaw_rate_error <= 0.2,
            "the twist is not in base_link, has another sign, or the clock is off: see the driver's frame of velocity",
        ),
        Check(
            "standing",
            _percent(motion.standing),
            "60 % or less",
            motion.standing <= 0.6,
            "a model that mostly sees a robot stand learns to stand: cut the ends off",
        ),
        Check(
            "turning",
            f"{_percent(motion.left)} left, {_percent(motion.right)} right",
            "",
            None,
        ),
        Check("way", f"{motion.metres:.1f} m in {health.seconds:.1f} s", "", None),
    ]
    return found


@app.command("check")
def check_bags(
    bags: Annotated[
        list[Path], typer.Argument(help="Bags: rosbag2 folders, folders of them, or .mcap and .db3 files.")
    ],
    topics: Annotated[Path | None, typer.Option(help="YAML that names the topics; default: guessed.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the numbers to this file too.")] = None,
) -> None:
    """Rates, gaps, jitter, sync, speeds and exposure against the rules that replay and training need. Exit status 1
    when one is broken, or a bag cannot be read."""
    found: list[dict[str, Any]] = []
    failed = False
    try:
        paths = [path for bag in bags for path in ([bag] if bag.is_file() else bag_folders([bag]))]
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for path in paths:
        try:
            with Progress(console=console, transient=True) as progress:
                task = progress.add_task(f"reading {path}", total=1.0)
                health = measure(path, topics, partial(_advance, progress, task))
        except ValueError as error:
            typer.echo(str(error), err=True)
            failed = True
            continue
        rules = checks(health)
        _show(path, health, rules)
        found.append(_as_json(path, health, rules))
    if json is not None:
        write_json(json, {"bags": found})
    raise typer.Exit(1 if failed or not all(bag["ok"] for bag in found) else 0)


def _advance(progress: Progress, task: TaskID, share: float) -> None:
    progress.update(task, completed=share)


def _show(path: Path, health: Health, rules: Sequence[Check]) -> None:
    said = {True: "ok", False: "NO", None: ""}
    show_table(
        f"{path}: {health.seconds:.1f} s, {health.camera.count} pictures of {_size(health)}",
        ("", "what", "found", "rule"),
        [(said[each.ok], each.name, each.found, each.rule) for each in rules],
    )
    if health.motion is not None:
        shares = list(zip(SPEEDS, (*SPEEDS[1:], None), health.motion.speeds))
        last = max(number for number, (_, _, share) in enumerate(shares) if share > 0 or number == 0)
        rows = [
            (f"{low:g} to {high:g}" if high else f"above {low:g}", _percent(share), round(_BAR * share) * "#")
            for low, high, share in shares[: last + 1]
        ]
        show_table("speed", ("m/s", "time", ""), rows)
    for each in rules:
        if each.ok is False:
            console.print(f"{each.name}: {each.why}", highlight=False, markup=False)
    for finding in health.findings:
        console.print(f"{finding.kind}, {finding.count} times: {finding.first}", highlight=False, markup=False)


def _as_json(path: Path, health: Health, rules: Sequence[Check]) -> dict[str, Any]:
    return {
        "bag": str(path),
        "ok": all(each.ok is not False for each in rules),
        "seconds": health.seconds,
        "camera": asdict(health.camera),
        "odometry": asdict(health.odometry),
        "pictures": asdict(health.pictures),
        "motion": None if health.motion is None else asdict(health.motion),
        "speed_edges": list(SPEEDS),
        "sync": health.sync,
        "calibrated": health.calibrated,
        "instructions": health.told,
        "goals": health.aimed,
        "checks": {each.name: each.ok for each in rules},
        "findings": [asdict(finding) for finding in health.findings],
    }


def _size(health: Health) -> str:
    height, width = health.pictures.size
    return f"{width} x {height}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
