"""A town made visible: what its cameras see by day, at dusk, by night and in fog. Geometry only; nothing here moves by
physics."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported: headless unless the user chose otherwise

import cv2
import mujoco
import numpy as np
from transforms3d.euler import euler2quat

from wam_models.se2 import Vector, compose, relative
from wam_sim.town.lights import Colour
from wam_sim.town.model import BRAKE_LIGHT, FAR, LAMP_PLACES, LIT, NEAR, TAIL_LIGHT, ModelBuilder
from wam_sim.town.network import RoadEnd
from wam_sim.town.shading import CameraMount, Fog, HeadLamps, Intrinsics, brightening
from wam_sim.town.surroundings import signal_heads
from wam_sim.town.vehicles import TAIL_LAMP
from wam_sim.town.world import TownWorld

# As LMDrive's agent has them.
HORIZONTAL_FOV = math.radians(100.0)
CAMERAS = {
    "front": CameraMount(1.3, 0.0, 2.3, 0.0),
    "left": CameraMount(1.3, 0.0, 2.3, math.radians(60.0)),
    "right": CameraMount(1.3, 0.0, 2.3, math.radians(-60.0)),
}

# Drawn so many times as wide and high and then averaged: MuJoCo's own smoothing costs twice as much without a GPU.
_OVERSAMPLED = 2
# m from which a geom is drawn, by the beginning of its name; the ground is drawn always.
_SIGHTS = {"front": 150.0, "plain": 90.0, "ribbon": 90.0, "signal": 110.0, "ground": math.inf}
_SIGHT = 120.0  # m, of the others
# px of the picture, across: what is smaller is not drawn.
_SMALLEST = 1.3
_TAIL_HEIGHT = 0.8  # m, about


def intrinsics(camera_size: tuple[int, int]) -> Intrinsics:
    """Of every camera. camera_size: (height, width) px."""
    height, width = camera_size
    focal = width / 2.0 / math.tan(HORIZONTAL_FOV / 2.0)
    return Intrinsics(focal, focal, width / 2.0, height / 2.0)


class TownScene:
    """Renders one world. camera_size: (height, width) px; cameras: of CAMERAS. A GL context belongs to its thread:
    render from one only. Raises ValueError for another camera."""

    def __init__(
        self, world: TownWorld, camera_size: tuple[int, int] = (192, 320), cameras: Sequence[str] = ("front",)
    ) -> None:
        unknown = sorted(set(cameras) - CAMERAS.keys())
        if unknown:
            raise ValueError(f"no camera is called {unknown[0]!r}: there are {', '.join(CAMERAS)}")
        self.size = camera_size
        self._night, self._lengths = world.look.night, [start.length for start in world.vehicles]
        self._heads = signal_heads(world.network, world.lights)
        mounts = {name: CAMERAS[name] for name in cameras}
        drawn = camera_size[0] * _OVERSAMPLED, camera_size[1] * _OVERSAMPLED
        self._model = model = ModelBuilder(world, drawn, mounts, HORIZONTAL_FOV, self._heads).spec.compile()
        self._data = mujoco.MjData(model)
        self._ego = model.body("ego").mocapid[0]
        self._vehicles = [model.body(f"vehicle{i}").mocapid[0] for i in range(len(world.vehicles))]
        self._walkers = [model.body(f"walker{i}").mocapid[0] for i in range(len(world.walkers))]
        self._tails = [_find(model, f"vehicle{i}_{TAIL_LAMP}") for i in range(len(world.vehicles))]
        self._lamps = [model.geom(f"signal{i}").id for i in range(len(self._heads))]
        # Else a lamp would stay where its body's mass is, whatever its own place.
        model.geom_sameframe[self._lamps] = mujoco.mjtSameFrame.mjSAMEFRAME_NONE
        self._sights = _sights(model, camera_size, world.look.fog)
        self._picture: _Picture | None = None
        self._shades = {name: self._shade(world, CAMERAS[name]) for name in cameras}

    def close(self) -> None:
        """Free the renderer's memory; call it from the thread that rendered."""
        if self._picture is not None:
            self._picture.close()
            self._picture = None

    def render(
        self,
        camera: str,
        pose: Vector,
        vehicles: Sequence[Vector],
        walkers: Sequence[Vector],
        colours: Mapping[tuple[int, RoadEnd], Colour],
        brake_lights: Sequence[bool] = (),
        pitch: float = 0.0,
    ) -> np.ndarray:
        """uint8 (H, W, 3) RGB. pose: of the ego car's base_link, which is not drawn itself; vehicles, walkers: poses,
        in the world's order; colours: by junction and arm, dark where there is none; brake_lights: by vehicle, off if
        empty; pitch: rad, nose down positive. Raises KeyError for a camera that the scene was not made with."""
        data = self._data
        self._place(self._ego, pose, pitch)
        for mocap, each in zip([*self._vehicles, *self._walkers], [*vehicles, *walkers], strict=True):
            self._place(mocap, each)
        model = self._model
        braking = brake_lights or [False] * len(self._tails)
        for tail, share, brakes in zip(self._tails, self._lit_tails(pose, vehicles), braking, strict=True):
            if tail is not None:
                model.geom_rgba[tail] = BRAKE_LIGHT if brakes else TAIL_LIGHT
                model.geom_rgba[tail, :3] /= share
        shown = [colours.get((head.junction, head.arm)) for head in self._heads]
        for lamp, colour in zip(self._lamps, shown, strict=True):
            if colour is not None:
                model.geom_rgba[lamp, :3], model.geom_pos[lamp, 2] = LIT[colour], LAMP_PLACES[colour]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        self._hide(pose, CAMERAS[camera])
        model.geom_group[[lamp for lamp, colour in zip(self._lamps, shown, strict=True) if colour is None]] = 3
        if self._picture is None:  # made late so that it belongs to the thread that renders
            self._picture = _Picture(model, self.size)
        number = model.camera(camera).id
        shade = self._shades[camera]
        if shade is None:
            return self._picture.draw(data, number)[0]
        return shade.shade(*self._picture.draw(data, number, with_depth=True))

    def _shade(self, world: TownWorld, mount: CameraMount) -> HeadLamps | Fog | None:
        look, camera = world.look, intrinsics(self.size)
        if look.fog is not None:
            return Fog(look.fog, look.sky[0], self.size, camera)
        return HeadLamps(mount, self.size, camera) if look.night else None

    def _lit_tails(self, pose: Vector, vehicles: Sequence[Vector]) -> np.ndarray:
        """(vehicles,) by how much shading will brighten their tail lamps, which shine by themselves."""
        if not self._night:
            return np.ones(len(vehicles))
        places = [
            relative(pose, compose(each, (-length / 2.0, 0.0, 0.0))) for each, length in zip(vehicles, self._lengths)
        ]
        x, y, _ = np.array(places).reshape(-1, 3).T
        return brightening(x, y, np.full(len(x), _TAIL_HEIGHT))

    def _place(self, mocap: int, pose: Vector, pitch: float = 0.0) -> None:
        self._data.mocap_pos[mocap] = (pose[0], pose[1], 0.0)
        self._data.mocap_quat[mocap] = euler2quat(pose[2], pitch, 0.0, axes="rzyx")

    def _hide(self, pose: Vector, mount: CameraMount) -> None:
        """What is too far, too small or not in front of a camera goes into a group that is not drawn."""
        model, heading = self._model, pose[2] + mount.yaw
        away = self._data.geom_xpos[:, :2] - pose[:2]
        radius = model.geom_rbound + 2.0
        seen = np.hypot(away[:, 0], away[:, 1]) < self._sights
        for side in (1.0, -1.0):
            border = heading + side * HORIZONTAL_FOV / 2.0
            inwards = side * np.array([math.sin(border), -math.cos(border)])
            seen &= away @ inwards > -radius
        model.geom_group[:] = np.where(seen, 0, 3)


def _find(model: mujoco.MjModel, geom: str) -> int | None:
    number = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_GEOM, geom)
    return None if number < 0 else number


def _sights(model: mujoco.MjModel, size: tuple[int, int], fog: float | None) -> np.ndarray:
    """(geoms,) m of the distance from which each is drawn."""
    radius = model.geom_rbound
    sights = np.minimum(2.0 * intrinsics(size).fx * radius / _SMALLEST, _SIGHT)
    for geom in range(model.ngeom):
        for name, sight in _SIGHTS.items():
            if model.geom(geom).name.startswith(name):
                sights[geom] = sight if math.isinf(sight) else min(sight, fog or sight)
    return sights + radius


class _Picture:
    """A GL context and what it draws into. size: (height, width) px of its pictures."""

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int]) -> None:
        self._model, self._size = model, size
        height, width = (_OVERSAMPLED * side for side in size)
        self._gl = mujoco.GLContext(width, height)
        self._gl.make_current()
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._rect = mujoco.MjrRect(0, 0, width, height)
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 100)
        for flag in range(mujoco.mjtRndFlag.mjNRNDFLAG):
            self._scene.flags[flag] = False
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SKYBOX] = self._scene.flags[mujoco.mjtRndFlag.mjRND_CULL_FACE] = True
        self._options, self._nothing = mujoco.MjvOption(), mujoco.MjvPerturb()
        self._options.geomgroup[:] = 0
        self._options.geomgroup[0] = 1
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._image = np.empty((height, width, 3), np.uint8)
        self._depth = np.empty((height, width), np.float32)

    def draw(self, data: mujoco.MjData, camera: int, with_depth: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (H, W, 3) RGB, and float32 (H, W) m along the camera's axis, of no meaning without `with_depth`."""
        self._gl.make_current()
        self._camera.fixedcamid = camera
        everything = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(
            self._model, data, self._options, self._nothing, self._camera, everything.value, self._scene
        )
        mujoco.mjr_render(self._rect, self._scene, self._context)
        mujoco.mjr_readPixels(self._image, self._depth if with_depth else None, self._rect, self._context)
        height, width = self._size
        small = cv2.resize(self._image, (width, height), interpolation=cv2.INTER_AREA)
        share = self._depth[::-_OVERSAMPLED, ::_OVERSAMPLED]
        depth = NEAR * FAR / (NEAR + share * (FAR - NEAR)) if with_depth else share
        return np.ascontiguousarray(small[::-1]), depth

    def close(self) -> None:
        self._gl.make_current()
        self._context.free()
        self._gl.free()
