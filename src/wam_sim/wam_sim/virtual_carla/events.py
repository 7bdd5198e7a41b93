"""What sensors say: pictures, collisions, lines that were crossed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import carla
import cv2
import numpy as np

from wam_models.se2 import compose
from wam_sim.town.car import CarModel
from wam_sim.town.criteria import Contact

if TYPE_CHECKING:
    from wam_sim.virtual_carla.server import Record
    from wam_sim.virtual_carla.towns import Map

_KINDS = {"pedestrian": "walker.pedestrian.0001", "vehicle": "vehicle.audi.tt", "static": "static.prop"}
_FORWARD = 10.0  # degrees: a camera that looks so far aside is still the front one
_IMPULSE = 100.0  # N s: the town knows that it touches, not how hard


@dataclass(frozen=True)
class Image:
    """raw_data: BGRA; fov: degrees."""

    frame: int
    timestamp: float
    transform: carla.Transform
    width: int
    height: int
    fov: float
    raw_data: memoryview


@dataclass(frozen=True)
class OtherActor:
    """Whom the car has hit."""

    id: int
    type_id: str


@dataclass(frozen=True)
class CollisionEvent:
    """normal_impulse: N s."""

    frame: int
    timestamp: float
    transform: carla.Transform
    other_actor: OtherActor
    normal_impulse: carla.Vector3D


@dataclass(frozen=True)
class LaneInvasionEvent:
    """With the wheel's own markings."""

    frame: int
    timestamp: float
    transform: carla.Transform
    crossed_lane_markings: list[carla.LaneMarking]


def camera_of(place: carla.Transform) -> str:
    """The town's camera that looks where a sensor looks which is mounted so: front, left or right. Height, tilt and
    field of view are the town's own."""
    yaw = (place.rotation.yaw + 180.0) % 360.0 - 180.0
    return "front" if abs(yaw) < _FORWARD else "left" if yaw < 0.0 else "right"


def picture(attributes: dict[str, str], stamp: carla.Timestamp, place: carla.Transform, image: np.ndarray) -> Image:
    """image: uint8 (H, W, 3) RGB, stretched to the size that the sensor was asked for."""
    width, height = int(attributes["image_size_x"]), int(attributes["image_size_y"])
    if image.shape[:2] != (height, width):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    data = memoryview(cv2.cvtColor(image, cv2.COLOR_RGB2BGRA).tobytes())
    fov = float(attributes["fov"])
    return Image(stamp.frame, stamp.elapsed_seconds, place, width, height, fov, data)


def collisions(sensor: Record, stamp: carla.Timestamp, contacts: tuple[Contact, ...]) -> Iterator[CollisionEvent]:
    """One for each thing that is touched, at each tick, as CARLA sends them."""
    for contact in contacts:
        other = OtherActor(1000 + sum(contact.id.encode()) % 1000, _KINDS[contact.kind])
        impulse = carla.Vector3D(x=-_IMPULSE)
        yield CollisionEvent(stamp.frame, stamp.elapsed_seconds, sensor.place, other, impulse)


def lane_invasion(
    stamp: carla.Timestamp, town: Map, pose: tuple[float, float, float], model: CarModel, over: frozenset[str]
) -> tuple[frozenset[str], LaneInvasionEvent | None]:
    """Sides of its lane over whose line the car reaches now, and an event when there is one more than before (`over`).
    Junctions have no lines."""
    x, y, _ = pose
    here = town.get_waypoint(carla.Location(x=x, y=-y))
    if here is None or here.is_junction:
        return frozenset(), None
    centre, ahead, aside = here.transform, 0.5 * model.length, 0.5 * model.width
    right = centre.get_right_vector()
    offsets = []
    for dx, dy in ((ahead, aside), (ahead, -aside), (-ahead, aside), (-ahead, -aside)):
        east, north, _ = compose(pose, (dx, dy, 0.0))
        offsets.append(right.x * (east - centre.location.x) + right.y * (-north - centre.location.y))
    half = 0.5 * here.lane_width
    sides = {"left": min(offsets) < -half, "right": max(offsets) > half}
    reaches = frozenset(side for side, reaching in sides.items() if reaching)
    markings = {"left": here.left_lane_marking, "right": here.right_lane_marking}
    crossed = [markings[side] for side in sorted(reaches - over) if markings[side] is not None]
    if not crossed:
        return reaches, None
    return reaches, LaneInvasionEvent(stamp.frame, stamp.elapsed_seconds, centre, crossed)
