"""The virtual CARLA has the names and habits of the real client, and its cars move as cars."""

from __future__ import annotations

import inspect
import math
import random
import re
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("carla")

import carla

from wam_sim import virtual_carla
from wam_sim.town.car import CarModel, CarState
from wam_sim.virtual_carla import client as double
from wam_sim.virtual_carla import events, states
from wam_sim.virtual_carla.drivetrain import Drivetrain
from wam_sim.virtual_carla.empty_town import EmptyTown
from wam_sim.virtual_carla.faults import CameraFault, Faults, ServerFault, TickerFault
from wam_sim.virtual_carla.server import VirtualServer

# The double's classes and the wheel's.
PAIRS = {
    double.Client: carla.Client,
    double.World: carla.World,
    double.BlueprintLibrary: carla.BlueprintLibrary,
    double.ActorBlueprint: carla.ActorBlueprint,
    double.Actor: carla.Actor,
    double.Vehicle: carla.Vehicle,
    double.Sensor: carla.Sensor,
    double.ActorList: carla.ActorList,
    states.WorldSnapshot: carla.WorldSnapshot,
    states.ActorSnapshot: carla.ActorSnapshot,
    events.Image: carla.Image,
    events.CollisionEvent: carla.CollisionEvent,
    events.LaneInvasionEvent: carla.LaneInvasionEvent,
    events.OtherActor: carla.Actor,
}


def offered() -> list[tuple[type, str]]:
    """(class of the double, public name) of all that it offers itself; what it inherits is its parent's."""
    found = []
    for kind in PAIRS:
        names = {name for name in vars(kind) if not name.startswith("_")}
        names |= {name for name in getattr(kind, "__dataclass_fields__", {}) if not name.startswith("_")}
        found += [(kind, name) for name in sorted(names)]
    return found


def methods() -> list[tuple[type, str]]:
    return [(kind, name) for kind, name in offered() if inspect.isfunction(getattr(kind, name, None))]


def arguments(method: object) -> list[list[tuple[str, bool]]]:
    """Per overload, (name, whether it may be left out) without self, from Boost.Python's docstring."""
    found = []
    for line in (method.__doc__ or "").splitlines():
        if match := re.match(r"^\w+\((.*)\) -> \S+ :$", line.strip()):
            parts = re.findall(r"(\[?,? *)\((\w+)\)(\w+)(=)?", match[1])
            found.append([(name, bool(default)) for _, _, name, default in parts][1:])
    return found


def described(kind: type, name: str) -> str:
    return f"{kind.__name__}.{name}"


@pytest.mark.parametrize(("kind", "name"), offered(), ids=lambda it: getattr(it, "__name__", it))
def test_every_name_is_one_of_the_wheels_and_of_its_kind(kind, name):
    real = inspect.getattr_static(PAIRS[kind], name)
    is_method = inspect.isfunction(getattr(kind, name, None))
    assert is_method is not isinstance(real, property), "a property in one and a method in the other"


@pytest.mark.parametrize(("kind", "name"), methods(), ids=lambda it: getattr(it, "__name__", it))
def test_every_argument_is_called_and_left_out_as_in_the_wheel(kind, name):
    mine = list(inspect.signature(getattr(kind, name)).parameters.values())[1:]
    overloads = arguments(getattr(PAIRS[kind], name))
    assert overloads, "the wheel's docstring says nothing: look for its new form"
    assert [(each.name, each.default is not each.empty) for each in mine] in overloads


def test_the_way_docstrings_are_read():
    assert arguments(carla.World.tick) == [[("seconds", True)]]
    assert arguments(carla.ActorBlueprint.set_attribute) == [[("arg2", False), ("arg3", False)]]
    assert ("attach_to", True) in arguments(carla.World.spawn_actor)[0]


def test_a_clients_arguments_are_the_wheels():
    mine = list(inspect.signature(double.Client).parameters.values())
    assert [(each.name, each.default is not each.empty) for each in mine] in arguments(carla.Client.__init__)


def test_the_module_has_what_it_says_under_the_wheels_names():
    for name in virtual_carla.__all__:
        assert hasattr(carla, name)
    assert virtual_carla.VehicleControl is carla.VehicleControl


class Stage:
    def __init__(self) -> None:
        self.towns: list[EmptyTown] = []
        self.port = random.SystemRandom().randint(20000, 60000)
        self.truth: list[dict[str, object]] = []
        self.server = VirtualServer(self._make, port=self.port, on_step=self.truth.append)
        self.client = double.Client("localhost", self.port)
        self.client.set_timeout(2.0)
        self.world = self.client.get_world()

    def synchronous(self) -> None:
        settings = self.world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
        self.world.apply_settings(settings)

    def car(self) -> double.Vehicle:
        blueprint = self.world.get_blueprint_library().find("vehicle.tesla.model3")
        return self.world.spawn_actor(blueprint, self.world.get_map().get_spawn_points()[0])

    def sensor(self, kind: str, car: double.Vehicle, **attributes: str) -> double.Sensor:
        blueprint = self.world.get_blueprint_library().find(kind)
        for name, value in attributes.items():
            blueprint.set_attribute(name, value)
        return self.world.spawn_actor(blueprint, carla.Transform(), attach_to=car)

    def _make(self, _: str) -> EmptyTown:
        self.towns.append(EmptyTown())
        return self.towns[-1]


@pytest.fixture()
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.server.close()
    assert made.towns[-1].closed


def wait(condition) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_versions_and_maps(stage):
    assert stage.client.get_client_version() == carla.Client().get_client_version()
    assert stage.client.get_available_maps() == ["/Game/Carla/Maps/Town"]
    with pytest.raises(RuntimeError, match="not found"):
        stage.client.load_world("Town99")


@pytest.mark.parametrize("call", ["get_server_version", "get_world", "get_available_maps"])
def test_without_a_server_it_speaks_as_the_wheel_does(call):
    said = []
    for module in (carla, double):
        client = module.Client("127.0.0.1", 19998)
        client.set_timeout(0.2)
        with pytest.raises(RuntimeError) as error:
            getattr(client, call)()
        said.append(str(error.value))
    assert said[0] == said[1]


def test_a_wrong_argument_is_refused_as_by_the_wheel(stage):
    car = stage.car()
    for call, bad in ((car.apply_control, 0.5), (stage.world.apply_settings, {}), (stage.world.spawn_actor, "car")):
        with pytest.raises(TypeError):
            call(bad)
    with pytest.raises(TypeError):
        carla.VehicleControl(throttle="full")
    with pytest.raises(IndexError):
        stage.world.get_blueprint_library().find("vehicle.none")
    with pytest.raises(IndexError):
        stage.world.get_blueprint_library().find("sensor.camera.rgb").set_attribute("colour", "red")


def test_a_world_that_waits_for_ticks_stands_still_without_them(stage):
    stage.synchronous()
    before = stage.world.get_snapshot().frame
    time.sleep(0.2)
    assert stage.world.get_snapshot().frame == before
    assert stage.world.tick() == before + 1
    assert stage.world.get_snapshot().timestamp.delta_seconds == pytest.approx(0.05)


def test_a_world_that_waits_for_nobody_goes_on(stage):
    assert stage.world.wait_for_tick(2.0).frame > 0


def test_controls_persist_until_they_are_replaced(stage):
    stage.synchronous()
    car = stage.car()
    car.apply_control(carla.VehicleControl(throttle=0.5))
    for _ in range(40):
        stage.world.tick()
    speed = stage.towns[-1].state.speed
    assert speed > 2.0
    car.apply_control(carla.VehicleControl(brake=1.0))
    for _ in range(40):
        stage.world.tick()
    assert stage.towns[-1].state.speed == 0.0
    assert stage.truth[-1]["speed"] == 0.0 and "brake=1.0" in str(stage.truth[-1]["control"])


def test_a_control_that_is_changed_afterwards_has_not_been_applied(stage):
    stage.synchronous()
    car, control = stage.car(), carla.VehicleControl(throttle=1.0)
    car.apply_control(control)
    control.throttle = 0.0
    for _ in range(20):
        stage.world.tick()
    assert stage.towns[-1].state.speed > 1.0


def test_callbacks_come_on_another_thread(stage):
    stage.synchronous()
    threads, frames = set(), []
    camera = stage.sensor("sensor.camera.rgb", stage.car(), image_size_x="64", image_size_y="48")
    camera.listen(lambda image: (threads.add(threading.current_thread()), frames.append(image)))
    frame = stage.world.tick()
    wait(lambda: frames)
    assert threads.isdisjoint({threading.current_thread(), stage.server._thread})
    assert frames[0].frame == frame and (frames[0].width, frames[0].height) == (64, 48)
    assert len(frames[0].raw_data) == 64 * 48 * 4
    camera.stop()
    stage.world.tick()
    time.sleep(0.05)
    assert len(frames) == 1 and not camera.is_listening()


def test_a_sensor_tick_skips_ticks(stage):
    stage.synchronous()
    frames = []
    camera = stage.sensor("sensor.camera.rgb", stage.car(), sensor_tick="0.2")
    camera.listen(lambda image: frames.append(image.frame))
    for _ in range(12):
        stage.world.tick()
    wait(lambda: len(frames) == 3)
    assert {later - frame for frame, later in zip(frames, frames[1:])} == {4}
    assert stage.towns[-1].pictures == 3  # nothing is drawn for nobody


def test_a_destroyed_actor_says_so(stage):
    car = stage.car()
    assert car.is_alive and car.destroy() and not car.is_alive
    with pytest.raises(RuntimeError, match="destroyed actor"):
        car.apply_control(carla.VehicleControl())


def test_there_is_room_for_one_car(stage):
    stage.car()
    with pytest.raises(RuntimeError, match="Spawn failed"):
        stage.car()


def test_a_new_car_finds_the_town_as_it_was(stage):
    stage.synchronous()
    car = stage.car()
    car.apply_control(carla.VehicleControl(throttle=1.0))
    for _ in range(40):
        stage.world.tick()
    driven = stage.towns[-1].state.pose
    car.destroy()
    stage.car()
    assert stage.towns[-1].state.pose != driven and stage.towns[-1].state.speed == 0.0


def test_a_snapshot_has_the_car_in_left_handed_axes(stage):
    stage.synchronous()
    car = stage.car()
    stage.world.tick()
    actor = stage.world.get_snapshot().find(car.id)
    x, y, yaw = stage.towns[-1].state.pose
    place = actor.get_transform()
    assert (place.location.x, place.location.y) == pytest.approx((x, -y), abs=1e-3)
    assert math.cos(math.radians(place.rotation.yaw) + yaw) == pytest.approx(1.0)
    assert stage.world.get_snapshot().find(99999) is None


def test_a_left_turn_is_a_negative_spin_in_degrees():
    model = CarModel()
    state = CarState((0.0, 0.0, 0.0), speed=5.0, steering=0.2)
    snapshot = states.snapshot_of(1, state, model)
    yaw_rate = 5.0 * math.tan(0.2) / model.wheelbase
    assert snapshot.get_angular_velocity().z == pytest.approx(-math.degrees(yaw_rate), rel=1e-5)
    assert snapshot.get_velocity().x == pytest.approx(5.0)
    assert snapshot.get_velocity().y < 0.0  # its middle moves to the left
    assert snapshot.get_acceleration().y == pytest.approx(-5.0 * yaw_rate, rel=1e-5)


@given(st.floats(-500.0, 500.0), st.floats(-500.0, 500.0), st.floats(-3.1, 3.1))
def test_places_there_and_back(x, y, yaw):
    assert states.pose_of(states.place((x, y, yaw))) == pytest.approx((x, y, yaw), abs=1e-3)


def test_wheels_are_where_they_are_in_centimetres():
    model = CarModel()
    corners = states.wheels(CarState((10.0, 20.0, math.pi / 2.0)), model, 0.6)
    front_left = corners[0]
    assert front_left.position.y == pytest.approx(-100.0 * (20.0 + model.wheelbase - model.rear), rel=1e-5)
    assert front_left.position.x < 1000.0  # heading north, its left is west
    assert [round(wheel.max_steer_angle, 2) for wheel in corners] == [34.38, 34.38, 0.0, 0.0]


def test_the_maps_lanes_are_the_towns(stage):
    town = stage.world.get_map()
    start = town.get_spawn_points()[0]
    waypoint = town.get_waypoint(start.location)
    assert isinstance(town, carla.Map) and waypoint.lane_width == pytest.approx(3.5)
    assert waypoint.transform.location.distance(start.location) < 0.2


@pytest.mark.parametrize(
    ("yaw", "name"), [(0.0, "front"), (5.0, "front"), (-60.0, "left"), (60.0, "right"), (300.0, "left")]
)
def test_a_camera_is_named_by_where_it_looks(yaw, name):
    assert events.camera_of(carla.Transform(carla.Location(), carla.Rotation(yaw=yaw))) == name


def test_a_server_that_is_gone_comes_back_as_another(stage):
    stage.synchronous()
    stage.car()
    stage.client.set_timeout(0.2)
    stage.server.faults.server = ServerFault.GONE
    with pytest.raises(RuntimeError, match="time-out of 200ms"):
        stage.world.tick()
    stage.server.faults.server = ServerFault.OK
    wait(lambda: not stage.server.actors)
    assert not stage.client.get_world().get_settings().synchronous_mode


def test_a_frozen_server_does_what_it_was_asked_for_once_it_thaws(stage):
    stage.synchronous()
    before = stage.world.get_snapshot().frame
    stage.server.faults.server = ServerFault.FROZEN
    with pytest.raises(RuntimeError, match="time-out of 100ms"):
        stage.world.tick(0.1)
    stage.server.faults.server = ServerFault.OK
    wait(lambda: stage.world.get_snapshot().frame == before + 1)


@pytest.mark.parametrize("fault", CameraFault)
def test_camera_faults(stage, fault):
    stage.synchronous()
    pictures = []
    camera = stage.sensor("sensor.camera.rgb", stage.car(), image_size_x="32", image_size_y="24")
    camera.listen(lambda image: pictures.append((image.frame, stage.world.get_snapshot().frame, bytes(image.raw_data))))
    stage.server.faults.camera = fault
    for _ in range(3):
        stage.world.tick()
        time.sleep(0.1)
    if fault is CameraFault.MISSING:
        assert not pictures
    elif fault is CameraFault.LATE:
        assert pictures and all(now > taken for taken, now, _ in pictures)
    elif fault is CameraFault.BLACK:
        assert set(pictures[-1][2]) == {0, 255}  # alpha
    else:
        assert len({data for _, _, data in pictures}) == (1 if fault is CameraFault.FROZEN else 3)


def test_somebody_else_who_ticks(stage):
    stage.synchronous()
    stage.server.faults.ticker = TickerFault.OTHER
    before = stage.world.get_snapshot().frame
    assert stage.world.tick() > before + 1


def test_words_for_faults():
    faults = Faults()
    faults.switch("server frozen\n")
    faults.switch("camera late")
    assert (faults.server, faults.camera) == (ServerFault.FROZEN, CameraFault.LATE)
    with pytest.raises(ValueError, match=r"ticker ok\|other"):
        faults.switch("ticker mad")


# The car's answer to its pedals.


@given(st.floats(-1.0, 2.0), st.floats(-1.0, 2.0), st.booleans(), st.floats(0.0, 80.0))
def test_an_acceleration_is_within_what_a_car_can_do(throttle, brake, hand_brake, speed):
    drivetrain = Drivetrain()
    acceleration = drivetrain.acceleration(throttle, brake, hand_brake, speed)
    most = drivetrain.brake + drivetrain.hand_brake + drivetrain.rolling + drivetrain.air * speed**2
    assert -most - 1e-9 <= acceleration <= drivetrain.push
    if speed == 0.0:
        assert acceleration >= 0.0


@given(st.floats(0.0, 1.0), st.floats(0.0, 40.0), st.floats(0.01, 0.5))
def test_more_throttle_is_never_slower_and_more_brake_never_faster(pedal, speed, more):
    drivetrain = Drivetrain()
    assert drivetrain.acceleration(pedal + more, 0.0, False, speed) >= drivetrain.acceleration(pedal, 0.0, False, speed)
    assert drivetrain.acceleration(0.0, pedal + more, False, speed) <= drivetrain.acceleration(0.0, pedal, False, speed)


def test_it_rolls_out_and_has_a_top_speed():
    drivetrain = Drivetrain()
    assert drivetrain.acceleration(0.0, 0.0, False, 10.0) == pytest.approx(-0.21)
    assert drivetrain.acceleration(1.0, 0.0, False, drivetrain.top_speed) < 0.0


def test_steer_is_right_positive_and_less_at_speed():
    drivetrain = Drivetrain()
    assert drivetrain.steering(1.0, 0.0) == pytest.approx(-0.6)
    assert drivetrain.steering(-2.0, 0.0) == pytest.approx(0.6)
    assert drivetrain.steering(-1.0, 60.0 / 3.6) == pytest.approx(0.48)
