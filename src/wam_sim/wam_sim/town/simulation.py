"""One car in one town: its motion, the traffic, cameras, contacts. Time passes only when it is stepped."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
import shapely

from wam_models.se2 import advance, compose, relative
from wam_sim.camera import CameraEffects
from wam_sim.objects import PERSON_RADIUS
from wam_sim.town.car import CarModel, CarState, outline, step_car
from wam_sim.town.criteria import Contact
from wam_sim.town.driving import Bulge, Vehicle, View, discs
from wam_sim.town.instructions import meant, said
from wam_sim.town.lights import Colour
from wam_sim.town.network import LANE_WIDTH, SIDEWALK_WIDTH, LaneId, RoadEnd, RoadNetwork
from wam_sim.town.scene import TownScene
from wam_sim.town.traffic import Mover, Walker
from wam_sim.town.ways import LaneTable, Way
from wam_sim.town.world import TownWorld

# s between two steps of the traffic.
TRAFFIC_PERIOD = 0.1
# Of the cameras: a night that is brightened more is white where the head lamps shine.
_MAX_GAIN = 1.6
_FORESEEN = np.arange(0.1, 3.05, 0.2)  # s
# m: what stands farther from every lane is in nobody's way.
_BESIDE = 0.5 * LANE_WIDTH + SIDEWALK_WIDTH


class TownSimulation:
    """Deterministic for (world, seed). camera_size: (height, width) px.

    Attributes after each step: time s; state: of the car; driven: m of the route; contacts: what the car's outline
    touches now.
    """

    def __init__(
        self,
        world: TownWorld,
        camera_size: tuple[int, int] = (192, 320),
        seed: int = 0,
        cameras: tuple[str, ...] = ("front",),
        model: CarModel | None = None,
    ) -> None:
        self.world, self.model, self.cameras = world, model or CarModel(), cameras
        self.time = 0.0
        self.table = LaneTable(world.network)
        self.route = Way(self.table, [lane.id for lane in world.route.lanes])
        self._offset = world.route.start  # m along the way where the route begins
        start = compose(world.route.pose(0.0), world.offset)
        self.state = CarState(start, speed=world.speed)
        self.driven = 0.0
        rng = np.random.default_rng([seed, 81])
        self.movers = [Mover(each, self.table, np.random.default_rng(rng.integers(2**63))) for each in world.vehicles]
        self.walkers = [Walker(each) for each in world.walkers]
        self._outlines = np.array([thing.footprint() for thing in world.things])
        self._tree = shapely.STRtree(self._outlines)
        self._scene: TownScene | None = None
        self._camera_size = camera_size
        self._effects = {name: CameraEffects(seed + number, _MAX_GAIN) for number, name in enumerate(cameras)}
        self._pictures: dict[str, tuple[float, np.ndarray]] = {}
        self._next_traffic = TRAFFIC_PERIOD
        self._look()

    @property
    def network(self) -> RoadNetwork:
        return self.world.network

    @property
    def pose(self) -> np.ndarray:
        """(3,) of base_link in the world."""
        return np.array(self.state.pose)

    @property
    def twist(self) -> np.ndarray:
        """(3,) in base_link."""
        return np.array(self.state.twist(self.model))

    @property
    def goal_in_base(self) -> None:
        """There is none: instructions say where to."""

    @property
    def instruction(self) -> str:
        """What the driver is told now."""
        for wrong in self.world.misleading:
            if wrong.start <= self.driven < wrong.end:
                return wrong.instruction
        return said(meant(self.route, self._offset + self.driven), self.world.phrase)

    @property
    def view(self) -> View:
        """What everybody sees now; the ego car comes last."""
        vehicles = [mover.vehicle for mover in self.movers]
        poses = [mover.pose for mover in self.movers]
        return View(
            vehicles=[*vehicles, self.ego],
            poses=np.array([*poses, self.state.pose]),
            people=np.array([walker.pose[:2] for walker in self.walkers]).reshape(-1, 2),
            velocities=np.array([walker.velocity for walker in self.walkers]).reshape(-1, 2),
            standing=self.standing,
            colours=self.colour,
        )

    @property
    def ego(self) -> Vehicle:
        """The car as one of those who drive."""
        s = self._offset + self.driven
        _, beside, _ = relative(tuple(self.route.poses(np.array([s]))[0].tolist()), self.state.pose)
        return Vehicle(self.route, s, self.state.speed, self.model.length, self.model.width, beside)

    def colour(self, junction: int, arm: RoadEnd) -> Colour:
        """Of the light that is seen from a road end; green where there is none."""
        lights = self.world.lights.get(junction)
        return Colour.GREEN if lights is None else lights.colour(arm, self.time)

    @cached_property
    def standing(self) -> np.ndarray:
        """(K, 3) discs x, y, radius m of what stands in or beside lanes."""
        parts = [_discs_of(self._outlines[i]) for i in self._beside_lanes]
        return np.concatenate(parts) if parts else np.zeros((0, 3))

    @cached_property
    def bulges(self) -> Mapping[LaneId, list[Bulge]]:
        """What stands in lanes, by lane, and how far to the left one has to go to pass it."""
        found: dict[LaneId, list[Bulge]] = {}
        lanes = [lane for lane in self.table.lanes if self.table.lanes[lane].junction is None]
        for i in self._beside_lanes:
            hull = np.array(self._outlines[i].convex_hull.exterior.coords)[:-1]
            middle = self._outlines[i].convex_hull.centroid
            for lane in lanes:
                samples = self.table.samples(lane)
                apart = np.hypot(samples.poses[:, 0] - middle.x, samples.poses[:, 1] - middle.y)
                best = int(apart.argmin())
                if apart[best] > 8.0:
                    continue
                x, y, yaw = samples.poses[best]
                dx, dy = hull[:, 0] - x, hull[:, 1] - y
                along, left = dx * np.cos(yaw) + dy * np.sin(yaw), dy * np.cos(yaw) - dx * np.sin(yaw)
                if left.mean() < 0.2 and left.max() > -0.5 * LANE_WIDTH - 0.3:
                    s = float(samples.s[best])
                    bulge = Bulge(s + float(along.min()), s + float(along.max()), float(left.max()) + 0.55)
                    found.setdefault(lane, []).append(bulge)
        return found

    def step(self, steering: float, acceleration: float, dt: float) -> None:
        """Let dt seconds pass with a steering angle (rad, left positive) and an acceleration (m/s^2) wanted."""
        end = self.time + dt
        while self.time < end - 1e-9:
            slice_ = min(end - self.time, TRAFFIC_PERIOD)
            self.state = step_car(self.state, self.model, steering, acceleration, slice_)
            self.time += slice_
            self.driven = self.route.nearest(self.state.pose[:2], self._offset + self.driven, 6.0) - self._offset
            while self.time >= self._next_traffic - 1e-9:
                self._next_traffic += TRAFFIC_PERIOD
                self._step_traffic(TRAFFIC_PERIOD)
        self._look()

    @property
    def time_to_contact(self) -> float:
        """s until the car touches somebody or something ahead if all go on as they do now; inf beyond 3 s."""
        view = self.view
        x, y, yaw = self.state.pose

        def near_ahead(places: np.ndarray) -> np.ndarray:
            dx, dy = places[:, 0] - x, places[:, 1] - y
            return (dx * np.cos(yaw) + dy * np.sin(yaw) > 0.0) & (np.hypot(dx, dy) < 60.0)

        now = view.poses[:-1]
        others = np.flatnonzero(near_ahead(now)).tolist()
        twist = self.state.twist(self.model)
        mine = np.array([compose(self.state.pose, advance(twist, time)) for time in _FORESEEN])
        hull = discs(mine, np.full(len(mine), self.model.length), np.full(len(mine), self.model.width))
        lengths = np.array([view.vehicles[i].length for i in others])
        widths = np.array([view.vehicles[i].width for i in others])
        speeds = np.array([view.vehicles[i].speed for i in others])
        theirs = now[others][None] + np.zeros((len(_FORESEEN), 1, 1))
        heading = np.stack([np.cos(theirs[..., 2]), np.sin(theirs[..., 2])], axis=-1)
        theirs[..., :2] += (_FORESEEN[:, None] * speeds)[..., None] * heading
        round_them = discs(theirs, lengths[None] + 0.0 * theirs[..., 0], widths[None] + 0.0 * theirs[..., 0])
        walking = view.people[None] + _FORESEEN[:, None, None] * view.velocities[None]
        people = np.concatenate([walking, np.full((*walking.shape[:2], 1), PERSON_RADIUS)], axis=-1)
        things = self.standing[near_ahead(self.standing)]
        standing = np.broadcast_to(things, (len(_FORESEEN), *things.shape))
        them = np.concatenate([round_them.reshape(len(_FORESEEN), -1, 3), people, standing], axis=1)
        apart = np.hypot(hull[:, :, None, 0] - them[:, None, :, 0], hull[:, :, None, 1] - them[:, None, :, 1])
        touched = (apart < hull[:, :, None, 2] + them[:, None, :, 2]).any(axis=(1, 2))
        return float(_FORESEEN[touched.argmax()]) if touched.any() and self.state.speed > 0.1 else float("inf")

    def render(self, camera: str = "front") -> np.ndarray:
        """uint8 (H, W, 3) RGB as a camera sees it now; the same picture until time passes. Raises ValueError for a
        camera that the simulation was not made with."""
        if camera not in self.cameras:
            raise ValueError(f"no camera {camera!r} is drawn here: there are {', '.join(self.cameras)}")
        kept = self._pictures.get(camera)
        if kept is None or kept[0] != self.time:
            image = self._drawn(camera)
            kept = self._pictures[camera] = self.time, self._effects[camera].expose(image)
        return kept[1]

    def close(self) -> None:
        """Free the renderer's memory; call it from the thread that rendered."""
        if self._scene is not None:
            self._scene.close()
            self._scene = None

    def _drawn(self, camera: str) -> np.ndarray:
        if self._scene is None:
            self._scene = TownScene(self.world, self._camera_size, self.cameras)
        return self._scene.render(
            camera,
            self.state.pose,
            [mover.pose for mover in self.movers],
            [walker.pose for walker in self.walkers],
            {
                (number, arm): lights.colour(arm, self.time)
                for number, lights in self.world.lights.items()
                for group in lights.groups
                for arm in group
            },
            brake_lights=[mover.braking for mover in self.movers],
            pitch=-0.006 * self.state.acceleration,
        )

    def _step_traffic(self, dt: float) -> None:
        view = self.view
        lengths = np.array([vehicle.length for vehicle in view.vehicles])
        widths = np.array([vehicle.width for vehicle in view.vehicles])
        cars = discs(view.poses, lengths, widths).reshape(-1, 3)
        for number, mover in enumerate(self.movers):
            mover.step(number, view, self.table, self.bulges, (self.state.pose, self.driven), self.time, dt)
        for walker in self.walkers:
            walker.step(cars, self.driven, dt)

    def _look(self) -> None:
        shape = outline(self.state.pose, self.model)
        touched = [Contact("static", f"{self.world.things[i].kind} {i}") for i in self._tree.query(shape, "intersects")]
        x, y, _ = self.state.pose
        for number, mover in enumerate(self.movers):
            pose = mover.pose
            if np.hypot(pose[0] - x, pose[1] - y) < 12.0 and shape.intersects(_box(pose, mover)):
                touched.append(Contact("vehicle", f"{mover.start.kind} {number}"))
        for number, walker in enumerate(self.walkers):
            if shape.distance(shapely.Point(walker.pose[:2])) < PERSON_RADIUS:
                touched.append(Contact("pedestrian", f"person {number}"))
        self.contacts = tuple(touched)

    @cached_property
    def _beside_lanes(self) -> list[int]:
        """Numbers of the things that stand in or beside a lane."""
        points = np.concatenate([self.table.samples(lane).poses[:, :2] for lane in self.table.lanes])
        lanes = shapely.STRtree(shapely.points(points))
        near = lanes.query(self._outlines, "dwithin", _BESIDE) if len(self._outlines) else np.zeros((2, 0), int)
        return sorted({int(i) for i in near[0] if self.world.things[int(i)].kind in ("parked", "cone")})


def _box(pose: tuple[float, float, float], mover: Mover) -> shapely.Polygon:
    return outline(pose, CarModel(length=mover.start.length, width=mover.start.width))


def _discs_of(shape: shapely.Geometry) -> np.ndarray:
    """(N, 3) x, y, radius m along the longer axis of an outline."""
    ring = np.array(shape.minimum_rotated_rectangle.exterior.coords)[:4]
    first, second = ring[1] - ring[0], ring[2] - ring[1]
    long, short = (first, second) if np.hypot(*first) > np.hypot(*second) else (second, first)
    length, width = float(np.hypot(*long)), float(np.hypot(*short))
    pose = np.array([*ring.mean(axis=0), np.arctan2(long[1], long[0])])
    return discs(pose, np.array(length), np.array(width))
