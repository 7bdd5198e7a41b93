"""A world made visible: the one place that imports mujoco. Geometry only; nothing here moves by physics."""

from __future__ import annotations

import os

os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported: headless unless the user chose otherwise

import mujoco
import numpy as np
from transforms3d.euler import euler2quat

from wam_sim import textures
from wam_sim.objects import Part, Thing
from wam_sim.worlds import YardWorld

HORIZONTAL_FOV = np.deg2rad(80.0)  # of the rectified front camera
CAMERA_POSITION = (0.33, 0.0, 0.06)  # m in base_link, which is BASE_HEIGHT above the ground
BASE_HEIGHT = 0.30  # m
# From MuJoCo's camera axes (x right, y up, looking along -z) to base_link's (x forward, y left, z up).
CAMERA_TURN = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def vertical_fov(camera_size: tuple[int, int], horizontal: float = HORIZONTAL_FOV) -> float:
    """Radians, for an image of (height, width) px with square pixels that is `horizontal` rad wide."""
    height, width = camera_size
    return float(2 * np.arctan(np.tan(horizontal / 2) * height / width))


class Scene:
    """Renders one world. camera_size: (height, width) px. A GL context belongs to its thread: render from one only."""

    def __init__(self, world: YardWorld, camera_size: tuple[int, int]) -> None:
        self.size = camera_size
        spec = self._spec(world, camera_size)
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._walker_ids = [self._model.body(f"walker{i}").mocapid[0] for i in range(len(world.walkers))]
        self._robot_id = self._model.body("robot").mocapid[0]
        self._renderer: mujoco.Renderer | None = None
        self._options = mujoco.MjvOption()
        self._options.geomgroup[:] = 0
        self._options.geomgroup[0] = 1

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None

    def render(
        self,
        pose: np.ndarray,
        walkers: list[tuple[float, float, float]],
        sway: tuple[float, float, float] = (0.0, 0.0, 0.0),
    ) -> np.ndarray:
        """uint8 (H, W, 3) RGB of the front camera at a body pose (3,); walkers: poses; sway: roll, pitch, lift."""
        roll, pitch, lift = sway
        x, y, yaw = pose
        position = (x, y, BASE_HEIGHT + lift)
        self._data.mocap_pos[self._robot_id] = position
        self._data.mocap_quat[self._robot_id] = euler2quat(yaw, pitch, roll, axes="rzyx")
        for mocap, (wx, wy, wyaw) in zip(self._walker_ids, walkers, strict=True):
            self._data.mocap_pos[mocap] = (wx, wy, 0.0)
            self._data.mocap_quat[mocap] = euler2quat(wyaw, 0.0, 0.0, axes="rzyx")
        return self._render("front")

    def _render(self, camera: str) -> np.ndarray:
        if self._renderer is None:  # made late so that it belongs to the thread that renders
            self._renderer = mujoco.Renderer(self._model, height=self.size[0], width=self.size[1])
            self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = False  # a shadow map costs six times the frame
            self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        self._renderer.update_scene(self._data, camera=camera, scene_option=self._options)
        return self._renderer.render()

    def _spec(self, world: YardWorld, camera_size: tuple[int, int]) -> mujoco.MjSpec:
        look = world.appearance
        spec = mujoco.MjSpec()
        spec.option.timestep = 0.02
        spec.visual.global_.offheight, spec.visual.global_.offwidth = (max(s, 16) for s in camera_size)
        spec.visual.quality.shadowsize = 0
        spec.visual.map.znear, spec.visual.map.zfar = 0.002, 8.0  # of the model's extent, set next
        spec.stat.extent, spec.stat.center = 10.0, (0.0, 0.0, 0.0)
        spec.visual.headlight.ambient = (look.ambient,) * 3
        spec.visual.headlight.diffuse = (0.0,) * 3
        spec.visual.headlight.specular = (0.0,) * 3
        spec.add_texture(
            name="sky",
            type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
            builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
            rgb1=look.sky[0],
            rgb2=look.sky[1],
            width=64,
            height=64,
        )
        for number, name in enumerate(("floor", "wall", "panel")):
            kind, first, second = getattr(look, name)
            pattern = textures.draw(kind, first, second, seed=1000 * world.seed + number)
            texture = spec.add_texture(
                name=name,
                type=mujoco.mjtTexture.mjTEXTURE_2D if name == "floor" else mujoco.mjtTexture.mjTEXTURE_CUBE,
                width=textures.SIZE,
                height=textures.SIZE * (1 if name == "floor" else 6),
                nchannel=3,
            )
            texture.data = (pattern if name == "floor" else np.concatenate([pattern] * 6)).tobytes()
            material = spec.add_material(name=name, texuniform=True, texrepeat=(0.7, 0.7), specular=0.1, shininess=0.1)
            material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name

        root = spec.worldbody
        root.add_light(
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            dir=look.light_direction,
            diffuse=look.light,
            specular=(0.1,) * 3,
            castshadow=False,
        )
        for x, y in look.lamps:
            root.add_light(
                pos=(x, y, 3.0),
                dir=(0, 0, -1),
                diffuse=(0.45, 0.4, 0.3),
                attenuation=(1.0, 0.15, 0.1),
                cutoff=70,
                castshadow=False,
            )
        root.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=(60, 60, 1), material="floor")
        walker = 0
        for thing in world.things:
            if thing.beat is None:
                body = root.add_body()
                _add_thing(body, thing, thing.pose)
            else:
                body = root.add_body(name=f"walker{walker}", mocap=True)
                _add_thing(body, thing, (0.0, 0.0, 0.0))
                walker += 1

        robot = root.add_body(name="robot", mocap=True)
        robot.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.01, 0, 0), group=3)  # a mocap body needs a geom
        quat = np.empty(4)
        mujoco.mju_mat2Quat(quat, CAMERA_TURN.ravel())
        robot.add_camera(name="front", pos=CAMERA_POSITION, quat=quat, fovy=np.rad2deg(vertical_fov(camera_size)))
        if look.night:
            robot.add_light(
                pos=CAMERA_POSITION,
                dir=(1, 0, -0.1),
                diffuse=(0.5,) * 3,
                attenuation=(1.0, 0.1, 0.05),
                cutoff=45,
                castshadow=False,
            )
        return spec


_GEOM = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
}


def _add_thing(body: mujoco.MjsBody, thing: Thing, pose: tuple[float, float, float]) -> None:
    x, y, yaw = pose
    body.pos = (x, y, 0.0)
    body.quat = euler2quat(yaw, 0.0, 0.0, axes="rzyx")
    for part in thing.parts:
        _add_part(body, part)


def _add_part(body: mujoco.MjsBody, part: Part) -> None:
    roll, pitch, yaw = part.rpy
    size = np.zeros(3)
    size[: len(part.size)] = part.size
    body.add_geom(
        type=_GEOM[part.shape],
        size=size,
        pos=part.position,
        quat=euler2quat(yaw, pitch, roll, axes="rzyx"),
        rgba=(*part.colour, 1.0),
        material=part.material or "",
    )
