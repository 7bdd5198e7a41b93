"""Where robots carry their front camera, for drawing plans into its pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wam_controller.parameter_files import read_parameters
from wam_go2.calibration import load_calibration
from wam_planner.bringup import config_file
from wam_sim.body import WIDTH as GO2_WIDTH
from wam_sim.town.car import CarModel
from wam_tools.demo.drawing import Mount
from wam_tools.replay.job import BagReplay

_STANDS = 0.1  # m; odometry that says less of base_link's height does not count from the ground
_GO2_HEIGHT = 0.30  # m, of the base_link of a standing Go2
# What our bridges call the frames of their cameras; another robot's pictures are seen from elsewhere.
_GO2_FRAME, _CAR_FRAME = "camera_front_optical_frame", "/rgb_front"
_WIDTH = 0.4  # m, of a robot whose user does not say it
_SAY_IT = "where its camera sits is not known: say it with --mount x,y,z,pitch"


@dataclass(frozen=True)
class CameraPlace:
    """position: (3,) m of the optical centre from the ground below base_link; pitch: rad, nose down; width: m of the
    robot."""

    position: np.ndarray
    pitch: float
    width: float

    def lens(self, replay: BagReplay, size: tuple[int, int], shown: float = 1.0) -> Mount | None:
        """For drawing into a picture of the first camera of size (height, width) px that is shown enlarged so many
        times. None where camera_info speaks of a picture of another shape."""
        if replay.camera is None:
            return None
        (height, width), (said_height, said_width) = size, replay.camera.size
        if not said_width or abs(height * said_width - width * said_height) > max(said_height, said_width):
            return None
        scale = shown * width / said_width
        return Mount(np.diag([scale, scale, 1.0]) @ replay.camera.matrix, self.position, self.pitch)


def parse_mount(text: str) -> CameraPlace:
    """x,y,z,pitch or x,y,z,pitch,width: m of the optical centre ahead of base_link, to its left and above the ground,
    degrees nose down, m of the robot. Raises ValueError with the rule."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (4, 5) or not all(map(math.isfinite, numbers)):
        raise ValueError(f"the mount is {text!r}: it must be x,y,z in m, pitch in degrees and, if you like, width in m")
    (x, y, z, pitch), width = numbers[:4], numbers[4] if len(numbers) == 5 else _WIDTH
    if z <= 0.0 or abs(pitch) >= 90.0 or width <= 0.0:
        raise ValueError(f"the mount is {text!r}: z and width must be above 0 and the pitch within 90 degrees")
    return CameraPlace(np.array([x, y, z]), math.radians(pitch), width)


def camera_place(robot: str, replay: BagReplay) -> CameraPlace | None:
    """Of the first camera, where it is one of ours by its frame; None otherwise. robot: go2 or carla."""
    frame = replay.camera.frame if replay.camera is not None else ""
    if robot == "carla":
        values = read_parameters(config_file("carla.yaml"), "carla_bridge")
        ours = replay.camera is not None and replay.camera.size == (values["image_height"], values["image_width"])
        if not (ours and frame.endswith(_CAR_FRAME)):
            return None
        return CameraPlace(np.array([values[f"camera_{axis}"] for axis in "xyz"]), 0.0, CarModel().width)
    if frame != _GO2_FRAME:
        return None
    calibration = load_calibration(config_file("go2_camera.yaml"))
    raised = np.array([0.0, 0.0, replay.height if replay.height > _STANDS else _GO2_HEIGHT])
    return CameraPlace(np.asarray(calibration.position) + raised, calibration.pitch, GO2_WIDTH)


def why_not_drawn(replay: BagReplay, place: CameraPlace | None) -> str:
    """Why plans are not drawn into the pictures of this bag, for people; empty where they are."""
    if replay.camera is None:
        return "it has no camera_info"
    return _SAY_IT if place is None else ""
