"""`wam bench yard`: the table, the JSON that others read, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wam_tools.bench import app


def bench(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["yard", *arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_scores_stand_in_the_json_by_policy(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    code, output = bench(
        "--split", "val", "--episodes", "1", "--workers", "1", "--only", "metis,expert,straight", "--json", str(file)
    )
    assert code == 0, output
    scores = json.loads(file.read_text())
    assert (scores["split"], scores["episodes"], scores["latency_s"]) == ("val", 1, 0.1)
    assert scores["policies"].keys() == {"metis", "expert", "straight"}
    for values in scores["policies"].values():
        assert {"success", "success_ci", "contact", "timeout", "spl", "clearance_m"} <= values.keys()
    assert scores["policies"]["expert"]["success"] == 1.0
    assert scores["policies"]["metis"]["model_id"].startswith("metis-yard@")
    assert scores["policies"]["metis"]["tracker"] == "holonomic"
    assert scores["policies"]["metis"]["plan_ms"]["p50"] > 0
    assert "expert" in output and "100 %" in output


def test_the_best_of_several_is_called_an_oracle_where_it_knows_the_answer(tmp_path: Path) -> None:
    file = tmp_path / "scores.json"
    code, output = bench(
        *("--split", "val", "--episodes", "1", "--workers", "1", "--only", "metis-oracle", "--candidates", "3"),
        *("--oracle", "--json", str(file)),
    )
    assert code == 0, output
    scores = json.loads(file.read_text())["policies"]["metis-oracle"]
    assert (scores["candidates"], scores["oracle"]) == (3, True)
    assert scores["jump_m"]["p50"] >= 0


def test_several_numbers_of_steps_are_several_policies() -> None:
    code, output = bench("--steps", "1,2", "--only", "metis-3-steps")
    assert code == 1 and "metis-3-steps" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "/nowhere/at/all"], "no checkpoint at"),
        (["--steps", "two"], "whole numbers"),
        (["--only", "somebody"], "somebody"),
        (["--split", "holdout"], "not a split"),
        (["--oracle"], "ask for several"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_walks(arguments: list[str], message: str) -> None:
    code, output = bench(*arguments)
    assert code != 0 and message in output
