"""The page that is read after a replay: one file, which needs no network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from wam_tools.replay.figures import errors_over_time, latency_histogram, map_of_plans
from wam_tools.replay.job import BagReplay
from wam_tools.replay.metrics import MOTIONS, number, reasons, same_moments
from wam_tools.replay.mounts import CameraPlace, why_not_drawn
from wam_tools.replay.worst import worst_moments

# Bytes of video in the page, together; more makes it slow to open and too large to send by mail.
_EMBEDDED = 12 * 2**20


@dataclass(frozen=True)
class _Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_report(
    path: Path,
    replays: Sequence[BagReplay],
    found: dict[str, Any],
    spent: dict[str, Any],
    main: str,
    places: Mapping[Path, CameraPlace | None],
    videos: Mapping[Path, Path],
) -> None:
    """found, spent: see metrics.metrics and metrics.timings; main: the policy that it is about; places: of the first
    cameras, by bag, and None where it is not known; videos: files by bag, in or below the page's folder, of bags that
    have one. Small videos become part of the page, the others are played from beside it."""
    sources = _video_sources(path.parent, [videos[replay.bag] for replay in replays if replay.bag in videos])
    names = list(found["policies"])
    taken = {name: _plan_milliseconds(replays, name) for name in spent["policies"]}
    page = _template().render(
        main=main,
        asked=", ".join(f"{name} {value}" for name, value in found["asked"].items()),
        bags=found["bags"],
        seconds=sum(bag["seconds"] for bag in found["bags"]),
        pictures=sum(bag["pictures"] for bag in found["bags"]),
        tables=_tables(found),
        runs=[
            {
                "bag": replay.name,
                "video": sources.get(videos.get(replay.bag), ""),
                "not_drawn": why_not_drawn(replay, places[replay.bag]),
                "errors": errors_over_time(replay, names),
                "map": map_of_plans(replay, main),
            }
            for replay in replays
        ],
        moments=worst_moments(replays, main, places),
        latency=latency_histogram(slow) if (slow := _that_take_time(taken)) else "",
        stages=_stages(spent),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page)


def _video_sources(folder: Path, videos: Sequence[Path]) -> dict[Path | None, str]:
    """What the page plays each of them from: itself, up to _EMBEDDED bytes of videos, in the order of the bags, or a
    file below `folder`."""
    sources: dict[Path | None, str] = {}
    left = _EMBEDDED
    for video in videos:
        size = video.stat().st_size
        if size <= left:
            left -= size
            sources[video] = "data:video/mp4;base64," + base64.b64encode(video.read_bytes()).decode()
        else:
            sources[video] = quote(video.relative_to(folder).as_posix())
    return sources


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("report.html.jinja")


def _tables(found: dict[str, Any]) -> list[_Table]:
    policies = found["policies"]
    seconds = sorted({second for each in policies.values() for second in each["error"]}, key=int)
    whys = sorted({why for each in policies.values() for why in reasons(each)})
    motions = [motion for motion in MOTIONS if any(motion in each["motions"] for each in policies.values())]
    tables = [
        _Table(
            "All bags",
            ("policy", "model", "plans", "scored", "ADE m", "FDE m", "MAOE deg", "yaw deg", "jump p50 m", "jump p95 m"),
            [
                (
                    *(name, each["model_id"], str(each["plans"]), str(each["scored"])),
                    *(number(each[key], 2) for key in ("ade", "fde")),
                    *(number(each[key], 1) for key in ("maoe", "heading")),
                    *(number((each["jump"] or {}).get(key), 3) for key in ("p50", "p95")),
                )
                for name, each in policies.items()
            ],
        ),
        _Table(
            "Distance to the truth after so many seconds, m",
            ("policy", *(f"{second} s" for second in seconds)),
            [(name, *(number(each["error"].get(s), 2) for s in seconds)) for name, each in policies.items()],
        ),
        _Table(*same_moments(found)),
        _Table(
            "ADE by what the robot did, m (plans)",
            ("policy", *motions),
            [(name, *(_motion(each["motions"].get(m)) for m in motions)) for name, each in policies.items()],
        ),
        _Table(
            "Pictures without a plan, and plans that the robot would not have driven",
            ("policy", *whys),
            [(name, *(str(reasons(each).get(why, 0)) for why in whys)) for name, each in policies.items()],
        ),
        _Table("Bags that could not be replayed", ("bag", "why"), list(found["failed"].items())),
        _Table(
            "What is wrong with the recordings",
            ("bag", "finding", "times", "first"),
            [
                (bag["bag"], finding["kind"], str(finding["count"]), finding["first"])
                for bag in found["bags"]
                for finding in bag["findings"]
            ],
        ),
    ]
    return [table for table in tables if table.rows and len(table.columns) > 1]


def _stages(spent: dict[str, Any]) -> _Table:
    return _Table(
        "ms of a plan and of its stages on the machine that replayed it",
        ("policy", "stage", "p50", "p99"),
        [
            (name, stage, number(each["p50"], 1), number(each["p99"], 1))
            for name, of_it in spent["policies"].items()
            for stage, each in {"all": of_it["plan_ms"], **of_it["stages_ms"]}.items()
            if each["p99"] > 0.0
        ],
    )


def _plan_milliseconds(replays: Sequence[BagReplay], name: str) -> list[float]:
    rides = (replay.models[name] for replay in replays if name in replay.models)
    return [sum(stages.values()) for ride in rides for stages in ride.timings]


def _that_take_time(taken: dict[str, list[float]]) -> dict[str, list[float]]:
    """Baselines do not."""
    return {name: values for name, values in taken.items() if any(value > 0.0 for value in values)}


def _motion(scores: dict[str, Any] | None) -> str:
    return "-" if scores is None else f"{number(scores['ade'], 2)} ({scores['plans']})"
