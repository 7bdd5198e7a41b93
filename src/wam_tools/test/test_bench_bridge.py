"""`wam bench bridge`: pictures through real DDS, counted by their stamps, and those that were lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wam_tools.bench import app
from wam_tools.bench import bridge as module


def bench(*arguments: str) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["bridge", *arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_every_picture_of_every_camera_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = (module.Case("front,left,right", 10.0, "compressed"), module.Case("front", 20.0, "raw"))
    monkeypatch.setattr(module, "CASES", cases)
    file = tmp_path / "bridge.json"
    code, output = bench("--seconds", "2", "--size", "96x64", "--json", str(file))
    jpegs, pixels = json.loads(file.read_text())["cases"]
    assert (jpegs["expected"], pixels["expected"]) == (60, 40)
    assert jpegs["dropped"] == 0 and pixels["dropped"] == 0, output
    assert pixels["megabytes"] == pytest.approx(40 * 96 * 64 * 3e-6)
    assert 0.0 < jpegs["megabytes"] < 60 * 96 * 64 * 3e-6
    assert "front,left,right" in output
    # Beside other work two seconds may take three: that is told, and no failure of the test.
    assert code == (0 if max(jpegs["wall_seconds"], pixels["wall_seconds"]) <= 2.04 else 1)


def test_what_was_lost_is_counted() -> None:
    class Lossy(module.PictureReader):
        def between(self, began: float, ended: float) -> list[int]:
            return list(super().between(began, ended))[3:]

    case = module.Case("front", 10.0, "compressed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PictureReader", Lossy)
        carried = module.carry(case, 1.0, 64, 48, lambda _: None)
    assert (carried.expected, carried.dropped, carried.good) == (10, 3, False)


def test_what_is_no_size_is_refused() -> None:
    code, output = bench("--size", "large")
    assert code != 0 and "no size" in output
