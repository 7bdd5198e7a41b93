"""A virtual CARLA for tests of one part, and patience."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import replace

from wam_carla.adapter import CameraMount
from wam_carla.settings import CarConfig, ServerConfig
from wam_carla.world import CarlaWorld
from wam_sim import virtual_carla
from wam_sim.virtual_carla.empty_town import EmptyTown
from wam_sim.virtual_carla.server import VirtualServer

FRONT = CameraMount("front", (2.0, 0.0, 2.0), (0.0, 0.0, 0.0), 32, 24, math.radians(90.0))
DEADLINE = 20.0  # s
PLAIN = CarConfig(cameras=(FRONT,), camera_period=1)


class Stage:
    """A virtual server and its town, which is made anew for each car."""

    def __init__(self, version: str = "0.9.16") -> None:
        self.towns: list[EmptyTown] = []
        self.port = random.SystemRandom().randint(20000, 60000)
        self.server = VirtualServer(self._make, maps=("Town", "Other"), port=self.port, version=version)
        self.config = ServerConfig(port=self.port, timeout=0.8, tick_timeout=0.8, sensor_timeout=0.2)

    @property
    def town(self) -> EmptyTown:
        return self.towns[-1]

    def close(self) -> None:
        self.server.close()

    def world(self, car: CarConfig = PLAIN, **server: object) -> CarlaWorld:
        return CarlaWorld(replace(self.config, **server), car, virtual_carla)

    def _make(self, _: str) -> EmptyTown:
        self.towns.append(EmptyTown())
        return self.towns[-1]


def until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.005)
