"""Procedural surface patterns, drawn once a world. Names of the known and the unseen ones are in worlds.py."""

from __future__ import annotations

import cv2
import numpy as np

SIZE = 128  # px


def draw(name: str, first: tuple[float, float, float], second: tuple[float, float, float], seed: int) -> np.ndarray:
    """uint8 (SIZE, SIZE, 3) RGB between two colours (0 to 1). Raises KeyError on an unknown name."""
    mix = _PATTERNS[name](np.random.default_rng(seed))[..., None]
    image = (1 - mix) * np.array(first) + mix * np.array(second)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def _smooth_noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    coarse = rng.random((cells, cells), dtype=np.float32)
    return np.clip(cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), 0, 1)


def _plain(rng: np.random.Generator) -> np.ndarray:
    return 0.15 * rng.random((SIZE, SIZE))


def _noise(rng: np.random.Generator) -> np.ndarray:
    return 0.6 * _smooth_noise(rng, 8) + 0.4 * rng.random((SIZE, SIZE))


def _tiles(rng: np.random.Generator) -> np.ndarray:
    number = int(rng.integers(2, 5))
    step = SIZE // number
    tone = np.kron(rng.random((number, number)) * 0.5, np.ones((step, step)))
    image = np.ones((SIZE, SIZE))
    image[: number * step, : number * step] = tone
    image[::step], image[:, ::step] = 1.0, 1.0
    return image


def _planks(rng: np.random.Generator) -> np.ndarray:
    number = int(rng.integers(4, 9))
    rows = np.repeat(rng.random(number) * 0.7, SIZE // number + 1)[:SIZE, None]
    return np.clip(rows + 0.2 * rng.random((SIZE, 1)) + 0.1 * rng.random((SIZE, SIZE)), 0, 1)


def _hexagons(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:SIZE, 0:SIZE] * (2 * np.pi / SIZE) * int(rng.integers(2, 4))
    waves = np.cos(x) + np.cos(x / 2 + y * np.sqrt(3) / 2) + np.cos(x / 2 - y * np.sqrt(3) / 2)
    return np.clip(0.5 + 0.4 * waves, 0, 1)


def _stripes(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    turn = rng.uniform(0, np.pi)
    return (np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi * 3 / SIZE) > 0.6).astype(float)


def _blotches(rng: np.random.Generator) -> np.ndarray:
    return (_smooth_noise(rng, 6) > 0.55).astype(float) * 0.8


_PATTERNS = {
    "plain": _plain,
    "noise": _noise,
    "tiles": _tiles,
    "planks": _planks,
    "hexagons": _hexagons,
    "stripes": _stripes,
    "blotches": _blotches,
}
