"""One car in one CARLA world, from the first call to the last: the only file that imports carla.

`CarlaWorld` belongs to one thread. Every way out goes through `close`, which brakes, takes the sensors away before the
car, and gives the world its settings back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from wam_carla.adapter import (
    CameraMount,
    Steering,
    VehicleState,
    mirrored,
    rgb,
    steering_of,
    vehicle_state,
    wheelbase_of,
)
from wam_carla.connection import Refused, ServerLost
from wam_carla.neighbours import cars_of, destroy, free_the_clock, ticks_without_us
from wam_carla.sensors import Collision, Event, LaneInvasion, Picture, SensorInbox
from wam_carla.settings import CarConfig, ServerConfig
from wam_carla.vehicle_control import AckermannTarget, Pedals

_FIRST = 10.0  # times the usual timeout: loading a town takes a minute
_TIME_OUT = "time-out"  # in every text of the client that says that nobody answers
_WATCHED = 2.0  # times the tick's time-out for which a world that waits for ticks must stand still to be nobody's


@dataclass(frozen=True)
class Car:
    """What the vehicle's physics say. wheelbase: m."""

    id: int
    blueprint: str
    town: str
    wheelbase: float
    steering: Steering


@dataclass(frozen=True)
class Tick:
    """What one tick gave. time: s of the simulation; dropped, missed: pictures so far, of another frame or of none."""

    frame: int
    time: float
    state: VehicleState
    pictures: dict[str, Picture] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    dropped: int = 0
    missed: int = 0


class CarlaWorld:
    """`open`, then `apply` and `tick` in turn, then `close`, which may be called at any time and twice.

    carla: what plays the module of that name; None imports it. Calls raise ServerLost when the server does not answer
    in time and Refused when a human must change something.
    """

    def __init__(self, server: ServerConfig, car: CarConfig, carla: ModuleType | None = None) -> None:
        self._server, self._config = server, car
        self._carla = carla
        self._client: Any = None
        self._world: Any = None
        self._vehicle: Any = None
        self._owned = False
        self._sensors: list[Any] = []
        self._found: Any = None  # the settings as they were
        self._before: Any = None  # and as they are to be given back
        self._left = False
        self._frame = 0
        self._inbox = SensorInbox({camera.name: car.camera_period for camera in car.cameras})

    def open(self) -> Car:
        """Connect, take over the clock, and put the car there."""
        try:
            return self._open()
        except BaseException:
            self.close()
            raise

    def apply(self, control: Pedals | AckermannTarget) -> None:
        """What the car does from the next tick on, until something else is applied."""
        carla = self._module
        with self._calls("driving the car"):
            if isinstance(control, AckermannTarget):
                target = carla.VehicleAckermannControl(steer=control.steer, speed=control.speed)
                self._vehicle.apply_ackermann_control(target)
            else:
                self._vehicle.apply_control(vehicle_control(control, carla))

    def tick(self) -> Tick:
        """Let time pass, or wait until it has, and look."""
        server = self._server
        with self._calls("the tick"):
            if server.passive:
                snapshot = self._world.wait_for_tick(server.tick_timeout)
            else:
                frame = self._world.tick(server.tick_timeout)
                snapshot = self._world.get_snapshot()
                if frame != self._frame + 1 or snapshot.frame != frame:
                    jumped = max(frame, snapshot.frame) - self._frame
                    self._before = self._found  # it is theirs
                    raise Refused(
                        f"{jumped} frames passed in one tick: another client ticks this world too. "
                        "Stop it, or let it be the only one: passive: true"
                    )
        self._frame = snapshot.frame
        actor = snapshot.find(self._vehicle.id)
        if actor is None:
            raise ServerLost(f"the car {self._config.role_name!r} is gone: somebody destroyed it or loaded another map")
        pictures, events = self._inbox.collect(self._frame, server.sensor_timeout)
        return Tick(
            frame=self._frame,
            time=snapshot.timestamp.elapsed_seconds,
            state=_state(actor),
            pictures=pictures,
            events=events,
            dropped=self._inbox.dropped.total(),
            missed=self._inbox.missed.total(),
        )

    def close(self) -> bool:
        """Brake, sensors, car, settings: in this order. With a server that is gone it gives up at the first time-out,
        and says so with False: what is left there is taken away by `sweep`, or by the next `open`."""
        vehicle, sensors, before, world = self._vehicle, self._sensors[::-1], self._before, self._world
        self._vehicle = self._before = None
        self._sensors = []
        steps: list[Callable[[], object]] = []
        if vehicle is not None:
            steps.append(lambda: vehicle.apply_control(self._module.VehicleControl(brake=1.0, hand_brake=True)))
        steps += [sensor.stop for sensor in sensors] + [sensor.destroy for sensor in sensors]
        if vehicle is not None and self._owned:
            steps.append(vehicle.destroy)
        if before is not None:
            steps.append(lambda: world.apply_settings(before))
        if steps:
            self._client.set_timeout(self._server.tick_timeout)
        for step in steps:
            try:
                step()
            except RuntimeError as error:
                if _TIME_OUT in str(error):  # so would all the others, one after another
                    self._left = True
                    break
                # An actor that somebody else destroyed; what comes after it matters all the same.
        return not self._left

    def sweep(self) -> bool:
        """What `close` had to leave behind is taken away, found by its role name: after a crash the old handles may
        mean somebody else's actors. False while the server does not answer."""
        if not self._left:
            return True
        server = self._server
        try:
            client = self._module.Client(server.host, server.port)
            client.set_timeout(server.tick_timeout)
            world = client.get_world()
            actors = world.get_actors()
            for vehicle in cars_of(actors, self._config.role_name) if self._owned else ():
                destroy(vehicle, actors)
            if not server.passive:
                world.apply_settings(free_the_clock(world.get_settings()))
        except RuntimeError as error:
            if _TIME_OUT in str(error):
                return False
        self._left = False
        return True

    @property
    def _module(self) -> Any:
        if self._carla is None:
            self._carla = _import_carla()
        return self._carla

    def _open(self) -> Car:
        server, car = self._server, self._config
        with self._calls(f"no CARLA server on {server.host}:{server.port} (start it with -RenderOffScreen)"):
            self._client = self._module.Client(server.host, server.port)
            self._client.set_timeout(server.timeout)
            self._check_version()
            self._client.set_timeout(_FIRST * server.timeout)
            self._world = self._client.get_world()
            self._look_for_others()
            self._world = self._load()
            self._client.set_timeout(server.timeout)
        with self._calls("setting up the car"):
            town = self._world.get_map()
            self._take_the_clock()
            blueprints = self._world.get_blueprint_library()
            self._vehicle = self._find() or self._spawn(blueprints, town)
            for camera in car.cameras:
                self._mount(blueprints, camera)
            self._attach(blueprints, "sensor.other.collision", self._on_collision)
            self._attach(blueprints, "sensor.other.lane_invasion", self._on_lane_invasion)
            if server.passive:
                self._frame = self._world.wait_for_tick(server.tick_timeout).frame
            else:
                self._frame = self._world.tick(server.tick_timeout)
            self._inbox.collect(self._frame, server.sensor_timeout)  # the first pictures show a car that still falls
            physics = self._vehicle.get_physics_control()
        try:
            return Car(
                id=self._vehicle.id,
                blueprint=self._vehicle.type_id,
                town=town.name.rpartition("/")[2],
                wheelbase=car.wheelbase or wheelbase_of([_vector(wheel.position) for wheel in physics.wheels]),
                steering=steering_of(
                    [wheel.max_steer_angle for wheel in physics.wheels],
                    [(point.x, point.y) for point in physics.steering_curve],
                ),
            )
        except ValueError as error:
            raise Refused(str(error)) from error

    def _check_version(self) -> None:
        there, here = self._client.get_server_version(), self._client.get_client_version()
        if there != here:
            raise Refused(
                f"the server is CARLA {there}, this client {here}: start server {here}, "
                f"or pip install carla=={there} and check that its interface is still this one"
            )

    def _load(self) -> Any:
        wanted, world = self._server.town, self._world
        if not wanted or world.get_map().name.rpartition("/")[2] == wanted:
            return world
        names = sorted(name.rpartition("/")[2] for name in self._client.get_available_maps())
        if wanted not in names:
            raise Refused(f"this server has no map {wanted!r}; it has {', '.join(names)}")
        return self._client.load_world(wanted)

    def _look_for_others(self) -> None:
        """Before anything is changed: another map, or our clock, would be the end of their run."""
        if self._server.passive or not self._world.get_settings().synchronous_mode:
            return
        if ticks_without_us(self._world, _WATCHED * self._server.tick_timeout):
            raise Refused("another client ticks this world already. Stop it, or let it be the only one: passive: true")

    def _take_the_clock(self) -> None:
        if self._server.passive:
            return
        self._found, before = self._world.get_settings(), free_the_clock(self._world.get_settings())
        settings = self._world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, self._server.delta
        self._before = before
        self._world.apply_settings(settings)

    def _find(self) -> Any:
        """The vehicle of our name to drive, if there is one and it may stay."""
        role, existing = self._config.role_name, self._config.existing
        actors = self._world.get_actors()
        there = cars_of(actors, role)
        if there and existing == "refuse":
            raise Refused(
                f"there is a car with role name {role!r} already: take another role_name, or say what to do with "
                "it by existing_vehicle: replace or attach"
            )
        if existing == "attach":
            if not there:
                raise Refused(
                    f"there is no car with role name {role!r} to attach to: existing_vehicle: replace spawns one"
                )
            self._owned = False
            return there[0]
        for vehicle in there:
            destroy(vehicle, actors)
        return None

    def _spawn(self, blueprints: Any, town: Any) -> Any:
        blueprint = self._blueprint(blueprints, self._config.blueprint, "vehicle.*")
        blueprint.set_attribute("role_name", self._config.role_name)
        points, number = town.get_spawn_points(), self._config.spawn_point
        if not points:
            raise Refused(f"map {town.name} has no spawn points: load another town")
        if number >= len(points):
            raise Refused(f"map {town.name} has {len(points)} spawn points: spawn_point must be below that")
        for point in points if number < 0 else [points[number]]:
            vehicle = self._world.try_spawn_actor(blueprint, point)
            if vehicle is not None:
                self._owned = True
                return vehicle
        which = "every spawn point" if number < 0 else f"spawn point {number}"
        raise Refused(f"{which} of map {town.name} is occupied: destroy other actors, or take another spawn_point")

    def _mount(self, blueprints: Any, camera: CameraMount) -> None:
        carla, period = self._module, self._config.camera_period
        attributes = {
            "image_size_x": str(camera.width),
            "image_size_y": str(camera.height),
            "fov": f"{camera.carla_fov:.6g}",
            "sensor_tick": f"{period * self._server.delta if period > 1 else 0.0:.6g}",
        }
        roll, pitch, yaw = camera.carla_rotation
        place = carla.Transform(carla.Location(*camera.carla_location), carla.Rotation(pitch=pitch, yaw=yaw, roll=roll))

        def keep(image: Any, name: str = camera.name) -> None:
            pixels = rgb(image.raw_data, image.width, image.height)
            self._inbox.put_picture(name, Picture(image.frame, pixels))

        self._attach(blueprints, "sensor.camera.rgb", keep, place, attributes)

    def _attach(
        self, blueprints: Any, kind: str, callback: Any, place: Any = None, attributes: dict[str, str] | None = None
    ) -> None:
        blueprint = self._blueprint(blueprints, kind, kind.rpartition(".")[0] + ".*")
        for name, value in (attributes or {}).items():
            blueprint.set_attribute(name, value)
        sensor = self._world.spawn_actor(blueprint, place or self._module.Transform(), attach_to=self._vehicle)
        self._sensors.append(sensor)
        sensor.listen(callback)

    def _blueprint(self, blueprints: Any, name: str, others: str) -> Any:
        try:
            return blueprints.find(name)
        except IndexError as error:
            known = ", ".join(sorted(each.id for each in blueprints.filter(others))[:8])
            raise Refused(f"this server has no blueprint {name!r}; it has {known or 'none of that kind'}") from error

    def _on_collision(self, event: Any) -> None:
        other = event.other_actor
        self._inbox.put_event(
            Collision(
                time=event.timestamp,
                other=other.type_id if other is not None else "unknown",
                id=other.id if other is not None else 0,
                impulse=mirrored(_vector(event.normal_impulse)),
            )
        )

    def _on_lane_invasion(self, event: Any) -> None:
        kinds = tuple(str(marking.type) for marking in event.crossed_lane_markings)
        self._inbox.put_event(LaneInvasion(event.timestamp, kinds))

    @contextmanager
    def _calls(self, what: str) -> Iterator[None]:
        """The client says everything with a RuntimeError."""
        try:
            yield
        except (Refused, ServerLost):
            raise
        except RuntimeError as error:
            raise ServerLost(f"{what}: {error}") from error


def vehicle_control(pedals: Pedals, carla: ModuleType | None = None) -> Any:
    """A carla.VehicleControl. carla: what plays the module of that name; None imports it; Refused without."""
    module: Any = carla or _import_carla()
    return module.VehicleControl(
        throttle=pedals.throttle, brake=pedals.brake, steer=pedals.steer, hand_brake=pedals.hand_brake
    )


def _import_carla() -> ModuleType:
    try:
        import carla
    except ImportError as error:
        raise Refused(f"no module carla ({error}): pip install -r requirements/carla.txt") from error
    found: ModuleType = carla
    return found


def _vector(value: Any) -> tuple[float, float, float]:
    return value.x, value.y, value.z


def _state(actor: Any) -> VehicleState:
    place = actor.get_transform()
    rotation = place.rotation
    return vehicle_state(
        location=_vector(place.location),
        rotation=(rotation.roll, rotation.pitch, rotation.yaw),
        velocity=_vector(actor.get_velocity()),
        spin=_vector(actor.get_angular_velocity()),  # deg/s, whatever the wheel's stubs say of a snapshot's
        acceleration=_vector(actor.get_acceleration()),
    )
