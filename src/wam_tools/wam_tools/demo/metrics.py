"""Numbers about a run from its recording: how long a plan takes, how old it gets, how late a command is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_tools.demo.bag import Plans


@dataclass(frozen=True)
class Spread:
    """Median and 99th percentile; NaN when nothing was measured."""

    p50: float
    p99: float


def spread(values: np.ndarray) -> Spread:
    """Of a sample (N,), leaving out what is NaN."""
    values = values[np.isfinite(values)]
    if not values.size:
        return Spread(float("nan"), float("nan"))
    return Spread(*(float(value) for value in np.percentile(values, [50, 99])))


def sensor_to_command(plans: Plans, controller_stamps: np.ndarray, command_stamps: np.ndarray) -> np.ndarray:
    """(N,) s for each plan: from the stamp of its image to the stamp of the first cmd_vel that can reflect it, NaN when
    there is none.

    That is the first command of the gate not older than the first of the controller after the plan reached the
    recorder. The recorder gets a plan about when the controller does; where it is later, the number is an upper bound.
    """
    after = _first_not_before(controller_stamps, plans.arrivals)
    return _first_not_before(command_stamps, after) - plans.stamps


def moving_window(commands: np.ndarray) -> tuple[float, float]:
    """First and last moment, s, at which the gate asked for motion; commands: (N, 4) as in Recording. NaN: it never
    did."""
    moving = commands[np.abs(commands[:, 1:]).max(axis=1, initial=0.0) > 1e-3, 0]
    if not moving.size:
        return float("nan"), float("nan")
    return float(moving[0]), float(moving[-1])


def _first_not_before(stamps: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """For each moment the first stamp that is not before it; NaN when there is none, or the moment is NaN."""
    ordered = np.append(np.sort(stamps), np.nan)
    found = ordered[np.searchsorted(ordered[:-1], moments)]
    return np.where(np.isfinite(moments), found, np.nan)
