"""Figures of a replay, as SVG that stands in a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from wam_models.evaluation.replay import PlanErrors, PlanOutcome, placed
from wam_tools.replay.job import BagReplay

# Of the policies. Orange is for what was driven, red for plans that break a rule.
_COLOURS = ("#2f7d32", "#1565c0", "#8e24aa", "#00838f", "#546e7a", "#6d4c41", "#c2185b")
_MAP_PLANS = 150  # at the most; more hide each other


def colour_of(number: int) -> str:
    """Of the policy with this number, in all figures and videos; the first is green."""
    return _COLOURS[number % len(_COLOURS)]


def rgb_of(number: int) -> tuple[int, int, int]:
    """The same as 0 to 255."""
    red, green, blue = (round(255 * part) for part in to_rgb(colour_of(number)))
    return red, green, blue


def errors_over_time(replay: BagReplay, names: Sequence[str]) -> str:
    """Mean displacement of each plan over the time at which it was made, a line a policy."""
    figure = Figure(figsize=(9.6, 2.9), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(names):
        scored = _scored(replay, name)
        if scored:
            seconds = [outcome.stamp - replay.first_stamp for outcome, _ in scored]
            means = [float(errors.errors.mean()) for _, errors in scored]
            axes.plot(seconds, means, color=colour_of(number), linewidth=1.1, label=name)
    axes.set(xlabel="time (s)", ylabel="ADE (m)", ylim=(0.0, None))
    axes.grid(alpha=0.25)
    if axes.lines:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8, ncols=len(axes.lines))
    return _svg(figure)


def map_of_plans(replay: BagReplay, name: str) -> str:
    """The way from above, with a policy's plans coloured by how far off they are."""
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    axes = figure.subplots()
    line = replay.track.poses
    axes.plot(line[:, 0], line[:, 1], color="0.2", linewidth=2.2, label="driven")
    if len(line):
        axes.plot(*line[0, :2], "o", color="0.2", label="start")
    scored = _scored(replay, name)
    if scored:
        shown = scored[:: max(len(scored) // _MAP_PLANS, 1)]
        ways = [placed(outcome.pose, np.vstack([np.zeros(2), _points(outcome)])) for outcome, _ in shown]
        means = np.array([errors.errors.mean() for _, errors in shown])
        plans = LineCollection(ways, array=means, cmap="plasma", linewidth=0.9, alpha=0.85)
        axes.add_collection(plans)
        figure.colorbar(plans, ax=axes, label="ADE (m)", shrink=0.6)
    axes.set(xlabel="x (m)", ylabel="y (m)", aspect="equal")
    axes.legend(loc="best", fontsize=8)
    return _svg(figure)


def latency_histogram(milliseconds: Mapping[str, Sequence[float]]) -> str:
    """Of each policy that takes any time."""
    figure = Figure(figsize=(6.4, 2.6), layout="constrained")
    axes = figure.subplots()
    for number, (name, values) in enumerate(milliseconds.items()):
        axes.hist(values, bins=40, color=colour_of(number), alpha=0.75, label=name)
    axes.set(xlabel="a plan (ms)", ylabel="plans", xlim=(0.0, None))
    axes.legend(fontsize=8)
    return _svg(figure)


def _scored(replay: BagReplay, name: str) -> list[tuple[PlanOutcome, PlanErrors]]:
    ride = replay.models.get(name)
    pairs = zip(ride.outcomes, ride.compared, strict=True) if ride else ()
    return [(outcome, errors) for outcome, errors in pairs if errors is not None]


def _points(outcome: PlanOutcome) -> np.ndarray:
    assert outcome.poses is not None
    return outcome.poses[:, :2]


def _svg(figure: Figure) -> str:
    """Without the document's head, which has no place inside a page; the same text each time."""
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "wam", "svg.fonttype": "none", "font.size": 9}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    document = text.getvalue()
    return document[document.index("<svg") :]
