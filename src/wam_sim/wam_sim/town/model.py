"""The MuJoCo model of a town: all that stands in one meshes of a few dozen metres, all that moves on bodies of its own.

Every geom costs about as much to draw as a hundred triangles, so that few meshes are drawn faster than many primitives.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

os.environ.setdefault("MUJOCO_GL", "egl")  # before mujoco is imported: headless unless the user chose otherwise

import mujoco
import numpy as np
from transforms3d.euler import euler2quat

from wam_models.se2 import Vector
from wam_sim.objects import Colour as Shade
from wam_sim.objects import Part, Thing
from wam_sim.scene import CAMERA_TURN, vertical_fov
from wam_sim.town.ground import Ground, paint_ground, ribbons
from wam_sim.town.lights import Colour
from wam_sim.town.looks import draw_fronts, draw_sky
from wam_sim.town.shapes import Atlas, Mesh
from wam_sim.town.surroundings import FRONTS, LAMP, SignalHead
from wam_sim.town.vehicles import HEAD_LAMP, TAIL_LAMP
from wam_sim.town.world import Look, TownWorld

NEAR, FAR = 0.3, 700.0  # m: what cameras see
LAMP_RADIUS = 0.28  # m, of signals
# m of a lamp above the middle of its head.
LAMP_PLACES = {Colour.RED: 0.62, Colour.YELLOW: 0.0, Colour.GREEN: -0.62}
LIT: dict[Colour, Shade] = {
    Colour.RED: (1.0, 0.06, 0.03),
    Colour.YELLOW: (1.0, 0.72, 0.02),
    Colour.GREEN: (0.02, 1.0, 0.42),
}
TAIL_LIGHT = (0.28, 0.01, 0.01, 1.0)
BRAKE_LIGHT = (1.0, 0.12, 0.08, 1.0)

_BLOCK = 40.0  # m: what stands in one square of this side is one mesh
_LINE, _KERB, _BOARD = (0.93, 0.93, 0.9), (0.74, 0.74, 0.72), (0.04, 0.04, 0.04)
_TURNED = (0.0, math.pi / 2.0, 0.0)  # a cylinder that looks along x


class ModelBuilder:
    """size: (height, width) px that are drawn; mounts: of cameras, x, y, z m and yaw rad, by name.

    Bodies: ego, vehicle0..., walker0...; geoms: vehicle0_tail..., signal0... for the one lit lamp of every head.
    """

    def __init__(
        self,
        world: TownWorld,
        size: tuple[int, int],
        mounts: Mapping[str, tuple[float, float, float, float]],
        horizontal_fov: float,
        heads: Sequence[SignalHead],
    ) -> None:
        self.spec = mujoco.MjSpec()
        look = world.look
        self._settings(look, size)
        standing = [(part, thing.pose) for thing in world.things for part in thing.parts]
        standing += [(part, head.pose) for head in heads for part in _signal_head(head)]
        moving = {f"vehicle{i}": start.parts for i, start in enumerate(world.vehicles)}
        moving |= {f"walker{i}": start.parts for i, start in enumerate(world.walkers)}
        colours = [part.colour for part, _ in standing] + [part.colour for parts in moving.values() for part in parts]
        self._atlas = Atlas(draw_fronts(look, len(FRONTS), world.seed), [*colours, _LINE, _KERB])
        self._materials(look)
        # What is near is drawn first, and hides what need not be drawn then.
        for name, parts in moving.items():
            self._moving(name, parts)
        self._ego(size, mounts, horizontal_fov)
        for number, head in enumerate(heads):
            self._lit_lamp(head, f"signal{number}")
        self._standing(standing, look)
        self._ground(world)

    def _settings(self, look: Look, size: tuple[int, int]) -> None:
        visual = self.spec.visual
        visual.global_.offheight, visual.global_.offwidth = size
        visual.quality.shadowsize = visual.quality.offsamples = 0
        visual.quality.numslices, visual.quality.numstacks, visual.quality.numquads = 12, 4, 1
        self.spec.stat.extent, self.spec.stat.center = 1.0, (0.0, 0.0, 0.0)  # so that what follows is in metres
        visual.map.znear, visual.map.zfar = NEAR, FAR
        visual.headlight.ambient = (look.ambient,) * 3
        visual.headlight.diffuse = visual.headlight.specular = (0.0,) * 3
        self.spec.worldbody.add_light(
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            dir=look.sun_direction,
            diffuse=look.sun,
            specular=(0.0,) * 3,
            castshadow=False,
        )

    def _materials(self, look: Look) -> None:
        dark = look.light != "day"
        self._texture("sky", draw_sky(look), mujoco.mjtTexture.mjTEXTURE_SKYBOX)
        self._texture("atlas", self._atlas.image)
        for name, emission in (
            ("plain", 0.0),
            ("front", 0.6 if look.night else 0.0),
            (LAMP, 1.0),
            (HEAD_LAMP, 1.0 if dark else 0.4),
        ):
            self._material(name, emission, "atlas")
        for name, emission in (("lit", 1.0), (TAIL_LAMP, 0.9), ("matt", 0.0)):
            self._material(name, emission)

    def _texture(self, name: str, image: np.ndarray, kind: mujoco.mjtTexture = mujoco.mjtTexture.mjTEXTURE_2D) -> None:
        height, width, _ = image.shape
        texture = self.spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3)
        texture.data = image.tobytes()

    def _material(self, name: str, emission: float, texture: str | None = None) -> None:
        material = self.spec.add_material(name=name, specular=0.0, emission=emission)
        if texture is not None:
            material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture

    def _moving(self, name: str, parts: Sequence[Part]) -> None:
        body = self.spec.worldbody.add_body(name=name, mocap=True)
        groups: dict[str, list[tuple[Part, Vector]]] = {}
        for part in parts:
            material = part.material if part.material in (HEAD_LAMP, TAIL_LAMP) else "plain"
            groups.setdefault(material, []).append((part, (0.0, 0.0, 0.0)))
        for material, group in groups.items():
            tail = material == TAIL_LAMP
            self._mesh(body, f"{name}_{material}", self._atlas.mesh(group), material, TAIL_LIGHT if tail else None)

    def _ego(
        self,
        size: tuple[int, int],
        mounts: Mapping[str, tuple[float, float, float, float]],
        horizontal_fov: float,
    ) -> None:
        ego = self.spec.worldbody.add_body(name="ego", mocap=True)
        ego.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=(0.01, 0, 0), group=3)  # a mocap body needs a geom
        for name, (x, y, z, yaw) in mounts.items():
            cos, sin = math.cos(yaw), math.sin(yaw)
            quat = np.empty(4)
            turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]) @ CAMERA_TURN
            mujoco.mju_mat2Quat(quat, turn.ravel())
            ego.add_camera(name=name, pos=(x, y, z), quat=quat, fovy=math.degrees(vertical_fov(size, horizontal_fov)))

    def _lit_lamp(self, head: SignalHead, name: str) -> None:
        x, y, yaw = head.pose
        self.spec.worldbody.add_body(
            name=name, pos=(x, y, head.height), quat=euler2quat(yaw, 0.0, 0.0, axes="rzyx")
        ).add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=(LAMP_RADIUS, 0.03, 0.0),
            pos=(0.11, 0.0, 0.0),
            quat=euler2quat(_TURNED[2], _TURNED[1], _TURNED[0], axes="rzyx"),
            material="lit",
        )

    def _standing(self, parts: Sequence[tuple[Part, Vector]], look: Look) -> None:
        dark = look.light != "day"
        blocks: dict[tuple[int, int, str], list[tuple[Part, Vector]]] = {}
        for part, pose in parts:
            material = "front" if part.material in FRONTS else LAMP if part.material == LAMP and dark else "plain"
            key = math.floor(pose[0] / _BLOCK), math.floor(pose[1] / _BLOCK), material
            blocks.setdefault(key, []).append((part, pose))
        for (column, row, material), group in sorted(blocks.items()):
            self._mesh(self.spec.worldbody, f"{material}_{column}_{row}", self._atlas.mesh(group), material)

    def _ground(self, world: TownWorld) -> None:
        lamps = [_lamp_place(thing) for thing in world.things if thing.kind == "street_lamp"]
        ground = paint_ground(world.network, world.look, lamps, world.seed)
        self._texture("ground", ground.image)
        self._material("ground", 0.0, "ground")
        low = self.spec.worldbody.add_body(name="ground")
        for number, ribbon in enumerate(ribbons(world.network, world.lights)):
            place = self._atlas.place(_LINE if ribbon.kind == "line" else _KERB)
            places = np.broadcast_to(place, (len(ribbon.vertices), 2))
            self._mesh(low, f"ribbon{number}", Mesh(ribbon.vertices, ribbon.faces, places), "plain")
        # A plane of MuJoCo's takes seven times as long to draw as this.
        self._mesh(low, "ground", _square(ground), "ground")
        x0, y0, x1, y1 = ground.bounds
        low.add_geom(
            name="ground_beyond",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=(600.0, 600.0, 1.0),
            pos=((x0 + x1) / 2.0, (y0 + y1) / 2.0, -1.1),
            rgba=(*ground.image[:50].mean(axis=(0, 1)) / 255.0, 1.0),
            material="matt",
        )

    def _mesh(
        self,
        body: mujoco.MjsBody,
        name: str,
        mesh: Mesh,
        material: str,
        rgba: tuple[float, float, float, float] | None = None,
    ) -> None:
        made = self.spec.add_mesh(name=name, uservert=mesh.vertices.ravel(), userface=mesh.faces.ravel())
        made.inertia = mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL  # those on the ground have no volume
        made.usertexcoord = mesh.places.ravel()
        body.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_MESH,
            meshname=name,
            material=material,
            rgba=rgba or (1.0, 1.0, 1.0, 1.0),
            contype=0,
            conaffinity=0,
        )


def _signal_head(head: SignalHead) -> tuple[Part, ...]:
    """The board with its lamps dark, in the frame of the head's pose."""
    board = Part("box", (0.05, 1.5 * LAMP_RADIUS, 1.0), (0.0, 0.0, head.height), _BOARD)
    lamps = tuple(
        Part("cylinder", (LAMP_RADIUS, 0.03), (0.06, 0.0, head.height + up), _dimmed(LIT[colour]), rpy=_TURNED)
        for colour, up in LAMP_PLACES.items()
    )
    return board, *lamps


def _dimmed(colour: Shade) -> Shade:
    red, green, blue = (0.05 + 0.07 * channel for channel in colour)
    return red, green, blue


def _lamp_place(thing: Thing) -> tuple[float, float]:
    """Below the lamp at the end of a street lamp's arm."""
    x, y, yaw = thing.pose
    reach = max(part.position[0] for part in thing.parts)
    return x + reach * math.cos(yaw), y + reach * math.sin(yaw)


def _square(ground: Ground) -> Mesh:
    x0, y0, x1, y1 = ground.bounds
    corners = np.array([[x0, y0, 0.0], [x1, y0, 0.0], [x1, y1, 0.0], [x0, y1, 0.0]])
    places = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), places)
