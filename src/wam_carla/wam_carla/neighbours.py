"""What is in a CARLA world besides what this client put there just now: other clients, and what was left behind."""

from __future__ import annotations

import time
from typing import Any

_LOOK = 0.05  # s between two looks


def ticks_without_us(world: Any, seconds: float) -> bool:
    """Whether time passes within so many seconds in a world that waits for ticks."""
    frame, until = world.get_snapshot().frame, time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(_LOOK)
        if world.get_snapshot().frame != frame:
            return True
    return False


def free_the_clock(settings: Any) -> Any:
    """The same settings, with time that passes by itself: a world whose client died would wait for ticks for ever."""
    if settings.synchronous_mode:
        settings.synchronous_mode, settings.fixed_delta_seconds = False, None
    return settings


def cars_of(actors: Any, role_name: str) -> list[Any]:
    """Every vehicle of that name, however it came there."""
    return [each for each in actors.filter("vehicle.*") if each.attributes.get("role_name") == role_name]


def destroy(vehicle: Any, actors: Any) -> None:
    """With the sensors that hang on it, which go first."""
    for sensor in actors.filter("sensor.*"):
        if sensor.parent is not None and sensor.parent.id == vehicle.id:
            sensor.destroy()
    vehicle.destroy()
