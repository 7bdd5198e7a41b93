"""A run in numbers: from its recording to a row of the table and an entry of the JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from wam_tools.demo.bag import Recording
from wam_tools.demo.metrics import Spread, moving_window, sensor_to_command, spread
from wam_tools.demo.truth import Track, Verdict

# Two tables, so that they fit a narrow terminal.
WALK_COLUMNS = ("world", "reached", "contact", "time s", "path m", "clearance m")
TIMING_COLUMNS = ("p50 / p99", "plan ms", "plan age ms", "image to cmd_vel ms", "plans Hz")


@dataclass(frozen=True)
class Result:
    """One run. seconds: from the first motion to the goal, or to what ended it; path_length, clearance: m; spreads in
    s; plan_rate: Hz; failure: why it is no proper run, empty when it is one."""

    world: str
    reached: bool
    contact: bool
    seconds: float
    path_length: float
    clearance: float
    plan: Spread
    plan_rate: float
    plan_age: Spread
    sensor_to_command: Spread
    failure: str

    @property
    def good(self) -> bool:
        """Reached without contact, as a demo should."""
        return self.reached and not self.contact and not self.failure

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

    def timing_row(self) -> list[str]:
        """For TIMING_COLUMNS."""
        spreads = (self.plan, self.plan_age, self.sensor_to_command)
        return [self.world, *map(_milliseconds, spreads), f"{self.plan_rate:.1f}"]

    def entry(self) -> dict[str, Any]:
        """For the JSON; times of a plan in ms, everything else in SI units."""
        return {
            "world": self.world,
            "reached": self.reached,
            "contact": self.contact,
            "seconds": round(self.seconds, 3),
            "path_m": round(self.path_length, 3),
            "clearance_m": round(self.clearance, 3),
            "plan_ms": _pair(self.plan),
            "plan_hz": round(self.plan_rate, 2),
            "plan_age_ms": _pair(self.plan_age),
            "sensor_to_command_ms": _pair(self.sensor_to_command),
            "failure": self.failure,
        }


def failed(world: str, failure: str) -> Result:
    """A run without data."""
    nan, nothing = float("nan"), Spread(float("nan"), float("nan"))
    return Result(world, False, False, nan, nan, nan, nothing, nan, nothing, nothing, failure)


def summarise(world: str, verdict: Verdict, recording: Recording, track: Track) -> Result:
    """Everything is measured while the gate let the robot move and the planner had somewhere to go."""
    first, last = moving_window(recording.commands)
    plans = recording.plans
    if verdict.reached and plans.arrivals.size:
        last = min(last, float(plans.arrivals[-1]))  # at the goal the planner rests; the last plan is walked out
    during = (plans.stamps >= first) & (plans.stamps <= last)
    late = sensor_to_command(plans, recording.controller_stamps, recording.commands[:, 0])
    return Result(
        world=world,
        reached=verdict.reached,
        contact=verdict.contact,
        seconds=verdict.seconds,
        path_length=track.path_length,
        clearance=track.clearance,
        plan=spread(_within(recording.plan_seconds, first, last)),
        plan_rate=float(during.sum()) / (last - first) if last > first else float("nan"),
        plan_age=spread(_within(recording.ages, first, last)),
        sensor_to_command=spread(late[during]),
        failure="timeout" if verdict.timeout else "",
    )


def _within(table: np.ndarray, first: float, last: float) -> np.ndarray:
    """The second column where the first, a stamp, lies in the window."""
    return table[(table[:, 0] >= first) & (table[:, 0] <= last), 1]


def _milliseconds(value: Spread) -> str:
    return "-" if np.isnan(value.p50) else f"{1e3 * value.p50:.0f} / {1e3 * value.p99:.0f}"


def _pair(value: Spread) -> dict[str, float]:
    return {"p50": round(1e3 * value.p50, 2), "p99": round(1e3 * value.p99, 2)}
