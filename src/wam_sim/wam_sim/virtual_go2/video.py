"""The robot's front camera: pictures at its own rate, taken when somebody asks, as JPEG."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from wam_sim.faults import CameraFault

QUALITY = 85  # of the JPEG


class Camera:
    """take: renders RGB (h, w, 3) uint8 now, always called on the camera's own thread: a renderer belongs to the thread
    that made it. rate: Hz."""

    def __init__(self, take: Callable[[], np.ndarray], rate: float) -> None:
        self._take = take
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="camera")
        # The first picture makes the renderer, which takes a quarter of a second: better before the robot is up.
        self._thread.submit(take).result()
        self._period = 1.0 / rate
        self._taken_at = -np.inf
        self._jpeg = b""

    def sample(self, now: float, fault: CameraFault) -> tuple[bytes, bool]:
        """The newest picture, and whether it was taken by this call. now: s of a steady clock. Asking faster than the
        camera runs gives the same picture again."""
        if fault is CameraFault.FROZEN and self._jpeg:
            return self._jpeg, False
        fresh = now - self._taken_at >= self._period
        if fresh or not self._jpeg:
            image = self._thread.submit(self._take).result()
            if fault is CameraFault.BLACK:
                image = np.zeros_like(image)
            self._jpeg = encode(image)
            self._taken_at = now
        return (self._jpeg[: len(self._jpeg) // 2] if fault is CameraFault.CORRUPT else self._jpeg), fresh


def encode(image: np.ndarray) -> bytes:
    """RGB uint8 (h, w, 3) as JPEG."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise RuntimeError(f"no JPEG from an image of {image.shape}")
    return data.tobytes()
