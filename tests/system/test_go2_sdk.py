"""The virtual Go2 through the vendor's stock clients over real DDS: what a user's own SDK program would see."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from system.go2_harness import Probe, VirtualRobot, free_domain, wait_for

OK, NOT_IMPLEMENTED, TIMEOUT = 0, 3203, 3104
DEAD_WINDOW = 2.0  # s
WALK = 0.5  # m/s


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VirtualRobot, Probe]]:
    """One robot for all tests of this file, lying at first, and its user."""
    domain = free_domain()
    arguments = ("--world", "val:1", "--dead-window", str(DEAD_WINDOW))
    with VirtualRobot(tmp_path_factory.mktemp("go2"), domain, *arguments) as robot, Probe(domain) as probe:
        wait_for(lambda: probe("state"), "the first states")
        wait_for(lambda: probe("StopMove") == OK, "the sport service")
        yield robot, probe


@pytest.fixture()
def standing(pair: tuple[VirtualRobot, Probe]) -> tuple[VirtualRobot, Probe]:
    """The robot balanced, still, and past its dead window."""
    robot, probe = pair
    probe("StopMove")
    if probe("state")["mode"] not in (1, 3):
        assert probe("StandUp") == OK
        time.sleep(DEAD_WINDOW + 0.1)  # it gives no sign, on purpose
        assert probe("BalanceStand") == OK
    wait_for(lambda: probe("state")["mode"] == 1 and robot.speed < 0.01, "the robot to stand")
    return robot, probe


def picture(probe: Probe) -> bytes:
    answer = probe("image")
    assert answer["code"] == OK
    return base64.b64decode(answer["jpeg"])


def test_lying_it_says_yes_to_move_and_stays(pair):
    robot, probe = pair
    assert probe("state")["mode"] == 5
    began = time.time()
    for _ in range(10):
        assert probe("Move", WALK, 0.0, 0.0) == OK
        time.sleep(0.05)
    assert all(step["command"] == [0.0, 0.0, 0.0] for step in robot.steps(began))


def test_after_standing_up_move_is_ignored_for_the_dead_window_without_a_sign(pair):
    robot, probe = pair
    assert probe("StandUp") == OK
    stood = time.time()
    assert probe("BalanceStand") == OK
    wait_for(lambda: probe("state")["mode"] == 1, "the balanced stand")

    def walks() -> list[float]:
        probe("Move", WALK, 0.0, 0.0)
        return [step["t"] for step in robot.steps(stood) if step["twist"][0] > 0.05]

    first = wait_for(walks, "the robot to walk")[0]
    assert first - stood > DEAD_WINDOW - 0.1
    probe("StopMove")


def test_it_walks_as_told_and_holds_the_last_move_for_a_second(standing):
    robot, probe = standing
    probe("Move", WALK, 0.0, 0.0)
    told = time.time()
    stop = robot.stop_since(told + 0.5)
    assert 0.4 < stop.seconds < 1.4  # what is left of the hold, and the ramp
    steps = robot.steps(told)
    assert max(step["twist"][0] for step in steps) == pytest.approx(WALK, abs=0.02)
    moved = next(step["t"] for step in steps if step["twist"][0] > 0.0)
    assert moved - told < 0.2
    jumps = np.abs(np.diff([step["twist"][0] for step in steps]))
    assert jumps.max() <= 2.5 * 0.02 + 1e-3  # the body cannot jerk


def test_the_state_tells_where_it_walked_in_odom(standing):
    robot, probe = standing
    for _ in range(15):
        probe("Move", 0.3, 0.0, 0.8)
        time.sleep(0.05)
    state, truth = probe("state"), robot.steps()[-1]
    x, y, yaw = truth["pose"]
    assert state["position"][:2] == pytest.approx([x, y], abs=0.05)
    w, _, _, z = state["quaternion"]
    assert 2 * np.arctan2(z, w) == pytest.approx(yaw, abs=0.1)
    direction = np.array([np.cos(yaw), np.sin(yaw)])
    assert np.dot(state["velocity"][:2], direction) == pytest.approx(truth["twist"][0], abs=0.1)
    assert state["mode"] == 3
    probe("StopMove")


def test_stop_move_stops_and_is_acknowledged(standing):
    robot, probe = standing
    probe("Move", WALK, 0.0, 0.0)
    wait_for(lambda: robot.speed > 0.4, "the robot to walk")
    moment = time.time()
    assert probe("StopMove") == OK
    assert robot.stop_since(moment).seconds < 0.8


@pytest.mark.parametrize("call", ["Sit", "Hello", "FrontFlip", "FrontJump"])
def test_calls_that_a_policy_must_never_reach_are_not_there(standing, call):
    _, probe = standing
    assert probe(call) == NOT_IMPLEMENTED


def test_the_state_comes_at_50_hz(pair):
    _, probe = pair
    wait_for(lambda: 45.0 < probe("state")["rate"] < 55.0, "a hundred states at 50 Hz")


def test_the_camera_gives_a_jpeg_of_its_size_and_a_new_one_each_time(pair):
    _, probe = pair
    first = picture(probe)
    assert cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_COLOR).shape == (90, 160, 3)
    wait_for(lambda: picture(probe) != first, "the next picture")


def test_a_frozen_camera_repeats_itself_and_a_silent_one_times_out(pair):
    robot, probe = pair
    robot.fault("camera frozen")
    wait_for(lambda: picture(probe) == picture(probe), "the camera to freeze")
    frozen = picture(probe)
    time.sleep(0.2)
    assert picture(probe) == frozen
    robot.fault("camera silent")
    wait_for(lambda: probe("image")["code"] == TIMEOUT, "the camera to fall silent")
    robot.fault("camera ok")
    wait_for(lambda: probe("image")["code"] == OK, "the camera to come back")


def test_a_deaf_sport_service_neither_obeys_nor_answers(standing):
    robot, probe = standing
    robot.fault("sport deaf")
    wait_for(lambda: probe("StopMove") == TIMEOUT, "the service to fall silent")
    robot.fault("sport ok")
    wait_for(lambda: probe("StopMove") == OK, "the service to come back")


def test_lying_down_ends_the_walk(standing):
    robot, probe = standing
    probe("Move", WALK, 0.0, 0.0)
    wait_for(lambda: robot.speed > 0.3, "the robot to walk")
    moment = time.time()
    assert probe("StandDown") == OK
    assert robot.stop_since(moment).seconds < 0.8
    assert probe("state")["mode"] == 5
