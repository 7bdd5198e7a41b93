"""A car as a bicycle: a steering angle and an acceleration are wanted, and come late and within limits.

base_link is the middle of the car, as in CARLA. The tyres do not slip: the town is driven at speeds and curvatures at
which they would not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import shapely

from wam_models.se2 import Vector, advance, compose

# The longest stretch of time over which the twist is taken as constant, s.
_STEP = 0.02


@dataclass(frozen=True)
class CarModel:
    """length, width, wheelbase: m; rear: m from base_link back to the rear axle; max_steering: rad at the wheels;
    steering_rate: rad/s; steering_lag, drive_lag: s, of the first-order answer; acceleration, braking: m/s^2."""

    length: float = 4.7
    width: float = 1.95
    wheelbase: float = 2.88
    rear: float = 1.44
    max_steering: float = 0.6
    steering_rate: float = 0.9
    steering_lag: float = 0.10
    drive_lag: float = 0.20
    acceleration: float = 3.0
    braking: float = 8.0


@dataclass(frozen=True)
class CarState:
    """pose: of base_link in the world; speed: m/s of the rear axle, forwards; steering: rad, left positive;
    acceleration: m/s^2, along."""

    pose: Vector
    speed: float = 0.0
    steering: float = 0.0
    acceleration: float = 0.0

    def twist(self, model: CarModel) -> Vector:
        """In base_link: the middle of a turning car moves sideways too."""
        yaw_rate = self.speed * math.tan(self.steering) / model.wheelbase
        return self.speed, yaw_rate * model.rear, yaw_rate


def step_car(state: CarState, model: CarModel, steering: float, acceleration: float, seconds: float) -> CarState:
    """Later, with a steering angle (rad, left positive) and an acceleration (m/s^2) wanted. A car that brakes stops: it
    never rolls back. Raises ValueError on a command that is not finite."""
    if not (math.isfinite(steering) and math.isfinite(acceleration)):
        raise ValueError(f"a car takes finite commands, not steering {steering} and acceleration {acceleration}")
    count = max(1, math.ceil(seconds / _STEP - 1e-9))
    for _ in range(count):
        state = _short_step(state, model, steering, acceleration, seconds / count)
    return state


def _short_step(state: CarState, model: CarModel, steering: float, acceleration: float, dt: float) -> CarState:
    wanted = _clip(steering, model.max_steering)
    most = model.steering_rate * dt
    turned = state.steering + _clip((wanted - state.steering) * min(dt / model.steering_lag, 1.0), most)
    pushed = min(max(acceleration, -model.braking), model.acceleration)
    pushing = state.acceleration + (pushed - state.acceleration) * min(dt / model.drive_lag, 1.0)
    speed = max(state.speed + pushing * dt, 0.0)
    if speed == 0.0 and acceleration <= 0.0:
        pushing = 0.0  # held by its brakes: nothing is left to overcome when it starts again
    moving = CarState(state.pose, 0.5 * (state.speed + speed), turned).twist(model)
    return CarState(compose(state.pose, advance(moving, dt)), speed, turned, pushing)


def outline(pose: Vector, model: CarModel) -> shapely.Polygon:
    """Of a car, in the world."""
    ahead, aside = model.length / 2.0, model.width / 2.0
    corners = ((ahead, aside), (-ahead, aside), (-ahead, -aside), (ahead, -aside))
    return shapely.Polygon([compose(pose, (x, y, 0.0))[:2] for x, y in corners])


def _clip(value: float, bound: float) -> float:
    return max(-bound, min(bound, value))
