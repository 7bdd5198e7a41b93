"""What a virtual server drives through: a simulation, and the map of its roads."""

from __future__ import annotations

from typing import Protocol

import carla
import numpy as np

from wam_sim.town.car import CarModel, CarState
from wam_sim.town.criteria import Contact
from wam_sim.town.network import RoadNetwork
from wam_sim.town.opendrive import to_opendrive


class Simulation(Protocol):
    """See town.simulation.TownSimulation."""

    time: float
    state: CarState
    model: CarModel
    contacts: tuple[Contact, ...]

    @property
    def network(self) -> RoadNetwork: ...
    def step(self, steering: float, acceleration: float, dt: float) -> None: ...
    def render(self, camera: str = "front") -> np.ndarray: ...
    def close(self) -> None: ...


class Map(carla.Map):
    """The wheel's own, of the town's roads; the car begins where the town's route does."""

    def __init__(self, name: str, network: RoadNetwork, start: carla.Transform) -> None:
        super().__init__(name, to_opendrive(network, name))
        self._start = start

    def get_spawn_points(self) -> list[carla.Transform]:
        return [self._start]
