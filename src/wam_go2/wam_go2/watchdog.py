"""The command watchdog of the last process before the robot: resends, notices silence, and stops until it is heard.

Pure: every call carries the time, seconds of a steady clock. Only the standard library is used, because the SDK process
may run under another interpreter than the node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class Phase(Enum):
    """What the watchdog is about."""

    IDLE = "idle"  # the robot is stopped and has said so; nothing is sent
    MOVING = "moving"  # the newest command is resent
    ZEROING = "zeroing"  # Move(0, 0, 0), a few times
    STOPPING = "stopping"  # StopMove until it is acknowledged


class Refusal(Enum):
    """Why a command was not taken; the value is what people read."""

    NOT_FINITE = "command is not finite"
    OLD = "command is too old, from the future, or older than the last one"
    BEFORE_STOP = "command was sent before the last stop"
    STOPPING = "a stop is still under way"


@dataclass(frozen=True)
class SendMove:
    """Call Move with these: m/s, m/s, rad/s in base_link."""

    vx: float
    vy: float
    yaw_rate: float


@dataclass(frozen=True)
class SendStop:
    """Call StopMove and report the answer with on_stop_answer(generation, ...)."""

    generation: int


@dataclass(frozen=True)
class WatchdogConfig:
    """Seconds and Hz. command_timeout: silence that stops the robot, counted from the sending of the newest command;
    resend_rate: how often the newest command is repeated; stop_retry: pause between two StopMoves; rest_time: after so
    long with nothing but zeros the robot is stopped for good, and left to its remote control until something else
    comes.

    Raises ValueError when a value lies outside the range that keeps its promise.
    """

    command_timeout: float = 0.3
    resend_rate: float = 50.0
    stop_retry: float = 0.1
    rest_time: float = 2.0

    def __post_init__(self) -> None:
        if not 0.05 <= self.command_timeout <= 0.5:
            raise ValueError(f"command_timeout must be 0.05 to 0.5 s, got {self.command_timeout}")
        if not 20.0 <= self.resend_rate <= 50.0:
            raise ValueError(f"resend_rate must be 20 to 50 Hz, got {self.resend_rate}")
        if not 0.02 <= self.stop_retry <= 1.0:
            raise ValueError(f"stop_retry must be 0.02 to 1 s, got {self.stop_retry}")
        if not 0.5 <= self.rest_time <= 60.0:
            raise ValueError(f"rest_time must be 0.5 to 60 s, got {self.rest_time}")


_ZERO = SendMove(0.0, 0.0, 0.0)
_ZEROS = 3  # Moves are not acknowledged: one may be lost, three in a row hardly
_FUTURE_TOLERANCE = 0.005  # s; both ends read the same clock


class CommandWatchdog:
    """Says what to send and when. It begins with a stop: nobody knows what the process before it left the robot doing.

    Each stop raises `generation`; a command carries the generation its sender knew, so one that was under way when the
    stop began (in a pipe, in a process that was paused) can never overtake it.
    """

    def __init__(self, config: WatchdogConfig, now: float) -> None:
        self._config = config
        self.generation = 0
        self.phase = Phase.IDLE
        self._command = _ZERO
        self._sent = -math.inf
        self._moved = -math.inf
        self._due = now
        self._zeros = 0
        self.stop(now)

    def on_command(
        self, now: float, generation: int, sent: float, vx: float, vy: float, yaw_rate: float
    ) -> Refusal | None:
        """A command that was sent at `sent`; None when it was taken. Zero is a command like any other."""
        if not all(map(math.isfinite, (sent, vx, vy, yaw_rate))):
            return Refusal.NOT_FINITE
        if self.phase in (Phase.ZEROING, Phase.STOPPING):
            return Refusal.STOPPING
        if generation != self.generation:
            return Refusal.BEFORE_STOP
        if sent < self._sent or not -_FUTURE_TOLERANCE <= now - sent < self._config.command_timeout:
            return Refusal.OLD
        self._command, self._sent = SendMove(vx, vy, yaw_rate), sent
        if self._command != _ZERO:
            self._moved = now
        if self.phase is Phase.MOVING or self._command != _ZERO:
            self.phase, self._due = Phase.MOVING, now
        return None  # to a robot that has acknowledged a stop, zero says nothing new

    def stop(self, now: float) -> None:
        """Stop now, whatever arrives, until the robot has acknowledged it. A stop under way goes on as it is."""
        if self.phase in (Phase.ZEROING, Phase.STOPPING):
            return
        self.generation += 1
        self.phase, self._due, self._zeros = Phase.ZEROING, now, _ZEROS

    def on_stop_answer(self, now: float, generation: int, acknowledged: bool) -> None:
        """The robot's answer to the SendStop of that generation. An answer to an earlier stop changes nothing."""
        if self.phase is not Phase.STOPPING or generation != self.generation:
            return
        if acknowledged:
            self.phase, self._due = Phase.IDLE, math.inf
        else:
            self._due = now + self._config.stop_retry

    def step(self, now: float) -> SendMove | SendStop | None:
        """What to send at `now`, or None. Silence is noticed here."""
        silent = now - self._sent >= self._config.command_timeout
        resting = self._command == _ZERO and now - self._moved >= self._config.rest_time
        if self.phase is Phase.MOVING and (silent or resting):
            self.stop(now)
        if now < self._due:
            return None
        if self.phase is Phase.MOVING:
            self._due = now + 1.0 / self._config.resend_rate
            return self._command
        if self.phase is Phase.ZEROING:
            self._zeros -= 1
            self._due = now + 1.0 / self._config.resend_rate
            if self._zeros == 0:
                self.phase = Phase.STOPPING
            return _ZERO
        if self.phase is Phase.STOPPING:
            self._due = now + self._config.stop_retry
            return SendStop(self.generation)
        return None

    def wait(self, now: float) -> float:
        """Seconds until step may have something new to say; infinite when only a command can wake it."""
        if self.phase is Phase.MOVING:
            return max(min(self._due, self._sent + self._config.command_timeout) - now, 0.0)
        return max(self._due - now, 0.0)
