"""One tick of the controller: freshness, tracking and limits in the order that makes them safe. No clock, no ROS."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wam_controller.limits import LimitHit, Limits, Motion
from wam_controller.plan_freshness import FreshnessLimits, Level
from wam_controller.tracker import Reference, Tracker

_ZERO = np.zeros(3)
# A tick that comes later than this (a stalled process) may not jump further than a late one.
_LONGEST_TICK = 0.1


@dataclass(frozen=True)
class ControlOutput:
    """twist: (3,) command in base_link; requested: (3,) what the tracker wanted before limits; plan_age: s and the
    errors (see TrackerOutput) are NaN when there was nothing to track."""

    twist: np.ndarray
    requested: np.ndarray
    level: Level
    limits_hit: LimitHit = LimitHit.NONE
    plan_age: float = math.nan
    cross_track: float = math.nan
    heading_error: float = math.nan


class ControlLoop:
    """Turns the newest reference into a command at every tick and remembers only the last command, for the ramps."""

    def __init__(self, tracker: Tracker, freshness: FreshnessLimits, limits: Limits) -> None:
        self._tracker = tracker
        self._freshness = freshness
        self._limits = limits
        self.reset()

    def reset(self, moving: Motion | None = None) -> None:
        """Forget the last command: the next one ramps up from zero, or goes on from how the robot is moving."""
        self._last = Motion(_ZERO) if moving is None else moving
        self._last_time: float | None = None

    def step(self, now: float, reference: Reference | None, pose: np.ndarray, twist: np.ndarray) -> ControlOutput:
        """The command at `now` (s, the clock of the stamps; a clock that jumps back allows no change in that tick).

        reference: the newest plan, or None; pose: (3,) base_link in odom; twist: (3,) measured, in base_link. Without a
        plan, with one too old, or with a pose that is not finite the robot brakes.
        """
        seconds = 0.0 if self._last_time is None else min(max(now - self._last_time, 0.0), _LONGEST_TICK)
        self._last_time = now
        age = math.nan if reference is None else now - reference.stamp
        level, tracked, target, hit = Level.STOP, None, _ZERO, LimitHit.NONE
        if reference is not None and np.isfinite(pose).all() and np.isfinite(twist).all():
            level, scale = self._freshness.assess(age, reference.horizon)
            if level is not Level.STOP:
                tracked = self._tracker.command(reference, now, pose, twist)
                within, hit = self._limits.within(tracked.twist)
                target = scale * within
        if tracked is None:
            self._last, hit = self._limits.brake(self._last, seconds)
            return ControlOutput(self._last.twist, _ZERO, level, hit, age)
        self._last, ramp_hit = self._limits.ramp(target, self._last, seconds)
        errors = tracked.cross_track, tracked.heading_error
        return ControlOutput(self._last.twist, tracked.twist, level, hit | ramp_hit, age, *errors)
