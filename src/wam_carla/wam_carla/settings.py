"""The bridge's parameters in one table, and what they become once they are checked. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from wam_carla.adapter import CameraMount
from wam_carla.vehicle_control import ControlConfig
from wam_controller.parameters import Parameter, Value

COMMANDS = ("twist_stamped", "twist", "ackermann_stamped", "ackermann")
CAMERAS = ("front", "front,left,right", "none")
IMAGES = ("compressed", "raw", "both")

BRIDGE = (
    Parameter("host", "localhost", "machine that CARLA runs on"),
    Parameter("port", 2000, "its RPC port; the two above it are used too", 1, 65533),
    Parameter(
        "server_timeout",
        10.0,
        "s that a call may take; loading a town ten times that",
        0.1,
        300,
    ),
    Parameter("tick_timeout", 2.0, "s of the wall clock that a tick may take, else LOST", 0.1, 60),
    Parameter("sensor_timeout", 1.0, "s of the wall clock that a tick waits for cameras that are due", 0.01, 10),
    Parameter("town", "", "map to load, such as Town03; empty: the one that is loaded"),
    Parameter("role_name", "ego_vehicle", "name of the car, in CARLA and in the topics; others use hero"),
    Parameter("blueprint", "vehicle.tesla.model3", "which car"),
    Parameter("spawn_point", -1, "its number in the map; -1: the first that is free", -1, 100000),
    Parameter(
        "existing_vehicle",
        "auto",
        "what to do with a car of that role name: destroy it, drive it and leave it there, or refuse; auto: replace, "
        "and refuse where another client ticks",
        choices=("auto", "replace", "attach", "refuse"),
    ),
    Parameter("passive", False, "another client ticks the world; this one only listens and drives"),
    Parameter("fixed_delta", 0.05, "s of simulated time in a tick; CARLA's physics want 0.1 or less", 0.005, 0.1),
    Parameter("real_time_factor", 1.0, "simulated seconds in a second, at most; 0: as fast as it goes", 0, 100),
    Parameter("cameras", "front", "which", choices=CAMERAS),
    Parameter("camera_rate", 10.0, "Hz of simulated time; a whole number of ticks is between two pictures", 0.5, 100),
    Parameter("image_width", 800, "px", 16, 4096),
    Parameter("image_height", 600, "px", 16, 4096),
    Parameter("fov", 90.0, "degrees, from the left edge of the image to the right one", 10, 170),
    Parameter("camera_x", 2.0, "m ahead of the middle of the car", -5, 5),
    Parameter("camera_y", 0.0, "m to its left", -3, 3),
    Parameter("camera_z", 2.0, "m above the ground", 0, 5),
    Parameter("camera_pitch", 0.0, "degrees, nose down positive", -90, 90),
    Parameter("side_yaw", 60.0, "degrees that the side cameras look to the left and right", 0, 180),
    Parameter("images", "compressed", "what is published: JPEG, pixels, or both", choices=IMAGES),
    Parameter("jpeg_quality", 90, "of 100", 1, 100),
    Parameter("commands", "twist_stamped", "what the car is driven by; there is one such topic only", choices=COMMANDS),
    Parameter("command_timeout", 0.3, "s of simulated time without a command that mean full brake", 0.05, 0.5),
    Parameter("max_command_age", 0.25, "s of simulated time, a command with an older stamp is refused", 0.05, 0.5),
    Parameter("max_speed", 15.0, "m/s, the bridge's own limit", 0.5, 60),
    Parameter("wheelbase", 0.0, "m; 0: as the vehicle's physics say", 0, 10),
    Parameter("control", "pedals", "own PI to throttle and brake, or CARLA's", choices=("pedals", "ackermann")),
    Parameter("speed_kp", 1.0, "1/s, acceleration for an error in speed", 0.05, 10),
    Parameter("speed_ki", 0.3, "1/s^2, of its integral", 0, 5),
    Parameter("full_throttle", 4.0, "m/s^2 that a whole throttle gives", 0.5, 20),
    Parameter("full_brake", 8.0, "m/s^2 that a whole brake gives", 1, 20),
    Parameter("camera_timeout", 1.0, "s of simulated time without a picture that mean DEGRADED", 0.1, 10),
    Parameter("publish_clock", True, "simulated time on /clock; false where another client does"),
    Parameter("publish_tf", True, "map -> role name on /tf, the cameras on /tf_static, where tf2_msgs is installed"),
)


@dataclass(frozen=True)
class ServerConfig:
    """Where the server is. timeout, tick_timeout, sensor_timeout: s; town: empty for what is loaded; delta: s."""

    host: str = "localhost"
    port: int = 2000
    timeout: float = 10.0
    tick_timeout: float = 2.0
    sensor_timeout: float = 1.0
    town: str = ""
    passive: bool = False
    delta: float = 0.05


@dataclass(frozen=True)
class CarConfig:
    """Which car. spawn_point: -1 for any; existing: replace, attach or refuse; wheelbase: m, 0 for the vehicle's own;
    camera_period: ticks between two pictures."""

    role_name: str = "ego_vehicle"
    blueprint: str = "vehicle.tesla.model3"
    spawn_point: int = -1
    existing: str = "replace"
    wheelbase: float = 0.0
    cameras: tuple[CameraMount, ...] = ()
    camera_period: int = 2


@dataclass(frozen=True)
class BridgeConfig:
    """Checked and grouped by who needs it. real_time_factor: 0 for no pace; camera_timeout: s; jpeg_quality: 0 where
    no JPEG is wanted."""

    server: ServerConfig
    car: CarConfig
    control: ControlConfig
    commands: str
    real_time_factor: float
    camera_timeout: float
    jpeg_quality: int
    raw_images: bool
    publish_clock: bool
    publish_tf: bool


def make_config(values: Mapping[str, Value]) -> BridgeConfig:
    """From the values of BRIDGE by name, each already within its row. Raises ValueError for what no row can say."""
    role_name = str(values["role_name"])
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", role_name):
        raise ValueError(f"parameter role_name is {role_name!r}: it is a part of topics, so letters, digits and _ only")
    delta, rate = float(values["fixed_delta"]), float(values["camera_rate"])
    period = round(1.0 / (rate * delta))
    if period < 1 or abs(period * rate * delta - 1.0) > 1e-3:
        raise ValueError(
            f"camera_rate {rate:g} Hz and fixed_delta {delta:g} s: a whole number of ticks must lie between two "
            f"pictures; the nearest rate is {1.0 / (max(period, 1) * delta):g} Hz"
        )
    images, passive, existing = str(values["images"]), bool(values["passive"]), str(values["existing_vehicle"])
    if passive and values["town"]:
        raise ValueError("parameters passive and town: who ticks the world loads its map; leave town out")
    if existing == "auto":
        existing = "refuse" if passive else "replace"
    return BridgeConfig(
        server=ServerConfig(
            host=str(values["host"]),
            port=int(values["port"]),
            timeout=float(values["server_timeout"]),
            tick_timeout=float(values["tick_timeout"]),
            sensor_timeout=float(values["sensor_timeout"]),
            town=str(values["town"]),
            passive=passive,
            delta=delta,
        ),
        car=CarConfig(
            role_name=role_name,
            blueprint=str(values["blueprint"]),
            spawn_point=int(values["spawn_point"]),
            existing=existing,
            wheelbase=float(values["wheelbase"]),
            cameras=_cameras(values),
            camera_period=period,
        ),
        control=ControlConfig(
            **{name: float(values[name]) for name in ("command_timeout", "max_command_age", "max_speed")},
            **{name: float(values[name]) for name in ("speed_kp", "speed_ki", "full_throttle", "full_brake")},
            ackermann=values["control"] == "ackermann",
        ),
        commands=str(values["commands"]),
        real_time_factor=float(values["real_time_factor"]),
        camera_timeout=float(values["camera_timeout"]),
        jpeg_quality=0 if images == "raw" else int(values["jpeg_quality"]),
        raw_images=images != "compressed",
        publish_clock=bool(values["publish_clock"]),
        publish_tf=bool(values["publish_tf"]),
    )


def _cameras(values: Mapping[str, Value]) -> tuple[CameraMount, ...]:
    side = math.radians(float(values["side_yaw"]))
    looks = {"front": 0.0, "left": side, "right": -side}
    names = [] if values["cameras"] == "none" else str(values["cameras"]).split(",")
    return tuple(
        CameraMount(
            name=name,
            position=(float(values["camera_x"]), float(values["camera_y"]), float(values["camera_z"])),
            rpy=(0.0, math.radians(float(values["camera_pitch"])), looks[name]),
            width=int(values["image_width"]),
            height=int(values["image_height"]),
            fov=math.radians(float(values["fov"])),
        )
        for name in names
    )
