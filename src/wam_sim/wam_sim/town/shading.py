"""What MuJoCo cannot draw: it lights and dims the corners of triangles only, and those of the ground are far away. Here
every pixel is made brighter or dimmer by the distance of what it shows."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from wam_sim.objects import Colour

# Of the ego car's head lamps in base_link, m.
_LAMPS = tuple(np.float32(each) for each in (2.2, 0.0, 0.7))
# How many times as bright as without them the road is in front of the lamps, m where half of that is left, and how far
# to the side a third of it is, as a share of the distance.
_GAIN, _REACH, _SPREAD = 5.0, 14.0, 0.55
# Share of the light that goes above the horizontal: they are dipped.
_UPWARDS = 0.1
# Of what lies as far off as the fog reaches, this share is still seen.
_LEFT = 0.11


class CameraMount(NamedTuple):
    """In base_link on the ground: m and, of the direction in which it looks, rad."""

    x: float
    y: float
    z: float
    yaw: float


class Intrinsics(NamedTuple):
    """px, of square pixels."""

    fx: float
    fy: float
    cx: float
    cy: float


class HeadLamps:
    """The light of the ego car's lamps. size: (height, width) px."""

    def __init__(self, mount: CameraMount, size: tuple[int, int], camera: Intrinsics) -> None:
        aside, up = _rays(size, camera)
        cos, sin = math.cos(mount.yaw), math.sin(mount.yaw)
        self._x, self._y, self._z = cos - sin * aside, sin + cos * aside, up
        self._from = np.array(mount[:3], dtype=np.float32)

    def shade(self, image: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3). depth: float32 (H, W) m along the camera's axis."""
        x, y, z = (depth * ray + start for ray, start in zip((self._x, self._y, self._z), self._from))
        return np.minimum(image * brightening(x, y, z)[..., None], 255.0).astype(np.uint8)


def brightening(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """How many times as bright the ego car's head lamps make what is at a place in base_link, m."""
    x, y, z = (value - lamp for value, lamp in zip((x, y, z), _LAMPS))
    ahead = np.maximum(x, 0.3)
    light = np.clip(0.7 - 6.0 * z / ahead, _UPWARDS, 1.0)
    light *= np.exp(-np.square(y / (ahead * _SPREAD))) / (1.0 + (x * x + y * y) / _REACH**2)
    return np.where(x > 0.0, 1.0 + _GAIN * light, 1.0)


class Fog:
    """reach: m to where nothing is seen any more; size: (height, width) px."""

    def __init__(self, reach: float, colour: Colour, size: tuple[int, int], camera: Intrinsics) -> None:
        aside, up = _rays(size, camera)
        self._thickness = np.sqrt(1.0 + aside**2 + up**2) * np.float32(math.log(_LEFT) / reach)
        self._colour = (255.0 * np.array(colour)).astype(np.float32)

    def shade(self, image: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3). depth: float32 (H, W) m along the camera's axis."""
        seen = np.exp(depth * self._thickness)[..., None]
        return (self._colour + seen * (image - self._colour)).astype(np.uint8)


def _rays(size: tuple[int, int], camera: Intrinsics) -> tuple[np.ndarray, np.ndarray]:
    """float32 (1, W) m to the left and (H, 1) m up, of what each pixel shows 1 m ahead."""
    height, width = size
    aside = (camera.cx - 0.5 - np.arange(width, dtype=np.float32)) / np.float32(camera.fx)
    up = (camera.cy - 0.5 - np.arange(height, dtype=np.float32)) / np.float32(camera.fy)
    return aside[None].astype(np.float32), up[:, None].astype(np.float32)
