"""`wam bag check`: is this bag good enough to replay, and to train on?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, TaskID

from wam_models.data.store import find_bags
from wam_tools.bag.health import SPEEDS, Health, measure
from wam_tools.bag.rules import Check, checks, percent
from wam_tools.output import console, show_table, write_json

app = typer.Typer()

_BAR = 40  # characters of the whole


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
        paths = find_bags(bags)
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
        f"{path}: {health.seconds:.1f} s, pictures: {_pictures(health)}",
        ("", "what", "found", "rule"),
        [(said[each.ok], each.name, each.found, each.rule) for each in rules],
    )
    if health.motion is not None:
        shares = list(zip(SPEEDS, (*SPEEDS[1:], None), health.motion.speeds))
        last = max(number for number, (_, _, share) in enumerate(shares) if share > 0 or number == 0)
        rows = [
            (f"{low:g} to {high:g}" if high else f"above {low:g}", percent(share), round(_BAR * share) * "#")
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
        "cameras": {name: asdict(camera) for name, camera in health.cameras.items()},
        "odometry": asdict(health.odometry),
        "motion": None if health.motion is None else asdict(health.motion),
        "speed_edges": list(SPEEDS),
        "instructions": health.told,
        "goals": health.aimed,
        "checks": {each.name: each.ok for each in rules},
        "findings": [asdict(finding) for finding in health.findings],
    }


def _pictures(health: Health) -> str:
    """How many of each camera, and how large."""
    said = (
        f"{name} {camera.stream.count} of {camera.pictures.size[1]} x {camera.pictures.size[0]}"
        for name, camera in health.cameras.items()
    )
    return ", ".join(said)
