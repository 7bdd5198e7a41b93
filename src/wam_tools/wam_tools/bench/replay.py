"""`wam bench replay`: how fast a long recording is read and replayed, and whether memory stays flat meanwhile."""

from __future__ import annotations

import json as json_text
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import psutil
import typer
from rich.progress import Progress, track
from rosbags.highlevel import AnyReader

from wam_models.data.bag_reader import BagReader
from wam_models.data.bag_writer import whole_bag
from wam_tools.bag.made_bag import MadeBag
from wam_tools.output import console, show_table, write_json

app = typer.Typer(help="How fast a long recording is read and replayed, and the memory that takes.")

_ROUNDS = 3  # of reading, one reader after the other
_SAMPLE = 0.5  # s between two looks at the memory
_CAMERA, _ODOMETRY = 10.0, 50.0  # Hz
_PARTS = 5  # of the replay, whose memory is shown
_FLAT = 64.0  # MiB that the second half may need more than the first
_READING = 0.9  # of the rate of rosbags


@app.command()
def replay(
    seconds: Annotated[float, typer.Option(min=20.0, help="Length of the recording.")] = 600.0,
    size: Annotated[
        str, typer.Option(help="Of a picture, width x height in px; 512x288 are as many pixels as 384x384.")
    ] = "512x288",
    model: Annotated[str, typer.Option(help="A bundled model, a checkpoint directory or a baseline.")] = "metis-yard",
    bag: Annotated[Path | None, typer.Option(help="A recording of yours instead of a made one.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file too.")] = None,
) -> None:
    """A made recording of pictures at 10 Hz and odometry at 50 Hz, read by `wam` and by rosbags alone, then through
    `wam replay` as a process. Exit status 1 when the replay is slower than the recording, its memory grows by more than
    64 MiB after the first half, or reading is below 90 % of rosbags."""
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"size is {size!r}: it must be like 512x288")
    with tempfile.TemporaryDirectory() as folder:
        path = bag or _made(Path(folder) / "bag", seconds, (int(height), int(width)))
        reading = _reading(path)
        found = {
            "bag": {"seconds": _seconds(path), "bytes": sum(file.stat().st_size for file in path.glob("*"))},
            "reading": reading,
            "replay": _replayed(path, model, Path(folder) / "out"),
        }
    _show(found)
    if json is not None:
        write_json(json, found)
    good = found["replay"]["times_real_time"] > 1.0 and found["replay"]["growth_mib"] < _FLAT
    raise typer.Exit(0 if good and reading["ratio"] >= _READING else 1)


def _made(path: Path, seconds: float, size: tuple[int, int]) -> Path:
    """A robot on a wide arc that sees soft shapes pass."""
    speed, yaw_rate = 0.6, 0.05
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (size[0] // 16, 4 * size[1] // 16, 3), dtype=np.uint8)
    wide = cv2.resize(coarse, (4 * size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    with whole_bag(path) as writer:
        made = MadeBag(writer, 1e9)
        made.tell("walk to the goal")
        made.aim((8.0, 0.0))
        every = round(_ODOMETRY / _CAMERA)
        for number in track(range(int(seconds * _ODOMETRY)), "recording", console=console, transient=True):
            now = number / _ODOMETRY
            yaw = yaw_rate * now
            radius = speed / yaw_rate
            made.move(now, (radius * math.sin(yaw), radius * (1 - math.cos(yaw)), yaw), (speed, 0.0, yaw_rate))
            if number % every == 0:
                shift = 3 * number // every % (3 * size[1])
                made.see(now, np.ascontiguousarray(wide[:, shift : shift + size[1]]))
    return path


def _seconds(path: Path) -> float:
    with BagReader(path) as bag:
        return bag.end - bag.start


def _reading(path: Path) -> dict[str, float]:
    """Messages/s, the median of some rounds in turns."""
    rates: dict[str, list[float]] = {"wam": [], "rosbags": []}
    for _ in track(range(_ROUNDS), "reading", console=console, transient=True):
        for name, read in (("wam", _ours), ("rosbags", _theirs)):
            began = time.perf_counter()
            count = sum(1 for _ in read(path))
            rates[name].append(count / (time.perf_counter() - began))
    ours, theirs = (statistics.median(rates[name]) for name in ("wam", "rosbags"))
    return {"messages_per_s": ours, "rosbags_messages_per_s": theirs, "ratio": ours / theirs}


def _ours(path: Path) -> Iterator[Any]:
    with BagReader(path) as bag:
        yield from bag.messages()


def _theirs(path: Path) -> Iterator[Any]:
    with AnyReader([path]) as bag:
        for connection, _, raw in bag.messages():
            yield bag.deserialize(raw, connection.msgtype)


def _replayed(path: Path, model: str, out: Path) -> dict[str, Any]:
    """Of the command as people run it, its report and video included."""
    words = [sys.executable, "-m", "wam_tools", "replay", str(path), "--model", model, "--out", str(out)]
    memory: list[float] = []
    with Progress(console=console, transient=True) as progress:
        progress.add_task("replaying", total=None)
        began = time.monotonic()
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        watched = psutil.Process(process.pid)
        said = _drained(process, lambda: memory.append(_resident(watched)))
        wall = time.monotonic() - began
    if process.returncode != 0:
        raise typer.BadParameter(f"the replay ended with {process.returncode}: {said.strip()[-400:]}")
    spent = json_text.loads((out / "timings.json").read_text())
    parts = [max(part) for part in np.array_split(np.array(memory), _PARTS)]
    first, second = np.array_split(np.array(memory), 2)
    return {
        "model": model,
        "wall_seconds": wall,
        "times_real_time": _seconds(path) / wall,
        "memory_mib": [float(part) for part in parts],
        "growth_mib": float(second.max() - first.max()),
        "plan_ms": spent["policies"][model]["plan_ms"] if model in spent["policies"] else None,
    }


def _drained(process: subprocess.Popen[str], look: Callable[[], None]) -> str:
    """What it says until it ends; look: called now and then."""
    while True:
        look()
        try:
            return process.communicate(timeout=_SAMPLE)[0]
        except subprocess.TimeoutExpired:
            continue


def _resident(process: psutil.Process) -> float:
    """MiB; 0 once it is gone."""
    try:
        return float(process.memory_info().rss) / 2**20
    except psutil.NoSuchProcess:
        return 0.0


def _show(found: dict[str, Any]) -> None:
    bag, reading, replayed = found["bag"], found["reading"], found["replay"]
    rows = [
        ("recording", f"{bag['seconds']:.0f} s, {1e-6 * bag['bytes']:.0f} MB"),
        ("reading", f"{reading['messages_per_s']:.0f} messages/s, {100 * reading['ratio']:.0f} % of rosbags"),
        ("replay", f"{replayed['wall_seconds']:.0f} s, {replayed['times_real_time']:.1f} x real time"),
        ("memory by fifth", " ".join(f"{part:.0f}" for part in replayed["memory_mib"]) + " MiB"),
        ("growth in the second half", f"{replayed['growth_mib']:.0f} MiB"),
    ]
    if replayed["plan_ms"]:
        rows.append(("a plan", f"{replayed['plan_ms']['p50']:.1f} ms, p99 {replayed['plan_ms']['p99']:.1f} ms"))
    show_table(f"replay of {replayed['model']}", ("", ""), rows)
