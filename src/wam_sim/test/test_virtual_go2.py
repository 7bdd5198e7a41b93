"""The virtual robot's habits, its truth file and its camera, with time under the test's control. No DDS, no
rendering."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest

from wam_sim.faults import CameraFault, Faults, SportFault, StateFault
from wam_sim.virtual_go2.sport import BAD_PARAMETER, NOT_IMPLEMENTED, OK, Api, Mode, SportConfig, SportService
from wam_sim.virtual_go2.truth import Truth
from wam_sim.virtual_go2.video import Camera

STILL = (0.0, 0.0, 0.0)
CONFIG = SportConfig()


def move(service: SportService, now: float, x: float = 0.5, y: float = 0.0, z: float = 0.0) -> int:
    return service.call(now, Api.MOVE, json.dumps({"x": x, "y": y, "z": z}))


def test_the_last_move_is_held_for_a_second_and_then_gone():
    service = SportService(CONFIG, standing=True)
    move(service, 0.0, 0.5, 0.1, 0.2)
    assert service.velocity(0.0) == (0.5, 0.1, 0.2)
    assert service.mode is Mode.LOCOMOTION
    assert service.velocity(0.99) == (0.5, 0.1, 0.2)
    assert service.velocity(1.0) == STILL
    assert service.mode is Mode.BALANCE_STAND


def test_a_newer_move_replaces_the_last_and_zero_is_a_move():
    service = SportService(CONFIG, standing=True)
    move(service, 0.0, 0.5)
    move(service, 0.1, 0.0)
    assert service.velocity(0.1) == STILL


def test_stop_move_stops_at_once():
    service = SportService(CONFIG, standing=True)
    move(service, 0.0)
    assert service.call(0.1, Api.STOP_MOVE, "{}") == OK
    assert service.velocity(0.1) == STILL


def test_lying_it_ignores_move_and_does_not_say_so():
    service = SportService(CONFIG, standing=False)
    assert move(service, 0.0) == OK
    assert service.velocity(0.0) == STILL and service.mode is Mode.LIE_DOWN


def test_after_stand_up_the_joints_are_locked_until_it_balances():
    service = SportService(CONFIG, standing=False)
    service.call(0.0, Api.STAND_UP, "{}")
    move(service, 60.0)
    assert service.velocity(60.0) == STILL and service.mode is Mode.JOINT_LOCK
    service.call(60.0, Api.BALANCE_STAND, "{}")
    move(service, 60.0)
    assert service.velocity(60.0) != STILL


def test_balancing_does_not_end_the_dead_window_early():
    service = SportService(SportConfig(dead_window=4.0), standing=False)
    service.call(0.0, Api.STAND_UP, "{}")
    service.call(1.0, Api.BALANCE_STAND, "{}")
    assert service.reported[0] == Mode.BALANCE_STAND  # it looks ready
    move(service, 3.9)
    assert service.velocity(3.9) == STILL
    move(service, 4.0)
    assert service.velocity(4.0) != STILL


def test_asking_twice_to_stand_up_does_not_start_the_dead_window_again():
    service = SportService(SportConfig(dead_window=4.0), standing=False)
    service.call(0.0, Api.STAND_UP, "{}")
    service.call(3.0, Api.STAND_UP, "{}")
    service.call(4.0, Api.BALANCE_STAND, "{}")
    move(service, 4.0)
    assert service.velocity(4.0) != STILL


def test_lying_it_cannot_balance():
    service = SportService(CONFIG, standing=False)
    assert service.call(0.0, Api.BALANCE_STAND, "{}") == OK
    assert service.mode is Mode.LIE_DOWN


@pytest.mark.parametrize(("api", "mode"), [(Api.STAND_DOWN, Mode.LIE_DOWN), (Api.DAMP, Mode.DAMPING)])
def test_going_down_ends_the_walk(api, mode):
    service = SportService(CONFIG, standing=True)
    move(service, 0.0)
    service.call(0.1, api, "{}")
    assert service.velocity(0.1) == STILL and service.mode is mode
    assert service.body_height(0.1) > service.body_height(2.0)


def test_recovery_stand_ends_balanced():
    service = SportService(CONFIG, standing=False)
    service.call(0.0, Api.RECOVERY_STAND, "{}")
    assert service.mode is Mode.RECOVERY_STAND
    service.velocity(CONFIG.rise_time)
    assert service.mode is Mode.BALANCE_STAND


@pytest.mark.parametrize("api_id", [1007, 1009, 1016, 1030, 2044, 0, -1])
def test_other_calls_are_not_implemented(api_id):
    assert SportService(CONFIG, standing=True).call(0.0, api_id, "{}") == NOT_IMPLEMENTED


@pytest.mark.parametrize("parameter", ["", "{}", '{"x": 1}', '{"x": "fast", "y": 0, "z": 0}', "[1, 2, 3]", "null"])
def test_a_malformed_move_changes_nothing(parameter):
    service = SportService(CONFIG, standing=True)
    move(service, 0.0, 0.3)
    assert service.call(0.1, Api.MOVE, parameter) == BAD_PARAMETER
    assert service.velocity(0.1) == (0.3, 0.0, 0.0)


def test_a_move_of_nan_changes_nothing():
    service = SportService(CONFIG, standing=True)
    assert move(service, 0.0, math.nan) == BAD_PARAMETER
    assert service.velocity(0.0) == STILL


def test_newer_firmware_keeps_its_mode_to_itself():
    service = SportService(SportConfig(reports_mode=False), standing=False)
    assert service.reported == (0, 1001)
    service.call(0.0, Api.STAND_UP, "{}")
    assert service.reported == (0, 1002)


def test_faults_are_switched_by_a_line_and_nonsense_is_answered_with_what_is_known():
    faults = Faults()
    for line in ("camera frozen\n", "state nan", "sport deaf"):
        faults.switch(line)
    assert (faults.camera, faults.state, faults.sport) == (CameraFault.FROZEN, StateFault.NAN, SportFault.DEAF)
    faults.switch("camera ok")
    assert faults.camera is CameraFault.OK
    for line in ("camera", "camera upside-down", "legs broken", "switch ok", ""):
        with pytest.raises(ValueError, match=r"camera ok\|frozen"):
            faults.switch(line)


def test_the_truth_sums_up_a_run(tmp_path):
    path = tmp_path / "truth.jsonl"
    truth = Truth.open(path, "unseen-1", {"goal": [9.0, 0.0]})
    steps = [(0.02, False, 1.0, False), (0.04, True, 0.0, False), (0.06, True, 0.0, False), (0.08, False, 0.2, True)]
    for seconds, contact, clearance, reached in steps:
        truth.step(
            clock=1e9 + seconds,
            seconds=seconds,
            pose=[seconds, 0.0, 0.0],
            twist=[1.0, 0.0, 0.0],
            command=[1.0, 0.0, 0.0],
            mode=3,
            contact=contact,
            clearance=clearance,
            reached=reached,
            path_length=seconds,
        )
    truth.image(1e9, [[1.0, 2.0, 0.5]])
    truth.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {"world": "unseen-1", "goal": [9.0, 0.0]}
    assert [line["contact"] for line in lines[1:5]] == [False, True, True, False]
    assert lines[5] == {"camera": 1e9, "walkers": [[1.0, 2.0, 0.5]]}
    assert lines[6]["summary"] == {
        "world": "unseen-1",
        "seconds": 0.08,
        "reached_at": 0.08,
        "contact_at": 0.04,
        "contacts": 1,
        "path_length": 0.08,
        "clearance": 0.0,
    }


def test_what_never_happened_is_null_in_the_truth(tmp_path):
    path = tmp_path / "truth.jsonl"
    Truth.open(path, "unseen-1", {}).close()
    summary = json.loads(path.read_text().splitlines()[-1])["summary"]
    assert summary["reached_at"] is None and summary["contact_at"] is None and summary["clearance"] is None


class Scenery:
    """Something to look at that changes with every look."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> np.ndarray:
        self.looks += 1
        return np.full((24, 32, 3), (10 * self.looks % 255, 0, 200), np.uint8)


def test_the_camera_has_a_rate_of_its_own():
    camera = Camera(Scenery(), rate=10.0)
    first, taken = camera.sample(0.0, CameraFault.OK)
    assert taken
    assert camera.sample(0.05, CameraFault.OK) == (first, False)
    second, taken = camera.sample(0.1, CameraFault.OK)
    assert taken and second != first


def test_the_jpeg_is_rgb_the_right_way_round():
    jpeg, _ = Camera(Scenery(), rate=10.0).sample(0.0, CameraFault.OK)
    blue, _, red = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).mean(axis=(0, 1))
    assert blue > 150 > red


def test_the_cameras_faults():
    camera = Camera(Scenery(), rate=10.0)
    good, _ = camera.sample(0.0, CameraFault.OK)
    assert camera.sample(5.0, CameraFault.FROZEN) == (good, False)
    black, _ = camera.sample(6.0, CameraFault.BLACK)
    assert cv2.imdecode(np.frombuffer(black, np.uint8), cv2.IMREAD_COLOR).max() == 0
    corrupt, _ = camera.sample(7.0, CameraFault.CORRUPT)
    assert not corrupt.endswith(b"\xff\xd9")
