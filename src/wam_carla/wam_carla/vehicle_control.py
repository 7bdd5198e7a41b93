"""From a wanted speed and steering angle to pedals and a wheel; and full brake when nothing is heard. Pure.

Every call carries the time, seconds of the simulation: a world that stands still wears out no patience.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from wam_carla.adapter import Steering
from wam_controller.ackermann import steering_angle

_FUTURE_TOLERANCE = 0.05  # s that a stamp may lie ahead: the sender may have read a newer clock
_ROUNDING = 1e-6  # s: sums of ticks are not exact, and a tick later would be 0.35 s of silence instead of 0.3
_ZERO_SPEED = 0.05  # m/s, a wanted speed below it is zero
_COAST = 0.3  # m/s^2 that a car loses by itself: less needs no brake
_LEAST_STOP = 1.0  # m/s^2 with which a car is brought to a stop in the end
_MOST_INTEGRAL = 2.0  # m/s^2 of the integral's share: drag and a slope, no more
_NEAR = 1.0  # m/s of error within which it grows: what is summed up on the way there would carry the car beyond


@dataclass(frozen=True)
class ControlConfig:
    """command_timeout: s of silence that brake; max_command_age: s, older stamps are refused; max_speed: m/s, what is
    wanted at most; speed_kp: 1/s; speed_ki: 1/s^2; full_throttle, full_brake: m/s^2 that a whole pedal gives; standing:
    m/s below which the car stands; ackermann: CARLA's own speed controller instead of this one.

    Raises ValueError unless all are above 0 and finite; speed_ki may be 0.
    """

    command_timeout: float = 0.3
    max_command_age: float = 0.25
    max_speed: float = 15.0
    speed_kp: float = 1.0
    speed_ki: float = 0.3
    full_throttle: float = 4.0
    full_brake: float = 8.0
    standing: float = 0.2
    ackermann: bool = False

    def __post_init__(self) -> None:
        positive = (
            "command_timeout",
            "max_command_age",
            "max_speed",
            "speed_kp",
            "full_throttle",
            "full_brake",
            "standing",
        )
        for name in positive:
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if not 0.0 <= self.speed_ki < math.inf:
            raise ValueError(f"speed_ki must be 0 or more and finite, got {self.speed_ki}")


@dataclass(frozen=True)
class Pedals:
    """What carla.VehicleControl takes. throttle, brake: 0 to 1; steer: -1 to 1, right positive."""

    throttle: float
    brake: float
    steer: float
    hand_brake: bool = False


@dataclass(frozen=True)
class AckermannTarget:
    """What carla.VehicleAckermannControl takes. steer: rad, right positive; speed: m/s."""

    steer: float
    speed: float


class SpeedLoop:
    """PI from speed to acceleration, and the pedal that gives it. Never both pedals; the integral waits while a pedal
    is down to the floor, and far from what is wanted."""

    def __init__(self, config: ControlConfig) -> None:
        self._config = config
        self._integral = 0.0

    def reset(self) -> None:
        """Forget what was."""
        self._integral = 0.0

    def step(self, wanted: float, speed: float, dt: float) -> tuple[float, float, bool]:
        """throttle, brake, hand brake. wanted: m/s, 0 or more; speed: m/s measured, forwards; dt: s since the last."""
        config, stop = self._config, wanted < _ZERO_SPEED
        if stop and abs(speed) < config.standing:
            self.reset()
            return 0.0, 1.0, True
        error = wanted - speed
        acceleration = config.speed_kp * error + self._integral
        floored = acceleration >= config.full_throttle if error > 0.0 else acceleration <= -config.full_brake
        if not floored and abs(error) < _NEAR:
            moved = self._integral + config.speed_ki * error * dt
            self._integral = max(-_MOST_INTEGRAL, min(_MOST_INTEGRAL, moved))
        if stop:
            self.reset()
            acceleration = min(config.speed_kp * error, -_LEAST_STOP)
        if acceleration > 0.0:
            return min(acceleration / config.full_throttle, 1.0), 0.0, False
        if acceleration < -_COAST or stop:
            return 0.0, min(-acceleration / config.full_brake, 1.0), False
        return 0.0, 0.0, False


@dataclass(frozen=True)
class _Command:
    speed: float
    steering: float
    decided: float


class Driver:
    """One car's driver: takes commands, gives pedals, and brakes when he hears nothing sensible.

    wheelbase: m; refused: commands by reason; fault: why it brakes, empty while it follows a command.
    """

    def __init__(self, config: ControlConfig, steering: Steering, wheelbase: float) -> None:
        self._config, self._steering, self._wheelbase = config, steering, wheelbase
        self._loop = SpeedLoop(config)
        self._command: _Command | None = None
        self._held = ""
        self._angle = 0.0  # rad, left positive, as it was asked for last
        self._last_step = math.nan
        self.fault = "no command yet"
        self.refused: Counter[str] = Counter()

    def hold(self, reason: str) -> None:
        """Follow no command while `reason` is not empty."""
        self._held = reason
        if reason:
            self._command = None

    def on_twist(self, now: float, stamp: float, vx: float, yaw_rate: float) -> str:
        """True velocities, m/s and rad/s, decided at `stamp`; why it was refused, or an empty text."""
        if not (math.isfinite(vx) and math.isfinite(yaw_rate)):
            return self._not_finite()
        return self.on_drive(now, stamp, vx, steering_angle((vx, 0.0, yaw_rate), self._wheelbase, self._angle))

    def on_drive(self, now: float, stamp: float, speed: float, steering: float) -> str:
        """A speed, m/s, and a steering angle, rad, left positive; why it was refused, or an empty text."""
        if not all(map(math.isfinite, (stamp, speed, steering))):
            return self._not_finite()
        if self._held:
            return self._refuse(self._held)
        if not -_FUTURE_TOLERANCE <= now - stamp <= self._config.max_command_age:
            return self._refuse("stamp too old or in the future: does its sender use_sim_time?")
        if self._command is not None and stamp < self._command.decided:
            return self._refuse("older than the command before")
        if speed < 0.0:
            self.refused["reverse: taken as zero"] += 1
        if speed > self._config.max_speed:
            self.refused["limited"] += 1
        speed = max(0.0, min(speed, self._config.max_speed))
        self._angle = max(-self._steering.max_angle, min(self._steering.max_angle, steering))
        self._command = _Command(speed, self._angle, min(stamp, now))
        return ""

    def step(self, now: float, speed: float) -> Pedals | AckermannTarget:
        """What the car is told at `now`, at a measured speed in m/s forwards. Silence is noticed here."""
        dt = now - self._last_step if math.isfinite(self._last_step) else 0.0
        self._last_step = now
        command = self._heard(now)
        if command is None or not math.isfinite(speed):
            return self._full_brake(speed)
        if self._config.ackermann and command.speed >= _ZERO_SPEED:
            return AckermannTarget(-command.steering, command.speed)
        throttle, brake, hand_brake = self._loop.step(command.speed, speed, dt)
        return Pedals(throttle, brake, self._steering.share(command.steering, speed), hand_brake)

    def _heard(self, now: float) -> _Command | None:
        """The command to follow, or None with the reason in `fault`."""
        if self._held:
            self.fault = self._held
        elif self._command is None:
            self.fault = self.fault or "no command that can be followed"
        elif now - self._command.decided > self._config.command_timeout - _ROUNDING:
            self.fault, self._command = f"no command for {self._config.command_timeout:g} s", None
        else:
            self.fault = ""
        return self._command

    def _full_brake(self, speed: float) -> Pedals:
        """With the wheels as they are: straightening them in a bend would leave the lane."""
        self._loop.reset()
        moving = speed if math.isfinite(speed) else 0.0
        stands = math.isfinite(speed) and abs(speed) < self._config.standing
        return Pedals(0.0, 1.0, self._steering.share(self._angle, moving), hand_brake=stands)

    def _not_finite(self) -> str:
        self._command = None
        self.fault = "the last command is not finite"
        return self._refuse("not finite")

    def _refuse(self, reason: str) -> str:
        self.refused[reason] += 1
        return reason
