"""What of a bag decides whether it can be replayed and trained on, measured in one pass."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from wam_models.data.bag_reader import BagError, BagReader
from wam_models.data.bags import relative_poses
from wam_models.data.events import Aimed, Calibrated, Moved, Picture, Told, read_events
from wam_models.data.findings import Findings
from wam_models.data.topics import Topics, guess_topics, read_topics
from wam_models.data.track import Track
from wam_planner.images import ImageError, read_image
from wam_tools.message_types import typestore

SPEEDS = (0.0, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 8.0, 16.0)  # m/s, edges of the histogram
_STANDING = 0.05  # m/s
_TURNING = 0.15  # rad/s
_STEP = 0.2  # s over which poses are differentiated, to be held against the twist
_DARK, _BRIGHT = 20.0, 235.0  # mean grey level, of 255
_CAMERAS = ("front", "left", "right")
_SMALL = 64  # px wide: enough for a mean


@dataclass(frozen=True)
class Stream:
    """count: of messages; rate: Hz, median; gap: s, the longest between two stamps; jitter: s, 95th percentile of how
    far an interval is from the median; delay: s from stamp to recording, median. NaN where there are too few."""

    count: int
    rate: float
    gap: float
    jitter: float
    delay: float


@dataclass(frozen=True)
class Pictures:
    """size: (height, width) px of the first; shares of all: unreadable; repeated, the same bytes as the one before;
    dark and bright, by their mean; brightness: median grey level of 255."""

    size: tuple[int, int]
    unreadable: float
    repeated: float
    dark: float
    bright: float
    brightness: float


@dataclass(frozen=True)
class Motion:
    """metres, of the way; speeds: share of the time between two of SPEEDS, the last open; standing, left, right: shares
    of the time; twist_error: m/s, median difference between the twist and what the poses say, while moving;
    yaw_rate_error: rad/s likewise; moved: whether it ever did."""

    metres: float
    speeds: tuple[float, ...]
    standing: float
    left: float
    right: float
    twist_error: float
    yaw_rate_error: float
    moved: bool


@dataclass(frozen=True)
class Camera:
    """sync: s, 99th percentile from a picture to the nearest odometry; calibrated: whether there is a camera_info."""

    stream: Stream
    pictures: Pictures
    sync: float
    calibrated: bool


@dataclass(frozen=True)
class Health:
    """cameras: by name; told, aimed: how many instructions and goals; motion: None without odometry."""

    seconds: float
    topics: Topics
    cameras: dict[str, Camera]
    odometry: Stream
    motion: Motion | None
    told: int
    aimed: int
    findings: Findings


def measure(path: Path, topics: Path | None = None, progress: Callable[[float], None] = lambda share: None) -> Health:
    """topics: a file of them, or None to guess; progress: called with the share that is done. Raises BagError when the
    bag cannot be read or has no camera."""
    moved: list[Moved] = []
    told = aimed = 0
    calibrated = set[str]()
    with BagReader(path, typestore) as bag:
        chosen = read_topics(topics, bag.channels) if topics else _guessed(bag)
        looks = {camera: _Looks() for camera in chosen.cameras}
        seconds = bag.end - bag.start
        for event in read_events(bag, chosen):
            if isinstance(event, Picture):
                looks[event.camera].at(event)
                progress((event.logged - bag.start) / max(seconds, 1e-9))
            elif isinstance(event, Moved):
                moved.append(event)
            elif isinstance(event, Calibrated):
                calibrated.add(event.camera)
            told += isinstance(event, Told)
            aimed += isinstance(event, Aimed)
        findings = bag.findings
    if spoilt := sum(not np.isfinite(event.twist).all() for event in moved):
        findings.add("twist_not_finite", "odometry holds a twist with NaN or infinity", spoilt)
    track = Track([event.stamp for event in moved], [event.pose for event in moved], findings)
    return Health(
        seconds=seconds,
        topics=chosen,
        cameras={
            name: Camera(_stream(look.times), look.pictures(), look.sync(track.stamps), name in calibrated)
            for name, look in looks.items()
        },
        odometry=_stream([(event.stamp, event.logged) for event in moved]),
        motion=_motion(track, moved) if len(track) > 1 else None,
        told=told,
        aimed=aimed,
        findings=findings,
    )


def _guessed(bag: BagReader) -> Topics:
    """Three cameras, or one."""
    try:
        return guess_topics(bag.channels, _CAMERAS)
    except BagError:
        return guess_topics(bag.channels, _CAMERAS[:1])


class _Looks:
    """Takes one picture after the other and keeps a number of each."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []  # stamp, and when it was recorded, s
        self._size = (0, 0)
        self._levels: list[float] = []
        self._count = self._unreadable = self._repeated = 0
        self._before = b""

    def at(self, picture: Picture) -> None:
        self._count += 1
        self.times.append((picture.stamp, picture.logged))
        digest = hashlib.blake2b(picture.message.data, digest_size=8).digest()
        self._repeated += digest == self._before
        self._before = digest
        try:
            image = read_image(picture.message)
        except ImageError:
            self._unreadable += 1
            return
        height, width = image.shape[:2]
        self._size = self._size if any(self._size) else (height, width)
        small = cv2.resize(image, (_SMALL, max(_SMALL * height // width, 1)), interpolation=cv2.INTER_AREA)
        self._levels.append(float(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).mean()))

    def pictures(self) -> Pictures:
        levels, count = np.array(self._levels), max(self._count, 1)
        return Pictures(
            size=self._size,
            unreadable=self._unreadable / count,
            repeated=self._repeated / count,
            dark=float((levels < _DARK).mean()) if len(levels) else 0.0,
            bright=float((levels > _BRIGHT).mean()) if len(levels) else 0.0,
            brightness=float(np.median(levels)) if len(levels) else float("nan"),
        )

    def sync(self, odometry: np.ndarray) -> float:
        """s, 99th percentile to the nearest of the stamps (N,) s; NaN where there is nothing to compare."""
        pictures = np.array([stamp for stamp, _ in self.times])
        if not len(pictures) or not len(odometry):
            return float("nan")
        before = np.clip(np.searchsorted(odometry, pictures) - 1, 0, len(odometry) - 1)
        after = np.minimum(before + 1, len(odometry) - 1)
        nearest = np.minimum(np.abs(pictures - odometry[before]), np.abs(pictures - odometry[after]))
        return float(np.percentile(nearest, 99))


def _stream(rows: Sequence[tuple[float, float]]) -> Stream:
    """rows: stamp and when it was recorded, s."""
    stamps, logged = np.array(rows, dtype=float).reshape(-1, 2).T
    finite = np.isfinite(stamps)
    stamps, logged = stamps[finite], logged[finite]
    steps = np.diff(np.sort(stamps))
    nan = float("nan")
    if not len(steps):
        return Stream(len(stamps), nan, nan, nan, float(np.median(logged - stamps)) if len(stamps) else nan)
    middle = float(np.median(steps))
    return Stream(
        count=len(stamps),
        rate=1.0 / middle if middle > 0 else nan,
        gap=float(steps.max()),
        jitter=float(np.percentile(np.abs(steps - middle), 95)),
        delay=float(np.median(logged - stamps)),
    )


def _motion(track: Track, moved: Sequence[Moved]) -> Motion:
    times = np.arange(track.stamps[0], track.stamps[-1] - _STEP, 0.5 * _STEP)
    before, after = track.at(times), track.at(times + _STEP)
    known = np.isfinite(before).all(axis=1) & np.isfinite(after).all(axis=1)
    before, after, times = before[known], after[known], times[known]
    # Of what happened in a step, in the robot's own frame half-way through it.
    way = relative_poses(after, before)
    turned = way[:, 2] / 2
    along = np.cos(turned) * way[:, 0] + np.sin(turned) * way[:, 1]
    aside = -np.sin(turned) * way[:, 0] + np.cos(turned) * way[:, 1]
    velocity, yaw_rate = np.stack([along, aside], axis=1) / _STEP, way[:, 2] / _STEP
    speed = np.hypot(*velocity.T)
    twists = np.array([event.twist for event in sorted(moved, key=lambda event: event.stamp)])
    stamps = np.sort([event.stamp for event in moved])
    said = np.stack([np.interp(times + 0.5 * _STEP, stamps, column) for column in twists.T], axis=1)
    moving = (speed > 2 * _STANDING) | (np.abs(yaw_rate) > _TURNING)
    count = max(len(speed), 1)
    return Motion(
        metres=float(np.hypot(*np.diff(track.poses[:, :2], axis=0).T).sum()),
        speeds=tuple((np.histogram(speed, [*SPEEDS, np.inf])[0] / count).tolist()),
        standing=float((speed < _STANDING).mean()),
        left=float((yaw_rate > _TURNING).mean()),
        right=float((yaw_rate < -_TURNING).mean()),
        twist_error=_median(np.hypot(*(said[:, :2] - velocity).T)[moving]),
        yaw_rate_error=_median(np.abs(said[:, 2] - yaw_rate)[moving]),
        moved=bool(moving.any()),
    )


def _median(values: np.ndarray) -> float:
    """Of those that are finite."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
