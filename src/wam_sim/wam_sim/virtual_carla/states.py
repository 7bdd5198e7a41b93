"""What a server knows at one tick, as CARLA tells it: places and motions in its left-handed axes, metres and degrees.

Written without the bridge's conversions, so that a wrong sign there shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import carla

from wam_sim.town.car import CarModel, CarState


@dataclass(frozen=True)
class ActorSnapshot:
    """One actor at one tick."""

    id: int
    _transform: carla.Transform
    _velocity: carla.Vector3D
    _angular_velocity: carla.Vector3D
    _acceleration: carla.Vector3D

    def get_transform(self) -> carla.Transform:
        return self._transform

    def get_velocity(self) -> carla.Vector3D:
        return self._velocity

    def get_angular_velocity(self) -> carla.Vector3D:
        return self._angular_velocity

    def get_acceleration(self) -> carla.Vector3D:
        return self._acceleration


@dataclass(frozen=True)
class WorldSnapshot:
    """All of them."""

    timestamp: carla.Timestamp
    _actors: dict[int, ActorSnapshot] = field(default_factory=dict)

    @property
    def frame(self) -> int:
        return int(self.timestamp.frame)

    def find(self, actor_id: int) -> ActorSnapshot | None:
        return self._actors.get(actor_id)


def place(pose: tuple[float, float, float]) -> carla.Transform:
    """Of x, y m and yaw rad in the town, x east, y north."""
    x, y, yaw = pose
    return carla.Transform(carla.Location(x=x, y=-y), carla.Rotation(yaw=-math.degrees(yaw)))


def pose_of(transform: carla.Transform) -> tuple[float, float, float]:
    """The inverse, on the ground."""
    location = transform.location
    return location.x, -location.y, -math.radians(transform.rotation.yaw)


def snapshot_of(actor: int, state: CarState, model: CarModel) -> ActorSnapshot:
    """Of the car."""
    yaw = state.pose[2]
    along, aside, yaw_rate = state.twist(model)
    return ActorSnapshot(
        actor,
        place(state.pose),
        _across((along, aside), yaw),
        carla.Vector3D(z=-math.degrees(yaw_rate)),
        _across((state.acceleration, state.speed * yaw_rate), yaw),
    )


def standing(actor: int, transform: carla.Transform) -> ActorSnapshot:
    """Of what does not move by itself, sensors for one: where it was put."""
    still = carla.Vector3D()
    return ActorSnapshot(actor, transform, still, still, still)


def wheels(state: CarState, model: CarModel, max_steering: float) -> list[carla.WheelPhysicsControl]:
    """Front left, front right, rear left, rear right: cm in the world, degrees."""
    front, side = model.wheelbase - model.rear, 0.4 * model.width
    corners = ((front, side), (front, -side), (-model.rear, side), (-model.rear, -side))
    x, y, yaw = state.pose
    cos, sin = math.cos(yaw), math.sin(yaw)
    return [
        carla.WheelPhysicsControl(
            max_steer_angle=math.degrees(max_steering) if ahead > 0.0 else 0.0,
            position=carla.Vector3D(
                100.0 * (x + cos * ahead - sin * left), -100.0 * (y + sin * ahead + cos * left), 0.0
            ),
        )
        for ahead, left in corners
    ]


def _across(body: tuple[float, float], yaw: float) -> carla.Vector3D:
    """A vector of the body, x forward, y left, in the world."""
    along, left = body
    east = math.cos(yaw) * along - math.sin(yaw) * left
    north = math.sin(yaw) * along + math.cos(yaw) * left
    return carla.Vector3D(x=east, y=-north)
