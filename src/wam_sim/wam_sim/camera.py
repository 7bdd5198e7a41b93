"""What lies between a perfect picture and a walking robot's: sway of the gait, exposure, sensor noise."""

from __future__ import annotations

import numpy as np

STEP_FREQUENCY = 2.3  # Hz, of the trot
TARGET_BRIGHTNESS = 0.42  # mean the auto-exposure steers to, 0 to 1
MAX_GAIN = 5.0


class CameraEffects:
    """Deterministic for a seed. One instance a camera stream. max_gain: to which it brightens the dark."""

    def __init__(self, seed: int, max_gain: float = MAX_GAIN) -> None:
        self._max_gain = max_gain
        self._rng = np.random.default_rng([seed, 77])
        self._phase = self._rng.uniform(0, 2 * np.pi, 3)
        self._gain: float | None = None
        self._drift = 0.0

    def sway(self, time: float, speed: float) -> tuple[float, float, float]:
        """(roll rad, pitch rad, height m) of the trunk at a time (s) and speed (m/s)."""
        strength = min(speed / 0.6, 1.5)
        wave = np.sin(2 * np.pi * STEP_FREQUENCY * np.array([0.5, 1.0, 1.0]) * time + self._phase)
        roll, pitch, lift = np.array([0.018, 0.015, 0.008]) * strength * wave
        return float(roll), float(pitch), float(lift)

    def expose(self, image: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) as a cheap sensor gives it: slow auto-exposure, drift, noise that grows with the gain."""
        mean = float(image[::8, ::8].mean()) / 255.0
        wanted = float(np.clip(TARGET_BRIGHTNESS / max(mean, 1e-3), 0.5, self._max_gain))
        self._gain = wanted if self._gain is None else 0.7 * self._gain + 0.3 * wanted
        self._drift = 0.9 * self._drift + self._rng.normal(0, 0.03)
        gain = self._gain * float(np.exp(self._drift))
        # One tile of noise, rolled at random, is as good as fresh noise and twenty times cheaper.
        noise = np.roll(self._noise(image.shape), self._rng.integers(0, 997))
        bright = image.astype(np.float32) * gain + noise.reshape(image.shape) * (2.0 * np.sqrt(gain))
        return np.clip(bright, 0, 255).astype(np.uint8)

    def _noise(self, shape: tuple[int, ...]) -> np.ndarray:
        size = int(np.prod(shape))
        if getattr(self, "_tile", np.empty(0)).size != size:
            self._tile = self._rng.standard_normal(size, dtype=np.float32)
        return self._tile
