"""The table of a car, and that its configuration is the one that the town's closed loop drives with."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import pytest
import yaml

from wam_controller.ackermann import AckermannTracker
from wam_controller.settings import CONTROLLER, GATE, make_follower, make_gate, make_limits
from wam_planner.bringup import CarlaOptions, Row, carla_table, command, config_file, executable
from wam_planner.settings import PLANNER

NODES = ["carla_bridge", "safety_gate", "controller", "planner"]

try:
    config_file("carla.yaml")
except ValueError:
    pytest.skip("the workspace is not built", allow_module_level=True)


def row(name: str, **options: object) -> Row:
    return next(each for each in carla_table(CarlaOptions(**options)) if each.name == name)


def section(node: str) -> dict[str, Any]:
    """Parameters of a node in config/carla.yaml."""
    return yaml.safe_load(config_file("carla.yaml").read_text())[f"/**/{node}"]["ros__parameters"]


def settings(node: str, table: tuple) -> dict[str, Any]:
    """The same, with the defaults of what it does not name."""
    return {each.name: each.default for each in table} | section(node)


@pytest.mark.parametrize("sim", [True, False])
def test_the_car_starts_first_and_what_moves_it_last(sim):
    assert [each.name for each in carla_table(CarlaOptions(sim=sim))] == NODES


def test_a_virtual_carla_is_a_bridge_of_its_own_and_takes_everything_down_with_it():
    virtual, real = row("carla_bridge", sim=True), row("carla_bridge")
    assert (virtual.executable, virtual.respawn) == ("virtual_carla_bridge", False)
    assert (real.executable, real.respawn, real.arguments) == ("carla_bridge_node", True, ())


def test_the_world_reaches_the_simulator_and_the_server_reaches_the_bridge():
    words = command(row("carla_bridge", sim=True, world="unseen:4", scenario="cut_in", port=2100))
    ros = words.index("--ros-args")
    assert words[1:5] == ("--world", "unseen:4", "--scenario", "cut_in")
    assert words[words.index("--port") + 1] == "2100" and words.index("--port") < ros < words.index("port:=2100")
    parameters = row("carla_bridge", host="box", port=3000, town="Town03").parameters
    assert parameters["host"] == "box" and parameters["port"] == 3000 and parameters["town"] == "Town03"
    parameters = row("carla_bridge", passive=True, existing_vehicle="attach").parameters
    assert parameters["passive"] is True and parameters["existing_vehicle"] == "attach"


@pytest.mark.parametrize("options", [{"town": "Town03"}, {"passive": True}])
def test_a_virtual_carla_is_not_asked_for_what_only_a_server_has(options):
    with pytest.raises(ValueError, match="real server"):
        carla_table(CarlaOptions(sim=True, **options))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cameras": "rear"}, r"'rear': choose of front,left,right"),
        ({"existing_vehicle": "keep"}, r"'keep': choose one of auto, replace, attach, refuse"),
        ({"port": 99999}, r"99999: it must be from 1 to 65533"),
        ({"model": "metis-city"}, r"no checkpoint at metis-city: .*metis-town"),
    ],
)
def test_what_no_node_would_take_is_refused_before_any_starts(options, message):
    for sim in (True, False):
        with pytest.raises(ValueError, match=message):
            carla_table(CarlaOptions(sim=sim, **options))


def test_an_option_takes_what_the_bridge_takes():
    settings = pytest.importorskip("wam_carla.settings")
    (row,) = (row for row in settings.BRIDGE if row.name == "existing_vehicle")
    for each in row.choices:
        carla_table(CarlaOptions(existing_vehicle=each))


def test_every_node_right_of_the_bridge_lives_in_simulated_time_and_hears_the_car_by_its_name():
    for name in NODES[1:]:
        each = row(name, role_name="hero")
        assert each.parameters["use_sim_time"] is True
        assert each.remaps["odom"] == "/carla/hero/odometry"
    remaps = row("planner", role_name="hero").remaps
    assert remaps["camera/front/image/compressed"] == "/carla/hero/rgb_front/image/compressed"
    assert remaps["camera/left/image"] == "/carla/hero/rgb_left/image"


def test_every_row_is_installed_and_every_file_it_names_exists():
    for sim in (True, False):
        for each in carla_table(CarlaOptions(sim=sim)):
            assert executable(each).is_file()
            assert all(config_file(name).is_file() for name in each.parameter_files)


def test_the_configuration_names_only_parameters_that_exist_with_values_they_may_have():
    bridge = pytest.importorskip("wam_carla.settings").BRIDGE
    tables = {"planner": PLANNER, "controller": CONTROLLER, "safety_gate": GATE, "carla_bridge": bridge}
    for node, table in tables.items():
        known = {parameter.name: parameter for parameter in table}
        for name, value in section(node).items():
            assert known[name].violation(value) == ""


def test_the_car_keeps_the_limits_of_the_closed_loop():
    rollout = pytest.importorskip("wam_sim.town.rollout")
    car = make_limits(settings("controller", CONTROLLER))
    names = {each.name for each in fields(car)} - {"emergency_braking"}
    assert {name: getattr(car, name) for name in names} == {name: getattr(rollout.CAR_LIMITS, name) for name in names}
    assert section("safety_gate")["emergency_braking"] == rollout.CAR_LIMITS.emergency_braking


def test_the_car_is_tracked_as_in_the_closed_loop():
    model = pytest.importorskip("wam_sim.town.car").CarModel()
    controller = section("controller")
    assert (controller["tracker"], controller["rear_axle"]) == ("ackermann", model.rear)
    assert controller["wheelbase"] == section("safety_gate")["wheelbase"] == model.wheelbase
    assert controller["command_delay"] == AckermannTracker().lead
    make_follower(settings("controller", CONTROLLER))
    make_gate(settings("safety_gate", GATE))


def test_plans_are_judged_as_in_the_closed_loop():
    rollout = pytest.importorskip("wam_sim.town.rollout")
    assert {each.name: section("planner")[each.name] for each in fields(rollout.CAR_PLANS)} == vars(rollout.CAR_PLANS)
    assert section("planner")["max_rate"] == 1.0 / rollout.PLAN_PERIOD


def test_the_bridge_sees_what_the_town_draws():
    scene = pytest.importorskip("wam_sim.town.scene")
    bridge, mount = section("carla_bridge"), scene.CAMERAS["front"]
    assert math.radians(bridge["fov"]) == pytest.approx(scene.HORIZONTAL_FOV)
    assert (bridge["camera_x"], bridge["camera_y"], bridge["camera_z"]) == tuple(mount)[:3]


def test_each_layer_right_of_another_limits_less_than_that_may_command():
    gate, controller = section("safety_gate"), section("controller")
    for name in (
        "speed_max",
        "lateral_acceleration",
        "curvature_max",
        "longitudinal_acceleration",
        "braking",
        "steering_rate",
    ):
        assert gate[name] > controller[name]
    assert section("carla_bridge")["max_speed"] > gate["speed_max"]
