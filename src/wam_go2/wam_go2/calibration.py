"""The front camera's calibration: loaded and checked, scaled to the image, and used to straighten it.

A straight pinhole is wrong by about 8 degrees at the edge of the Go2's lens, so either the image is rectified here or
the camera info carries the distortion. Pure; only the straightening itself needs OpenCV.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import yaml


class CalibrationError(ValueError):
    """The calibration cannot be used; the message names the rule it breaks."""


@dataclass(frozen=True)
class Calibration:
    """width, height: px; matrix: (3, 3) K in px; distortion: (5,) k1, k2, p1, p2, k3 of plumb_bob; position: (3,) m of
    the optical centre in base_link; pitch: rad, positive looks down; fov: rad, horizontal field of a rectified image.

    Raises CalibrationError when the matrix is no camera matrix or a value is out of reason.
    """

    width: int
    height: int
    matrix: np.ndarray
    distortion: np.ndarray
    position: np.ndarray
    pitch: float
    fov: float

    def __post_init__(self) -> None:
        k = self.matrix
        if k.shape != (3, 3) or not np.isfinite(k).all():
            raise CalibrationError("K must be 9 finite numbers")
        if k[0, 1] or k[1, 0] or k[2, 0] or k[2, 1] or k[2, 2] != 1.0:
            raise CalibrationError(f"K must be [fx, 0, cx, 0, fy, cy, 0, 0, 1], got {k.ravel().tolist()}")
        if not (k[0, 0] > 0.0 and k[1, 1] > 0.0 and 0.0 < k[0, 2] < self.width and 0.0 < k[1, 2] < self.height):
            raise CalibrationError(f"K needs fx, fy above 0 and cx, cy inside {self.width} x {self.height}")
        if self.distortion.shape != (5,) or not np.isfinite(self.distortion).all():
            raise CalibrationError("distortion must be 5 finite numbers: k1, k2, p1, p2, k3")
        if self.position.shape != (3,) or not np.isfinite(self.position).all():
            raise CalibrationError("position must be 3 finite numbers, m in base_link")
        if not abs(self.pitch) < math.pi / 2:
            raise CalibrationError(f"pitch must be between -pi/2 and pi/2, got {self.pitch}")
        if not math.radians(20) <= self.fov <= math.radians(120):
            raise CalibrationError(f"rectified_fov must be 20 to 120 degrees, got {math.degrees(self.fov):.0f}")

    def scaled(self, width: int, height: int) -> Calibration:
        """The calibration of the same picture at another resolution. Raises CalibrationError for another shape: it
        would be another crop of the sensor."""
        if abs(width * self.height - height * self.width) > max(width, height):
            raise CalibrationError(
                f"camera sends {width} x {height}, the calibration is for {self.width} x {self.height}: "
                "set calibration_file to one of the same aspect"
            )
        scale = np.array([width / self.width, height / self.height, 1.0])
        return replace(self, width=width, height=height, matrix=self.matrix * scale[:, None])

    def rectified(self) -> Calibration:
        """The straight pinhole of the same size and the horizontal field `fov`, looking through the image's middle."""
        focal = 0.5 * self.width / math.tan(0.5 * self.fov)
        matrix = np.array([[focal, 0.0, self.width / 2], [0.0, focal, self.height / 2], [0.0, 0.0, 1.0]])
        return replace(self, matrix=matrix, distortion=np.zeros(5))


def load_calibration(path: Path) -> Calibration:
    """Read a calibration YAML (keys as in config/go2_camera.yaml). Raises CalibrationError."""
    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise CalibrationError(f"calibration {path} cannot be read: {error}") from None
    try:
        return Calibration(
            width=int(values["width"]),
            height=int(values["height"]),
            matrix=np.array(values["K"], dtype=float).reshape(3, 3),
            distortion=np.array(values["distortion"], dtype=float),
            position=np.array(values["position"], dtype=float),
            pitch=math.radians(values["pitch_degrees"]),
            fov=math.radians(values["rectified_fov_degrees"]),
        )
    except KeyError as error:
        raise CalibrationError(f"calibration {path} lacks {error}") from None
    except (TypeError, ValueError) as error:
        raise CalibrationError(f"calibration {path}: {error}") from None


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """(width, height) px from the JPEG's header, without decoding it. Raises ValueError when it is no whole JPEG."""
    if jpeg[:2] != b"\xff\xd8" or jpeg[-2:] != b"\xff\xd9":
        raise ValueError("the camera sent no whole JPEG")
    at = 2
    while at + 9 <= len(jpeg) and jpeg[at] == 0xFF:
        marker, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        # A start of frame, C0 to CF, except the three other tables that live in that range.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(jpeg[at + 7 : at + 9], "big"), int.from_bytes(jpeg[at + 5 : at + 7], "big")
        at += 2 + length
    raise ValueError("the camera's JPEG has no frame header")


class Rectifier:
    """Straightens JPEGs of one size."""

    _QUALITY = 90

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration.rectified()
        size = (calibration.width, calibration.height)
        self._maps = cv2.initUndistortRectifyMap(
            calibration.matrix, calibration.distortion, None, self.calibration.matrix, size, cv2.CV_16SC2
        )

    def __call__(self, jpeg: bytes) -> bytes:
        """The straight image as JPEG. Raises ValueError when the input cannot be decoded."""
        image = cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError("the camera's JPEG cannot be decoded")
        straight = cv2.remap(image, *self._maps, interpolation=cv2.INTER_LINEAR)
        done, data = cv2.imencode(".jpg", straight, [cv2.IMWRITE_JPEG_QUALITY, self._QUALITY])
        if not done:
            raise ValueError("the straight image cannot be encoded")
        return data.tobytes()
