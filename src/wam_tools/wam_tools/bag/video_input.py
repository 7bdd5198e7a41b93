"""What a bag is made from where there was no recorder: a video, a table of poses, a calibration."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import yaml

from wam_models.data.bag_reader import BagError
from wam_models.data.bags import relative_poses

_POSES = ("t", "x", "y", "yaw")
_TWISTS = ("vx", "vy", "yaw_rate")


@dataclass(frozen=True)
class Poses:
    """times: (N,) s, ascending; poses: (N, 3) x, y m and yaw rad in odom; twists: (N, 3) m/s and rad/s in base_link."""

    times: np.ndarray
    poses: np.ndarray
    twists: np.ndarray


@dataclass(frozen=True)
class Lens:
    """matrix: (3, 3) K in px of a picture of size (height, width); distortion: (5,) of plumb_bob, zeros for a straight
    one."""

    matrix: np.ndarray
    size: tuple[int, int]
    distortion: np.ndarray


def frames(path: Path, rate: float | None = None) -> Iterator[tuple[float, np.ndarray]]:
    """Seconds since the first frame and uint8 (H, W, 3) BGR. rate: Hz at the most; default all. Raises BagError when
    there is no video in it."""
    if not path.is_file():
        raise BagError(f"{path} is missing: give a video file")
    video = cv2.VideoCapture(str(path))
    try:
        first = last = -math.inf
        nominal = 1.0 / (video.get(cv2.CAP_PROP_FPS) or 30.0)
        while True:
            done, image = video.read()
            if not done:
                break
            seconds = 1e-3 * video.get(cv2.CAP_PROP_POS_MSEC)  # of the frame that was just read
            if first == -math.inf:
                first = seconds
            elif seconds - first <= last:  # a container without times
                seconds = first + last + nominal
            # Half a frame early is nearer than half a frame late.
            if rate is None or seconds - first >= last + 1.0 / rate - 0.5 * nominal:
                last = seconds - first
                yield last, image
    finally:
        video.release()
    if last == -math.inf:
        raise BagError(f"{path} holds no frame that can be decoded: convert it to H.264 in an .mp4")


def read_poses(path: Path) -> Poses:
    """A CSV with the columns t, x, y, yaw and, where they are known, vx, vy, yaw_rate; else they are what the poses
    say. Raises BagError with the line that is wrong."""
    try:
        with path.open(newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            names = tuple(reader.fieldnames or ())
            if not set(_POSES) <= set(names):
                raise BagError(
                    f"{path} must begin with a line of names, t,x,y,yaw among them; it has {','.join(names)}"
                )
            columns = (*_POSES, *(_TWISTS if set(_TWISTS) <= set(names) else ()))
            rows = [_numbers(path, reader.line_num, [row[name] for name in columns]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BagError(f"{path} cannot be read: {error}") from error
    table = np.array(rows, dtype=float).reshape(-1, len(columns))
    if len(table) < 2:
        raise BagError(f"{path} has {len(table)} poses; it needs two at the least")
    steps = np.diff(table[:, 0])
    if (steps <= 0).any():
        raise BagError(f"{path}: t must grow; it does not after {table[int(np.argmax(steps <= 0)), 0]:g} s")
    times, poses = table[:, 0], table[:, 1:4]
    return Poses(times, poses, table[:, 4:] if table.shape[1] > 4 else _differentiated(times, poses))


def read_lens(path: Path) -> Lens:
    """A calibration as ROS's cameracalibrator writes it, or as config/go2_camera.yaml. Raises BagError."""
    try:
        values = yaml.safe_load(path.read_text())
        ours = "K" in values
        matrix = values["K"] if ours else values["camera_matrix"]["data"]
        distortion = values.get("distortion", []) if ours else values["distortion_coefficients"]["data"]
        size = (values["height"], values["width"]) if ours else (values["image_height"], values["image_width"])
        model = "plumb_bob" if ours else values.get("distortion_model", "plumb_bob")
        lens = Lens(
            np.array(matrix, dtype=float).reshape(3, 3),
            (int(size[0]), int(size[1])),
            np.pad(np.array(distortion, dtype=float), (0, max(5 - len(distortion), 0)))[:5],
        )
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BagError(f"{path} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise BagError(f"{path} is no calibration ({error!r}): see config/go2_camera.yaml") from error
    k = lens.matrix
    if not (np.isfinite(k).all() and np.isfinite(lens.distortion).all() and k[0, 0] > 0 < k[1, 1]):
        raise BagError(f"{path}: K must be finite, with focal lengths above 0")
    if model != "plumb_bob" or len(distortion) > 5:
        raise BagError(f"{path} has the distortion {model!r}: straighten the video first, and give the straight lens")
    return lens


class Straightener:
    """Takes the distortion out of pictures, whatever their size. lens: of what comes out."""

    def __init__(self, lens: Lens, size: tuple[int, int]) -> None:
        """size: (height, width) px of the pictures. Raises BagError when they are of another shape."""
        height, width = size
        if abs(width * lens.size[0] - height * lens.size[1]) > max(size):
            raise BagError(f"the video is {width} x {height}, the calibration for {lens.size[1]} x {lens.size[0]}")
        scale = np.array([width / lens.size[1], height / lens.size[0], 1.0])
        matrix = lens.matrix * scale[:, None]
        self._maps = None
        if lens.distortion.any():
            straight, _ = cv2.getOptimalNewCameraMatrix(matrix, lens.distortion, (width, height), 0.0)
            self._maps = cv2.initUndistortRectifyMap(
                matrix, lens.distortion, None, straight, (width, height), cv2.CV_16SC2
            )
            matrix = straight
        self.lens = Lens(matrix, size, np.zeros(5))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3)."""
        if self._maps is None:
            return image
        return np.asarray(cv2.remap(image, *self._maps, interpolation=cv2.INTER_LINEAR))


def _numbers(path: Path, line: int, texts: list[str | None]) -> list[float]:
    try:
        found = [float(text or "") for text in texts]
    except ValueError as error:
        raise BagError(f"{path}, line {line}: {error}") from error
    if not all(map(math.isfinite, found)):
        raise BagError(f"{path}, line {line}: NaN or infinity; leave the line out")
    return found


def _differentiated(times: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """(N, 3) in base_link: over the steps to both neighbours."""
    before, after = np.maximum(np.arange(len(times)) - 1, 0), np.minimum(np.arange(len(times)) + 1, len(times) - 1)
    here = relative_poses(poses[after], poses) - relative_poses(poses[before], poses)
    return np.asarray(here / (times[after] - times[before])[:, None])
