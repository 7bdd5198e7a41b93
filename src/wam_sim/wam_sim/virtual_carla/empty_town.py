"""A town with nobody in it and pictures that nobody drew: for tests of what lies between a client and a car."""

from __future__ import annotations

import numpy as np

from wam_sim.town.car import CarModel, CarState, step_car
from wam_sim.town.criteria import Contact
from wam_sim.town.layout import make_network
from wam_sim.town.network import RoadNetwork

COLOUR = (200, 100, 50)  # R, G, B of every picture; its left half is black but for a corner that counts them


class EmptyTown:
    """See server.Simulation. contacts: what a test puts there; pictures: drawn so far."""

    def __init__(self, split: str = "val", seed: int = 0, camera_size: tuple[int, int] = (24, 32)) -> None:
        self.network: RoadNetwork = make_network(split, seed)
        lane = max(self.network.lanes.values(), key=lambda each: each.centre.length)
        self.model = CarModel()
        self.state = CarState(lane.centre.poses(5.0)[1])
        self.time = 0.0
        self.contacts: tuple[Contact, ...] = ()
        self.pictures = 0
        self.closed = False
        self._camera_size = camera_size

    def step(self, steering: float, acceleration: float, dt: float) -> None:
        self.state = step_car(self.state, self.model, steering, acceleration, dt)
        self.time += dt

    def render(self, camera: str = "front") -> np.ndarray:
        height, width = self._camera_size
        image = np.zeros((height, width, 3), dtype=np.uint8)
        image[:, width // 2 :] = COLOUR
        self.pictures += 1
        image[-1, 0] = self.pictures % 256
        return image

    def close(self) -> None:
        self.closed = True
