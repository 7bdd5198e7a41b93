"""What the bridge decides, with time, robot and commands under the test's control."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from transforms3d.euler import euler2quat

from wam_go2.bridge import Bridge, Measured, Picture
from wam_go2.protocol import Act, Done, Fault, Frame, Halt, Health, Hello, Move, RobotState
from wam_go2.readiness import BridgeState
from wam_go2.settings import BRIDGE, make_config

CONFIG = Path(__file__).parents[3] / "config"
VALUES = {row.name: row.default for row in BRIDGE} | {
    "interface": "lo",
    "calibration_file": str(CONFIG / "go2_camera_sim.yaml"),
}


def jpeg(height: int = 360, width: int = 640) -> bytes:
    return cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1].tobytes()


class Session:
    """A robot that stands balanced and sends; `run` lets time pass."""

    def __init__(self, **values) -> None:
        self.now = 50.0
        self.bridge = Bridge(make_config(VALUES | values), self.now)
        self.bridge.on_message(self.now, Hello("3.11", "0.10.2"))
        self.told: list[object] = []
        self.phase, self.generation = "idle", 1
        self.mode, self.yaw, self.velocity = 1, 0.0, [0.0, 0.0, 0.0]
        self.picture = jpeg()

    def state(self, **changes) -> RobotState:
        values = {
            "arrival": self.now,
            "stamp": self.now + 1000.0,
            "mode": self.mode,
            "error_code": 0,
            "position": [1.0, 2.0, 0.3],
            "quaternion": euler2quat(0.0, 0.0, self.yaw).tolist(),
            "velocity": self.velocity,
            "yaw_rate": 0.0,
            "body_height": 0.32,
        }
        return RobotState(**(values | changes))

    def run(self, seconds: float, state: bool = True, images: bool = True):
        for i in range(round(seconds / 0.02)):
            self.now += 0.02
            self.bridge.on_message(self.now, Health(self.generation, self.phase, 0, 0, 0, 0))
            if state:
                self.bridge.on_message(self.now, self.state())
            if images and i % 5 == 0:
                self.bridge.on_message(self.now, Frame(self.now - 0.02, self.now, self.picture))
            verdict, messages = self.bridge.step(self.now)
            self.told += messages
            for message in messages:
                if isinstance(message, Act):
                    self.bridge.on_message(self.now, Done(message.action, 0))
        return verdict


def test_state_becomes_odometry_in_ros_frames_at_the_time_of_its_measurement():
    session = Session()
    session.yaw, session.velocity = math.pi / 2, [0.0, 0.5, 0.0]
    session.run(1.0)
    session.now += 0.02
    given = session.bridge.on_message(session.now, session.state(arrival=session.now + 0.015))
    assert isinstance(given, Measured)
    assert given.odometry.linear == pytest.approx([0.5, 0.0, 0.0])
    assert given.time == pytest.approx(session.now, abs=1e-6)


def test_an_image_carries_the_time_it_was_asked_for_less_the_cameras_delay():
    session = Session(camera_delay=0.08)
    given = session.bridge.on_message(session.now, Frame(49.9, 50.0, session.picture))
    assert isinstance(given, Picture)
    assert given.time == pytest.approx(49.82)
    assert (given.calibration.width, given.calibration.height) == (640, 360)


def test_a_smaller_image_gets_a_calibration_of_its_size():
    session = Session()
    given = session.bridge.on_message(session.now, Frame(49.9, 50.0, jpeg(180, 320)))
    assert given.calibration.matrix[0, 0] == pytest.approx(381.36 / 2, abs=0.01)


def test_a_bent_image_is_straightened_unless_told_otherwise():
    bent = {"calibration_file": str(CONFIG / "go2_camera.yaml")}
    frame = Frame(49.9, 50.0, jpeg(720, 1280))
    straight = Session(**bent).bridge.on_message(50.0, frame)
    assert not straight.calibration.distortion.any() and straight.jpeg != frame.jpeg
    raw = Session(**bent, rectify=False).bridge.on_message(50.0, frame)
    assert raw.calibration.distortion.any() and raw.jpeg == frame.jpeg


@pytest.mark.parametrize(
    ("picture", "reason"),
    [(jpeg(480, 640), "640 x 480"), (b"no jpeg", "no whole JPEG"), (jpeg()[:-9], "no whole JPEG")],
)
def test_an_unusable_image_is_not_published_and_the_reason_is_told_until_a_good_one_comes(picture, reason):
    session = Session()
    session.run(1.0)
    good, session.picture = session.picture, picture
    assert session.bridge.on_message(session.now, Frame(session.now, session.now, picture)) is None
    verdict = session.run(0.5)
    assert verdict.state is BridgeState.DEGRADED and reason in verdict.reason
    session.picture = good
    assert session.run(0.2).state is BridgeState.READY


def test_a_state_that_is_not_finite_is_not_published():
    session = Session()
    session.run(1.0)
    broken = session.state(arrival=session.now + 0.02, position=[math.nan, 0.0, 0.0])
    assert session.bridge.on_message(session.now + 0.02, broken) is None
    verdict, _ = session.bridge.step(session.now + 0.02)
    assert verdict.state is BridgeState.DEGRADED and "not finite" in verdict.reason


def test_a_fresh_command_becomes_a_move_of_the_present_generation_that_ages_from_its_stamp():
    session = Session()
    session.generation = 7
    session.run(1.0)
    assert session.bridge.on_command(session.now, 0.04, 0.5, 0.1, 0.2) == Move(7, session.now - 0.04, 0.5, 0.1, 0.2)


def test_a_command_beyond_the_bridges_own_limits_is_scaled_and_counted():
    session = Session(vx_max=1.0)
    session.run(1.0)
    move = session.bridge.on_command(session.now, 0.0, 2.0, 0.0, 0.4)
    assert (move.vx, move.yaw_rate) == pytest.approx((1.0, 0.2))
    assert session.bridge.refused["limited"] == 1


@pytest.mark.parametrize(
    ("age", "twist", "reason"),
    [
        (0.3, (0.1, 0.0, 0.0), "stamp"),
        (-0.2, (0.1, 0.0, 0.0), "stamp"),
        (math.nan, (0.1, 0.0, 0.0), "stamp"),
        (0.0, (math.nan, 0.0, 0.0), "finite"),
        (0.0, (0.0, 0.0, math.inf), "finite"),
    ],
)
def test_a_bad_command_is_refused_with_its_reason_and_a_good_one_after_it_passes(age, twist, reason):
    session = Session()
    session.run(1.0)
    assert session.bridge.on_command(session.now, age, *twist) is None
    assert [name for name, count in session.bridge.refused.items() if count and reason in name]
    assert session.bridge.on_command(session.now, 0.0, 0.1, 0.0, 0.0) is not None


def test_nothing_passes_before_the_robot_is_ready():
    session = Session()
    session.mode = 5
    session.run(1.0)
    assert session.bridge.on_command(session.now, 0.0, 0.1, 0.0, 0.0) is None
    assert session.bridge.refused["the robot is not ready"] == 1


@pytest.mark.parametrize("phase", ["zeroing", "stopping"])
def test_nothing_passes_during_a_stop(phase):
    session = Session()
    session.run(1.0)
    session.phase = phase
    session.run(0.1)
    assert session.bridge.on_command(session.now, 0.0, 0.1, 0.0, 0.0) is None


def test_a_robot_that_falls_silent_is_told_to_stop():
    session = Session()
    session.run(1.0)
    verdict = session.run(0.5, state=False)
    assert verdict.state is BridgeState.LOST and Halt() in session.told
    assert session.bridge.on_command(session.now, 0.0, 0.1, 0.0, 0.0) is None


def test_a_dead_sdk_process_lets_nothing_pass_and_its_last_words_are_the_reason():
    session = Session()
    session.run(1.0)
    session.bridge.on_message(session.now, Fault("the SDK process ended with status -9", retry=True))
    assert session.bridge.on_command(session.now, 0.0, 0.1, 0.0, 0.0) is None
    session.now += 1.0
    verdict, _ = session.bridge.step(session.now)
    assert verdict.state is BridgeState.LOST and "status -9" in verdict.reason


def test_an_sdk_process_that_is_replaced_before_the_robot_counts_as_silent_takes_the_readiness_away_all_the_same():
    session = Session(state_timeout=2.0)
    assert session.run(1.0).may_move
    session.bridge.on_message(session.now, Fault("the SDK process ended with status -9", retry=True))
    session.bridge.on_message(session.now, Hello("3.11", "0.10.2"))
    verdict, _ = session.bridge.step(session.now)
    assert verdict.state is BridgeState.LOST and "status -9" in verdict.reason and not verdict.may_move
    assert session.run(0.1).state is BridgeState.READY


def test_several_nodes_that_publish_commands_stop_the_robot_until_one_is_left():
    session = Session()
    session.run(1.0)
    session.bridge.on_publishers(2)
    assert session.bridge.on_command(session.now, 0.0, 0.1, 0.0, 0.0) is None
    verdict = session.run(0.1)
    assert not verdict.may_move and Halt() in session.told
    assert verdict.reason == (
        "2 nodes publish cmd_vel: stop all but the safety gate. One that was killed counts for up to 20 s."
    )
    assert session.bridge.refused["several nodes publish cmd_vel"] == 1
    session.bridge.on_publishers(1)
    assert session.run(0.1).state is BridgeState.READY
    assert session.bridge.on_command(session.now, 0.0, 0.1, 0.0, 0.0) is not None


def test_several_nodes_that_publish_commands_are_no_excuse_for_a_robot_that_lies():
    session = Session()
    session.mode = 5
    session.bridge.on_publishers(3)
    verdict = session.run(1.0)
    assert verdict.state is BridgeState.STANDING and "stand_up" in verdict.reason


def test_no_robot_on_the_interface_names_the_interface_and_the_address():
    session = Session()
    verdict = session.run(4.0, state=False, images=False)
    assert verdict.state is BridgeState.CONNECTING
    assert "'lo'" in verdict.reason and "192.168.123.99/24" in verdict.reason


def test_it_stands_up_by_itself_only_when_told_to():
    for wanted in (False, True):
        session = Session(stand_up_on_start=wanted, settle_time=1.0)
        session.mode = 0
        verdict = session.run(3.0)
        assert (verdict.state is BridgeState.READY) == wanted
        assert (Act("stand_up") in session.told) == wanted


def test_a_robot_that_could_walk_when_it_was_first_heard_is_not_stood_up_later():
    session = Session(stand_up_on_start=True)
    session.run(1.0)
    session.mode = 7
    session.run(2.0)
    assert not any(isinstance(message, Act) for message in session.told)


def test_a_robot_that_ignores_move_is_told_to_stop_and_nothing_passes_any_more():
    session = Session()
    session.run(1.0)
    session.phase = "moving"
    session.bridge.on_command(session.now, 0.0, 0.5, 0.0, 0.0)
    verdict = session.run(2.5)
    assert verdict.state is BridgeState.STANDING and "ignores Move" in verdict.reason and Halt() in session.told
    assert session.bridge.on_command(session.now, 0.0, 0.5, 0.0, 0.0) is None


def test_a_robot_is_not_blamed_for_standing_still_after_the_commands_ended():
    session = Session()
    session.run(1.0)
    session.phase = "moving"
    session.bridge.on_command(session.now, 0.0, 0.5, 0.0, 0.0)
    session.run(0.3)
    session.phase = "idle"
    assert session.run(5.0).state is BridgeState.READY


def test_commands_that_stream_in_do_not_hold_up_standing_up():
    session = Session(settle_time=1.0)
    session.mode = 0
    session.run(0.2)
    session.bridge.stand_up(session.now)
    asked = session.now
    while session.run(0.02).state is not BridgeState.READY:
        session.bridge.on_command(session.now, 0.0, 0.0, 0.0, 0.0)
        assert session.now - asked < 1.2


def test_a_velocity_in_the_wrong_frame_is_named():
    session = Session(velocity_frame="base_link")
    session.yaw, session.velocity = math.pi / 2, [0.0, 0.6, 0.0]
    position = np.array([0.0, 0.0, 0.3])
    for _ in range(400):
        session.now += 0.02
        position = position + [0.0, 0.012, 0.0]
        session.bridge.on_message(session.now, session.state(position=position.tolist()))
        session.bridge.on_message(session.now, Frame(session.now, session.now, session.picture))
    verdict, _ = session.bridge.step(session.now)
    assert verdict.state is BridgeState.DEGRADED and "set velocity_frame to odom" in verdict.reason


def test_the_numbers_say_what_is_missing():
    session = Session()
    assert math.isnan(session.bridge.numbers(session.now)["camera_hz"])
    session.run(2.0)
    numbers = session.bridge.numbers(session.now)
    assert numbers["state_hz"] == pytest.approx(50.0, rel=0.05)
    assert numbers["camera_hz"] == pytest.approx(10.0, rel=0.05)
    assert numbers["watchdog"] == "idle"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"interface": ""}, "interface is empty"),
        ({"calibration_file": ""}, "calibration_file is empty"),
        ({"calibration_file": "nowhere.yaml"}, r"nowhere\.yaml"),
    ],
)
def test_a_setting_that_no_range_can_refuse_is_refused_with_its_rule(values, message):
    with pytest.raises(ValueError, match=message):
        make_config(VALUES | values)


def test_every_default_is_within_its_own_range():
    assert [row.violation(row.default) for row in BRIDGE if row.violation(row.default)] == []
