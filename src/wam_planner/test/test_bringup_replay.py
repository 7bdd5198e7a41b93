"""The table of a replay: what is played, to whom, and what of a bag decides it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rosbags")

from bags import IMAGE, write_bag

from wam_planner.bringup import ReplayOptions, Row, command, config_file, executable, replay_table

try:
    config_file("go2.yaml")
except ValueError:
    pytest.skip("the workspace is not built", allow_module_level=True)


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "bag"
    write_bag(path, frames=3)
    return path


def row(name: str, bag: Path, **options: object) -> Row:
    return next(each for each in replay_table(ReplayOptions(bag=str(bag), **options)) if each.name == name)


def test_the_bag_takes_the_place_of_the_robot_and_ends_the_run(bag):
    rows = replay_table(ReplayOptions(bag=str(bag)))
    assert {each.name: each.respawn for each in rows} == {
        "bag_player": False,
        "safety_gate": True,
        "controller": True,
        "planner": True,
    }
    assert all(each.parameters["use_sim_time"] is True for each in rows)
    apart = {each.name: set(each.remaps) for each in rows if each.remaps}
    assert apart == {"safety_gate": {"robot_ready", "cmd_vel", "safety_gate/engage"}}


def test_every_row_is_installed_and_every_file_it_names_exists(bag):
    for each in replay_table(ReplayOptions(bag=str(bag))):
        assert executable(each).is_file()
        assert all(config_file(name).is_file() for name in each.parameter_files)


def test_whose_bag_it_is_decides_model_and_parameters(bag, tmp_path):
    assert row("planner", bag).parameter_files == ("go2.yaml",)
    assert row("planner", bag).parameters["model"].endswith("metis-yard")
    write_bag(tmp_path / "car", frames=3, names={IMAGE: "/carla/hero/rgb_front/image/compressed"})
    assert row("controller", tmp_path / "car").parameter_files == ("carla.yaml",)
    assert row("planner", tmp_path / "car").parameters["model"].endswith("metis-town")
    assert row("planner", tmp_path / "car", robot="go2").parameter_files == ("go2.yaml",)


def test_the_planner_hears_the_kind_of_picture_that_the_bag_has(bag, tmp_path):
    assert row("planner", bag).parameters["image_transport"] == "compressed"
    write_bag(tmp_path / "raw", frames=3, raw=True)
    assert row("planner", tmp_path / "raw").parameters["image_transport"] == "raw"


@pytest.mark.parametrize(
    ("told", "without"),
    [
        ({}, "none"),
        ({"goal": "1,2"}, "goal"),
        ({"instruction": "go"}, "instruction"),
        ({"goal": "1,2", "instruction": "go"}, "both"),
    ],
)
def test_what_the_user_says_the_bag_does_not_say_too(bag, told, without):
    assert row("bag_player", bag, **told).parameters["without"] == without
    planner = row("planner", bag, **told).parameters
    assert {name: planner[name] for name in ("goal", "instruction")} == {"goal": "", "instruction": ""} | told


def test_the_options_reach_the_player(bag, tmp_path, monkeypatch):
    (tmp_path / "topics.yaml").write_text(f"cameras: {{front: {IMAGE}}}")
    monkeypatch.chdir(tmp_path)
    words = command(row("bag_player", bag, rate=2.0, start=1.5, loop=True, topics="topics.yaml"))
    assert {"rate:=2.0", "start:=1.5", "loop:=true", f"bag:='{bag}'"} <= set(words)
    assert f"topics:='{tmp_path / 'topics.yaml'}'" in words


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bag": ""}, r"bag is empty: name a recording, bag:=PATH for launch or --bag PATH"),
        ({"bag": "nowhere"}, r"nowhere is missing: give a rosbag2 folder"),
        ({"robot": "tank"}, r"'tank': choose one of auto, go2, carla"),
        ({"cameras": "left"}, r"no camera 'left' in the bag"),
        ({"topics": "nowhere.yaml"}, r"nowhere.yaml cannot be read"),
        ({"model": "metis-city"}, r"no checkpoint at metis-city"),
    ],
)
def test_what_no_node_would_take_is_refused_before_any_starts(bag, options, message):
    with pytest.raises(ValueError, match=message):
        replay_table(ReplayOptions(**{"bag": str(bag)} | options))
