"""The virtual client: names, arguments and answers of `carla.Client` and what it leads to.

A method's docstring is the real one's business; here is only what the double does not do. `Client` and what it made are
used by one thread, as the real ones should be.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from typing import Any, TypeVar

import carla

from wam_sim.virtual_carla.server import Record, VirtualServer, time_out
from wam_sim.virtual_carla.states import WorldSnapshot
from wam_sim.virtual_carla.towns import Map

Result = TypeVar("Result")

_BLUEPRINTS = {
    "vehicle.tesla.model3": {"role_name": "autopilot", "color": "180,180,180"},
    "vehicle.lincoln.mkz_2020": {"role_name": "autopilot", "color": "180,180,180"},
    "sensor.camera.rgb": {
        "role_name": "",
        "image_size_x": "800",
        "image_size_y": "600",
        "fov": "90.0",
        "sensor_tick": "0.0",
    },
    "sensor.other.collision": {"role_name": ""},
    "sensor.other.lane_invasion": {"role_name": ""},
}
_SETTINGS = (
    "synchronous_mode",
    "no_rendering_mode",
    "fixed_delta_seconds",
    "substepping",
    "max_substep_delta_time",
    "max_substeps",
)


class Client:
    """Finds its server by the port; whatever the host is called, it is this process."""

    def __init__(self, host: str = "127.0.0.1", port: int = 2000, worker_threads: int = 0) -> None:
        _require(host, str)
        _require(port, int)
        try:
            socket.getaddrinfo(host, port)
        except OSError:
            raise RuntimeError("resolve: Host not found (authoritative)") from None
        self._host, self._port, self._timeout = host, port, 5.0

    def set_timeout(self, seconds: float) -> None:
        self._timeout = float(seconds)

    def get_client_version(self) -> str:
        return carla.Client().get_client_version()

    def get_server_version(self) -> str:
        return self._call(lambda server: server.version)

    def get_available_maps(self) -> list[str]:
        return self._call(lambda server: [f"/Game/Carla/Maps/{name}" for name in server.maps])

    def get_world(self) -> World:
        self._call(lambda server: None)
        return World(self)

    def load_world(self, map_name: str, reset_settings: bool = True, map_layers: object = None) -> World:
        _require(map_name, str)
        self._call(lambda server: server.load(map_name))
        return World(self)

    @property
    def _server(self) -> VirtualServer:
        server = VirtualServer.running.get(self._port)
        if server is None:
            time.sleep(self._timeout)
            raise RuntimeError(time_out(self._host, self._port, self._timeout))
        return server

    def _call(self, job: Callable[[VirtualServer], Result], timeout: float = 0.0) -> Result:
        server = self._server
        return server.call(lambda: job(server), self._host, timeout or self._timeout)


class World:
    """Not made by hand."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get_map(self) -> Map:
        return self._client._call(lambda server: server.map)

    def get_settings(self) -> carla.WorldSettings:
        return self._client._call(lambda server: _copy(server.settings))

    def apply_settings(self, settings: carla.WorldSettings, seconds: float = 0.0) -> int:
        _require(settings, carla.WorldSettings)
        return self._client._call(lambda server: server.apply_settings(_copy(settings)), seconds)

    def get_snapshot(self) -> WorldSnapshot:
        """What came last; no call."""
        return self._client._server.snapshot

    def get_blueprint_library(self) -> BlueprintLibrary:
        self._client._call(lambda server: None)
        return BlueprintLibrary({name: ActorBlueprint(name, dict(values)) for name, values in _BLUEPRINTS.items()})

    def get_actors(self) -> ActorList:
        records = self._client._call(lambda server: list(server.actors.values()))
        return ActorList([_actor(self._client, record) for record in records])

    def try_spawn_actor(
        self,
        blueprint: ActorBlueprint,
        transform: carla.Transform,
        attach_to: Actor | None = None,
        attachment_type: carla.AttachmentType = carla.AttachmentType.Rigid,
        bone: str = "",
    ) -> Actor | None:
        _require(blueprint, ActorBlueprint)
        _require(transform, carla.Transform)
        parent = attach_to.id if attach_to is not None else 0
        record = self._client._call(
            lambda server: server.spawn(blueprint.id, dict(blueprint._attributes), transform, parent)
        )
        return None if record is None else _actor(self._client, record)

    def spawn_actor(
        self,
        blueprint: ActorBlueprint,
        transform: carla.Transform,
        attach_to: Actor | None = None,
        attachment_type: carla.AttachmentType = carla.AttachmentType.Rigid,
        bone: str = "",
    ) -> Actor:
        actor = self.try_spawn_actor(blueprint, transform, attach_to, attachment_type, bone)
        if actor is None:
            raise RuntimeError("Spawn failed because of collision at spawn position")
        return actor

    def tick(self, seconds: float = 0.0) -> int:
        return self._client._call(lambda server: server.tick(), seconds)

    def wait_for_tick(self, seconds: float = 0.0) -> WorldSnapshot:
        return self._client._server.wait_for_tick(self._client._host, seconds or self._client._timeout)


class BlueprintLibrary:
    """Not made by hand."""

    def __init__(self, blueprints: dict[str, ActorBlueprint]) -> None:
        self._blueprints = blueprints

    def find(self, id: str) -> ActorBlueprint:
        if id not in self._blueprints:
            raise IndexError(f"blueprint {id!r} not found")
        return self._blueprints[id]

    def filter(self, wildcard_pattern: str) -> BlueprintLibrary:
        return BlueprintLibrary({name: it for name, it in self._blueprints.items() if fnmatch(name, wildcard_pattern)})

    def __iter__(self) -> Iterator[ActorBlueprint]:
        return iter(self._blueprints.values())

    def __len__(self) -> int:
        return len(self._blueprints)


class ActorBlueprint:
    """Not made by hand."""

    def __init__(self, id: str, attributes: dict[str, str]) -> None:
        self._id, self._attributes = id, attributes

    @property
    def id(self) -> str:
        return self._id

    def has_attribute(self, arg2: str, /) -> bool:
        return arg2 in self._attributes

    def set_attribute(self, arg2: str, arg3: str, /) -> None:
        _require(arg2, str)
        _require(arg3, str)
        if arg2 not in self._attributes:
            raise IndexError(f"attribute {arg2!r} not found in {self._id!r}")
        self._attributes[arg2] = arg3


class Actor:
    """Not made by hand."""

    def __init__(self, client: Client, record: Record) -> None:
        self._client, self._record, self._alive = client, record, True

    @property
    def id(self) -> int:
        return self._record.id

    @property
    def type_id(self) -> str:
        return self._record.type_id

    @property
    def attributes(self) -> dict[str, str]:
        return dict(self._record.attributes)

    @property
    def parent(self) -> Actor | None:
        number = self._record.parent
        record = self._client._call(lambda server: server.actors.get(number))
        return None if record is None else _actor(self._client, record)

    @property
    def is_alive(self) -> bool:
        return self._alive and self._record.id in self._client._server.actors

    def destroy(self) -> bool:
        number = self._check().id
        done = self._client._call(lambda server: server.destroy(number))
        self._alive = False
        return done

    def _check(self) -> Record:
        if not self._alive:
            raise RuntimeError(
                "trying to operate on a destroyed actor; an actor's function was called, but the actor is already "
                "destroyed."
            )
        return self._record


class Vehicle(Actor):
    """Controls persist until they are replaced."""

    def apply_control(self, control: carla.VehicleControl) -> None:
        _require(control, carla.VehicleControl)
        self._control(
            carla.VehicleControl(control.throttle, control.steer, control.brake, control.hand_brake, control.reverse)
        )

    def apply_ackermann_control(self, control: carla.VehicleAckermannControl) -> None:
        _require(control, carla.VehicleAckermannControl)
        self._control(carla.VehicleAckermannControl(control.steer, control.steer_speed, control.speed))

    def get_physics_control(self) -> carla.VehiclePhysicsControl:
        self._check()
        return self._client._call(lambda server: server.physics())

    def _control(self, control: carla.VehicleControl | carla.VehicleAckermannControl) -> None:
        """Nobody waits for an answer, so a server that is gone is not noticed here."""
        number, server = self._check().id, self._client._server

        def keep() -> None:
            if server.ego is not None and server.ego.id == number:
                server.control = control

        server.post(keep)


class Sensor(Actor):
    """Callbacks come on another thread."""

    def listen(self, callback: Callable[[Any], None]) -> None:
        self._check().callback = callback

    def stop(self) -> None:
        self._check().callback = None
        self._client._call(lambda server: server.log.append(("stop", self._record.type_id)))

    def is_listening(self) -> bool:
        return self._record.callback is not None


class ActorList:
    """Not made by hand."""

    def __init__(self, actors: list[Actor]) -> None:
        self._actors = actors

    def filter(self, wildcard_pattern: str) -> ActorList:
        return ActorList([actor for actor in self._actors if fnmatch(actor.type_id, wildcard_pattern)])

    def find(self, id: int) -> Actor | None:
        return next((actor for actor in self._actors if actor.id == id), None)

    def __iter__(self) -> Iterator[Actor]:
        return iter(self._actors)

    def __len__(self) -> int:
        return len(self._actors)


def _actor(client: Client, record: Record) -> Actor:
    kinds: dict[str, type[Actor]] = {"vehicle": Vehicle, "sensor": Sensor}
    return kinds.get(record.type_id.partition(".")[0], Actor)(client, record)


def _copy(settings: carla.WorldSettings) -> carla.WorldSettings:
    copy = carla.WorldSettings()
    for name in _SETTINGS:
        setattr(copy, name, getattr(settings, name))
    return copy


def _require(value: object, kind: type) -> None:
    """As Boost.Python, whose ArgumentError is a TypeError."""
    if not isinstance(value, kind):
        raise TypeError(f"Python argument types did not match: {kind.__name__} expected, got {type(value).__name__}")
