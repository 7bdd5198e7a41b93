"""The camera's calibration: rules, scaling, straightening."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from wam_go2.calibration import Calibration, CalibrationError, Rectifier, jpeg_size, load_calibration

CONFIG = Path(__file__).parents[3] / "config"


@pytest.fixture()
def calibration() -> Calibration:
    return load_calibration(CONFIG / "go2_camera.yaml")


@pytest.mark.parametrize("name", ["go2_camera.yaml", "go2_camera_sim.yaml"])
def test_the_shipped_calibrations_keep_the_rules(name):
    assert load_calibration(CONFIG / name).matrix[2].tolist() == [0.0, 0.0, 1.0]


def test_the_simulated_camera_is_already_the_straight_one():
    calibration = load_calibration(CONFIG / "go2_camera_sim.yaml")
    assert calibration.rectified().matrix == pytest.approx(calibration.matrix, abs=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"K": [864.0, 0, 639, 12.0, 864, 373, 0, 0, 1]}, r"K must be \[fx"),  # K[1, 0], as a published file has it
        ({"K": [864.0, 0, 639, 0, 864, 373, 1.0, 0, 1]}, r"K must be \[fx"),
        ({"K": [864.0, 0, 639, 0, 864, 373, 0, 0, 0]}, r"K must be \[fx"),
        ({"K": [-864.0, 0, 639, 0, 864, 373, 0, 0, 1]}, "above 0"),
        ({"K": [864.0, 0, 1639, 0, 864, 373, 0, 0, 1]}, "inside 1280 x 720"),
        ({"K": [math.nan, 0, 639, 0, 864, 373, 0, 0, 1]}, "finite"),
        ({"K": [864.0]}, "reshape"),
        ({"distortion": [0.1]}, "5 finite"),
        ({"position": [0.1, math.inf, 0.0]}, "position"),
        ({"pitch_degrees": 90.0}, "pitch"),
        ({"rectified_fov_degrees": 170.0}, "rectified_fov"),
        ({"width": "wide"}, "wide"),
        ({"width": None}, "calibration"),
    ],
)
def test_a_malformed_calibration_is_refused_with_its_rule(tmp_path, change, message):
    values = yaml.safe_load((CONFIG / "go2_camera.yaml").read_text())
    path = tmp_path / "camera.yaml"
    path.write_text(yaml.safe_dump(values | change))
    with pytest.raises(CalibrationError, match=message):
        load_calibration(path)


@pytest.mark.parametrize("text", ["", "width: 3", "a: [", "- 1"])
def test_a_file_that_is_no_calibration_is_refused(tmp_path, text):
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=str(path)):
        load_calibration(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CalibrationError, match=r"nowhere\.yaml"):
        load_calibration(tmp_path / "nowhere.yaml")


def test_half_the_size_is_half_the_focal_length(calibration):
    half = calibration.scaled(640, 360)
    assert half.matrix[:2] == pytest.approx(calibration.matrix[:2] / 2)
    assert (half.width, half.height) == (640, 360)


def test_another_shape_is_refused(calibration):
    with pytest.raises(CalibrationError, match="640 x 480"):
        calibration.scaled(640, 480)


def test_the_size_is_read_from_the_header():
    for width, height in ((640, 360), (64, 48), (1281, 721)):
        jpeg = cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8))[1].tobytes()
        assert jpeg_size(jpeg) == (width, height)


@pytest.mark.parametrize(
    "jpeg", [b"", b"\xff\xd8", b"\xff\xd8\xff\xd9", b"no picture", b"\xff\xd8\xff\xe0\x00\x02\xff\xd9"]
)
def test_what_is_no_whole_jpeg_is_refused(jpeg):
    with pytest.raises(ValueError, match="JPEG"):
        jpeg_size(jpeg)


def test_a_truncated_jpeg_is_refused():
    jpeg = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    with pytest.raises(ValueError, match="no whole JPEG"):
        jpeg_size(jpeg[:-2])


def test_rectifying_makes_a_bent_line_straight(calibration):
    """Points of a straight line in space, drawn where the distorting lens sees them, must line up afterwards."""
    calibration = replace(calibration, width=1280, height=720)
    line = np.stack([np.full(200, -0.62), np.linspace(-0.35, 0.35, 200), np.ones(200)], axis=1)
    bent, _ = cv2.projectPoints(line, np.zeros(3), np.zeros(3), calibration.matrix, calibration.distortion)
    image = np.zeros((720, 1280, 3), np.uint8)
    cv2.polylines(image, [bent.astype(np.int32)], False, (255, 255, 255), 4)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    rectifier = Rectifier(calibration)
    straight = cv2.imdecode(np.frombuffer(rectifier(jpeg), np.uint8), cv2.IMREAD_GRAYSCALE)

    def bow(picture: np.ndarray) -> float:
        rows = [y for y in range(720) if picture[y].max() > 128]
        columns = np.array([np.flatnonzero(picture[y] > 128).mean() for y in rows])
        fit = np.polyval(np.polyfit(rows, columns, 1), rows)
        return float(np.abs(columns - fit).max())

    assert bow(image[..., 0]) > 10.0
    assert bow(straight) < 1.5  # px; half of a line 4 px wide that JPEG has frayed
    expected = rectifier.calibration.matrix @ [-0.62, 0.0, 1.0]
    row = straight[round(expected[1])]
    assert np.flatnonzero(row > 128).mean() == pytest.approx(expected[0], abs=1.5)


def test_a_jpeg_that_cannot_be_decoded_is_refused(calibration):
    with pytest.raises(ValueError, match="decoded"):
        Rectifier(calibration)(b"no picture")
