"""Where sensor data wait for the tick they belong to. Pure; CARLA delivers them on its own threads, early or late."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass

import numpy as np

from wam_carla.adapter import Vector


@dataclass(frozen=True)
class Picture:
    """What a camera saw in a frame. image: uint8 (H, W, 3) RGB."""

    frame: int
    image: np.ndarray


@dataclass(frozen=True)
class Collision:
    """time: s of the simulation; other: kind of what was hit; id: of that actor; impulse: N s in ROS axes of map."""

    time: float
    other: str
    id: int
    impulse: Vector


@dataclass(frozen=True)
class LaneInvasion:
    """time: s of the simulation; markings: kinds of the lines that were crossed."""

    time: float
    markings: tuple[str, ...]


Event = Collision | LaneInvasion


class SensorInbox:
    """Pictures by frame, events in order. A picture whose frame is not the tick's is dropped and counted in `dropped`;
    events carry their own time and are never dropped.

    periods: ticks between two pictures of each camera. A camera is waited for when its next one is due, so that one
    which skips ticks on purpose holds up none; one that failed three times in a row is waited for no more until it
    sends again.
    """

    _PATIENCE = 3

    def __init__(self, periods: dict[str, int]) -> None:
        self._periods = periods
        self._arrived = threading.Condition()
        self._pictures: dict[str, deque[Picture]] = {name: deque() for name in periods}
        self._events: deque[Event] = deque()
        self._last: dict[str, int] = {}
        self._in_a_row: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()

    def put_picture(self, name: str, picture: Picture) -> None:
        """From any thread."""
        with self._arrived:
            self._pictures[name].append(picture)
            self._arrived.notify_all()

    def put_event(self, event: Event) -> None:
        """From any thread."""
        with self._arrived:
            self._events.append(event)

    def collect(self, frame: int, timeout: float) -> tuple[dict[str, Picture], list[Event]]:
        """Pictures of exactly this frame by camera, and all events so far. Waits at most `timeout` s for cameras that
        are due; those that did not come are counted in `missed`."""
        deadline = time.monotonic() + timeout
        due = {
            name
            for name, period in self._periods.items()
            if frame - self._last.get(name, frame - period) >= period and self._in_a_row[name] < self._PATIENCE
        }
        found: dict[str, Picture] = {}
        with self._arrived:
            while True:
                self._sort(frame, found)
                left = deadline - time.monotonic()
                if due <= found.keys() or left <= 0.0:
                    break
                self._arrived.wait(left)
            events = list(self._events)
            self._events.clear()
        self.missed.update(due - found.keys())
        self._in_a_row.update(due - found.keys())
        self._last |= dict.fromkeys(found, frame)
        return found, events

    def _sort(self, frame: int, found: dict[str, Picture]) -> None:
        for name, waiting in self._pictures.items():
            while waiting and waiting[0].frame <= frame:
                picture = waiting.popleft()
                self._in_a_row[name] = 0
                if picture.frame == frame:
                    found[name] = picture
                else:
                    self.dropped[name] += 1
