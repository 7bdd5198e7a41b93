"""One pass over a bag with planners sitting on it, and what there is to see on the way."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice

import numpy as np

from wam_models.data.events import Aimed, Calibrated, Event, Moved, Picture, Planned, stamp_of
from wam_models.data.findings import Findings
from wam_models.data.recorded_clock import RecordedClock
from wam_models.data.topics import Topics
from wam_planner.images import ImageError, read_image
from wam_tools.replay.offline_planner import OfflinePlanner

_FIRST = 60  # events by which two clocks are told from one; raw pictures among them are megabytes


class Ride:
    """recorded: the plans of then, in their order; camera: what the bag says of the first camera; pictures: how many
    there were; frame: of the odometry."""

    def __init__(
        self, planners: Mapping[str, OfflinePlanner], topics: Topics, ignored: tuple[type[Event], ...] = ()
    ) -> None:
        """ignored: kinds of events that no planner is told of."""
        self.findings = Findings()
        self.recorded: list[Planned] = []
        self.camera: Calibrated | None = None
        self.pictures = 0
        self.frame = "odom"
        self._planners, self._ignored = planners, ignored
        self._moved = array("d")  # numbers, not events: an hour has 180,000
        self._moves = bool(topics.odometry)
        self._first_camera = next(iter(topics.cameras))
        if not self._moves:
            text = "no odometry: the robot is taken to stand, and no plan can be scored"
            self.findings.add("no_odometry", text)

    def go(self, events: Iterable[Event], progress: Callable[[float], None]) -> None:
        """All of it. progress: called with s since 1970, when a picture was recorded."""
        events = self._standing(events)
        first = list(islice(events, _FIRST))
        limits = next(iter(self._planners.values())).config.buffer
        stamps = [(event.logged, stamp_of(event)) for event in first]
        clock = RecordedClock(stamps, limits.future_tolerance, limits.max_frame_age, self.findings)
        for event in chain(first, events):
            now = clock.see(event.logged, stamp_of(event))
            if self._note(event):
                image = self._decoded(event) if isinstance(event, Picture) else None
                for planner in self._planners.values():
                    if (task := planner.see(event, now, image)) is not None:
                        planner.plan(task, now)
            if isinstance(event, Picture):
                progress(event.logged)
        if self.camera is None:
            self.findings.add("no_camera_info", "no camera_info: plans cannot be drawn into the pictures")

    @property
    def moved(self) -> np.ndarray:
        """(N, 5) of the odometry in its order: stamp s, x, y m, yaw rad, height m."""
        return np.array(self._moved).reshape(-1, 5)

    def _standing(self, events: Iterable[Event]) -> Iterator[Event]:
        """Without odometry, a robot that stands, before each picture."""
        for event in events:
            if isinstance(event, Picture) and not self._moves:
                yield Moved(event.logged, event.stamp, "odom", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
            yield event

    def _note(self, event: Event) -> bool:
        """Keep what is wanted afterwards; whether the planners are to know of the event."""
        if isinstance(event, Picture):
            self.pictures += 1
        elif isinstance(event, Moved) and self._moves:
            self._moved.extend((event.stamp, *event.pose, event.height))
            self.frame = event.frame
        elif isinstance(event, Calibrated) and event.camera == self._first_camera:
            self.camera = self.camera or event
        elif isinstance(event, Planned):
            self.recorded.append(event)
        elif isinstance(event, Aimed) and event.frame != self.frame:
            text = f"the goal at {event.logged:.3f} s is in {event.frame!r}, odometry in {self.frame!r}: not taken"
            self.findings.add("goal_in_other_frame", text)
            return False
        return not isinstance(event, self._ignored)

    def _decoded(self, picture: Picture) -> np.ndarray | ImageError:
        try:
            return read_image(picture.message)
        except ImageError as error:
            self.findings.add("unreadable_picture", f"camera {picture.camera} at {picture.stamp:.3f} s: {error}")
            return error
