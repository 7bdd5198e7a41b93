"""JSON is valid JSON, whole, and says null where a number is absent."""

from __future__ import annotations

import json

import pytest

from wam_tools.output import write_json


def test_absent_numbers_are_null(tmp_path):
    file = tmp_path / "new" / "scores.json"
    write_json(file, {"spl": float("nan"), "runs": [1.5, float("inf"), (True, None)]})
    assert json.loads(file.read_text()) == {"spl": None, "runs": [1.5, None, [True, None]]}


def test_a_failed_write_keeps_the_old_file(tmp_path):
    file = tmp_path / "scores.json"
    write_json(file, {"spl": 0.5})
    with pytest.raises(TypeError):
        write_json(file, {"spl": object()})
    assert json.loads(file.read_text()) == {"spl": 0.5}
