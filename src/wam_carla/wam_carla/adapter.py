"""CARLA's words and ROS's: every conversion between the two, and nowhere else. Pure.

CARLA is left-handed, x forward, y right, z up, in metres and degrees; its rotator turns the nose up for a positive
pitch and lowers the right side for a positive roll; its `steer` is a share of the largest angle, positive to the right.
ROS is REP-103: right-handed, x forward, y left, z up, radians, steering angles positive to the left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from transforms3d.euler import euler2mat, euler2quat
from transforms3d.quaternions import mat2quat

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

# From an optical frame (x right, y down, z forward) to the camera's body (x forward, y left, z up).
_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
_KMH = 3.6  # km/h in a m/s


def mirrored(vector: Vector) -> Vector:
    """A place, velocity, acceleration or impulse of the other side; its own inverse."""
    x, y, z = vector
    return x, -y, z


def rotation_to_ros(roll: float, pitch: float, yaw: float) -> Vector:
    """Degrees of a carla.Rotation as roll, pitch, yaw in rad."""
    return math.radians(roll), -math.radians(pitch), -math.radians(yaw)


def rotation_to_carla(rpy: Vector) -> Vector:
    """The inverse: roll, pitch, yaw in degrees, the order of rotation_to_ros and not of carla.Rotation's arguments."""
    return math.degrees(rpy[0]), -math.degrees(rpy[1]), -math.degrees(rpy[2])


def spin_to_ros(spin: Vector) -> Vector:
    """An angular velocity: deg/s about CARLA's axes, rad/s about ROS's. It is no arrow: a mirror that flips y turns
    round every turn but the one about y."""
    x, y, z = spin
    return -math.radians(x), math.radians(y), -math.radians(z)


def spin_to_carla(spin: Vector) -> Vector:
    """The inverse of spin_to_ros."""
    x, y, z = spin
    return -math.degrees(x), math.degrees(y), -math.degrees(z)


def quaternion(rpy: Vector) -> Quaternion:
    """w, x, y, z of roll, pitch, yaw in rad."""
    w, x, y, z = map(float, euler2quat(*rpy))
    return w, x, y, z


def into_body(vector: Vector, rpy: Vector) -> Vector:
    """A vector of the world as a body sees it that is turned so. Both of ROS."""
    x, y, z = (euler2mat(*rpy).T @ np.array(vector)).tolist()
    return x, y, z


def out_of_body(vector: Vector, rpy: Vector) -> Vector:
    """The inverse of into_body."""
    x, y, z = (euler2mat(*rpy) @ np.array(vector)).tolist()
    return x, y, z


@dataclass(frozen=True)
class VehicleState:
    """One moment of the car, as ROS tells it. position: m, rpy: rad, of base_link in map; linear: m/s, angular: rad/s,
    acceleration: m/s^2, all in base_link."""

    position: Vector
    rpy: Vector
    linear: Vector
    angular: Vector
    acceleration: Vector

    @property
    def finite(self) -> bool:
        return all(map(math.isfinite, (*self.position, *self.rpy, *self.linear, *self.angular, *self.acceleration)))


def vehicle_state(
    location: Vector, rotation: Vector, velocity: Vector, spin: Vector, acceleration: Vector
) -> VehicleState:
    """From a snapshot of an actor. rotation: roll, pitch, yaw, degrees; spin: deg/s; all in the axes of the world."""
    rpy = rotation_to_ros(*rotation)
    return VehicleState(
        position=mirrored(location),
        rpy=rpy,
        linear=into_body(mirrored(velocity), rpy),
        angular=into_body(spin_to_ros(spin), rpy),
        acceleration=into_body(mirrored(acceleration), rpy),
    )


@dataclass(frozen=True)
class CameraMount:
    """A camera on the car. position: m in base_link; rpy: rad, of its body, x forward; width, height: px; fov: rad,
    from the left edge to the right one.

    Raises ValueError unless there are pixels and the field of view lies between 0 and pi.
    """

    name: str
    position: Vector
    rpy: Vector
    width: int
    height: int
    fov: float

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"camera {self.name} has {self.width} x {self.height} pixels: both must be 1 or more")
        if not 0.0 < self.fov < math.pi:
            raise ValueError(f"camera {self.name} sees {self.fov} rad: it must be above 0 and below pi")

    @property
    def carla_location(self) -> Vector:
        """As CARLA mounts it, relative to the vehicle."""
        return mirrored(self.position)

    @property
    def carla_rotation(self) -> Vector:
        """roll, pitch, yaw in degrees."""
        return rotation_to_carla(self.rpy)

    @property
    def carla_fov(self) -> float:
        """degrees, as CARLA counts it too: from the left edge to the right one."""
        return math.degrees(self.fov)

    @property
    def optical(self) -> Quaternion:
        """w, x, y, z of its optical frame in base_link."""
        w, x, y, z = map(float, mat2quat(euler2mat(*self.rpy) @ _OPTICAL))
        return w, x, y, z

    @property
    def matrix(self) -> tuple[float, ...]:
        """K, row by row: a pinhole without distortion, in the middle of the image."""
        focal = self.width / (2.0 * math.tan(self.fov / 2.0))
        return focal, 0.0, self.width / 2.0, 0.0, focal, self.height / 2.0, 0.0, 0.0, 1.0


@dataclass(frozen=True)
class Steering:
    """How a vehicle's wheels answer to `steer`. max_angle: rad; curve: (m/s, share of max_angle) from 0 m/s on, speeds
    increasing, the vehicle turning its wheels less the faster it drives.

    Raises ValueError unless max_angle and all shares are above 0, and shares at most 1.
    """

    max_angle: float
    curve: tuple[tuple[float, float], ...] = ((0.0, 1.0),)

    def __post_init__(self) -> None:
        if not 0.0 < self.max_angle < math.pi / 2.0:
            raise ValueError(f"the largest steering angle must lie between 0 and pi/2 rad, got {self.max_angle}")
        speeds = [speed for speed, _ in self.curve]
        if not speeds or any(b <= a for a, b in zip(speeds, speeds[1:])):
            raise ValueError(f"a steering curve needs increasing speeds, got {self.curve}")
        if not all(0.0 < share <= 1.0 for _, share in self.curve):
            raise ValueError(f"a steering curve needs shares above 0 and at most 1, got {self.curve}")

    def limit(self, speed: float) -> float:
        """rad, the largest angle at that speed, m/s."""
        speeds, shares = zip(*self.curve)
        return self.max_angle * float(np.interp(abs(speed), speeds, shares))

    def share(self, angle: float, speed: float) -> float:
        """`steer`, right positive, -1 to 1, for an angle in rad, left positive."""
        return max(-1.0, min(1.0, -angle / self.limit(speed)))

    def angle(self, share: float, speed: float) -> float:
        """The inverse, within the limits: rad, left positive."""
        return -share * self.limit(speed)


def steering_of(max_steer_angles: list[float], curve: list[tuple[float, float]]) -> Steering:
    """From a VehiclePhysicsControl: degrees of each wheel, and (km/h, share). Raises ValueError as Steering does, and
    when no wheel steers."""
    widest = max(max_steer_angles, default=0.0)
    if not widest > 0.0:
        raise ValueError("no wheel of this vehicle steers: choose the blueprint of a car")
    return Steering(math.radians(widest), tuple((speed / _KMH, share) for speed, share in curve) or ((0.0, 1.0),))


def wheelbase_of(wheels: list[Vector]) -> float:
    """m between the axles, from the places of the wheels, front left, front right, rear left, rear right. CARLA 0.9
    gives them in cm, later ones in m: no car is longer than 20 m. Raises ValueError unless there are four apart."""
    if len(wheels) != 4:
        raise ValueError(f"a car has four wheels, this vehicle {len(wheels)}: choose the blueprint of a car")
    places = np.array(wheels)
    length = float(np.linalg.norm(places[:2].mean(axis=0) - places[2:].mean(axis=0)))
    length = length / 100.0 if length > 20.0 else length
    if not 0.5 < length < 20.0:
        raise ValueError(f"the wheels of this vehicle are {length:.2f} m apart: give the parameter wheelbase")
    return length


def rgb(raw: bytes | memoryview, width: int, height: int) -> np.ndarray:
    """uint8 (H, W, 3) RGB of a camera's raw data, BGRA bytes. Raises ValueError when there are not that many."""
    data = np.frombuffer(raw, dtype=np.uint8)
    if data.size != height * width * 4:
        raise ValueError(f"an image of {width} x {height} needs {height * width * 4} bytes, got {data.size}")
    return np.ascontiguousarray(data.reshape(height, width, 4)[:, :, 2::-1])


def bgra(image: np.ndarray) -> bytes:
    """The inverse of rgb, opaque."""
    height, width, _ = image.shape
    out = np.full((height, width, 4), 255, dtype=np.uint8)
    out[:, :, :3] = image[:, :, ::-1]
    return out.tobytes()
