"""`wam bench bridge`: what the CARLA bridge carries to another process through real DDS, picture by picture."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import psutil
import typer
from rich.progress import Progress, TaskID

from wam_planner.bringup import CarlaOptions, carla_table, programs
from wam_planner.processes import Processes, Program
from wam_tools.bench.picture_reader_node import PictureReader
from wam_tools.output import console, show_table, write_json

app = typer.Typer(help="Pictures that the CARLA bridge carries to another process, and what is lost of them.")

_PATIENCE = 90.0  # s for a first picture of every camera, and between two
_WARM = 3.0  # s of simulated time that do not count
_PERIOD = 0.2  # s
# A clock paces it: a second in a minute is on time.
_BEHIND = 0.02


@dataclass(frozen=True)
class Case:
    """cameras: with commas; rate: Hz of simulated time; images: raw or compressed."""

    cameras: str
    rate: float
    images: str

    @property
    def topics(self) -> list[str]:
        kind = "image" if self.images == "raw" else "image/compressed"
        return [f"/carla/ego_vehicle/rgb_{name}/{kind}" for name in self.cameras.split(",")]


@dataclass(frozen=True)
class Carried:
    """expected, dropped: pictures of all cameras in `simulated_seconds`, which took wall_seconds; megabytes: all that
    came in them; bridge_cores, reader_cores: processor time a second of whom carries, the town and its traffic behind
    the bridge included, and of whom receives."""

    simulated_seconds: float
    expected: int
    dropped: int
    wall_seconds: float
    megabytes: float
    bridge_cores: float
    reader_cores: float

    @property
    def good(self) -> bool:
        return not self.dropped and self.wall_seconds <= (1.0 + _BEHIND) * self.simulated_seconds


CASES = tuple(
    Case(cameras, rate, images)
    for images in ("compressed", "raw")
    for cameras, rate in (("front,left,right", 10.0), ("front", 20.0))
)


@app.command()
def bridge(
    seconds: Annotated[float, typer.Option(min=1.0, help="Simulated seconds of each case.")] = 60.0,
    size: Annotated[str, typer.Option(help="Of a picture, width x height in px.")] = "640x480",
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file too.")] = None,
) -> None:
    """Pictures that the CARLA bridge carries to another process: three cameras at 10 Hz and one at 20 Hz, as JPEG and
    as pixels. The virtual CARLA draws each camera once. Exit status 1 when a picture was lost, or time fell behind."""
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"{size!r} is no size: 640x480 is one")
    carried: dict[Case, Carried] = {}
    try:
        with Progress(console=console, transient=True) as progress:
            for case in CASES:
                task = progress.add_task(f"{case.cameras} {case.rate:g} Hz {case.images}", total=seconds)
                carried[case] = carry(case, seconds, int(width), int(height), partial(_show, progress, task))
    except (TimeoutError, ValueError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    show_table(
        f"CARLA bridge, {size}, {seconds:g} s of simulated time each",
        ("cameras", "Hz", "images", "expected", "dropped", "MB/s", "s of the clock", "cores, bridge", "cores, reader"),
        (_row(case, values) for case, values in carried.items()),
    )
    if json is not None:
        write_json(json, {"size": size, "cases": [{**asdict(case), **asdict(carried[case])} for case in carried]})
    if not all(values.good for values in carried.values()):
        raise typer.Exit(1)


def carry(case: Case, seconds: float, width: int, height: int, progress: Callable[[float], None]) -> Carried:
    """One case, with the bridge in a process of its own. progress: called with the simulated seconds that have passed.
    Raises TimeoutError when no pictures come."""
    domain = random.SystemRandom().randint(1, 100)
    said: list[str] = []
    with (
        PictureReader(domain, case.topics, raw=case.images == "raw") as reader,
        Processes([_bridge(case, width, height, domain)], said.append) as processes,
    ):

        def wait_until(moment: float) -> None:
            seen, came = reader.seen_until, time.monotonic()
            while seen < moment:
                if processes.watch() is not None or time.monotonic() > came + _PATIENCE:
                    last = "\n".join(said[-5:])
                    raise TimeoutError(f"no pictures of {case.cameras} from the bridge, which said last:\n{last}")
                time.sleep(_PERIOD)
                if reader.seen_until > seen:
                    seen, came = reader.seen_until, time.monotonic()
                progress(max(seen - began, 0.0))

        began = float("inf")
        wait_until(0.0)
        # Half a period aside, so that no picture lies on an end of what counts.
        began = reader.seen_until + _WARM + 0.5 / case.rate
        wait_until(began)
        processed, clock = _processor_times(processes), time.monotonic()
        wait_until(began + seconds)
        spent, wall = _processor_times(processes), time.monotonic() - clock
        pictures = reader.between(began, began + seconds)
    expected = round(seconds * case.rate) * len(case.topics)
    return Carried(
        simulated_seconds=seconds,
        expected=expected,
        dropped=expected - len(pictures),
        wall_seconds=wall,
        megabytes=1e-6 * sum(pictures),
        bridge_cores=(spent[0] - processed[0]) / wall,
        reader_cores=(spent[1] - processed[1]) / wall,
    )


def _show(progress: Progress, task: TaskID, seconds: float) -> None:
    progress.update(task, completed=seconds)


def _bridge(case: Case, width: int, height: int, domain: int) -> Program:
    table = carla_table(CarlaOptions(sim=True, cameras=case.cameras, model="baseline:lane_blind"))
    row = next(each for each in table if each.name == "carla_bridge")
    row = replace(
        row,
        arguments=(*row.arguments, "--still", "--camera-size", f"{height}x{width}"),
        parameters={
            **row.parameters,
            "image_width": width,
            "image_height": height,
            "images": case.images,
            "camera_rate": case.rate,
        },
    )
    return replace(programs((row,))[0], respawn=False, environment={"ROS_DOMAIN_ID": str(domain)})


def _processor_times(processes: Processes) -> tuple[float, float]:
    """s that the bridge's process and this one have computed."""
    each = [psutil.Process(processes.pid("carla_bridge")).cpu_times(), psutil.Process().cpu_times()]
    return tuple(times.user + times.system for times in each)


def _row(case: Case, values: Carried) -> tuple[object, ...]:
    return (
        *(case.cameras, f"{case.rate:g}", case.images, values.expected, values.dropped),
        *(f"{values.megabytes / values.simulated_seconds:.1f}", f"{values.wall_seconds:.1f}"),
        *(f"{values.bridge_cores:.2f}", f"{values.reader_cores:.2f}"),
    )
