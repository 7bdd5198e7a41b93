"""How a town looks: surfaces, sky and light, known ones in `train` and `val`, unseen textures in `unseen`."""

from __future__ import annotations

import numpy as np

from wam_sim import textures
from wam_sim.objects import Colour
from wam_sim.town.world import Look

LIGHTS = ("day", "dusk", "night", "fog")
# Of the picture of a front: windows beside and above each other, and px for each of them.
BAYS, STOREYS = 16, 5
_WINDOW = 32
# px of a side of the sky, and the tangent of the angle at which it has the colour of above.
_SKY, _SKY_TOP = 64, 0.8

_TEXTURES = {
    "train": ("plain", "noise", "tiles", "planks"),
    "val": ("plain", "noise", "tiles", "planks"),
    "unseen": ("hexagons", "stripes", "blotches"),
}
# Asphalt has no pattern of its own where drivers learn, and patches or seams where they have never been.
_ROADS = {"train": ("plain", "noise"), "val": ("plain", "noise"), "unseen": ("blotches", "stripes")}
# What lies around the streets, as (red, green, blue): grass, dry grass, sand, gravel, earth.
_GROUNDS = ((0.27, 0.42, 0.20), (0.48, 0.46, 0.26), (0.62, 0.55, 0.42), (0.48, 0.47, 0.45), (0.40, 0.31, 0.22))


def make_look(split: str, light: str, rng: np.random.Generator) -> Look:
    """Raises ValueError for another split or light."""
    if split not in _TEXTURES:
        raise ValueError(f"no split is called {split!r}: there are {', '.join(_TEXTURES)}")
    if light not in LIGHTS:
        raise ValueError(f"no light is called {light!r}: there are {', '.join(LIGHTS)}")
    asphalt = rng.uniform(0.20, 0.34)
    ground = np.array(_GROUNDS[int(rng.integers(len(_GROUNDS)))])
    road = (str(rng.choice(_ROADS[split])), *_pair(rng, np.full(3, asphalt), 0.01, (0.86, 0.94)))
    pavement = (str(rng.choice(_TEXTURES[split])), *_pair(rng, np.full(3, rng.uniform(0.45, 0.68)), 0.03, (0.78, 0.9)))
    around = (str(rng.choice(_TEXTURES[split])), *_pair(rng, ground * rng.uniform(0.85, 1.15), 0.03, (0.75, 0.92)))
    wall = (str(rng.choice(_TEXTURES[split])), *_pair(rng, np.full(3, rng.uniform(0.85, 1.0)), 0.02, (0.8, 0.93)))
    sky, sun, ambient = _light(light, rng)
    bearing = rng.uniform(0.0, 2.0 * np.pi)
    low = rng.uniform(1.6, 2.6) if light == "dusk" else rng.uniform(0.3, 1.1)
    return Look(
        light=light,
        road=road,
        pavement=pavement,
        ground=around,
        wall=wall,
        sky=sky,
        sun=sun,
        sun_direction=(float(low * np.cos(bearing)), float(low * np.sin(bearing)), -1.0),
        ambient=ambient,
        fog=float(rng.uniform(55.0, 95.0)) if light == "fog" else None,
    )


def draw_fronts(look: Look, number: int, seed: int) -> np.ndarray:
    """uint8 (number * h, w, 3) RGB: fronts of buildings in bands, BAYS windows wide and STOREYS high, which differ in
    colour and windows. By night the walls are dark and some of the windows are lit."""
    rng = np.random.default_rng([seed, 85])
    pattern = textures.draw(*look.wall, seed=seed).astype(np.float32) / 255.0
    width, height = BAYS * _WINDOW, STOREYS * _WINDOW
    side = len(pattern)
    wall = np.tile(pattern, (height // side + 1, width // side + 1, 1))[:height, :width]
    return np.concatenate([_draw_front(wall, look, rng) for _ in range(number)])


def draw_sky(look: Look) -> np.ndarray:
    """uint8 (6 n, n, 3) RGB: the sides of a cube about the camera, of which MuJoCo has the upper one third, the lower
    one fourth and the upright ones upside up."""
    rows = np.arange(_SKY, dtype=float)[:, None, None] + 0.5
    height = np.clip(1.0 - rows / (0.5 * _SKY), 0.0, None)  # tangent of the angle above the horizon
    share = np.clip(height / _SKY_TOP, 0.0, 1.0)
    horizon, above = (255.0 * np.array(colour) for colour in look.sky)
    side = np.broadcast_to((1.0 - share) * horizon + share * above, (_SKY, _SKY, 3))
    top, bottom = np.broadcast_to(above, side.shape), np.broadcast_to(horizon, side.shape)
    return np.concatenate([side, side, top, bottom, side, side]).astype(np.uint8)


def _draw_front(wall: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    warm = np.array([1.0, rng.uniform(0.72, 1.0), rng.uniform(0.55, 1.0)])
    image = wall * np.clip(rng.uniform(0.45, 0.95) * warm + rng.normal(0.0, 0.03, 3), 0.1, 1.0)
    dark = 0.25 if look.night else 1.0
    share = {"night": 0.3, "dusk": 0.25}.get(look.light, 0.0)
    glass = dark * rng.uniform(0.1, 0.28) * np.array((0.85, 0.95, 1.1))
    high, wide = int(rng.uniform(0.45, 0.62) * _WINDOW), int(rng.uniform(0.35, 0.65) * _WINDOW)
    image *= dark
    image[::_WINDOW] *= 0.8  # where one storey begins
    for row in range(STOREYS):
        for column in range(BAYS):
            lit = rng.random() < share
            pane = np.array((1.0, 0.85, 0.5)) * rng.uniform(0.6, 1.0) if lit else glass * rng.uniform(0.6, 1.2)
            top, left = row * _WINDOW + int(0.2 * _WINDOW), column * _WINDOW + (_WINDOW - wide) // 2
            image[top : top + high, left : left + wide] = pane
    return (255.0 * np.clip(image, 0.0, 1.0)).astype(np.uint8)


def _light(light: str, rng: np.random.Generator) -> tuple[tuple[Colour, Colour], Colour, float]:
    """The sky at the horizon and above, the sun and the light from everywhere."""
    if light == "day":
        horizon = np.array([0.78, 0.84, 0.90]) * rng.uniform(0.85, 1.05)
        above = np.array([0.30, 0.50, 0.85]) if rng.random() < 0.6 else np.array([0.62, 0.66, 0.72])
        sun = np.array([1.0, rng.uniform(0.9, 1.0), rng.uniform(0.8, 1.0)]) * rng.uniform(0.45, 0.75)
        return (_colour(horizon), _colour(above * rng.uniform(0.85, 1.1))), _colour(sun), float(rng.uniform(0.35, 0.5))
    if light == "dusk":
        horizon = np.array([0.85, rng.uniform(0.45, 0.6), rng.uniform(0.3, 0.45)]) * rng.uniform(0.7, 0.95)
        sun = np.array([1.0, 0.65, 0.4]) * rng.uniform(0.3, 0.45)
        return (_colour(horizon), _colour(np.array([0.16, 0.18, 0.32]))), _colour(sun), float(rng.uniform(0.32, 0.45))
    if light == "night":
        glow = np.array([0.06, 0.06, 0.10]) * rng.uniform(0.6, 1.3)
        return (_colour(glow), _colour(0.3 * glow)), _colour(np.full(3, 0.05)), float(rng.uniform(0.2, 0.3))
    grey = np.array([0.72, 0.74, 0.76]) * rng.uniform(0.8, 1.08)
    return (_colour(grey), _colour(grey)), _colour(np.full(3, rng.uniform(0.12, 0.25))), float(rng.uniform(0.5, 0.62))


def _pair(
    rng: np.random.Generator, base: np.ndarray, spread: float, darker: tuple[float, float]
) -> tuple[Colour, Colour]:
    """A colour near `base` and a darker one of the same tint."""
    first = base + rng.normal(0.0, spread, 3)
    return _colour(first), _colour(first * rng.uniform(*darker))


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = np.clip(values, 0.0, 1.0)
    return float(red), float(green), float(blue)
