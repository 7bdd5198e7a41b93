"""The robot's sport service as a state machine, with the habits that surprise people who first meet it.

Pure and deterministic: every call carries the time, seconds. The SDK's call ids, parameters and codes; what the body
does with the velocity (lag, acceleration limits, delay) is the simulation's part.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import IntEnum


class Api(IntEnum):
    """Ids of the "sport" service that this robot knows. It answers any other with NOT_IMPLEMENTED."""

    DAMP = 1001
    BALANCE_STAND = 1002
    STOP_MOVE = 1003
    STAND_UP = 1004
    STAND_DOWN = 1005
    RECOVERY_STAND = 1006
    MOVE = 1008


class Mode(IntEnum):
    """SportModeState.mode."""

    IDLE = 0
    BALANCE_STAND = 1
    LOCOMOTION = 3
    LIE_DOWN = 5
    JOINT_LOCK = 6
    DAMPING = 7
    RECOVERY_STAND = 8


OK = 0
NOT_IMPLEMENTED = 3203
BAD_PARAMETER = 3204

_STILL = (0.0, 0.0, 0.0)
_STANDING_HEIGHT = 0.30  # m, where the simulated camera's trunk is
_LYING_HEIGHT = 0.08  # m
# Of the firmware that puts its posture there instead of in `mode`.
_ERROR_CODES = {Mode.DAMPING: 1001, Mode.LIE_DOWN: 1001, Mode.JOINT_LOCK: 1002}


@dataclass(frozen=True)
class SportConfig:
    """Seconds. hold: how long the last Move lasts; dead_window: after StandUp, in which Move is ignored although
    nothing says so; rise_time: of any change of posture. reports_mode: False is newer firmware, whose `mode` stays
    0."""

    hold: float = 1.0
    dead_window: float = 4.0
    rise_time: float = 1.0
    reports_mode: bool = True


class SportService:
    """What the robot was told, and what it makes of it. standing: it starts balanced on its legs instead of lying."""

    def __init__(self, config: SportConfig, standing: bool) -> None:
        self._config = config
        self._mode = Mode.BALANCE_STAND if standing else Mode.LIE_DOWN
        self._since = -math.inf
        self._deaf_until = -math.inf
        self._move = _STILL
        self._moved_at = -math.inf

    def call(self, now: float, api_id: int, parameter: str) -> int:
        """Carry out one call; the code the client gets."""
        if api_id == Api.MOVE:
            return self._take_move(now, parameter)
        if api_id not in Api.__members__.values():
            return NOT_IMPLEMENTED
        self._move = _STILL
        if api_id == Api.STAND_UP and self._mode is not Mode.JOINT_LOCK:
            self._enter(now, Mode.JOINT_LOCK)
            self._deaf_until = now + self._config.dead_window
        elif api_id == Api.RECOVERY_STAND:
            self._enter(now, Mode.RECOVERY_STAND)
            self._deaf_until = now + self._config.dead_window
        elif api_id == Api.BALANCE_STAND and self._on_its_legs:
            self._enter(now, Mode.BALANCE_STAND)
        elif api_id == Api.STAND_DOWN:
            self._enter(now, Mode.LIE_DOWN)
        elif api_id == Api.DAMP:
            self._enter(now, Mode.DAMPING)
        return OK  # also when it changed nothing: the robot does not say

    def velocity(self, now: float) -> tuple[float, float, float]:
        """What the legs are asked for now: vx, vy m/s and yaw rate rad/s in the body. Call it at every physics step."""
        self._settle(now)
        return self._move

    @property
    def mode(self) -> Mode:
        """As the robot is, whether or not its firmware reports it."""
        return self._mode

    @property
    def reported(self) -> tuple[int, int]:
        """SportModeState's mode and error_code."""
        mode = self._mode if self._config.reports_mode else Mode.IDLE
        return int(mode), _ERROR_CODES.get(self._mode, 0)

    def body_height(self, now: float) -> float:
        """Metres above the ground, through a change of posture and after it."""
        fraction = min((now - self._since) / self._config.rise_time, 1.0)
        end = _LYING_HEIGHT if self._mode in (Mode.LIE_DOWN, Mode.DAMPING) else _STANDING_HEIGHT
        rises = self._mode in (Mode.JOINT_LOCK, Mode.RECOVERY_STAND)
        begin = _LYING_HEIGHT if rises else _STANDING_HEIGHT
        return begin + fraction * (end - begin)

    @property
    def _on_its_legs(self) -> bool:
        return self._mode in (Mode.JOINT_LOCK, Mode.BALANCE_STAND, Mode.LOCOMOTION, Mode.RECOVERY_STAND)

    def _take_move(self, now: float, parameter: str) -> int:
        try:
            values = json.loads(parameter)
            move = (float(values["x"]), float(values["y"]), float(values["z"]))
        except (ValueError, KeyError, TypeError):
            return BAD_PARAMETER
        if not all(map(math.isfinite, move)):
            return BAD_PARAMETER
        self._settle(now)
        if self._mode in (Mode.BALANCE_STAND, Mode.LOCOMOTION) and now >= self._deaf_until:
            self._move, self._moved_at = move, now
            if move != _STILL:
                self._enter(now, Mode.LOCOMOTION)
        return OK

    def _settle(self, now: float) -> None:
        """The changes that time alone brings."""
        if now - self._moved_at >= self._config.hold:
            self._move = _STILL
            if self._mode is Mode.LOCOMOTION:
                self._enter(now, Mode.BALANCE_STAND)
        if self._mode is Mode.RECOVERY_STAND and now - self._since >= self._config.rise_time:
            self._enter(now, Mode.BALANCE_STAND)

    def _enter(self, now: float, mode: Mode) -> None:
        if mode is not self._mode:
            self._mode, self._since = mode, now
