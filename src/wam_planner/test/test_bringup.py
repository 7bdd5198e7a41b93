"""The table of nodes, its options, and what launch files make of it."""

from __future__ import annotations

import runpy
import sys
import types
from pathlib import Path

import pytest
import yaml
from bags import write_bag

from wam_controller.settings import CONTROLLER, GATE
from wam_planner.bringup import (
    TABLES,
    CarlaOptions,
    Go2Options,
    ReplayOptions,
    Row,
    carla_table,
    command,
    config_file,
    executable,
    find_model,
    go2_table,
    option_rows,
    parse_options,
    programs,
)
from wam_planner.settings import PLANNER

ROOT = Path(__file__).parents[3]
LAUNCH = ROOT / "launch"
NODES = ["go2_bridge", "safety_gate", "controller", "planner"]

try:
    config_file("go2.yaml")
except ValueError:
    pytest.skip("the workspace is not built", allow_module_level=True)


def row(name: str, **options: object) -> Row:
    return next(each for each in go2_table(Go2Options(**options)) if each.name == name)


def test_a_simulated_robot_adds_one_row_and_a_real_one_has_none():
    assert [each.name for each in go2_table(Go2Options(sim=True))] == ["virtual_go2", *NODES]
    assert [each.name for each in go2_table(Go2Options())] == NODES


def test_only_a_simulated_robot_stands_up_by_itself():
    assert row("go2_bridge", sim=True).parameters["stand_up_on_start"] is True
    assert row("go2_bridge").parameters["stand_up_on_start"] is False


def test_the_simulated_robot_is_on_loopback_and_a_real_ones_interface_is_never_guessed():
    assert row("go2_bridge", sim=True).parameters["interface"] == "lo"
    assert row("go2_bridge").parameters["interface"] == ""
    assert row("go2_bridge", interface="eth0", domain=3).parameters["interface"] == "eth0"
    assert row("virtual_go2", sim=True, world="unseen:4").arguments[:2] == ("--world", "unseen:4")


def test_a_simulated_robot_never_shares_a_wire_with_a_real_one():
    assert row("virtual_go2", sim=True, interface="lo").arguments[2:4] == ("--interface", "lo")
    with pytest.raises(ValueError, match=r"'eth0'.*never shares a wire"):
        go2_table(Go2Options(sim=True, interface="eth0"))


def test_the_options_reach_the_planner():
    parameters = row("planner", model="baseline:stop", goal="8,1", instruction="go").parameters
    assert parameters == {"model": "baseline:stop", "goal": "8,1", "instruction": "go"}


def test_a_bundled_model_is_found_by_its_name_a_directory_is_left_alone_and_a_typo_is_named(tmp_path):
    assert find_model("baseline:straight") == "baseline:straight"
    assert find_model(str(tmp_path)) == str(tmp_path)
    assert find_model("") == ""
    with pytest.raises(ValueError, match=r"no checkpoint at metis-city: .*metis-yard"):
        find_model("metis-city")


def test_every_row_is_installed_and_every_file_it_names_exists():
    for each in go2_table(Go2Options(sim=True)):
        assert executable(each).is_file()
        for name in each.parameter_files:
            assert config_file(name).is_file()


def test_a_command_line_keeps_the_types_of_the_parameters():
    words = command(
        Row("wam_planner", "planner_node", "p", parameters={"a": True, "b": 2, "c": 0.5, "d": "it's 8,1", "e": ""})
    )
    assert [word for word in words if ":=" in word] == ["__node:=p", "a:=true", "b:=2", "c:=0.5", "d:='it''s 8,1'"]


def test_a_program_that_is_no_node_gets_no_ros_arguments():
    assert "--ros-args" not in command(row("virtual_go2", sim=True))


def test_a_package_that_is_not_built_is_named_with_the_fix():
    with pytest.raises(ValueError, match="make setup"):
        command(Row("wam_nowhere", "node", "n"))
    with pytest.raises(ValueError, match="no executable nothing"):
        command(Row("wam_planner", "nothing", "n"))


def test_remaps_reach_the_command_line():
    words = command(Row("wam_planner", "planner_node", "p", remaps={"odom": "/robot/odom"}))
    assert words[-2:] == ("-r", "odom:=/robot/odom")


def test_only_the_robot_itself_takes_everything_down_with_it():
    assert {each.name: each.respawn for each in programs(go2_table(Go2Options(sim=True)))} == {
        "virtual_go2": False,
        **dict.fromkeys(NODES, True),
    }


def test_options_are_read_from_texts_as_launch_gives_them():
    options = parse_options(Go2Options, {"sim": "true", "domain": "7", "goal": "1,2"})
    assert options == Go2Options(sim=True, domain=7, goal="1,2")
    assert parse_options(ReplayOptions, {"rate": "2"}) == ReplayOptions(rate=2.0)
    for kind, texts in (
        (Go2Options, {"sim": "yes"}),
        (Go2Options, {"domain": "-1"}),
        (ReplayOptions, {"rate": "fast"}),
    ):
        with pytest.raises(ValueError, match="must be"):
            parse_options(kind, texts)


def test_every_option_is_described():
    assert all(description for _, _, description in option_rows(Go2Options))


def test_the_configuration_names_only_parameters_that_exist_with_values_they_may_have():
    tables = {"/**/planner": PLANNER, "/**/controller": CONTROLLER, "/**/safety_gate": GATE}
    sections = yaml.safe_load(config_file("go2.yaml").read_text())
    for section, table in tables.items():
        known = {parameter.name: parameter for parameter in table}
        for name, value in sections[section]["ros__parameters"].items():
            assert known[name].violation(value) == ""


def test_the_gate_never_limits_what_the_controller_may_command():
    sections = yaml.safe_load(config_file("go2.yaml").read_text())
    gate = sections["/**/safety_gate"]["ros__parameters"]
    controller = sections["/**/controller"]["ros__parameters"]
    for name in ("vx_max", "vy_max", "yaw_rate_max"):
        assert gate[name] > controller[name]


class Part:
    """Stands for whatever class of launch is asked for, for no wheel brings launch: it keeps what it was made of."""

    def __init__(self, *values, **named):
        self.values, self.named = values, named

    def perform(self, context):
        return context[self.values[0]]


@pytest.fixture
def describe(monkeypatch):
    """A robot's launch file, run."""
    for name in ("launch", "launch.actions", "launch.events", "launch.substitutions", "launch_ros"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for name in ("launch_ros.actions", "launch_ros.parameter_descriptions"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    for kind in ("DeclareLaunchArgument", "EmitEvent", "ExecuteProcess", "OpaqueFunction"):
        setattr(sys.modules["launch.actions"], kind, type(kind, (Part,), {}))
    sys.modules["launch.events"].Shutdown = Part
    sys.modules["launch.substitutions"].LaunchConfiguration = Part
    sys.modules["launch"].LaunchContext, sys.modules["launch"].LaunchDescription = dict, Part
    sys.modules["launch_ros.actions"].Node = type("Node", (Part,), {})
    sys.modules["launch_ros.parameter_descriptions"].ParameterValue = Part
    monkeypatch.delitem(sys.modules, "wam_planner.bringup.launching", raising=False)

    def run(robot):
        return runpy.run_path(str(LAUNCH / f"{robot}.launch.py"))["generate_launch_description"]().values[0]

    yield run
    sys.modules.pop("wam_planner.bringup.launching", None)


@pytest.mark.parametrize("robot", TABLES)
def test_a_launch_file_offers_the_options_and_starts_the_rows(describe, robot, tmp_path):
    options, table = TABLES[robot]
    *arguments, started = describe(robot)
    assert [each.values[0] for each in arguments] == [name for name, _, _ in option_rows(options)]
    defaults = {each.values[0]: each.named["default_value"] for each in arguments}
    assert parse_options(options, defaults) == options()
    if robot == "replay":
        write_bag(tmp_path / "bag", frames=2)
    chosen = {"bag": str(tmp_path / "bag")} if robot == "replay" else {"sim": "true"}
    actions = started.named["function"]({**defaults, **chosen})
    rows = table(parse_options(options, chosen))
    assert [each.named["name"] for each in actions] == [row.name for row in rows]
    for action, row in zip(actions, rows, strict=True):
        assert ("respawn" in action.named) is row.respawn and ("on_exit" in action.named) is not row.respawn
        if row.is_node:
            assert (action.named["package"], action.named["executable"]) == (row.package, row.executable)
            *files, own = action.named["parameters"]
            assert files == [str(config_file(name)) for name in row.parameter_files]
            assert {name: value.values[0] for name, value in own.items()} == dict(row.parameters)
            assert dict(action.named["remappings"]) == dict(row.remaps)
        else:
            assert action.named["cmd"] == list(command(row))


def test_a_run_is_recorded_when_that_is_asked_for_and_a_recorder_that_ends_ends_nothing_else():
    recorder = go2_table(Go2Options(sim=True, record=True))[-1]
    assert (recorder.package, recorder.name, recorder.respawn) == ("wam_tools", "recorder", True)
    assert recorder.parameters["bridge"] == "go2_bridge"
    car = carla_table(CarlaOptions(record=True, role_name="hero", cameras="front,left,right"))[-1]
    assert car.parameters["cameras"] == "front,left,right"
    assert car.parameters["use_sim_time"] is True
    assert car.remaps["camera/left/image/compressed"] == "/carla/hero/rgb_left/image/compressed"
    assert car.remaps["odom"] == "/carla/hero/odometry"
