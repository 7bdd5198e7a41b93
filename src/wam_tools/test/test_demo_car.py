"""The pure parts of the car's demo: towns, truth, numbers, pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wam_tools.demo.bag import Plans, Recording
from wam_tools.demo.course import choose_towns
from wam_tools.demo.drawing import PLAN, ROBOT, Canvas
from wam_tools.demo.drive_truth import DriveFollower, Standing, read_drive
from wam_tools.demo.metrics import Spread
from wam_tools.demo.report import failed_drive, summarise_drive
from wam_tools.demo.town_scene import TownScene

VERDICT = {
    "ended": "completed",
    "completion": 1.0,
    "driving_score": 70.0,
    "infractions": [{"kind": "red_light", "time": 3.0, "detail": "junction 1", "share": 0.0}],
    "seconds": 50.0,
    "route_length": 260.0,
}


def step(time: float, x: float, **more: Any) -> str:
    values = {
        "t": 1000.0 + 2.0 * time,
        "simulated": time,
        "town_time": time,
        "pose": [x, 0.0, 0.0],
        "speed": 5.0,
        "began": True,
        "completion": x / 100.0,
        "infractions": 0,
        "ended": None,
        "instruction": "follow the road",
    }
    return json.dumps(values | more) + "\n"


def write_truth(path: Path, world: Any = None) -> None:
    start = world.route.pose(0.0) if world else (0.0, 0.0, 0.0)
    others = {"vehicles": [[start[0] + 8.0, start[1], 0.0, 4.5, 1.9]], "walkers": [[start[0], start[1] + 4.0]]}
    steps = [step(0.05 * i, 0.0, pose=list(start), **(others if i % 2 == 0 else {})) for i in range(20)]
    path.write_text(json.dumps({"world": "w"}) + "\n" + "".join(steps))


def recording(plan_stamps: np.ndarray) -> Recording:
    """A second in which the gate asked for motion all the time."""
    stamps = np.arange(0.0, 1.0, 0.05)
    commands = np.column_stack([stamps, np.full_like(stamps, 5.0), 0.0 * stamps, 0.0 * stamps])
    plans = Plans(plan_stamps, plan_stamps + 0.1, [np.zeros((2, 3))] * len(plan_stamps))
    ages = np.column_stack([stamps, np.full_like(stamps, 0.15)])
    return Recording([], np.eye(3), np.empty((0, 4)), np.empty(0), plans, stamps, commands, ages, np.empty((0, 2)))


def test_the_towns_are_one_by_day_one_at_night_one_in_fog_and_never_seen():
    towns = choose_towns(0)
    assert [town.look.light for town in towns] == ["day", "night", "fog"]
    assert {(town.split, town.scenario) for town in towns} == {("unseen", "route")}


def test_a_drive_is_followed_line_by_line_until_its_verdict(tmp_path):
    path = tmp_path / "truth.jsonl"
    follower = DriveFollower(path)
    assert follower.look() == Standing()
    path.write_text(json.dumps({"world": "w"}) + "\n" + step(0.0, 10.0, began=False) + step(1.0, 30.0)[:40])
    assert (follower.look().began, follower.standing.completion) == (False, 0.1)
    with path.open("a") as file:
        file.write(step(1.0, 30.0)[40:] + step(2.0, 40.0, infractions=1))
    assert (follower.look().began, follower.standing.infractions) == (True, 1)
    with path.open("a") as file:
        file.write(json.dumps({"verdict": VERDICT}) + "\n" + step(3.0, 90.0, speed=0.0, infractions=7))
    standing = follower.look()
    assert (standing.ended, standing.completion, standing.infractions) == ("completed", 1.0, 1)
    assert standing.speed == 0.0 and standing.verdict == VERDICT


def test_a_finished_drive_is_read_with_the_times_that_stamps_have(tmp_path):
    write_truth(tmp_path / "truth.jsonl")
    track = read_drive(tmp_path / "truth.jsonl")
    assert track.times[-1] == pytest.approx(0.95) and len(track.frames) == 10
    assert track.realtime == pytest.approx(0.5)
    assert track.at(0.26) == 6 and track.at(99.0) == 19


def test_a_truth_without_a_step_is_refused(tmp_path):
    (tmp_path / "truth.jsonl").write_text('{"world": "w"}\n')
    with pytest.raises(ValueError, match="no step"):
        read_drive(tmp_path / "truth.jsonl")


def test_a_drive_in_numbers(tmp_path):
    write_truth(tmp_path / "truth.jsonl")
    track = read_drive(tmp_path / "truth.jsonl")
    standing = Standing(began=True, completion=1.0, infractions=1, ended="completed", verdict=VERDICT)
    result = summarise_drive("w", standing, recording(np.arange(0.0, 1.0, 0.2)), track)
    assert not result.good  # it ran a red light
    assert result.drive_row() == ["w", "completed", "100", "70", "1 red light", "50.0"]
    assert result.plan_rate == pytest.approx(5.0 / 0.95)
    assert result.plan_age == Spread(pytest.approx(0.15), pytest.approx(0.15))
    assert result.sensor_to_command.p50 == pytest.approx(0.1)
    entry = result.entry()
    assert (entry["route_completion"], entry["driving_score"], entry["route_m"]) == (100.0, 70.0, 260.0)
    clean = Standing(began=True, completion=1.0, ended="completed", verdict=VERDICT | {"infractions": []})
    assert summarise_drive("w", clean, recording(np.empty(0)), track).good


@pytest.mark.parametrize(
    ("standing", "failure"),
    [
        (Standing(began=True), "the judge said nothing"),
        (Standing(began=False, ended="timeout", verdict=VERDICT), "never told to move"),
    ],
)
def test_a_drive_that_is_none_says_why(tmp_path, standing, failure):
    write_truth(tmp_path / "truth.jsonl")
    result = summarise_drive("w", standing, recording(np.empty(0)), read_drive(tmp_path / "truth.jsonl"))
    assert failure in result.failure and not result.good
    assert failure in result.drive_row()[1]


def test_a_run_that_failed_is_no_good_drive():
    assert not failed_drive("w", "waited 60 s").good


def test_what_lies_ahead_is_up_the_page_whatever_the_heading():
    for yaw in (0.0, 2.0, -1.0):
        page = Canvas((100, 100), 2.0, np.array([5.0, 3.0]), yaw)
        ahead = np.array([5.0, 3.0]) + 15.0 * np.array([np.cos(yaw), np.sin(yaw)])
        left = np.array([5.0, 3.0]) + 15.0 * np.array([-np.sin(yaw), np.cos(yaw)])
        page.circle(ahead, 3, PLAN)
        page.circle(left, 3, ROBOT)
        (up, middle), (centre, aside) = (np.argwhere((page.image == c).all(axis=2)).mean(axis=0) for c in (PLAN, ROBOT))
        assert (up, middle) == (pytest.approx(20.0, abs=1.0), pytest.approx(50.0, abs=1.0))
        assert (centre, aside) == (pytest.approx(50.0, abs=1.0), pytest.approx(20.0, abs=1.0))


def test_a_town_from_above_shows_the_car_and_its_plan_ahead_of_it(tmp_path):
    town = choose_towns(0)[0]
    write_truth(tmp_path / "truth.jsonl", town)
    scene = TownScene(town, read_drive(tmp_path / "truth.jsonl"))
    pose = np.array(town.route.pose(0.0))
    heading = np.array([np.cos(pose[2]), np.sin(pose[2])])
    plan = np.column_stack([pose[:2] + np.outer([4.0, 8.0, 12.0], heading), np.full(3, pose[2])])
    image = scene.above((360, 360), 0.5, plan)
    car = np.argwhere((image == ROBOT).all(axis=2)).mean(axis=0)
    planned = np.argwhere((image == PLAN).all(axis=2)).mean(axis=0)
    assert planned[0] < car[0] and planned[1] == pytest.approx(180.0, abs=6.0)
    assert scene.said(0.5) == "follow the road" and scene.texts(0.5) == ["5.0 m/s", "route 0 %"]
