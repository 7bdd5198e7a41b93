"""Checks of this repository as it is built here: messages, bundled models, calibration of the robot's camera.

Imports are inside the checks: what one of them needs may be just what is missing.
"""

from __future__ import annotations

from importlib.util import find_spec

from wam_tools.finding import SETUP, Finding, Level

MODELS = ("metis-yard", "metis-town")
CALIBRATION = "go2_camera.yaml"
PUBLISHED_FOCAL_LENGTH = 864.0  # px; of the calibration that config/ ships with, which users measured on their robots


def messages() -> Finding:
    """The messages of this repository are built by colcon, not installed by pip."""
    if find_spec("wam_msgs") is None:
        mended = f"{SETUP}; . scripts/env.sh"
        return Finding("wam_msgs", Level.LACKS, "not built, or this shell does not know it", mended)
    return Finding("wam_msgs", Level.OK, "built")


def bundled_model(model: str) -> Finding:
    """Whether a checkpoint that ships with the repository is there and whole. model: of MODELS."""
    name = f"model {model}"
    try:
        from wam_models.checkpoint import open_checkpoint
        from wam_planner.bringup import bundled_models

        checkpoint = open_checkpoint(bundled_models() / model)
    except (ModuleNotFoundError, ValueError) as error:
        return Finding(name, Level.LACKS, str(error), f"git checkout -- models/bundled && {SETUP}")
    return Finding(name, Level.OK, checkpoint.model_id)


def camera_calibration() -> Finding:
    """Whether the real camera's calibration can be used, and is somebody else's."""
    name = "camera calibration"
    try:
        from wam_go2.calibration import load_calibration
        from wam_planner.bringup import config_file

        calibration = load_calibration(config_file(CALIBRATION))
    except (ModuleNotFoundError, ValueError, OSError) as error:
        return Finding(name, Level.NOTE, f"{error}; so no real Go2", f"mend config/{CALIBRATION}")
    if calibration.matrix[0, 0] == PUBLISHED_FOCAL_LENGTH:
        found = "the published one, not measured on your robot: good enough to try, not to trust"
        return Finding(name, Level.NOTE, found, f"calibrate, then write config/{CALIBRATION}: docs/go2.md")
    return Finding(name, Level.OK, f"{calibration.width} x {calibration.height}")
