"""What the controller holds between ticks: the newest plan, the newest odometry, and why it would not use them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wam_controller.control_loop import ControlLoop, ControlOutput
from wam_controller.plan_freshness import Level
from wam_controller.tracker import Reference
from wam_models.se2 import Vector

_NOTHING = np.full(3, math.nan)
# Epochs are uint32 and wrap.
_EPOCHS = 2**32
# Between two plans of one planner; more means another planner.
_MOST_RESETS = 1000


@dataclass(frozen=True)
class FollowerConfig:
    """odometry_timeout: s, older odometry is not tracked by; future_tolerance: s that a stamp may lie ahead of the
    clock. Raises ValueError when one is out of range."""

    odometry_timeout: float = 0.2
    future_tolerance: float = 0.05

    def __post_init__(self) -> None:
        if not 0.0 < self.odometry_timeout < math.inf:
            raise ValueError(f"odometry_timeout must be above 0 and finite, got {self.odometry_timeout}")
        if not 0.0 <= self.future_tolerance < math.inf:
            raise ValueError(f"future_tolerance must be 0 or more, got {self.future_tolerance}")


@dataclass(frozen=True)
class Placed:
    """A plan and what it came with. epoch: of its planner, see wam_msgs/Trajectory; frame: of its poses."""

    reference: Reference
    epoch: int
    frame: str
    model_id: str


class Follower:
    """Takes plans and odometry as they come and turns them into a command at every tick. Times: s of the node clock.

    silent: whether the command must not be sent. A plan of a planner that was not followed before (another one, or the
    same restarted) would resume motion that no human asked for. Until the gate is seen disengaged nothing is sent, and
    from that silence the gate disengages.
    """

    def __init__(self, loop: ControlLoop, config: FollowerConfig) -> None:
        self._loop = loop
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next command ramps up from zero."""
        self._loop.reset()
        self._plan: Placed | None = None
        self._stamp = -math.inf
        self._pose, self._twist = _NOTHING, _NOTHING
        self._frame = ""
        self.plans_dropped = 0
        self.silent = False

    @property
    def model_id(self) -> str:
        """Of the plan that is followed; empty without one."""
        return self._plan.model_id if self._plan else ""

    def on_plan(self, now: float, plan: Placed) -> str:
        """Follow this plan from now on, or say why not."""
        fault = self._fault(now, plan)
        if fault:
            self.plans_dropped += 1
            return fault
        if self._plan is not None and _generations(self._plan, plan) > _MOST_RESETS:
            self.silent = True
        self._plan = plan
        return ""

    def on_odometry(self, now: float, stamp: float, pose: Vector, twist: Vector, frame: str) -> str:
        """pose: base_link in `frame`; twist: in base_link. Why it was not taken, or an empty text."""
        if not all(map(math.isfinite, (stamp, *pose, *twist))):
            return "odometry holds NaN or infinity"
        if stamp > now + self._config.future_tolerance:
            return "odometry is stamped in the future: are the clocks synchronised?"
        self._stamp, self._pose, self._twist, self._frame = stamp, np.array(pose), np.array(twist), frame
        return ""

    def step(self, now: float, planners: int, engaged: bool) -> tuple[ControlOutput, str]:
        """The command at `now` and, unless it goes at full speed, why. planners: how many publish trajectories;
        engaged: what the gate says of itself."""
        self.silent = self.silent and engaged
        reason = self._obstacle(now, planners)
        reference = None if reason or self._plan is None else self._plan.reference
        output = self._loop.step(now, reference, self._pose, self._twist)
        if not reason and output.level is not Level.FULL:
            reason = f"the plan is {output.plan_age:.2f} s old"
        return output, reason

    def _obstacle(self, now: float, planners: int) -> str:
        if self.silent:
            return "the plans come from another planner than before: waiting for the gate to disengage"
        if planners > 1:
            return f"{planners} planners publish trajectories: stop all but one"
        if self._plan is None:
            return "no plan yet"
        age = now - self._stamp
        if age > self._config.odometry_timeout:
            return "no odometry yet" if math.isinf(age) else f"odometry is {age:.2f} s old"
        if self._plan.frame != self._frame:
            return f"the plan is in {self._plan.frame!r}, odometry in {self._frame!r}: they must agree"
        return ""

    def _fault(self, now: float, plan: Placed) -> str:
        stamp = plan.reference.stamp
        if stamp > now + self._config.future_tolerance:
            return "the plan is stamped in the future: are the clocks synchronised?"
        if self._plan is None or self._plan.reference.stamp > now:
            return ""
        if stamp <= self._plan.reference.stamp:
            return "the plan is not newer than the one before"
        if 0 < _generations(plan, self._plan) <= _MOST_RESETS:
            return "the plan is left over from before a reset"
        return ""


def _generations(earlier: Placed, later: Placed) -> int:
    """Resets between two plans of one planner. Random epochs put two planners far from each other, both ways round."""
    return (later.epoch - earlier.epoch) % _EPOCHS
