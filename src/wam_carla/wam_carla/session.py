"""The thread that owns the car: connects, drives, ticks, keeps the pace, and tries again when the server is gone.

ROS's executor only leaves commands here and takes away what was seen, so no call to the server ever holds it up.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import cv2

from wam_carla.connection import BackOff, Connection, Refused, ServerLost, Verdict
from wam_carla.sensors import Picture
from wam_carla.settings import BridgeConfig
from wam_carla.vehicle_control import Driver
from wam_carla.world import Car, CarlaWorld, Tick

_MOST_BEHIND = 0.5  # s; after a longer pause the world does not catch up
_KEPT = 40  # ticks that wait for the executor, 2 s of them: their pictures are large
_FAREWELL = 5.0  # s for a thread to end, besides what its last calls may take


@dataclass(frozen=True)
class Seen:
    """A tick, and its pictures as JPEG by camera where those are wanted."""

    tick: Tick
    jpegs: dict[str, bytes]


Report = Car | Seen


class Pace:
    """How long to wait so that simulated time runs `factor` times as fast as the clock, at most; 0: no wait."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._anchor: tuple[float, float] | None = None

    def wait(self, now: float, simulated: float) -> float:
        """s to wait at `now`, s of a steady clock, when the simulation is at `simulated`, s."""
        if not self._factor:
            return 0.0
        if self._anchor is None:
            self._anchor = now, simulated
        began, first = self._anchor
        early = began + (simulated - first) / self._factor - now
        if early < -_MOST_BEHIND:
            self._anchor = now, simulated
        return max(early, 0.0)


class Session:
    """Runs from its making to `close`. `on_news` is called on its thread when `poll` or `verdict` has something new.

    carla: what plays the module of that name; None imports it.
    """

    def __init__(self, config: BridgeConfig, on_news: Callable[[], None], carla: ModuleType | None = None) -> None:
        self._config, self._on_news, self._carla = config, on_news, carla
        self._lock = threading.Lock()  # around what both threads touch; never held during a call to the server
        self._connection = Connection(BackOff(), time.monotonic())
        self._driver: Driver | None = None
        self._held = ""
        self._time = math.nan  # s of the simulation
        self._pictured: dict[str, float] = {}
        self._latest: Tick | None = None
        self._no_car = 0
        self._left: CarlaWorld | None = None  # a world that could not be tidied up
        self._reports: deque[Report] = deque(maxlen=_KEPT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="carla", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once the thread has ended, which before `close` it does for a fault of its own only."""
        return self._thread.is_alive()

    @property
    def verdict(self) -> Verdict:
        """Now."""
        with self._lock:
            return self._connection.verdict

    def poll(self) -> list[Report]:
        """What was seen since the last call, oldest first."""
        found = []
        while self._reports:
            found.append(self._reports.popleft())
        return found

    def twist(self, stamp: float | None, vx: float, yaw_rate: float) -> str:
        """See Driver.on_twist. stamp: None for a command without one, which is taken as of now."""
        with self._lock:
            if self._driver is None:
                return self._refuse()
            return self._driver.on_twist(self._time, self._time if stamp is None else stamp, vx, yaw_rate)

    def drive(self, stamp: float | None, speed: float, steering: float) -> str:
        """See Driver.on_drive, and twist."""
        with self._lock:
            if self._driver is None:
                return self._refuse()
            return self._driver.on_drive(self._time, self._time if stamp is None else stamp, speed, steering)

    def hold(self, reason: str) -> None:
        """Let no command pass while `reason` is not empty."""
        with self._lock:
            self._held = self._connection.held = reason
            if self._driver is not None:
                self._driver.hold(reason)

    def numbers(self) -> dict[str, float | str]:
        """For the diagnostics: simulated time, speed m/s, why the car brakes, pictures lost, refused commands."""
        with self._lock:
            tick, driver = self._latest, self._driver
            refused = dict(driver.refused) if driver else {}
            if self._no_car:
                refused["no car"] = self._no_car
            return {
                "frame": tick.frame if tick else math.nan,
                "simulated_s": self._time,
                "speed": tick.state.linear[0] if tick else math.nan,
                "brakes_because": driver.fault if driver else "no car",
                "pictures_of_another_frame": tick.dropped if tick else 0,
                "pictures_missed": tick.missed if tick else 0,
                "connections_lost": self._connection.losses,
                **{f"refused: {reason}": count for reason, count in sorted(refused.items())},
            }

    def close(self) -> str:
        """Brake, take the car away, end. What had to be left behind in a server that does not answer, or an empty text.
        Raises RuntimeError when the thread does not end in time."""
        self._stop.set()
        server = self._config.server
        self._thread.join(2.0 * server.tick_timeout + server.timeout + _FAREWELL)
        if self._thread.is_alive():
            raise RuntimeError("the call to CARLA does not return: its server may still hold the car")
        if self._left is None:
            return ""
        return (
            f"CARLA on {server.host}:{server.port} does not answer: should it come back, the car "
            f"{self._config.car.role_name!r} is still there and the world waits for ticks. Start the bridge or the "
            "server anew"
        )

    def _refuse(self) -> str:
        self._no_car += 1
        return "no car"

    def _run(self) -> None:
        while not self._stop.wait(max(self._connection.retry_at - time.monotonic(), 0.0)):
            self._sweep()
            world = CarlaWorld(self._config.server, self._config.car, self._carla)
            try:
                self._drive(world)
            except ServerLost as error:
                self._end(self._connection.on_lost, str(error))
            except Refused as error:
                self._end(self._connection.on_refused, str(error))
            finally:
                with self._lock:
                    self._driver = None
                if not world.close():
                    self._left = world
        self._sweep()

    def _sweep(self) -> None:
        if self._left is not None and self._left.sweep():
            self._left = None

    def _end(self, tell: Callable[[float, str], None], reason: str) -> None:
        """Before the server is asked for anything else: that may take its time."""
        with self._lock:
            self._driver = None
            tell(time.monotonic(), reason)
        self._on_news()

    def _drive(self, world: CarlaWorld) -> None:
        car = world.open()
        tick = world.tick()
        driver = Driver(self._config.control, car.steering, car.wheelbase)
        driver.hold(self._held)
        pace = Pace(self._config.real_time_factor)
        with self._lock:
            self._driver, self._time = driver, tick.time
            self._pictured = {camera.name: tick.time for camera in self._config.car.cameras}
            self._connection.on_connected(time.monotonic())
        self._reports.append(car)
        while not self._stop.is_set():
            self._see(tick)
            if not self._config.server.passive:
                self._stop.wait(pace.wait(time.monotonic(), tick.time))
            with self._lock:
                control = driver.step(tick.time, tick.state.linear[0])
            world.apply(control)
            tick = world.tick()

    def _see(self, tick: Tick) -> None:
        quality = self._config.jpeg_quality
        jpegs = {name: _jpeg(picture, quality) for name, picture in tick.pictures.items()} if quality else {}
        with self._lock:
            self._time, self._latest = tick.time, tick
            self._pictured |= dict.fromkeys(tick.pictures, tick.time)
            blind = [name for name, when in self._pictured.items() if tick.time - when > self._config.camera_timeout]
            complaint = f"no picture of camera {blind[0]} for {self._config.camera_timeout:g} s" if blind else ""
            self._connection.complaint = complaint if tick.state.finite else "the car's state is not finite"
        self._reports.append(Seen(tick, jpegs))
        self._on_news()


def _jpeg(picture: Picture, quality: int) -> bytes:
    done, data = cv2.imencode(".jpg", picture.image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise RuntimeError("OpenCV makes no JPEG of a picture: is it built without libjpeg?")
    return data.tobytes()
