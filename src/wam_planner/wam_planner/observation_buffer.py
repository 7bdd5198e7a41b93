"""Pairs frames and odometry by their stamps into an observation, or says why there is none to plan from."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from hashlib import blake2b

import numpy as np

from wam_models.se2 import Vector, relative
from wam_models.types import EgoState, Observation
from wam_planner.odometry_history import Fault, Motion, OdometryHistory

# s that a frame of the context may lie farther from its instant if the policy has read it before: encoding another one
# costs as much as planning, and a planner that falls behind would fall behind further. A quarter of context_dt at most.
READ_BEFORE = 0.12


class Verdict(IntEnum):
    """What the newest data is good for; the values are those of wam_msgs/PlannerStatus. Only FRESH is planned from."""

    WAITING = 0
    FRESH = 1
    STALE = 2
    FROZEN = 3
    UNSYNCED = 4


@dataclass(frozen=True)
class BufferConfig:
    """cameras: names in the policy's order, the first one sets the stamp; context_frames of each, context_dt s apart.

    max_frame_age: s, older is STALE. frozen_frames: this many equal frames in a row are FROZEN; equal means the same
    bytes, because a live camera's noise never repeats, while a stuck driver repeats exactly. sync_tolerance: s between
    a frame and its odometry, or the frames of two cameras. future_tolerance: s that a stamp may lie ahead of the clock.
    restart_jump: see OdometryHistory. Raises ValueError when a number is out of its range.
    """

    cameras: tuple[str, ...]
    context_frames: int = 1
    context_dt: float = 0.25
    max_frame_age: float = 0.3
    frozen_frames: int = 5
    sync_tolerance: float = 0.1
    future_tolerance: float = 0.05
    restart_jump: float = 1.0

    def __post_init__(self) -> None:
        if not self.cameras or self.context_frames < 1:
            raise ValueError("a policy needs at least one camera and one frame")
        if self.frozen_frames < 2:
            raise ValueError(f"frozen_frames must be 2 or more, got {self.frozen_frames}")
        for name in ("context_dt", "max_frame_age", "sync_tolerance", "restart_jump"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if not 0.0 <= self.future_tolerance < math.inf:
            raise ValueError(f"future_tolerance must be 0 or more, got {self.future_tolerance}")


@dataclass(frozen=True)
class Look:
    """detail: what is missing or wrong, empty when FRESH; frame_age: s, NaN before the first frame; with FRESH also the
    observation and the pose of base_link in odom at its stamp."""

    verdict: Verdict
    detail: str
    frame_age: float
    observation: Observation | None = None
    pose: Vector | None = None


@dataclass(frozen=True)
class _Frame:
    stamp: float
    image: np.ndarray
    digest: bytes


class _View:
    """The recent frames of one camera and how often the newest one was repeated."""

    def __init__(self) -> None:
        self.frames: deque[_Frame] = deque()
        self.repeats = 0

    def add(self, frame: _Frame, keep: float) -> None:
        self.repeats = self.repeats + 1 if self.frames and self.frames[-1].digest == frame.digest else 1
        self.frames.append(frame)
        while self.frames[0].stamp < frame.stamp - keep:
            self.frames.popleft()

    def nearest(
        self, stamp: float, tolerance: float, read: Collection[float] = (), favour: float = 0.0
    ) -> _Frame | None:
        """read: stamps of frames that are preferred when they lie no more than `favour` s farther off."""

        def distance(frame: _Frame) -> float:
            off = abs(frame.stamp - stamp)
            return off if frame.stamp in read else off + favour

        return min((f for f in self.frames if abs(f.stamp - stamp) <= tolerance), key=distance, default=None)


class ObservationBuffer:
    """Feed it what arrives, ask it what can be planned from. Every time is in seconds of the node clock."""

    def __init__(self, config: BufferConfig) -> None:
        self._config = config
        # A frame of slack beyond the context, so that the oldest wanted one is still there when the newest comes late.
        self._keep = config.context_frames * config.context_dt
        self._favour = min(READ_BEFORE, 0.25 * config.context_dt) if config.context_frames > 1 else 0.0
        self._odometry = OdometryHistory(config.sync_tolerance, config.future_tolerance, config.restart_jump)
        self.clear()

    def clear(self) -> None:
        """Forget everything, as after a reset."""
        self._views = {name: _View() for name in self._config.cameras}
        self._read: set[float] = set()
        self._odometry.clear()

    @property
    def newest_motion(self) -> Motion | None:
        """The latest odometry, or None."""
        return self._odometry.newest

    def add_odometry(self, now: float, stamp: float, pose: Vector, twist: Vector) -> Fault | None:
        """pose: base_link in odom; twist: in base_link. Returns why it was not taken, or None."""
        return self._odometry.add(now, stamp, pose, twist)

    def add_frame(self, camera: str, now: float, stamp: float, image: np.ndarray, content: bytes) -> Fault | None:
        """image: uint8 (H, W, 3) RGB; content: the bytes as they came, which tell a repeated frame. Returns why it was
        not taken, or None. Raises KeyError for a camera that is not in the configuration."""
        view = self._views[camera]
        if not stamp <= now + self._config.future_tolerance:
            return Fault.FUTURE
        if view.frames and stamp <= view.frames[-1].stamp:
            if view.frames[-1].stamp - stamp < self._config.restart_jump:
                return Fault.OUT_OF_ORDER
            self._views = {name: _View() for name in self._views}
            self._read.clear()
        if view.frames and view.frames[-1].image.shape != image.shape:
            self._views[camera] = _View()
        digest = blake2b(content, digest_size=16).digest()
        self._views[camera].add(_Frame(stamp, image, digest), self._keep)
        return None

    def mark_read(self, observation: Observation) -> None:
        """The policy has planned from this one: it keeps what it made of its frames."""
        stamps = observation.stamps.tolist()
        self._read = {stamp for stamp in self._read | set(stamps) if stamp >= stamps[-1] - 2 * self._keep}

    def observe(self, now: float, instruction: str, goal: tuple[float, float] | None = None) -> Look:
        """The newest observation and the verdict on it. goal: (x, y) m in odom; it is handed to the policy in base_link
        at the stamp."""
        views = list(self._views.values())
        missing = [name for name, view in self._views.items() if not view.frames]
        if missing:
            return Look(Verdict.WAITING, f"no image yet from camera {', '.join(missing)}", math.nan)
        age = now - min(view.frames[-1].stamp for view in views)
        if age < -self._config.future_tolerance:
            self.clear()
            return Look(Verdict.WAITING, "the clock went back: starting over", math.nan)
        if age > self._config.max_frame_age:
            return Look(Verdict.STALE, f"the newest frame is {age:.2f} s old", age)
        if (repeats := max(view.repeats for view in views)) >= self._config.frozen_frames:
            return Look(Verdict.FROZEN, f"the last {repeats} frames are the same picture", age)
        if not self._odometry:
            return Look(Verdict.WAITING, "no odometry yet", age)
        newest = views[0].frames[-1].stamp
        motion = self._odometry.at(newest)
        if motion is None:
            return Look(Verdict.UNSYNCED, f"no odometry within {self._config.sync_tolerance} s of the frame", age)
        if any(view.nearest(newest, self._config.sync_tolerance) is None for view in views):
            return Look(Verdict.UNSYNCED, f"cameras lie more than {self._config.sync_tolerance} s apart", age)
        if len({view.frames[-1].image.shape for view in views}) > 1:
            return Look(Verdict.UNSYNCED, "the cameras send images of different sizes", age)
        context = self._context(newest)
        if context is None:
            return Look(Verdict.WAITING, f"fewer than {self._config.context_frames} frames of context yet", age)
        observation = Observation(
            frames=np.stack([np.stack([frame.image for frame in row]) for row in context]),
            stamps=np.array([row[0].stamp for row in context]),
            cameras=self._config.cameras,
            ego=EgoState(*motion.twist, motion.acceleration[0], motion.acceleration[1]),
            instruction=instruction,
            goal=None if goal is None else relative(motion.pose, (*goal, 0.0))[:2],
        )
        return Look(Verdict.FRESH, "", age, observation, motion.pose)

    def _context(self, newest: float) -> list[list[_Frame]] | None:
        """One row of frames (a view each) for every instant of the context, oldest first, or None while one is missing.
        Half a context_dt of tolerance keeps two instants from taking the same frame."""
        rows = []
        first, *others = self._views.values()
        for back in range(self._config.context_frames - 1, -1, -1):
            tolerance = 0.49 * self._config.context_dt if back else self._config.sync_tolerance
            instant = newest - back * self._config.context_dt
            leading = first.nearest(instant, tolerance, self._read, self._favour if back else 0.0)
            if leading is None:
                return None
            beside = [frame for view in others if (frame := view.nearest(leading.stamp, tolerance)) is not None]
            if len(beside) < len(others):
                return None
            rows.append([leading, *beside])
        return rows
