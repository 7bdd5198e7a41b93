"""`wam bag info`: what a bag holds, at a glance and without ROS."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from wam_models.data.about import read_about
from wam_models.data.bag_reader import BagReader
from wam_models.data.topics import describe, guess_topics
from wam_tools.message_types import typestore
from wam_tools.output import show_table, write_json

app = typer.Typer()


@app.command("info")
def show_bag(
    bags: Annotated[list[Path], typer.Argument(help="rosbag2 folders, or .mcap and .db3 files.")],
    json: Annotated[Path | None, typer.Option(help="Write it to this file too.")] = None,
) -> None:
    """What is in these bags, who recorded them, and which topics a replay or a training would take. Exit status 1 when
    one cannot be read."""
    found, failed = [], False
    for bag in bags:
        try:
            found.append(_look(bag))
        except ValueError as error:
            typer.echo(str(error), err=True)
            failed = True
            continue
        _show(found[-1])
    if json is not None:
        write_json(json, {"bags": found})
    raise typer.Exit(1 if failed else 0)


def _look(path: Path) -> dict[str, Any]:
    with BagReader(path, typestore) as bag:
        seconds = bag.end - bag.start
        files = [path] if path.is_file() else [file for file in path.iterdir() if file.is_file()]
        try:
            roles = {role: topic for role, topic in describe(guess_topics(bag.channels)) if topic != "none"}
        except ValueError:  # no camera
            roles = {}
        return {
            "bag": str(path),
            "start": bag.start,
            "seconds": seconds,
            "bytes": sum(file.stat().st_size for file in files),
            "topics": [
                {
                    "topic": channel.topic,
                    "type": channel.kind,
                    "messages": channel.count,
                    "rate": channel.count / seconds if seconds > 0 else None,
                    "readable": channel.readable,
                }
                for channel in bag.channels
            ],
            "roles": roles,
            "about": dict(read_about(bag)),
            "model": _model(bag),
        }


def _model(bag: BagReader) -> str:
    """Id with hash of what planned first; empty where nothing did."""
    ours = {each.topic for each in bag.channels if each.kind == "wam_msgs/msg/PlannerStatus"}
    for _, _, message in bag.messages(ours):
        if message.model_id:
            return str(message.model_id)
    return ""


def _show(found: dict[str, Any]) -> None:
    about = found["about"]
    rows = [
        ("recorded", f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(found['start']))}, {found['seconds']:.1f} s"),
        ("size", f"{1e-6 * found['bytes']:.1f} MB"),
        ("robot", about.get("robot", "")),
        ("note", about.get("note", "")),
        ("model", found["model"]),
        ("code", about.get("commit", "")),
        ("host", about.get("host", "")),
        *((role, topic) for role, topic in found["roles"].items()),
    ]
    show_table(found["bag"], ("", ""), [row for row in rows if row[1]])
    show_table(
        "",
        ("topic", "type", "messages", "Hz"),
        [
            (
                *(each["topic"], each["type"] + ("" if each["readable"] else " (not defined in the bag)")),
                *(each["messages"], "" if each["rate"] is None else f"{each['rate']:.1f}"),
            )
            for each in found["topics"]
        ],
    )
