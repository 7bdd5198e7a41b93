"""What a car does with its pedals: from throttle, brake and steer to an acceleration and a steering angle. Pure.

A plain longitudinal model, near enough to a sedan's: the engine's push fades with speed, air and tyres hold back, the
brake pushes back as far as the tyres grip. CARLA's cars have gears and slip besides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# (km/h, share of the largest angle): CARLA's cars turn their wheels less the faster they drive.
STEERING_CURVE = ((0.0, 1.0), (20.0, 0.9), (60.0, 0.8), (120.0, 0.7))


@dataclass(frozen=True)
class Drivetrain:
    """push: m/s^2 of the whole throttle from standing, none left at top_speed, m/s; brake, hand_brake: m/s^2 of the
    whole pedal and lever; rolling: m/s^2 of the tyres; air: 1/m; speed_kp: 1/s, of the Ackermann controller;
    max_steering: rad."""

    push: float = 4.0
    top_speed: float = 50.0
    brake: float = 8.0
    hand_brake: float = 5.0
    rolling: float = 0.15
    air: float = 0.0006
    speed_kp: float = 1.0
    max_steering: float = 0.6

    def acceleration(self, throttle: float, brake: float, hand_brake: bool, speed: float) -> float:
        """m/s^2 along the car, at a speed in m/s, 0 or more. A car that stands and is not pushed is held."""
        push = _share(throttle) * self.push * max(1.0 - speed / self.top_speed, 0.0)
        hold = _share(brake) * self.brake + hand_brake * self.hand_brake
        hold += self.rolling + self.air * speed * speed
        if speed <= 0.0:
            return max(push - hold, 0.0)
        return push - hold

    def towards(self, wanted: float, speed: float) -> float:
        """m/s^2 that CARLA's Ackermann controller gives for a wanted speed, m/s."""
        if wanted < 0.1 and speed < 0.1:
            return -self.brake
        return max(-self.brake, min(self.push, self.speed_kp * (wanted - speed)))

    def steering(self, steer: float, speed: float) -> float:
        """rad, left positive, for `steer`, -1 to 1, right positive."""
        return -max(-1.0, min(1.0, steer)) * self.max_steering * self._curve(speed)

    def _curve(self, speed: float) -> float:
        kmh = 3.6 * speed
        for (low, share), (high, next_share) in zip(STEERING_CURVE, STEERING_CURVE[1:]):
            if kmh < high:
                return share + (next_share - share) * max(kmh - low, 0.0) / (high - low)
        return STEERING_CURVE[-1][1]


def _share(value: float) -> float:
    return max(0.0, min(1.0, value)) if math.isfinite(value) else 0.0
