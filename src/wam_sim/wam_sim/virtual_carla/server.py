"""What stands behind the virtual client: a town, a clock that waits to be ticked, and actors.

One thread owns all of it, the renderer too; clients leave jobs and wait for their answers as long as their time-out
allows. Sensor data leave on a second thread, as CARLA's come on threads of its own.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from typing import Any, ClassVar, TypeVar

import carla
import numpy as np

from wam_sim.virtual_carla import events
from wam_sim.virtual_carla.drivetrain import STEERING_CURVE, Drivetrain
from wam_sim.virtual_carla.faults import CameraFault, Faults, ServerFault, TickerFault
from wam_sim.virtual_carla.states import WorldSnapshot, place, snapshot_of, standing, wheels
from wam_sim.virtual_carla.towns import Map, Simulation

Result = TypeVar("Result")

_FREE_RUNNING = 0.05  # s between two ticks of a world that waits for nobody
_LATE = 0.05  # s after the next tick


class Record:
    """An actor as the server knows it. parent: of a sensor; place: relative to it."""

    def __init__(self, number: int, kind: str, attributes: dict[str, str], parent: int, where: carla.Transform) -> None:
        self.id, self.type_id, self.attributes, self.parent, self.place = number, kind, attributes, parent, where
        self.callback: Callable[[Any], None] | None = None
        self.pictured = 0.0  # s of the simulation, of the last picture
        self.touching: frozenset[Any] = frozenset()


class VirtualServer:
    """Runs from its making to `close`. make_simulation: called on the server's thread, with the name of a map; on_step:
    called there after each step with what really happened, for whoever judges a run.

    faults: switched by the test, at any time. log: what was done to actors and settings, in order.
    """

    running: ClassVar[dict[int, VirtualServer]] = {}
    simulation: Simulation
    map: Map
    map_name: str
    snapshot: WorldSnapshot
    settings: carla.WorldSettings
    actors: dict[int, Record]
    ego: Record | None
    control: carla.VehicleControl | carla.VehicleAckermannControl

    def __init__(
        self,
        make_simulation: Callable[[str], Simulation],
        maps: Sequence[str] = ("Town",),
        port: int = 2000,
        version: str = "0.9.16",
        on_step: Callable[[dict[str, Any]], None] | None = None,
    ) -> None:
        self.faults, self.version, self.maps, self.log = Faults(), version, tuple(maps), list[tuple[str, str]]()
        self._make_simulation, self._on_step = make_simulation, on_step
        self._drivetrain = Drivetrain()
        self._jobs: queue.Queue[tuple[Callable[[], Any], Future[Any]]] = queue.Queue()
        self._mail: queue.Queue[tuple[float, Callable[[Any], None], Any] | None] = queue.Queue()
        self._frame = 0
        self._late: list[tuple[Callable[[Any], None], Any]] = []
        self._ticked = threading.Condition()
        self._next_id = 24  # CARLA's own actors have the first ones
        self._ended = False
        self._port = port
        if port in self.running:
            raise ValueError(f"a virtual server runs on port {port} already")
        self.running[port] = self
        self._postman = threading.Thread(target=self._deliver, name="virtual carla sensors", daemon=True)
        self._thread = threading.Thread(target=self._run, name="virtual carla", daemon=True)
        self._began: Future[None] = Future()
        self._postman.start()
        self._thread.start()
        self._began.result()

    def close(self) -> None:
        """End."""
        self._ended = True
        self.faults.server = ServerFault.OK
        self._thread.join()
        self._mail.put(None)
        self._postman.join()
        self.running.pop(self._port, None)

    def call(self, job: Callable[[], Result], host: str, timeout: float) -> Result:
        """Have the server's thread do it. RuntimeError as the wheel raises it when it does not within `timeout` s."""
        future: Future[Result] = Future()
        if self.faults.server is not ServerFault.GONE:
            self._jobs.put((job, future))
        try:
            return future.result(timeout)
        except Late:
            raise RuntimeError(time_out(host, self._port, timeout)) from None

    def post(self, job: Callable[[], object]) -> None:
        """Have the server's thread do it some time, before whatever it is asked for later."""
        if self.faults.server is not ServerFault.GONE:
            self._jobs.put((job, Future()))

    def wait_for_tick(self, host: str, timeout: float) -> WorldSnapshot:
        """The next tick that somebody makes, or the same RuntimeError."""
        with self._ticked:
            before = self.snapshot.frame
            if not self._ticked.wait_for(lambda: self.snapshot.frame > before, timeout):
                raise RuntimeError(time_out(host, self._port, timeout))
            return self.snapshot

    # On the server's thread.

    def load(self, name: str) -> None:
        """Another map, or the same anew: all actors are gone, and the settings the usual ones."""
        if name not in self.maps:
            raise RuntimeError(f"map {name!r} not found")
        self._load(name)

    def tick(self) -> int:
        """One step; the frame after it."""
        if self.faults.ticker is TickerFault.OTHER:
            self._advance()
        return self._advance()

    def apply_settings(self, settings: carla.WorldSettings) -> int:
        """The real client ticks until they have taken effect."""
        self.settings = settings
        self.log.append(("settings", "synchronous" if settings.synchronous_mode else "asynchronous"))
        if settings.synchronous_mode and settings.fixed_delta_seconds:
            for _ in range(2):
                self._advance()
        return self._frame

    def spawn(self, kind: str, attributes: dict[str, str], where: carla.Transform, parent: int) -> Record | None:
        """None where something stands already."""
        if kind.startswith("vehicle."):
            if self.ego is not None:
                return None
            if where.location.distance(self.map.get_spawn_points()[0].location) > 0.5:
                raise RuntimeError("the virtual CARLA puts a car on its one spawn point only")
            if self.simulation.time > 0.0:
                self._renew()
        record = Record(self._next_id, kind, attributes, parent, where)
        self._next_id += 1
        self.actors[record.id] = record
        self.log.append(("spawn", kind))
        if kind.startswith("vehicle."):
            self.ego, self.control = record, carla.VehicleControl()
            self.snapshot = self._snapshot()
        return record

    def destroy(self, number: int) -> bool:
        """False when it is gone already."""
        record = self.actors.pop(number, None)
        if record is None:
            return False
        record.callback = None
        self.log.append(("destroy", record.type_id))
        if self.ego is record:
            self.ego = None
        return True

    def physics(self) -> carla.VehiclePhysicsControl:
        """Of the car."""
        control = carla.VehiclePhysicsControl()
        control.wheels = wheels(self.simulation.state, self.simulation.model, self._drivetrain.max_steering)
        control.steering_curve = [carla.Vector2D(*point) for point in STEERING_CURVE]
        return control

    def _run(self) -> None:
        try:
            self._load(self.maps[0])
        except Exception as error:
            self._began.set_exception(error)
            raise
        self._began.set_result(None)
        gone = False
        while not self._ended:
            fault = self.faults.server
            if gone and fault is ServerFault.OK:
                self._frame = 0
                self._load(self.maps[0])
            gone = fault is ServerFault.GONE
            if gone:
                self._forget()
            if fault is not ServerFault.OK:
                time.sleep(0.005)
                continue
            try:
                job, future = self._jobs.get(timeout=0.02 if self.settings.synchronous_mode else _FREE_RUNNING)
            except queue.Empty:
                if not self.settings.synchronous_mode or self.faults.ticker is TickerFault.OTHER:
                    self._advance()
                continue
            while self.faults.server is ServerFault.FROZEN and not self._ended:
                time.sleep(0.005)
            if self.faults.server is ServerFault.GONE:
                continue
            try:
                future.set_result(job())
            except (RuntimeError, IndexError, TypeError, ValueError) as error:
                future.set_exception(error)
        self.simulation.close()

    def _forget(self) -> None:
        """What a crash takes with it: jobs that nobody has done."""
        while not self._jobs.empty():
            self._jobs.get_nowait()

    def _load(self, name: str) -> None:
        if hasattr(self, "simulation"):
            self.simulation.close()
        self.map_name = name
        self.simulation = self._make_simulation(name)
        self.map = Map(f"Carla/Maps/{name}", self.simulation.network, place(self.simulation.state.pose))
        self.settings = carla.WorldSettings()
        self.actors, self.ego, self.control = {}, None, carla.VehicleControl()
        self._elapsed = 0.0
        self._over = frozenset[str]()
        self._frozen: dict[str, np.ndarray] = {}
        self.snapshot = self._snapshot()

    def _renew(self) -> None:
        self.simulation.close()
        self.simulation = self._make_simulation(self.map_name)

    def _advance(self) -> int:
        delta = self.settings.fixed_delta_seconds or _FREE_RUNNING
        if self.ego is not None:
            self._drive(delta)
        self._elapsed += delta
        self._frame += 1
        with self._ticked:
            self.snapshot = self._snapshot()
            self._ticked.notify_all()
        late, self._late = self._late, []
        for callback, data in late:
            self._mail.put((time.monotonic() + _LATE, callback, data))
        if self.ego is not None:
            for record in list(self.actors.values()):
                if record.callback is not None:
                    self._sense(record, record.callback)
        return self._frame

    def _drive(self, delta: float) -> None:
        simulation, control, drivetrain = self.simulation, self.control, self._drivetrain
        speed = simulation.state.speed
        if isinstance(control, carla.VehicleAckermannControl):
            steering, acceleration = -control.steer, drivetrain.towards(control.speed, speed)
        else:
            steering = drivetrain.steering(control.steer, speed)
            acceleration = drivetrain.acceleration(control.throttle, control.brake, control.hand_brake, speed)
        simulation.step(steering, acceleration, delta)
        if self._on_step is not None:
            self._on_step(
                {
                    "t": time.time(),
                    "simulated": self._elapsed + delta,
                    "frame": self._frame + 1,
                    "pose": list(simulation.state.pose),
                    "speed": simulation.state.speed,
                    "steering": simulation.state.steering,
                    "control": str(control),
                    "told_to_move": _pushes(control),
                    "contacts": [list(contact) for contact in simulation.contacts],
                }
            )

    def _snapshot(self) -> WorldSnapshot:
        timestamp = carla.Timestamp(self._frame, self._elapsed, self.settings.fixed_delta_seconds or 0.0, time.time())
        simulation = self.simulation
        return WorldSnapshot(
            timestamp,
            {
                number: snapshot_of(number, simulation.state, simulation.model)
                if record is self.ego
                else standing(number, record.place)
                for number, record in self.actors.items()
            },
        )

    def _sense(self, record: Record, callback: Callable[[Any], None]) -> None:
        """What a sensor that somebody listens to has to say after this tick."""
        stamp = self.snapshot.timestamp
        if record.type_id == "sensor.camera.rgb":
            if self._elapsed - record.pictured < float(record.attributes["sensor_tick"]) - 1e-6:
                return
            record.pictured = self._elapsed
            self._picture(record, callback, stamp)
        elif record.type_id == "sensor.other.collision":
            for collision in events.collisions(record, stamp, self.simulation.contacts):
                self._mail.put((0.0, callback, collision))
        else:
            self._over, event = events.lane_invasion(
                stamp, self.map, self.simulation.state.pose, self.simulation.model, self._over
            )
            if event is not None:
                self._mail.put((0.0, callback, event))

    def _picture(self, record: Record, callback: Callable[[Any], None], stamp: carla.Timestamp) -> None:
        fault = self.faults.camera
        if fault is CameraFault.MISSING:
            return
        name = events.camera_of(record.place)
        image = self.simulation.render(name)
        if fault is not CameraFault.FROZEN:
            self._frozen[name] = image
        image = self._frozen.setdefault(name, image)
        data = events.picture(
            record.attributes, stamp, record.place, 0 * image if fault is CameraFault.BLACK else image
        )
        if fault is CameraFault.LATE:
            self._late.append((callback, data))
        else:
            self._mail.put((0.0, callback, data))

    # On the postman's.

    def _deliver(self) -> None:
        while (letter := self._mail.get()) is not None:
            due, callback, data = letter
            time.sleep(max(due - time.monotonic(), 0.0))
            callback(data)


def _pushes(control: carla.VehicleControl | carla.VehicleAckermannControl) -> bool:
    if isinstance(control, carla.VehicleAckermannControl):
        return float(control.speed) > 0.0
    return float(control.throttle) > 0.0


def time_out(host: str, port: int, timeout: float) -> str:
    """The wheel's words."""
    return (
        f"time-out of {round(1000.0 * timeout)}ms while waiting for the simulator, make sure the simulator is ready "
        f"and connected to {host}:{port}"
    )
