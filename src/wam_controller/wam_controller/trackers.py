"""The trackers by the names that parameters and commands know them under."""

from __future__ import annotations

from collections.abc import Callable

from wam_controller.ackermann import AckermannTracker, WaypointPid
from wam_controller.tracker import HolonomicTracker, InternNavPd, Tracker

# Those whose twists a car can have.
CAR_TRACKERS: dict[str, Callable[..., Tracker]] = {"ackermann": AckermannTracker, "waypoint_pid": WaypointPid}
TRACKERS: dict[str, Callable[..., Tracker]] = {
    "holonomic": HolonomicTracker,
    "internnav_pd": InternNavPd,
    **CAR_TRACKERS,
}


def make_tracker(name: str, **settings: float) -> Tracker:
    """A tracker by its name, a key of TRACKERS; settings are the fields of its class. Raises ValueError on another."""
    if name not in TRACKERS:
        raise ValueError(f"no tracker is called {name!r}: choose one of {', '.join(TRACKERS)}")
    return TRACKERS[name](**settings)
