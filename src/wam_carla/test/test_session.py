"""The thread that owns a car, against the virtual CARLA: it drives, loses its server, finds it again and tidies up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

pytest.importorskip("carla")

from carla_stage import FRONT, Stage, until

from wam_carla.connection import BridgeState
from wam_carla.session import Pace, Seen, Session
from wam_carla.settings import BRIDGE, BridgeConfig, make_config
from wam_carla.world import Car
from wam_sim import virtual_carla
from wam_sim.virtual_carla.faults import CameraFault, ServerFault


@pytest.fixture()
def stage() -> Iterator[Stage]:
    with closing(Stage()) as made:
        yield made


def config(stage: Stage, **changed: object) -> BridgeConfig:
    values = {row.name: row.default for row in BRIDGE} | {"real_time_factor": 5.0, "camera_rate": 20.0}
    made = make_config(values | changed)
    return replace(made, server=stage.config, car=replace(made.car, cameras=(FRONT,)))


@pytest.fixture()
def session(stage: Stage) -> Iterator[Session]:
    made = Session(config(stage), lambda: None, virtual_carla)
    yield made
    made.close()


def test_a_session_drives_and_brakes_when_it_hears_nothing(stage, session):
    until(lambda: session.verdict.may_move, "a car")

    def fast() -> bool:
        session.twist(None, 5.0, 0.0)
        return stage.town.state.speed > 4.0

    until(fast, "speed")
    until(lambda: stage.town.state.speed == 0.0, "the car to stop")
    numbers = session.numbers()
    assert numbers["brakes_because"] == "no command for 0.3 s"
    assert stage.server.control.brake == 1.0


def test_reports_come_in_order_with_a_jpeg(stage, session):
    until(lambda: session.verdict.may_move, "a car")
    reports: list[object] = []
    until(lambda: reports.extend(session.poll()) or len(reports) > 10, "reports")
    assert isinstance(reports[0], Car)
    seen = [report for report in reports[1:] if isinstance(report, Seen)]
    assert [each.tick.frame for each in seen] == sorted(each.tick.frame for each in seen)
    assert any(each.jpegs.get("front", b"")[:2] == b"\xff\xd8" for each in seen)


def test_a_command_without_a_car_is_counted(stage):
    stage.server.faults.server = ServerFault.FROZEN
    made = Session(config(stage), lambda: None, virtual_carla)
    assert made.twist(None, 1.0, 0.0) == "no car"
    assert made.numbers()["refused: no car"] == 1
    stage.server.faults.server = ServerFault.OK
    made.close()


def test_a_server_that_crashes_is_lost_and_found_again(stage, session):
    until(lambda: session.verdict.may_move, "a car")
    stage.server.faults.server = ServerFault.GONE
    until(lambda: session.verdict.state is BridgeState.LOST, "LOST")
    assert not session.verdict.may_move
    stage.server.faults.server = ServerFault.OK
    until(lambda: session.verdict.may_move, "a car again")
    assert session.numbers()["connections_lost"] == 1
    assert len([actor for actor in stage.server.actors.values() if actor.type_id.startswith("vehicle.")]) == 1


def test_a_freeze_leaves_one_car_afterwards(stage, session):
    """What was asked of the frozen server happens when it thaws; what is left of that is taken away."""
    until(lambda: session.verdict.may_move, "a car")
    stage.server.faults.server = ServerFault.FROZEN
    until(lambda: session.verdict.state is BridgeState.LOST, "LOST")
    stage.server.faults.server = ServerFault.OK
    until(lambda: session.verdict.may_move, "a car again")
    assert sorted(actor.type_id for actor in stage.server.actors.values()) == [
        "sensor.camera.rgb",
        "sensor.other.collision",
        "sensor.other.lane_invasion",
        "vehicle.tesla.model3",
    ]


def test_without_pictures_it_is_degraded_and_drives(stage, session):
    until(lambda: session.verdict.may_move, "a car")
    stage.server.faults.camera = CameraFault.MISSING
    until(lambda: session.verdict.state is BridgeState.DEGRADED, "DEGRADED")
    assert session.verdict.may_move and "camera front" in session.verdict.reason
    stage.server.faults.camera = CameraFault.OK
    until(lambda: session.verdict.state is BridgeState.READY, "READY")


def test_a_session_that_is_closed_leaves_nothing(stage):
    made = Session(config(stage), lambda: None, virtual_carla)
    until(lambda: made.verdict.may_move, "a car")
    made.close()
    assert stage.server.actors == {} and not stage.server.settings.synchronous_mode
    assert not made.alive


def test_a_session_that_is_closed_after_a_hiccup_leaves_nothing(stage):
    made = Session(config(stage), lambda: None, virtual_carla)
    until(lambda: made.verdict.may_move, "a car")
    stage.server.faults.server = ServerFault.FROZEN
    until(lambda: made.verdict.state is BridgeState.LOST, "LOST")
    time.sleep(1.0)  # so long takes the way out of a frozen world
    stage.server.faults.server = ServerFault.OK
    assert made.close() == ""
    assert stage.server.actors == {} and not stage.server.settings.synchronous_mode


def test_a_session_says_what_it_must_leave_in_a_frozen_server(stage):
    made = Session(config(stage), lambda: None, virtual_carla)
    until(lambda: made.verdict.may_move, "a car")
    stage.server.faults.server = ServerFault.FROZEN
    until(lambda: made.verdict.state is BridgeState.LOST, "LOST")
    assert "the car 'ego_vehicle' is still there" in made.close()
    stage.server.faults.server = ServerFault.OK


def test_a_session_that_is_closed_while_it_looks_for_a_server_ends():
    stage = Stage()
    missing = replace(config(stage), server=replace(stage.config, port=19999))
    made = Session(missing, lambda: None, virtual_carla)
    until(lambda: "19999" in made.verdict.reason, "a reason")
    began = time.monotonic()
    made.close()
    assert time.monotonic() - began < 10.0
    stage.server.close()


def test_the_pace_is_kept_and_a_pause_is_not_caught_up():
    pace = Pace(2.0)
    assert pace.wait(100.0, 7.0) == 0.0
    assert pace.wait(100.01, 7.1) == pytest.approx(0.04)
    assert pace.wait(105.0, 7.2) == 0.0
    assert pace.wait(105.0, 7.4) == pytest.approx(0.1)
    assert Pace(0.0).wait(0.0, 100.0) == 0.0
