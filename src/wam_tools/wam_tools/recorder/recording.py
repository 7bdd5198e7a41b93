"""A bag while it is recorded: what goes in, how regularly, what was lost, and how much room is left for more."""

from __future__ import annotations

import json
import queue
import shutil
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection, Qos
from rosbags.typesys.store import Typestore

from wam_models.data.bag_writer import BagWriter

REPORT_NOTE = "report"  # key of the bag's metadata: JSON, see Recording.report
_FLUSH_PERIOD = 0.5  # s; a power cut costs what came since the last
# Bytes that wait for a slow disk; what comes then is dropped, and counted. Who is asked to end has 5 s, in which a slow
# card takes as much.
_BACKLOG = 64_000_000
# s after a topic's first message: what was sent before a subscriber joined is told as lost, up to a second late.
_SETTLING = 3.0
_PATIENCE = 15.0  # s for a first message: who records starts with the robot, or before it
_WINDOW = 2.0  # s over which rates are measured while recording


@dataclass(frozen=True)
class TopicReport:
    """minimum: see Topic; rate: Hz, mean, until the end where there is a minimum, else until the last message;
    longest_silence: s likewise; lost: by the middleware, before they came here; dropped: here, because the disk was too
    slow or full; seconds_below: s in which it came more slowly than it must."""

    messages: int
    minimum: float
    rate: float
    longest_silence: float
    lost: int
    dropped: int
    seconds_below: float


class Topic:
    """One topic of a recording. minimum: Hz below which something is wrong; 0 for one that need not come at all. Times
    are s of a steady clock: a simulator that hangs must be seen."""

    def __init__(self, connection: Connection, minimum: float) -> None:
        self.name = connection.topic
        self.connection, self.minimum = connection, minimum
        self.messages = self.lost = self.dropped = 0
        self.rate = 0.0  # Hz in the last window
        self.too_slow = False  # in the last window
        self._first = self._last = 0.0
        self._silence = self._below = 0.0
        self._window: tuple[float, int] | None = None  # when it began, and messages then

    def came(self, now: float) -> None:
        """Count a message."""
        if not self.messages:
            self._first = now
            self._window = (now, 0)  # a stream that begins in the middle of a window is not slow
        else:
            self._silence = max(self._silence, now - self._last)
        self._last = now
        self.messages += 1

    def lose(self, count: int, now: float) -> None:
        """So many were lost on the way."""
        if self.messages and now - self._first > _SETTLING:
            self.lost += count

    def look(self, now: float) -> bool:
        """Measure the rate, when a window is over; whether it has become too slow, or right again."""
        began, before = self._window = self._window or (now, self.messages)
        if now - began < (_WINDOW if self.messages else _PATIENCE):
            return False
        was = self.too_slow
        self.rate = (self.messages - before) / (now - began)
        self.too_slow = self.rate < self.minimum
        self._below += (now - began) if self.too_slow else 0.0
        self._window = (now, self.messages)
        return self.too_slow is not was

    def report(self, now: float) -> TopicReport:
        """So far."""
        end = now if self.minimum > 0 and self.messages else self._last
        seconds = end - self._first
        rate = (self.messages - 1) / seconds if seconds > 0 else 0.0
        silence = max(self._silence, end - self._last)
        return TopicReport(self.messages, self.minimum, rate, silence, self.lost, self.dropped, self._below)


class Recording:
    """Opened with `with`. Messages are given by one thread, and another writes them, so that a disk that hesitates
    holds nobody up. What was taken is on the disk half a second later, see BagWriter. Its end writes the notes, the
    report and the index.

    notes: texts for the bag's metadata, by key; fault: why it ended by itself, or empty. Raises BagError when the bag
    is there already or cannot be made.
    """

    def __init__(self, path: Path, types: Typestore, free_disk: float) -> None:
        """free_disk: bytes that stay free: the recording ends before."""
        self.fault = ""
        self.notes: dict[str, str] = {}
        self._writer = BagWriter(path, types)
        self._free_disk = free_disk
        self._topics: list[Topic] = []
        self._waiting: queue.SimpleQueue[tuple[Connection, int, bytes] | None] = queue.SimpleQueue()
        # Each is counted by one thread alone.
        self._taken = self._written = 0
        self._thread = threading.Thread(target=self._write_all, name="bag writer", daemon=True)

    def __enter__(self) -> Recording:
        self._writer.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.put(None)
        self._thread.join()

    @property
    def size(self) -> int:
        """Bytes of messages, written so far."""
        return self._written

    @property
    def path(self) -> Path:
        """The bag's folder."""
        return self._writer.path

    @property
    def topics(self) -> Sequence[Topic]:
        """In the order of their making."""
        return self._topics

    def add(self, topic: str, kind: str, qos: Sequence[Qos] = (), minimum: float = 0.0) -> Topic:
        """Before the first message. See Topic and BagWriter.add."""
        made = Topic(self._writer.add(topic, kind, qos), minimum)
        self._topics.append(made)
        return made

    def take(self, topic: Topic, logged: int, data: bytes, now: float) -> None:
        """A message. logged: ns, for the bag; now: s of the steady clock. It is dropped where the disk is far behind or
        the recording has ended."""
        if self.fault or self._taken - self._written > _BACKLOG:
            topic.dropped += 1
            return
        topic.came(now)
        self._taken += len(data)
        self._waiting.put((topic.connection, logged, data))

    def look(self, now: float) -> list[Topic]:
        """Those that have become too slow, or right again. now: s of the steady clock."""
        return [topic for topic in self._topics if topic.look(now)]

    def report(self, now: float) -> dict[str, Any]:
        """As JSON: bag, bytes, fault, and TopicReport by topic. now: s of the steady clock."""
        topics = {topic.name: asdict(topic.report(now)) for topic in self._topics}
        return {"bag": str(self.path), "bytes": self.size, "fault": self.fault, "topics": topics}

    def _write_all(self) -> None:
        try:
            self._write_until_end()
        except Exception as error:  # noqa: BLE001  whatever it was, nothing more is written, and somebody must know
            self.fault = f"{self.path} cannot be written any more: {error}"
        try:
            for key, text in self.notes.copy().items():
                self._writer.describe(key, text)
            self._writer.describe(REPORT_NOTE, json.dumps(self.report(time.monotonic())))
            self._writer.__exit__(None, None, None)
        except Exception as error:  # noqa: BLE001  likewise
            self.fault = f"{self.fault or self.path} could not be ended, `wam bag repair` mends it: {error}"

    def _write_until_end(self) -> None:
        flushed = time.monotonic()
        while True:
            with suppress(queue.Empty):
                item = self._waiting.get(timeout=_FLUSH_PERIOD)
                if item is None:
                    return
                self._writer.write(*item)
                self._written += len(item[2])
            if time.monotonic() - flushed >= _FLUSH_PERIOD:
                self._writer.flush()
                flushed = time.monotonic()
                if fault := too_full(self.path, self._free_disk):
                    self.fault = fault
                    return


def too_full(path: Path, free_disk: float) -> str:
    """Why nothing should be recorded into `path`, which need not be there, or empty. free_disk: bytes that stay
    free."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if free >= free_disk:
        return ""
    return f"the disk of {path} has {free / 1e9:.1f} GB left, less than the {free_disk / 1e9:g} GB that stay free"
