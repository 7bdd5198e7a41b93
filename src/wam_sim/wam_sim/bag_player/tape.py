"""What of a bag is played, under which names, and when it was so."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from rosbags.typesys.store import Typestore

from wam_models.data.bag_reader import BagError, BagReader, Channel
from wam_models.data.findings import Findings
from wam_models.data.recorded_clock import RecordedClock
from wam_models.data.topics import Topics
from wam_models.messages import seconds
from wam_planner.observation_buffer import BufferConfig

_FIRST = 200  # pictures and odometry by which two clocks are told from one
_STAMPED = ("camera", "odometry")
_TOLD = ("instruction", "goal")
# What the robot did then, for viewers, apart from what the nodes do now.
_RECORDED = {
    "planned_path": "nav_msgs/msg/Path",
    "cmd_vel_nav": "geometry_msgs/msg/TwistStamped",
    "cmd_vel": "geometry_msgs/msg/TwistStamped",
}


@dataclass(frozen=True)
class Route:
    """From a topic of the bag to one of the graph. role: camera, camera_info, odometry, instruction, goal, or recorded;
    kind: message type, such as nav_msgs/msg/Odometry."""

    source: str
    topic: str
    kind: str
    role: str


@dataclass(frozen=True)
class Sample:
    """One message. moment: s on the recording's clock; data: in CDR, as recorded; message: the same, read."""

    moment: float
    route: Route
    data: bytes
    message: Any


def make_routes(topics: Topics, channels: Sequence[Channel], without: Collection[str] = ()) -> tuple[Route, ...]:
    """topics: as the bag names what a robot has; without: roles that are left out."""
    kinds = {channel.topic: channel.kind for channel in channels}
    ways: list[tuple[str, str, str]] = []
    for camera, source in topics.cameras.items():
        ending = "image/compressed" if kinds[source].endswith("CompressedImage") else "image"
        ways.append((source, f"camera/{camera}/{ending}", "camera"))
    ways += [(info, f"camera/{camera}/camera_info", "camera_info") for camera, info in topics.camera_info.items()]
    ways += [
        (topics.odometry, "odom", "odometry"),
        (topics.instruction, "instruction", "instruction"),
        (topics.goal, "goal", "goal"),
        (topics.plans, "recorded/trajectory", "recorded"),
        *((_called(name, kind, channels), f"recorded/{name}", "recorded") for name, kind in _RECORDED.items()),
    ]
    return tuple(
        Route(source, topic, kinds[source], role) for source, topic, role in ways if source and role not in without
    )


def _called(name: str, kind: str, channels: Sequence[Channel]) -> str:
    """The topic of that type with that last name, the shortest of several; empty when there is none."""
    found = [each.topic for each in channels if each.kind == kind and each.topic.rpartition("/")[2] == name]
    return min(found, key=lambda topic: (len(topic), topic), default="")


class Tape:
    """An open bag, to be played from `start` on, s after its first message. seconds: how long it is from there;
    findings: what was wrong with what has been played of the last lap. Raises BagError when there is nothing from there
    on."""

    def __init__(self, bag: BagReader, routes: Sequence[Route], types: Typestore, start: float = 0.0) -> None:
        """types: of the graph that it is played to; what the bag has of another make is left out."""
        self.findings, self._left_out = Findings(), Findings()
        self.seconds = bag.end - bag.start - start
        self._bag, self._types = bag, types
        self._routes = {route.source: route for route in routes if self._is_ours(route)}
        # As a float it is a fraction of a microsecond off: nothing may be left out where no start was asked for.
        self._start = bag.start + start if start else None
        read = self._read(self._routes, self._start)
        stamped = ((sample.moment, stamp) for sample, stamp in read if math.isfinite(stamp))
        self._first = list(islice(stamped, _FIRST))
        if not self._first:
            length = f"it is {bag.end - bag.start:.1f} s long"
            raise BagError(f"{bag.path} has neither pictures nor odometry from {start:g} s on: {length}")

    @property
    def routes(self) -> tuple[Route, ...]:
        """What is played."""
        return tuple(self._routes.values())

    def lap(self) -> Iterator[Sample]:
        """All of it once, in the order of recording. What was told before the start still holds, so the last of it
        comes first."""
        self.findings = Findings()
        self.findings.extend(self._left_out)
        clock = RecordedClock(self._first, BufferConfig.future_tolerance, BufferConfig.max_frame_age, self.findings)
        held = self._told_before()
        for sample, stamp in self._read(self._routes, self._start):
            moment = clock.see(sample.moment, stamp)
            held.append(sample)
            if math.isfinite(moment):
                yield from (replace(each, moment=moment) for each in held)
                held.clear()
        for each in self._bag.findings:  # of all laps and looks
            self.findings.add(each.kind, each.first)

    def _told_before(self) -> list[Sample]:
        if self._start is None:
            return []
        told = [source for source, route in self._routes.items() if route.role in _TOLD]
        last = {sample.route: sample for sample, _ in self._read(told, None, self._start)}
        return list(last.values())

    def _read(
        self, sources: Collection[str], start: float | None, end: float | None = None
    ) -> Iterator[tuple[Sample, float]]:
        """Messages with the time at which they were recorded, and their stamps where these may be the clock, else NaN.
        start, end: s since 1970. What cannot be read is left out: no node would live through it."""
        for connection, logged, data in self._bag.raw_messages(sources, start, end):
            route = self._routes[connection.topic]
            try:
                message = self._types.deserialize_cdr(data, route.kind)
            except Exception as error:  # noqa: BLE001  damaged messages fail in any library below
                self.findings.add("unreadable_message", f"{route.source} at {1e-9 * logged:.3f} s: {error}")
                continue
            stamp = seconds(message.header.stamp) if route.role in _STAMPED else math.nan
            yield Sample(1e-9 * logged, route, bytes(data), message), stamp

    def _is_ours(self, route: Route) -> bool:
        """Whether the same bytes say the same in the bag and in the graph."""
        kinds = (each for each in self._bag.connections if each.topic == route.source)
        ours = self._types.hash_rihs01(route.kind)
        same = all(self._bag.definition(connection)[1] == ours for connection in kinds)
        if not same:
            text = f"{route.source} holds another make of {route.kind} than this machine's: it is left out"
            self._left_out.add("other_type", text)
        return same
