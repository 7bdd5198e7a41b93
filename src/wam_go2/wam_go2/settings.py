"""The bridge's parameters in one table, and what they become once they are checked. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wam_controller.parameters import Parameter, Value
from wam_go2.adapter import VELOCITY_FRAMES, BridgeLimits
from wam_go2.calibration import Calibration, load_calibration
from wam_go2.readiness import ReadinessConfig
from wam_go2.sdk_link import LinkSettings

BRIDGE = (
    Parameter("interface", "", "network card that leads to the robot, such as eth0; lo for the virtual one"),
    Parameter("dds_domain", 0, "DDS domain of the robot; a real one is in 0", 0, 232),
    Parameter("sdk_python", "", "interpreter that has unitree_sdk2py and Cyclone DDS 0.10.2; empty: this one"),
    Parameter("calibration_file", "", "camera calibration, YAML as config/go2_camera.yaml"),
    Parameter("rectify", True, "straighten the image; false sends it as it is, its distortion in the camera info"),
    Parameter("camera_rate", 10.0, "Hz, images asked for; not above the robot's own rate", 1, 30),
    Parameter("camera_delay", 0.0, "s, age of an image at the moment it is asked for", 0, 1),
    Parameter("velocity_frame", "odom", "frame of SportModeState.velocity", choices=VELOCITY_FRAMES),
    Parameter("command_timeout", 0.3, "s of silence on cmd_vel that stop the robot", 0.05, 0.5),
    Parameter("max_command_age", 0.25, "s, cmd_vel with an older stamp is refused", 0.05, 0.5),
    Parameter("resend_rate", 50.0, "Hz at which the newest command is repeated", 20, 50),
    Parameter("state_timeout", 0.3, "s of silence of the robot's state that mean LOST", 0.05, 2),
    Parameter("camera_timeout", 1.0, "s without an image that mean DEGRADED", 0.1, 10),
    Parameter("settle_time", 10.0, "s from standing up to the first command; it ignores Move for 4 to 10", 0.5, 60),
    Parameter("stand_up_on_start", False, "stand up when the robot is first heard, without go2_bridge/stand_up"),
    Parameter("vx_min", -0.5, "m/s, the bridge's own limit backwards", -2.5, 0),
    Parameter("vx_max", 1.5, "m/s, the bridge's own limit forwards", 0, 3.8),
    Parameter("vy_max", 0.6, "m/s, the bridge's own limit sideways", 0, 1),
    Parameter("yaw_rate_max", 1.5, "rad/s, the bridge's own limit", 0, 4),
    Parameter("publish_tf", True, "odom -> base_link on /tf, where tf2_msgs is installed"),
)


@dataclass(frozen=True)
class BridgeConfig:
    """Checked and grouped by who needs it. camera_delay, max_command_age: s."""

    link: LinkSettings
    readiness: ReadinessConfig
    limits: BridgeLimits
    calibration: Calibration
    rectify: bool
    camera_delay: float
    velocity_frame: str
    max_command_age: float
    stand_up_on_start: bool
    publish_tf: bool


def make_config(values: Mapping[str, Value]) -> BridgeConfig:
    """From the values of BRIDGE by name, each already within its row. Raises ValueError for what no row can say."""
    if not values["interface"]:
        raise ValueError("parameter interface is empty: name the network card that leads to the robot (ip addr)")
    if not values["calibration_file"]:
        raise ValueError("parameter calibration_file is empty: give the path of a YAML like config/go2_camera.yaml")
    return BridgeConfig(
        link=LinkSettings(
            interface=str(values["interface"]),
            domain=int(values["dds_domain"]),
            sdk_python=str(values["sdk_python"]) or sys.executable,
            camera_rate=float(values["camera_rate"]),
            command_timeout=float(values["command_timeout"]),
            resend_rate=float(values["resend_rate"]),
        ),
        readiness=ReadinessConfig(
            state_timeout=float(values["state_timeout"]),
            camera_timeout=float(values["camera_timeout"]),
            settle_time=float(values["settle_time"]),
        ),
        limits=BridgeLimits(*(float(values[name]) for name in ("vx_min", "vx_max", "vy_max", "yaw_rate_max"))),
        calibration=load_calibration(Path(str(values["calibration_file"]))),
        rectify=bool(values["rectify"]),
        camera_delay=float(values["camera_delay"]),
        velocity_frame=str(values["velocity_frame"]),
        max_command_age=float(values["max_command_age"]),
        stand_up_on_start=bool(values["stand_up_on_start"]),
        publish_tf=bool(values["publish_tf"]),
    )
