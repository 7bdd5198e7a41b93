"""What a driver is told along a route of the CARLA leaderboard: the next turn in time before its junction. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

# Names of RoadOption that are turns, and what is said of them: the words that the town's models know.
TURNS = {
    "LEFT": "turn left at the junction",
    "RIGHT": "turn right at the junction",
    "STRAIGHT": "go straight at the junction",
}
FOLLOW = "follow the road"
SAID_BEFORE = 45.0  # m before a junction from which the turn there is said
_REACHED = 7.5  # m from a point of the route
_AHEAD = 60.0  # m of the route within which a point may have been reached: a loop is not skipped
# m of a degree of latitude and of longitude at the equator, as CARLA's GNSS has them.
_NORTH, _EAST = 111324.60662786, 111319.490945


def on_plane(latitude: float, longitude: float) -> tuple[float, float]:
    """m north and east, of degrees near the equator and Greenwich, where CARLA's maps lie."""
    return _NORTH * latitude, _EAST * math.cos(math.radians(latitude)) * longitude


class RouteInstructions:
    """points: (x, y) m of the route, however far apart; options: the name of each point's RoadOption, which holds until
    the next point. Raises ValueError for a route without a point, or with another number of options."""

    def __init__(self, points: Sequence[tuple[float, float]], options: Sequence[str]) -> None:
        if not points or len(points) != len(options):
            raise ValueError(f"a route needs points and an option for each, got {len(points)} and {len(options)}")
        self._points, self._options = list(points), list(options)
        self._passed = 0

    def at(self, place: tuple[float, float]) -> str:
        """What is said at a place, (x, y) m. Points that were passed stay passed."""
        for number in self._ahead(place, _AHEAD):
            if math.dist(self._points[number], place) < _REACHED:
                self._passed = number
        turns = (self._options[number] for number in self._ahead(place, SAID_BEFORE))
        return next((TURNS[option] for option in turns if option in TURNS), FOLLOW)

    def _ahead(self, place: tuple[float, float], most: float) -> list[int]:
        """Numbers of the point that was passed last and of those up to `most` m further along the route."""
        found, left, before = [self._passed], 0.0, place
        for number in range(self._passed + 1, len(self._points)):
            left += math.dist(before, self._points[number])
            before = self._points[number]
            if left > most:
                break
            found.append(number)
        return found
