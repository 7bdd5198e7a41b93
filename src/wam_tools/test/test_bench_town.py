"""`wam bench town` and `wam bench told`: tables, the JSON that others read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wam_tools.bench import app


def bench(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_scores_stand_in_the_json_by_policy_and_by_scenario(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    code, output = bench(
        *("town", "--split", "val", "--episodes", "1", "--workers", "1", "--scenarios", "lane_following,parked_car"),
        *("--only", "expert,lane_blind", "--json", str(file)),
    )
    assert code == 0, output
    scores = json.loads(file.read_text())
    assert (scores["split"], scores["episodes"], scores["latency_s"]) == ("val", 1, 0.1)
    assert scores["policies"].keys() == {"expert", "lane_blind"}
    for values in scores["policies"].values():
        assert {"route_completion", "driving_score", "infractions", "route_completion_ci"} <= values.keys()
        assert values["scenarios"].keys() == {"lane_following", "parked_car"} and values["drives"] == 2
    expert, blind = scores["policies"]["expert"], scores["policies"]["lane_blind"]
    assert expert["route_completion"] == expert["driving_score"] == 100.0
    assert blind["driving_score"] < 60.0 and blind["model_id"] == "baseline:lane_blind"
    assert not scores["failed"]["expert"] and len(scores["failed"]["lane_blind"]) >= 1
    assert "parked_car" in output and "lane_blind" in output


def test_words_change_nothing_for_who_does_not_listen(tmp_path: Path) -> None:
    file = tmp_path / "told.json"
    code, output = bench(
        *("told", "--model", "baseline:lane_blind", "--split", "val", "--towns", "2"), "--json", str(file)
    )
    assert code == 0, output
    figures = json.loads(file.read_text())
    assert (
        figures["questions"] >= 6
        and figures["refused"] == 0
        and figures["apart"] == 0.0
        and figures["left_m"] == figures["right_m"] == 0.0
    )


def test_a_model_that_is_no_drivers_is_scored_and_named(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    code, output = bench(
        *("town", "--split", "val", "--scenarios", "crossing", "--episodes", "1", "--workers", "1"),
        *("--only", "metis", "--model", "metis-yard", "--json", str(file)),
    )
    assert code == 1 and "metis never planned, goal_missing" in output.replace("\n", " "), output
    assert json.loads(file.read_text())["policies"]["metis"]["refusals"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "/nowhere/at/all"], "no checkpoint at"),
        (["--only", "somebody"], "choose of metis, expert, stop"),
        (["--model", "baseline:lane_blind"], "--only lane_blind"),
        (["--split", "holdout"], "not a split"),
        (["--scenarios", "route,flight"], "names no scenarios"),
        (["--scenarios", ","], "no scenarios"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_drives(arguments: list[str], message: str) -> None:
    code, output = bench("town", *arguments)
    assert code != 0 and message in output
