"""The car in its world, against the virtual CARLA: what is set up, what is refused, and that nothing is left behind."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("carla")

from carla_stage import FRONT, Stage, until

from wam_carla.connection import Refused, ServerLost
from wam_carla.sensors import Collision, LaneInvasion
from wam_carla.settings import CarConfig, ServerConfig
from wam_carla.vehicle_control import AckermannTarget, Pedals
from wam_carla.world import CarlaWorld, Tick
from wam_sim import virtual_carla
from wam_sim.town.criteria import Contact
from wam_sim.virtual_carla.empty_town import COLOUR
from wam_sim.virtual_carla.faults import CameraFault, ServerFault, TickerFault

GAS = Pedals(0.5, 0.0, 0.0)


@pytest.fixture()
def stage() -> Iterator[Stage]:
    with closing(Stage()) as made:
        yield made


def drive(world: CarlaWorld, ticks: int, pedals: Pedals = GAS) -> list[Tick]:
    seen = []
    for _ in range(ticks):
        world.apply(pedals)
        seen.append(world.tick())
    return seen


def test_it_takes_over_the_clock_and_gives_it_back(stage):
    world = stage.world()
    car = world.open()
    assert stage.server.settings.synchronous_mode
    assert stage.server.settings.fixed_delta_seconds == pytest.approx(0.05)
    assert car.wheelbase == pytest.approx(2.88, abs=1e-4)
    assert car.steering.max_angle == pytest.approx(0.6)
    ticks = drive(world, 3)
    assert [later.frame - tick.frame for tick, later in zip(ticks, ticks[1:])] == [1, 1]
    assert ticks[1].time - ticks[0].time == pytest.approx(0.05)
    world.close()
    assert not stage.server.settings.synchronous_mode


def test_nothing_is_left_behind_and_sensors_go_before_the_car(stage):
    side = replace(FRONT, name="left", rpy=(0.0, 0.0, 1.0))
    world = stage.world(CarConfig(cameras=(FRONT, side), camera_period=1))
    world.open()
    drive(world, 2)
    world.close()
    assert stage.server.actors == {}
    log = [what for what, _ in stage.server.log if what in ("stop", "destroy")]
    assert log == ["stop"] * 4 + ["destroy"] * 5
    assert stage.server.log[-2:] == [("destroy", "vehicle.tesla.model3"), ("settings", "asynchronous")]
    assert stage.server.control.brake == 1.0 and stage.server.control.hand_brake
    world.close()  # again


def test_a_picture_belongs_to_its_tick_and_is_red_green_blue(stage):
    world = stage.world()
    world.open()
    for tick in drive(world, 5):
        picture = tick.pictures["front"]
        assert picture.frame == tick.frame
        assert picture.image.shape == (24, 32, 3)
        assert picture.image[0, -1].tolist() == list(COLOUR) and not picture.image[0, 0].any()
    assert (tick.dropped, tick.missed) == (0, 0)
    world.close()


def test_a_camera_of_every_second_tick_holds_up_none(stage):
    world = stage.world(CarConfig(cameras=(FRONT,), camera_period=2))
    world.open()
    seen = [bool(tick.pictures) for tick in drive(world, 10)]
    assert seen in ([True, False] * 5, [False, True] * 5)
    world.close()


def test_signs_of_a_car_that_turns_left(stage):
    world = stage.world()
    world.open()
    drive(world, 60, Pedals(0.6, 0.0, 0.0))
    tick = drive(world, 20, Pedals(0.3, 0.0, -0.4))[-1]
    state, (x, y, yaw) = tick.state, stage.town.state.pose
    assert state.position == pytest.approx((x, y, 0.0), abs=1e-3)
    assert math.remainder(state.rpy[2] - yaw, math.tau) == pytest.approx(0.0, abs=1e-5)
    assert state.linear == pytest.approx((*stage.town.state.twist(stage.town.model)[:2], 0.0), abs=1e-3)
    assert state.angular[2] == pytest.approx(stage.town.state.twist(stage.town.model)[2], abs=1e-4)
    assert state.linear[0] > 4.0 and state.angular[2] > 0.1 and stage.town.state.steering > 0.1
    world.close()


def test_carlas_own_ackermann_controller_turns_left_too(stage):
    world = stage.world()
    world.open()
    for _ in range(100):
        world.apply(AckermannTarget(-0.2, 4.0))
        tick = world.tick()
    assert tick.state.linear[0] == pytest.approx(4.0, abs=0.2)
    assert stage.town.state.steering == pytest.approx(0.2, abs=1e-3)
    world.close()


def test_events_say_what_and_when(stage):
    world = stage.world()
    world.open()
    stage.town.contacts = (Contact("pedestrian", "person 3"),)
    drive(world, 1)
    events: list[object] = []

    def hit() -> bool:
        events.extend(world.tick().events)
        return bool(events)

    until(hit, "a collision")
    collision = events[0]
    assert isinstance(collision, Collision) and collision.other.startswith("walker.")
    stage.town.contacts = ()
    events.clear()
    for _ in range(200):
        world.apply(Pedals(0.5, 0.0, -0.2))
        events += [event for event in world.tick().events if isinstance(event, LaneInvasion)]
    assert events and events[0].markings == ("Broken",)  # the line in the middle of the road, to the left
    world.close()


def test_another_version_is_refused():
    stage = Stage(version="0.9.15")
    with pytest.raises(Refused, match=r"server is CARLA 0\.9\.15, this client 0\.9\.16"):
        stage.world().open()
    stage.server.close()


def test_no_server_says_where_it_was_looked_for():
    world = CarlaWorld(ServerConfig(port=19999, timeout=0.05), CarConfig(), virtual_carla)
    with pytest.raises(ServerLost, match="localhost:19999"):
        world.open()


def test_the_real_client_says_the_same_of_no_server():
    world = CarlaWorld(ServerConfig(port=19999, timeout=0.1), CarConfig())
    with pytest.raises(ServerLost, match=r"localhost:19999.*time-out"):
        world.open()


@pytest.mark.parametrize(
    ("car", "why"),
    [
        (CarConfig(blueprint="vehicle.tesla.model4"), "no blueprint 'vehicle.tesla.model4'; it has vehicle.lincoln"),
        (CarConfig(spawn_point=5), "1 spawn points"),
        (CarConfig(existing="attach"), "no car with role name"),
    ],
)
def test_what_a_human_must_change_is_named_and_nothing_stays(stage, car, why):
    with pytest.raises(Refused, match=why):
        stage.world(car).open()
    assert stage.server.actors == {} and not stage.server.settings.synchronous_mode


def test_an_unknown_town_is_refused_with_those_there_are(stage):
    with pytest.raises(Refused, match="no map 'Town99'; it has Other, Town"):
        stage.world(town="Town99").open()


def test_a_known_town_is_loaded(stage):
    world = stage.world(town="Other")
    assert world.open().town == "Other"
    world.close()


def test_a_map_without_spawn_points_is_refused(stage, monkeypatch):
    monkeypatch.setattr(type(stage.server.map), "get_spawn_points", lambda _: [])
    with pytest.raises(Refused, match="no spawn points"):
        stage.world().open()


def test_a_spawn_point_where_somebody_stands_is_refused(stage):
    first = stage.world(CarConfig(role_name="somebody"), passive=True)
    first.open()
    with pytest.raises(Refused, match="occupied"):
        stage.world(CarConfig(spawn_point=0), passive=True).open()
    first.close()


def abandoned(stage: Stage) -> CarlaWorld:
    """A car of ours whose process was killed: nobody has closed it."""
    world = stage.world()
    world.open()
    drive(world, 5)
    return world


def test_what_a_killed_bridge_left_is_taken_away_and_its_clock_is_freed(stage):
    abandoned(stage)
    assert len(stage.server.actors) == 4 and stage.server.settings.synchronous_mode
    world = stage.world()
    world.open()
    assert len(stage.server.actors) == 4
    world.close()
    assert stage.server.actors == {} and not stage.server.settings.synchronous_mode


def test_or_it_is_refused_or_driven_and_left_there(stage):
    abandoned(stage)
    with pytest.raises(Refused, match="there is a car with role name 'ego_vehicle' already"):
        stage.world(CarConfig(existing="refuse")).open()
    world = stage.world(CarConfig(existing="attach"))
    world.open()
    world.close()
    assert "vehicle.tesla.model3" in {actor.type_id for actor in stage.server.actors.values()}
    assert stage.server.control.hand_brake


def test_a_world_that_somebody_else_ticks_is_refused(stage):
    abandoned(stage)
    stage.server.faults.ticker = TickerFault.OTHER
    with pytest.raises(Refused, match="another client ticks this world already"):
        stage.world().open()
    assert stage.server.settings.synchronous_mode  # it is theirs


class Slow:
    """Another client, with a car of its own, that thinks for 0.8 s a tick."""

    def __init__(self, stage: Stage) -> None:
        self._world = virtual_carla.Client("localhost", stage.port).get_world()
        settings = self._world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.1
        self._world.apply_settings(settings)
        blueprint = self._world.get_blueprint_library().find("vehicle.lincoln.mkz_2020")
        blueprint.set_attribute("role_name", "ego_vehicle")
        self.car = self._world.spawn_actor(blueprint, self._world.get_map().get_spawn_points()[0])
        self._world.tick()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.8):
            self._world.tick()


@pytest.mark.parametrize("town", ["", "Other"])
def test_somebody_who_ticks_slowly_keeps_the_car_the_map_and_the_clock(stage, town):
    with closing(Slow(stage)) as other:
        with pytest.raises(Refused, match="another client ticks this world already"):
            stage.world(town=town).open()
        assert other.car.is_alive and stage.server.map_name == "Town"
        settings = stage.server.settings
        assert settings.synchronous_mode and settings.fixed_delta_seconds == pytest.approx(0.1)


def test_somebody_who_was_not_noticed_in_time_gets_the_clock_back(stage):
    abandoned(stage)
    stage.server.settings.fixed_delta_seconds = 0.1
    world = stage.world()
    world.open()
    stage.server.faults.ticker = TickerFault.OTHER
    with pytest.raises(Refused, match="frames passed in one tick"):
        drive(world, 2)
    stage.server.faults.ticker = TickerFault.OK
    world.close()
    settings = stage.server.settings
    assert settings.synchronous_mode and settings.fixed_delta_seconds == pytest.approx(0.1)


def test_somebody_who_begins_to_tick_later_is_noticed(stage):
    world = stage.world()
    world.open()
    drive(world, 3)
    stage.server.faults.ticker = TickerFault.OTHER
    with pytest.raises(Refused, match=r"frames passed in one tick.*passive: true"):
        drive(world, 2)
    stage.server.faults.ticker = TickerFault.OK
    world.close()


def test_a_passive_one_neither_ticks_nor_touches_the_settings(stage):
    world = stage.world(passive=True)  # the virtual world runs by itself while nobody asked for ticks
    world.open()
    ticks = drive(world, 5)
    assert [tick.frame for tick in ticks] == sorted({tick.frame for tick in ticks})
    world.close()
    assert not [what for what, _ in stage.server.log if what == "settings"]
    assert stage.server.actors == {}


def test_a_server_that_freezes_is_lost_within_the_deadline(stage):
    world = stage.world()
    world.open()
    stage.server.faults.server = ServerFault.FROZEN
    began = time.monotonic()
    with pytest.raises(ServerLost, match="time-out of 800ms"):
        world.tick()
    world.close()  # one more time-out, not one for every actor
    assert time.monotonic() - began < 3.0


def test_late_pictures_are_dropped_and_counted(stage):
    world = stage.world()
    world.open()
    drive(world, 2)
    stage.server.faults.camera = CameraFault.LATE
    ticks = drive(world, 3)
    assert not any(tick.pictures for tick in ticks)
    assert ticks[-1].dropped >= 1 and ticks[-1].missed == 3
    stage.server.faults.camera = CameraFault.OK
    assert any(tick.pictures for tick in drive(world, 10))
    world.close()


def test_a_car_that_somebody_destroys_is_noticed(stage):
    world = stage.world()
    world.open()
    car = next(actor.id for actor in stage.server.actors.values() if actor.type_id.startswith("vehicle."))
    stage.server.call(lambda: stage.server.destroy(car), "localhost", 1.0)
    with pytest.raises(ServerLost, match="somebody destroyed it"):
        world.tick()
    world.close()
    assert stage.server.actors == {} and not stage.server.settings.synchronous_mode


def test_a_machine_that_nobody_knows_is_named(stage):
    with pytest.raises(ServerLost, match=r"no CARLA server on nowhere\.invalid:.*Host not found"):
        stage.world(host="nowhere.invalid").open()


def test_an_error_half_way_leaves_nothing_behind(stage):
    def no_listening(*_: object) -> None:
        raise KeyboardInterrupt

    broken = SimpleNamespace(**{name: getattr(virtual_carla, name) for name in virtual_carla.__all__})
    broken.Transform = no_listening
    with pytest.raises(KeyboardInterrupt):
        CarlaWorld(stage.config, CarConfig(cameras=(FRONT,)), broken).open()
    assert stage.server.actors == {} and not stage.server.settings.synchronous_mode
