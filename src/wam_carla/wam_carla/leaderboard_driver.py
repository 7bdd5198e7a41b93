"""A policy at the wheel without ROS: from pictures, speed and turning of one tick to pedals. Pure, but for the policy.

The controller is the controller node's, the pedals are the bridge's, and both have the parameters that those have.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wam_carla.adapter import Steering
from wam_carla.settings import BRIDGE, make_config
from wam_carla.vehicle_control import Driver, Pedals
from wam_controller.follower import Placed
from wam_controller.parameters import Parameter, Value
from wam_controller.settings import CONTROLLER, make_follower
from wam_controller.tracker import make_reference
from wam_models.policy import Policy
from wam_models.se2 import Vector, advance, compose
from wam_models.types import EgoState, Observation, Refusal

PLAN_PERIOD = 0.2  # s
_FRAME = "start"  # of dead reckoning


@dataclass(frozen=True)
class Senses:
    """One tick. time: s; pictures: uint8 (H, W, 3) RGB by camera; speed: m/s forwards; yaw_rate: rad/s, left positive;
    instruction: what the driver is told."""

    time: float
    pictures: Mapping[str, np.ndarray]
    speed: float
    yaw_rate: float
    instruction: str


class PolicyAtTheWheel:
    """Plans every PLAN_PERIOD and follows the newest plan at every tick; simulated time waits meanwhile. Where the car
    is it reckons from its speed and turning: a plan is driven for a second, which drifts no farther than centimetres.

    controller, bridge: parameters of those nodes that are not the default; wheelbase: m. refusals: by reason.
    """

    def __init__(
        self,
        policy: Policy,
        controller: Mapping[str, Value],
        bridge: Mapping[str, Value],
        steering: Steering,
        wheelbase: float,
    ) -> None:
        settings = _filled(CONTROLLER, controller)
        self._policy, self._rear = policy, float(settings["rear_axle"])
        self._follower = make_follower(settings)
        self._driver = Driver(make_config(_filled(BRIDGE, bridge)).control, steering, wheelbase)
        self._pose: Vector = (0.0, 0.0, 0.0)
        self._time, self._next_plan = math.nan, -math.inf
        spec = policy.spec
        self._kept = (spec.context_frames - 1) * spec.context_dt + PLAN_PERIOD
        self._frames: deque[tuple[float, np.ndarray]] = deque()
        self.refusals: Counter[str] = Counter()

    def step(self, senses: Senses) -> Pedals:
        """The pedals for this tick. Senses that are not finite change nothing: without commands the car brakes."""
        now, speed = senses.time, senses.speed
        if all(map(math.isfinite, (now, speed, senses.yaw_rate))):
            twist = (speed, self._rear * senses.yaw_rate, senses.yaw_rate)
            if math.isfinite(self._time):
                self._pose = compose(self._pose, advance(twist, max(now - self._time, 0.0)))
            self._time = now
            self._follower.on_odometry(now, now, self._pose, twist, _FRAME)
            self._look(now, senses.pictures)
            if now >= self._next_plan - 1e-6:
                self._next_plan = now + PLAN_PERIOD
                self._plan(senses, twist)
            output, _ = self._follower.step(now, planners=1, engaged=True)
            self._driver.on_twist(now, now, float(output.twist[0]), float(output.twist[2]))
        pedals = self._driver.step(now, speed)
        if not isinstance(pedals, Pedals):
            raise ValueError("parameter control is ackermann: an agent of the leaderboard has pedals only")
        return pedals

    def _look(self, now: float, pictures: Mapping[str, np.ndarray]) -> None:
        frame = np.stack([pictures[camera] for camera in self._policy.spec.cameras])
        self._frames.append((now, frame))
        while self._frames[0][0] < now - self._kept:
            self._frames.popleft()

    def _plan(self, senses: Senses, twist: Vector) -> None:
        spec = self._policy.spec
        wanted = senses.time - spec.context_dt * np.arange(spec.context_frames)[::-1]
        times = np.array([time for time, _ in self._frames])
        # Before it moves the car has seen nothing but its first view.
        chosen = [self._frames[int(np.abs(times - time).argmin())][1] for time in wanted]
        answer = self._policy.plan(
            Observation(np.stack(chosen), wanted, spec.cameras, EgoState(*twist), senses.instruction)
        )
        if isinstance(answer, Refusal):
            self.refusals[answer.reason.value] += 1
            return
        reference = make_reference(answer.trajectory, np.array(self._pose))
        self._follower.on_plan(senses.time, Placed(reference, 0, _FRAME, answer.model_id))


def _filled(table: tuple[Parameter, ...], given: Mapping[str, Value]) -> dict[str, Value]:
    """All parameters of a table. Raises ValueError for one it does not have, or with the rule that a value breaks."""
    known = {parameter.name: parameter for parameter in table}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"there is no parameter {name!r}")
        if violation := known[name].violation(value):
            raise ValueError(f"parameter {violation}")
    return {name: parameter.default for name, parameter in known.items()} | dict(given)
