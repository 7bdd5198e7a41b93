"""What a bag says of its own recording: who made it, and with which parameters every node ran."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from wam_models.data.bag_reader import BagReader

TOPIC = "/recording"  # std_msgs/String, JSON; the last one knows most
NOTE = "recording"  # the same in the bag's metadata
_PLANNER = "/planner"


def read_about(bag: BagReader) -> Mapping[str, Any]:
    """Robot, note, commit, host, and `parameters` by node; empty for a bag of another recorder."""
    text = bag.notes.get(NOTE, "")
    if not text:  # a single file, or a bag that was mended
        for _, _, message in bag.messages({TOPIC}):
            text = getattr(message, "data", "")
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def planner_parameter(about: Mapping[str, Any], name: str) -> str:
    """A text that the planner was started with; empty where the bag does not say."""
    parameters = about.get("parameters")
    planner = parameters.get(_PLANNER) if isinstance(parameters, dict) else None
    return str(planner.get(name) or "") if isinstance(planner, dict) else ""


def planner_goal(about: Mapping[str, Any]) -> tuple[float, float] | None:
    """(x, y) m ahead and to the left of where the recorded planner began, which is where the recording begins, or
    nearly; None where it had no goal as a parameter."""
    x, _, y = planner_parameter(about, "goal").partition(",")
    try:
        return float(x), float(y)
    except ValueError:
        return None
