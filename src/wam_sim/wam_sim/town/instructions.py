"""What a driver is told: the next turn in time before its junction, else to follow the road."""

from __future__ import annotations

from wam_sim.town.ways import Way

# m before a junction from which the turn there is said.
SAID_BEFORE = 45.0

# The first of each is what benchmarks say.
SAYINGS = {
    "follow": ("follow the road", "keep following the road", "drive along the road", "stay on the road"),
    "left": ("turn left at the junction", "turn left", "take the next left", "go left at the junction"),
    "right": ("turn right at the junction", "turn right", "take the next right", "go right at the junction"),
    "straight": ("go straight at the junction", "go straight on", "drive straight ahead at the junction"),
}


def meant(way: Way, s: float) -> str:
    """A key of SAYINGS, after so many m of a way."""
    entry = way.next_entry(s)
    return "follow" if entry is None or entry.at - s > SAID_BEFORE else entry.turn


def said(key: str, way: int = 0) -> str:
    """In one of the ways in which it can be said."""
    return SAYINGS[key][way % len(SAYINGS[key])]
