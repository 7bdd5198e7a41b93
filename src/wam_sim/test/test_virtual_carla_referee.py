"""The referee of the virtual CARLA: what the driver is told, when a drive counts, and what is written down."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mujoco")

from wam_models.evaluation.town import Ended, Infraction, InfractionKind, Verdict
from wam_sim.town.car import CarState
from wam_sim.town.scenarios import make_world
from wam_sim.town.simulation import TownSimulation
from wam_sim.virtual_carla.referee import Referee, as_json

STEP = 0.8  # m


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def tick(referee: Referee, simulation: TownSimulation, told: bool) -> None:
    simulation.step(0.0, 0.0, 0.1)
    values = {"simulated": simulation.time, "pose": list(simulation.state.pose), "speed": simulation.state.speed}
    referee.on_step(values | {"told_to_move": told})


def carry(referee: Referee, simulation: TownSimulation, metres: float) -> None:
    """The car along its route, whatever it is told."""
    route = simulation.world.route
    for s in np.arange(simulation.driven, min(simulation.driven + metres, route.length), STEP):
        simulation.state = CarState(route.pose(float(s)))
        tick(referee, simulation, told=True)


@pytest.fixture()
def left() -> TownSimulation:
    return TownSimulation(make_world("val", 0, "turn_left"))


def test_the_driver_is_told_the_next_turn_in_time_and_then_to_follow_the_road(left):
    referee = Referee()
    referee.watch(left)
    assert referee.instruction == ""
    tick(referee, left, told=False)
    assert referee.instruction == "follow the road"
    carry(referee, left, 20.0)
    assert referee.instruction == "turn left at the junction"
    carry(referee, left, 65.0)
    assert referee.instruction == "follow the road"


def test_waiting_does_not_count_and_the_drive_begins_when_the_car_is_told_to_move(left, tmp_path):
    referee = Referee(tmp_path / "deep" / "truth.jsonl")
    referee.watch(left)
    for _ in range(30):
        tick(referee, left, told=False)
    tick(referee, left, told=True)
    tick(referee, left, told=False)
    referee.close()
    steps = [line for line in lines(tmp_path / "deep" / "truth.jsonl") if "pose" in line]
    assert [step["began"] for step in steps] == [False] * 30 + [True] * 2
    (verdict,) = (line["verdict"] for line in lines(tmp_path / "deep" / "truth.jsonl") if "verdict" in line)
    assert verdict["seconds"] == pytest.approx(0.1)


def test_a_completed_route_has_one_verdict_and_what_follows_does_not_count(left, tmp_path):
    referee = Referee(tmp_path / "truth.jsonl")
    referee.watch(left)
    carry(referee, left, 1000.0)
    for _ in range(3):
        tick(referee, left, told=True)
    referee.close(left=[])
    written = lines(tmp_path / "truth.jsonl")
    (verdict,) = (line["verdict"] for line in written if "verdict" in line)
    assert (verdict["ended"], verdict["completion"]) == ("completed", 1.0)
    assert verdict["driving_score"] == pytest.approx(
        100.0 * np.prod([0.6 if each["kind"] == "collision_vehicle" else 0.7 for each in verdict["infractions"]])
    )
    assert written[0] == {"world": left.world.name, "split": "val", "seed": 0, "scenario": "turn_left"}
    assert written[-1] == {"left": []}
    assert all({"vehicles", "walkers"} <= line.keys() for line in written[2:-4:2] if "pose" in line)


def test_a_car_that_was_never_told_to_move_has_made_none_of_its_way(left, tmp_path):
    referee = Referee(tmp_path / "truth.jsonl")
    referee.watch(left)
    tick(referee, left, told=False)
    referee.close()
    (verdict,) = (line["verdict"] for line in lines(tmp_path / "truth.jsonl") if "verdict" in line)
    assert verdict["completion"] < 0.01 and verdict["ended"] == "timeout"


def test_a_town_that_is_made_anew_before_anybody_drove_has_no_verdict(left, tmp_path):
    referee = Referee(tmp_path / "truth.jsonl")
    referee.watch(left)
    tick(referee, left, told=False)
    referee.watch(left)
    assert not [line for line in lines(tmp_path / "truth.jsonl") if "verdict" in line]
    referee.close()
    assert len([line for line in lines(tmp_path / "truth.jsonl") if "verdict" in line]) == 1


def test_a_verdict_is_json_with_its_score():
    infraction = Infraction(InfractionKind.RED_LIGHT, 3.0, "junction 1, road 2")
    verdict = Verdict(100.0, 0.5, Ended.BLOCKED, (infraction,), 70.0)
    values = json.loads(json.dumps(as_json(verdict), allow_nan=False))
    assert values["driving_score"] == pytest.approx(35.0)
    assert values["infractions"] == [{"kind": "red_light", "time": 3.0, "detail": "junction 1, road 2", "share": 0.0}]
    assert (values["ended"], values["time_to_contact"]) == ("blocked", None)
