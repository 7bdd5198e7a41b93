"""Where robots carry their front camera, for drawing plans into its pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wam_controller.parameter_files import read_parameters
from wam_go2.calibration import load_calibration
from wam_planner.bringup import config_file
from wam_sim.body import WIDTH as GO2_WIDTH
from wam_sim.town.car import CarModel

_STANDS = 0.1  # m; odometry that says less of base_link's height does not count from the ground
_GO2_HEIGHT = 0.30  # m, of the base_link of a standing Go2


@dataclass(frozen=True)
class CameraPlace:
    """position: (3,) m of the optical centre from the ground below base_link; pitch: rad, nose down; width: m of the
    robot."""

    position: np.ndarray
    pitch: float
    width: float


def camera_place(robot: str, height: float) -> CameraPlace:
    """robot: go2 or carla; height: m of base_link as odometry has it."""
    if robot == "carla":
        values = read_parameters(config_file("carla.yaml"), "carla_bridge")
        return CameraPlace(np.array([values[f"camera_{axis}"] for axis in "xyz"]), 0.0, CarModel().width)
    calibration = load_calibration(config_file("go2_camera.yaml"))
    raised = np.array([0.0, 0.0, height if height > _STANDS else _GO2_HEIGHT])
    return CameraPlace(np.asarray(calibration.position) + raised, calibration.pitch, GO2_WIDTH)
