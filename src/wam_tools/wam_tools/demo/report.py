"""A run in numbers: from its recording to a row of the table and an entry of the JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wam_tools.demo.bag import Recording
from wam_tools.demo.drive_truth import DriveTrack, Standing
from wam_tools.demo.metrics import Spread, moving_window, sensor_to_command, spread
from wam_tools.demo.truth import Track, Verdict

# Two tables, so that they fit a narrow terminal.
WALK_COLUMNS = ("world", "reached", "contact", "time s", "path m", "clearance m")
DRIVE_COLUMNS = ("world", "ended", "route %", "score", "infractions", "time s")
TIMING_COLUMNS = ("p50 / p99", "plan ms", "plan age ms", "image to cmd_vel ms", "plans Hz")
_NAN = float("nan")
_NOTHING = Spread(_NAN, _NAN)


@dataclass(frozen=True, kw_only=True)
class Run:
    """What all runs have. plan: real time of a plan; plan_age: at the controller; sensor_to_command: see metrics;
    spreads in s; plan_rate: Hz; failure: why it is no proper run, empty when it is one."""

    world: str
    failure: str
    plan: Spread = _NOTHING
    plan_rate: float = _NAN
    plan_age: Spread = _NOTHING
    sensor_to_command: Spread = _NOTHING

    def timing_row(self) -> list[str]:
        """For TIMING_COLUMNS."""
        spreads = (self.plan, self.plan_age, self.sensor_to_command)
        return [self.world, *map(_milliseconds, spreads), f"{self.plan_rate:.1f}"]

    def timing_entry(self) -> dict[str, Any]:
        """For the JSON, in ms."""
        return {
            "plan_ms": _pair(self.plan),
            "plan_hz": round(self.plan_rate, 2),
            "plan_age_ms": _pair(self.plan_age),
            "sensor_to_command_ms": _pair(self.sensor_to_command),
        }


@dataclass(frozen=True, kw_only=True)
class Result(Run):
    """One walk. seconds: from the first motion to the goal, or to what ended it; path_length, clearance: m."""

    reached: bool = False
    contact: bool = False
    seconds: float = _NAN
    path_length: float = _NAN
    clearance: float = _NAN

    @property
    def good(self) -> bool:
        """Reached without contact, as a demo should."""
        return self.reached and not self.contact and not self.failure

    @property
    def outcome(self) -> str:
        """In a word or two."""
        return "reached" if self.good else "contact" if self.contact else self.failure or "not reached"

    def walk_row(self) -> list[str]:
        """For WALK_COLUMNS."""
        return [
            self.world,
            "yes" if self.reached else self.failure or "no",
            "CONTACT" if self.contact else "none",
            f"{self.seconds:.1f}",
            f"{self.path_length:.1f}",
            f"{self.clearance:.2f}",
        ]

    def entry(self) -> dict[str, Any]:
        """For the JSON; times of a plan in ms, everything else in SI units."""
        return {
            "world": self.world,
            "reached": self.reached,
            "contact": self.contact,
            "seconds": round(self.seconds, 3),
            "path_m": round(self.path_length, 3),
            "clearance_m": round(self.clearance, 3),
            **self.timing_entry(),
            "failure": self.failure,
        }


@dataclass(frozen=True, kw_only=True)
class DriveResult(Run):
    """One drive. ended: why the judge ended it; completion, score: percent, of the route and of the leaderboard's
    driving score; infractions: as in the judge's verdict; seconds: simulated, of the drive; route_length: m; realtime:
    simulated seconds a second of the wall clock."""

    ended: str = ""
    completion: float = 0.0
    score: float = 0.0
    infractions: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = _NAN
    route_length: float = _NAN
    realtime: float = _NAN

    @property
    def good(self) -> bool:
        """Completed without an infraction, as a demo should."""
        return self.ended == "completed" and not self.infractions and not self.failure

    @property
    def outcome(self) -> str:
        """In a word or two."""
        return self.failure or self.ended

    def drive_row(self) -> list[str]:
        """For DRIVE_COLUMNS."""
        kinds = [each["kind"] for each in self.infractions]
        counted = [f"{kinds.count(kind)} {kind.replace('_', ' ')}" for kind in dict.fromkeys(kinds)]
        return [
            self.world,
            self.failure or self.ended,
            f"{self.completion:.0f}",
            f"{self.score:.0f}",
            ", ".join(counted) or "none",
            f"{self.seconds:.1f}",
        ]

    def entry(self) -> dict[str, Any]:
        """For the JSON; shares in percent, times of a plan in ms, everything else in SI units."""
        return {
            "world": self.world,
            "ended": self.ended,
            "route_completion": round(self.completion, 2),
            "driving_score": round(self.score, 2),
            "infractions": self.infractions,
            "seconds": round(self.seconds, 3),
            "route_m": round(self.route_length, 2),
            "realtime": round(self.realtime, 3),
            **self.timing_entry(),
            "failure": self.failure,
        }


def failed(world: str, failure: str) -> Result:
    """A walk without data."""
    return Result(world=world, failure=failure)


def failed_drive(world: str, failure: str) -> DriveResult:
    """A drive without data."""
    return DriveResult(world=world, failure=failure)


def summarise(world: str, verdict: Verdict, recording: Recording, track: Track) -> Result:
    """Everything is measured while the gate let the robot move and the planner had somewhere to go."""
    first, last = moving_window(recording.commands)
    if verdict.reached and recording.plans.arrivals.size:
        # At the goal the planner rests; the last plan is walked out.
        last = min(last, float(recording.plans.arrivals[-1]))
    return Result(
        world=world,
        reached=verdict.reached,
        contact=verdict.contact,
        seconds=verdict.seconds,
        path_length=track.path_length,
        clearance=track.clearance,
        **_measure(recording, first, last),
        failure="timeout" if verdict.timeout else "",
    )


def summarise_drive(world: str, standing: Standing, recording: Recording, track: DriveTrack) -> DriveResult:
    """Times are the simulation's, whose ticks are 50 ms; how long a plan took is real time."""
    verdict = standing.verdict
    if not verdict:
        return failed_drive(world, "the judge said nothing: see the log")
    return DriveResult(
        world=world,
        ended=verdict["ended"],
        completion=100.0 * verdict["completion"],
        score=verdict["driving_score"],
        infractions=verdict["infractions"],
        seconds=verdict["seconds"],
        route_length=verdict["route_length"],
        realtime=track.realtime,
        **_measure(recording, *moving_window(recording.commands)),
        failure="" if standing.began else "the car was never told to move",
    )


def _measure(recording: Recording, first: float, last: float) -> dict[str, Any]:
    """The fields of Run that are measured, between two moments."""
    plans = recording.plans
    during = (plans.stamps >= first) & (plans.stamps <= last)
    late = sensor_to_command(plans, recording.controller_stamps, recording.commands[:, 0])
    return {
        "plan": spread(_within(recording.plan_seconds, first, last)),
        "plan_rate": float(during.sum()) / (last - first) if last > first else _NAN,
        "plan_age": spread(_within(recording.ages, first, last)),
        "sensor_to_command": spread(late[during]),
    }


def _within(table: np.ndarray, first: float, last: float) -> np.ndarray:
    """The second column where the first, a stamp, lies in the window."""
    return table[(table[:, 0] >= first) & (table[:, 0] <= last), 1]


def _milliseconds(value: Spread) -> str:
    return "-" if np.isnan(value.p50) else f"{1e3 * value.p50:.0f} / {1e3 * value.p99:.0f}"


def _pair(value: Spread) -> dict[str, float]:
    return {"p50": round(1e3 * value.p50, 2), "p99": round(1e3 * value.p99, 2)}
