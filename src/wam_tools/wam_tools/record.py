"""`wam record`: the recorder as a process, ended by Ctrl-C, and the table of what it got."""

from __future__ import annotations

import json as json_text
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from wam_models.data.bag_reader import BagReader
from wam_planner.bringup import CarlaOptions, Row, programs
from wam_planner.bringup.carla import car_topics
from wam_planner.bringup.recording import recorder_row
from wam_planner.processes import run_table
from wam_tools.message_types import typestore
from wam_tools.output import console, show_table, write_json
from wam_tools.recorder.recording import REPORT_NOTE
from wam_tools.recorder.settings import check_room

app = typer.Typer()

_TOLERATED = 2.5  # s too slow: one window of the watchdog


@app.command("record")
def record(
    robot: Annotated[str, typer.Argument(help="go2 or carla: what its topics are called, and which clock.")] = "go2",
    out: Annotated[Path, typer.Option(help="Folder in which the bag is made.")] = Path("bags"),
    name: Annotated[str, typer.Option(help="Of the bag; default: the time.")] = "",
    cameras: Annotated[str, typer.Option(help="Those that are recorded: front, or front,left,right.")] = "front",
    raw: Annotated[bool, typer.Option("--raw", help="Pixels in place of JPEGs, many times as large.")] = False,
    role_name: Annotated[str, typer.Option(help="Of a car in CARLA.")] = CarlaOptions.role_name,
    note: Annotated[str, typer.Option(help="A line about the run that is kept in the bag.")] = "",
    seconds: Annotated[
        float | None, typer.Option(min=1.0, help="s until it ends, its start included; default: until Ctrl-C.")
    ] = None,
    free_disk: Annotated[float, typer.Option(help="GB of the disk that stay free: it ends before.")] = 1.0,
    json: Annotated[Path | None, typer.Option(help="Write the report to this file too.")] = None,
) -> None:
    """Record what a running robot sees, is told, plans and does, until Ctrl-C. What was recorded up to a crash can be
    had by `wam bag repair`. Exit status 1 when pictures or odometry did not come or came too slowly, a message was
    lost, or the disk ran out."""
    bag = out / (name or time.strftime("%Y-%m-%d_%H-%M-%S"))
    try:
        if name and Path(name).name != name:
            raise ValueError(f"--name is {name!r}: it is the name of a folder in --out, without a /")
        check_room(bag, 1e9 * free_disk)
        parameters = {"bag": str(bag), "cameras": cameras, "note": note, "free_disk": free_disk}
        row = _row(robot, role_name, parameters | {"pictures": "raw" if raw else "compressed"})
        # What was cut off is a bag of its own; another recorder would be another bag.
        program = programs((replace(row, respawn=False),))
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    timer = threading.Timer(seconds or 0.0, stop.set)
    if seconds is not None:
        timer.start()
    run_table(program, stop=stop)
    timer.cancel()
    report = _report(bag)
    if json is not None:
        write_json(json, report)
    complaints = _complaints(report)
    _show(report)
    for complaint in complaints:
        typer.echo(complaint, err=True)
    raise typer.Exit(1 if complaints else 0)


def _row(robot: str, role_name: str, parameters: dict[str, Any]) -> Row:
    if robot == "go2":
        return recorder_row("go2", {}, parameters)
    if robot == "carla":
        odometry, pictures, calibrations = car_topics(role_name)
        return recorder_row("carla", {**odometry, **pictures, **calibrations}, parameters, simulated_time=True)
    raise ValueError(f"robot is {robot!r}: give go2 or carla")


def _report(bag: Path) -> dict[str, Any]:
    """As the recorder left it, see Recording.report."""
    fault = (
        f"{bag} was not ended: `wam bag repair {bag}` mends it" if any(bag.glob("*.mcap")) else "nothing was recorded"
    )
    empty: dict[str, Any] = {"bag": str(bag), "bytes": 0, "fault": fault, "topics": {}}
    try:
        with BagReader(bag, typestore) as reader:
            found: dict[str, Any] = json_text.loads(reader.notes.get(REPORT_NOTE, "null")) or empty
    except ValueError:
        return empty
    return found


def _complaints(report: dict[str, Any]) -> list[str]:
    """What makes the bag less than it should be, a sentence each."""
    found = [report["fault"]] if report["fault"] else []
    for topic, each in report["topics"].items():
        if each["minimum"] > 0 and not each["messages"]:
            found.append(
                f"nothing came on {topic}: does the robot send it, is its bridge up, and is this its ROS_DOMAIN_ID?"
            )
        if each["seconds_below"] > _TOLERATED:
            found.append(f"{topic} came too slowly for {each['seconds_below']:.0f} s: less than {each['minimum']:g} Hz")
        if each["lost"] + each["dropped"]:
            found.append(f"{topic} lacks {each['lost'] + each['dropped']} messages that were sent")
    return found


def _show(report: dict[str, Any]) -> None:
    rows = [
        (
            *(topic, each["messages"], f"{each['rate']:.1f}", f"{each['longest_silence']:.2f}"),
            *(each["lost"], each["dropped"], f"{each['seconds_below']:.0f}" if each["minimum"] > 0 else ""),
        )
        for topic, each in report["topics"].items()
        if each["messages"] or each["minimum"] > 0
    ]
    columns = ("topic", "messages", "Hz", "longest silence s", "lost", "dropped", "s too slow")
    show_table(f"{report['bag']}, {1e-6 * report['bytes']:.0f} MB", columns, rows)
    if absent := [topic for topic, each in report["topics"].items() if not each["messages"]]:
        console.print(f"nothing on {', '.join(absent)}", highlight=False)
