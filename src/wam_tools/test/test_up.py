"""`wam up` offers the options of the table and runs its rows."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from wam_planner.bringup import TABLES, option_rows
from wam_tools import up


@pytest.fixture
def started(monkeypatch):
    """Instead of starting programs, remembers them and ends with status 0."""
    seen = []
    monkeypatch.setattr(up, "run_table", lambda programs: seen.extend(programs) or 0)
    return seen


@pytest.mark.parametrize("robot", TABLES)
def test_every_option_of_the_table_is_a_flag(robot):
    answer = CliRunner().invoke(up.app, [robot, "--help"])
    assert answer.exit_code == 0
    for name, _, _ in option_rows(TABLES[robot][0]):
        assert f"--{name.replace('_', '-')}" in answer.output


def test_the_simulated_robot_starts_only_with_sim(started):
    assert CliRunner().invoke(up.app, ["go2", "--sim", "--model", "baseline:stop"]).exit_code == 0
    simulated = {program.name for program in started}
    started.clear()
    assert CliRunner().invoke(up.app, ["go2", "--interface", "eth0", "--model", "baseline:stop"]).exit_code == 0
    assert simulated - {program.name for program in started} == {"virtual_go2"}
    assert {"planner", "controller", "safety_gate", "go2_bridge"} <= simulated


def test_a_virtual_carla_is_in_the_bridges_own_process(started):
    words = ["carla", "--sim", "--model", "baseline:lane_blind", "--role-name", "hero", "--scenario", "cut_in"]
    assert CliRunner().invoke(up.app, words).exit_code == 0
    assert [program.name for program in started] == ["carla_bridge", "safety_gate", "controller", "planner"]
    bridge = started[0].command
    assert bridge[0].endswith("virtual_carla_bridge") and "cut_in" in bridge and "role_name:='hero'" in bridge
    started.clear()
    assert CliRunner().invoke(up.app, ["carla", "--sim", "--town", "Town03"]).exit_code == 1
    assert started == []


def test_flags_reach_the_nodes(started):
    CliRunner().invoke(up.app, ["go2", "--sim", "--model", "baseline:stop", "--goal", "8.0,1.5"])
    planner = next(program for program in started if program.name == "planner")
    assert "goal:='8.0,1.5'" in planner.command
    assert "model:='baseline:stop'" in planner.command


def test_the_status_of_the_table_is_the_status_of_the_command(monkeypatch):
    monkeypatch.setattr(up, "run_table", lambda programs: 7)
    assert CliRunner().invoke(up.app, ["go2", "--sim", "--model", "baseline:stop"]).exit_code == 7


def test_a_workspace_that_is_not_built_gets_one_clear_line(monkeypatch, started):
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    answer = CliRunner().invoke(up.app, ["go2", "--sim"])
    assert answer.exit_code == 1
    assert "make setup" in answer.output
    assert "Traceback" not in answer.output
    assert started == []
