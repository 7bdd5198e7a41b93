"""The doctor finds what is wrong and names the line that mends it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wam_tools import doctor, machine, network, workspace
from wam_tools.finding import SETUP, Finding, Level

WELL = Finding("a thing", Level.OK, "present")
NOTED = Finding("a use", Level.NOTE, "one use less", "mend it")
ILL = Finding("another", Level.LACKS, "missing", "install it")


@pytest.mark.parametrize(("findings", "status"), [([WELL], 0), ([WELL, NOTED], 0), ([WELL, ILL], 1)])
def test_exit_status_says_whether_something_needed_is_missing(monkeypatch, tmp_path, findings, status):
    monkeypatch.setattr(doctor, "examine", lambda interface: findings)
    file = tmp_path / "deep" / "doctor.json"
    answer = CliRunner().invoke(doctor.app, ["--json", str(file)])
    assert answer.exit_code == status
    written = json.loads(file.read_text())
    assert [(row["name"], row["level"], row["fix"]) for row in written] == [(f.name, f.level, f.fix) for f in findings]
    for finding in findings:
        assert finding.fix in answer.output


def test_another_cyclone_dds_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(machine, "installed_version", lambda distribution: "11.0.1")
    finding = machine.cyclone_dds()
    assert finding.level is Level.LACKS
    assert "0.10.2" in finding.found
    assert "never finds" in finding.found
    assert finding.fix


def test_the_robots_cyclone_dds_is_accepted(monkeypatch):
    monkeypatch.setattr(machine, "installed_version", lambda distribution: "0.10.2")
    assert machine.cyclone_dds().level is Level.OK


def test_a_missing_library_is_found(monkeypatch):
    monkeypatch.setattr(machine, "WHEELS", (("no_such_module", "no-such", "nothing"),))
    (finding,) = machine.wheels()
    assert (finding.name, finding.level, finding.fix) == ("no_such_module", Level.LACKS, SETUP)


def test_a_library_of_another_version_is_noted(monkeypatch, tmp_path):
    lock = tmp_path / "share" / "wam_tools" / "requirements" / "lock.txt"
    lock.parent.mkdir(parents=True)
    lock.write_text("# written by a script\nnumpy==0.0.1\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    monkeypatch.setattr(machine, "WHEELS", (("numpy", "numpy", "everything"),))
    (finding,) = machine.wheels()
    assert finding.level is Level.NOTE
    assert "tested with 0.0.1" in finding.found


def test_a_renderer_that_fails_is_found(monkeypatch):
    monkeypatch.setattr(machine, "RENDER", "raise RuntimeError('no EGL display')")
    finding = machine.rendering()
    assert finding.level is Level.LACKS
    assert "no EGL display" in finding.found
    assert "libegl1" in finding.fix


def test_a_renderer_that_crashes_without_a_word_is_found(monkeypatch):
    monkeypatch.setattr(machine, "RENDER", "import os; os.abort()")
    assert machine.rendering().level is Level.LACKS


def test_this_machine_renders():
    assert machine.rendering().level is Level.OK


def test_a_full_disk_is_found(monkeypatch):
    monkeypatch.setattr(machine, "DISK_NEEDED", 1e18)
    assert machine.disk(Path.cwd()).level is Level.LACKS


@pytest.mark.parametrize(
    ("domain", "level"), [("0", Level.OK), ("101", Level.OK), ("102", Level.LACKS), ("x", Level.LACKS)]
)
def test_a_domain_that_no_machine_can_use_is_found(monkeypatch, domain, level):
    monkeypatch.setenv("ROS_DOMAIN_ID", domain)
    assert network.ros_domain().level is level


def test_loopback_has_its_address():
    assert network.address_of("lo") == "127.0.0.1"
    assert network.address_of("no-such-interface") is None


def test_an_interface_in_the_robots_network_is_recognised(monkeypatch):
    monkeypatch.setattr(network, "address_of", lambda interface: "192.168.123.99")
    assert network.robot_interface("eth7").level is Level.OK


def test_an_interface_outside_the_robots_network_gets_the_line_that_mends_it(monkeypatch):
    monkeypatch.setattr(network, "address_of", lambda interface: "10.0.0.3")
    finding = network.robot_interface("eth7")
    assert finding.level is Level.NOTE
    assert finding.fix.endswith("dev eth7")


def test_an_interface_without_address_cannot_hear_multicast():
    assert network.multicast("no-such-interface").level is Level.NOTE


def installed(tmp_path, monkeypatch, *packages):
    """An install space that knows these packages and holds nothing else."""
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    for package in packages:
        (index / package).touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))


@pytest.mark.parametrize("model", workspace.MODELS)
def test_a_bundled_model_is_whole(model):
    assert workspace.bundled_model(model).level is Level.OK


def test_a_missing_bundled_model_is_found(tmp_path, monkeypatch):
    installed(tmp_path, monkeypatch, "wam_models")
    finding = workspace.bundled_model("metis-yard")
    assert finding.level is Level.LACKS
    assert "models/bundled" in finding.fix


def test_a_workspace_that_is_not_built_lacks_its_model(monkeypatch):
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")
    finding = workspace.bundled_model("metis-yard")
    assert finding.level is Level.LACKS
    assert SETUP in finding.fix


CALIBRATION = """
width: 1280
height: 720
K: [{focal}, 0.0, 640.0, 0.0, {focal}, 360.0, 0.0, 0.0, 1.0]
distortion: [0.0, 0.0, 0.0, 0.0, 0.0]
position: [0.3, 0.0, 0.1]
pitch_degrees: 0.0
rectified_fov_degrees: 80.0
"""


@pytest.mark.parametrize(("focal", "level"), [("851.5", Level.OK), ("864.0", Level.NOTE), ("-1.0", Level.NOTE)])
def test_a_calibration_that_is_wrong_or_not_your_own_is_noted(tmp_path, monkeypatch, focal, level):
    installed(tmp_path, monkeypatch, "wam_planner")
    file = tmp_path / "share" / "wam_planner" / "config" / workspace.CALIBRATION
    file.parent.mkdir(parents=True)
    file.write_text(CALIBRATION.format(focal=focal))
    finding = workspace.camera_calibration()
    assert finding.level is level
    assert bool(finding.fix) == (level is not Level.OK)
