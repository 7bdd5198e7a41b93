"""`wam up replay`: the real nodes plan from a bag, in its time, and end with it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bags import write_bag
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from system.go2_harness import wait_for

from wam_controller import qos
from wam_models.messages import seconds
from wam_msgs.msg import PlannerStatus, SafetyStatus, Trajectory
from wam_tools.guest_node import GuestNode

PERIOD = 0.1  # s between two pictures of the bag, each with odometry
FRAMES = 60
LAST = PERIOD * (FRAMES - 1)  # s, when the last one was taken


class Viewer(GuestNode):
    """Keeps what it hears: clocks, stamps of pictures, odometry and plans, statuses."""

    def __init__(self, domain: int) -> None:
        super().__init__("viewer", domain)
        self.clocks: list[float] = []
        self.pictures: list[float] = []
        self.odometry: list[float] = []
        self.plans: list[float] = []
        self.planner: list[PlannerStatus] = []
        self.safety: list[SafetyStatus] = []
        # Deep enough that nothing is lost here, so that what is missing was not sent.
        image, sensors = QoSProfile(depth=500, reliability=qos.CAMERA.reliability), "camera/front/image"
        listen = self.node.create_subscription
        listen(Clock, "/clock", lambda m: self.clocks.append(seconds(m.clock)), QoSProfile(depth=1000))
        for kind, topic in ((CompressedImage, f"{sensors}/compressed"), (Image, sensors)):
            listen(kind, topic, lambda m: self.pictures.append(seconds(m.header.stamp)), image)
        listen(Odometry, "odom", lambda m: self.odometry.append(seconds(m.header.stamp)), image)
        listen(Trajectory, "trajectory", lambda m: self.plans.append(seconds(m.header.stamp)), qos.PLAN)
        listen(PlannerStatus, "planner/status", self.planner.append, qos.STATUS)
        listen(SafetyStatus, "safety/status", self.safety.append, qos.LATCHED_STATUS)


@contextmanager
def replay(*words: str) -> Iterator[tuple[Viewer, subprocess.Popen[str]]]:
    """`wam up replay` on a ROS domain of its own, and somebody who looks on."""
    domain = random.SystemRandom().randint(1, 100)
    command = [sys.executable, "-m", "wam_tools", "up", "replay", "--model", "baseline:constant_velocity", *words]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
    with Viewer(domain) as viewer:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield viewer, process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.communicate(timeout=30.0)


def bag(folder: Path, **options: object) -> Path:
    write_bag(folder / "bag", frames=FRAMES, period=PERIOD, **options)
    return folder / "bag"


def stamps() -> list[float]:
    """Of the pictures and the odometry in the bag."""
    return [i * PERIOD for i in range(FRAMES)]


@pytest.mark.parametrize("raw", [False, True], ids=["compressed", "raw"])
def test_the_nodes_plan_from_a_bag_in_its_time_and_end_with_it(tmp_path, raw):
    with replay("--bag", str(bag(tmp_path, raw=raw))) as (viewer, process):
        printed, _ = process.communicate(timeout=60.0)
    assert process.returncode == 0, printed
    assert "the bag has ended" in printed and "Traceback" not in printed
    # Time is the bag's. Who looks on was waited for by nobody, and may have come late.
    assert viewer.clocks == sorted(viewer.clocks)
    assert viewer.clocks[0] < LAST / 2 and viewer.clocks[-1] == pytest.approx(LAST, abs=0.02)
    assert max(b - a for a, b in zip(viewer.clocks, viewer.clocks[1:])) < 0.02
    for heard in (viewer.pictures, viewer.odometry):
        assert len(heard) > FRAMES / 3
        assert heard == pytest.approx(stamps()[-len(heard) :], abs=1e-6)
    # The planner was waited for. What comes while it makes its first plan, which loads libraries, replaces what came
    # before, as on the robot.
    assert FRAMES - 15 <= viewer.planner[-1].frames_received <= FRAMES and viewer.planner[-1].frames_invalid == 0
    assert len(viewer.plans) > FRAMES / 3
    assert {round(stamp, 6) for stamp in viewer.plans} <= {round(stamp, 6) for stamp in stamps()}
    fresh = [status for status in viewer.planner if status.verdict == PlannerStatus.VERDICT_FRESH]
    assert len(fresh) > 20 and all(-0.05 <= status.frame_age < 0.3 for status in fresh)
    assert {status.state for status in viewer.safety} == {SafetyStatus.STATE_DISENGAGED}


def test_a_loop_begins_again_and_the_planner_with_it(tmp_path):
    with replay("--bag", str(bag(tmp_path)), "--loop", "--rate", "2.5", "--start", "3") as (viewer, process):
        wait_for(lambda: len(viewer.clocks) > 1 and min(viewer.clocks[100:], default=9.0) < 3.1, "a second lap")
        planned = len(viewer.plans)
        wait_for(lambda: len(viewer.plans) > planned + 5, "plans in the second lap")
        back = [a - b for a, b in zip(viewer.clocks, viewer.clocks[1:]) if b < a]
        assert back and all(step == pytest.approx(LAST - 3.0, abs=0.05) for step in back)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(30.0) == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("nowhere", "is missing: give a rosbag2 folder"), ("empty", "is no bag"), ("torn.mcap", "cannot be read")],
)
def test_a_bag_that_cannot_be_played_is_one_sentence_and_status_1(tmp_path, name, sentence):
    (tmp_path / "empty").mkdir()
    (tmp_path / "torn.mcap").write_bytes(b"no bag at all")
    with replay("--bag", str(tmp_path / name)) as (_, process):
        printed, _ = process.communicate(timeout=30.0)
    assert process.returncode == 1
    assert sentence in printed and len(printed.strip().splitlines()) == 1


def test_a_player_alone_with_a_bag_it_cannot_play_says_so_and_ends_with_status_1(tmp_path):
    words = ["--ros-args", "-p", f"bag:={tmp_path / 'nowhere'}"]
    done = subprocess.run(
        [sys.executable, "-m", "wam_sim.bag_player.bag_player_node", *words],
        capture_output=True,
        text=True,
        timeout=30.0,
    )
    assert done.returncode == 1
    assert "nowhere is missing" in done.stderr and "Traceback" not in done.stderr


def test_a_recording_is_not_played_where_a_robot_is(tmp_path):
    """Its clock and its odometry would be a second one of each."""
    with replay("--bag", str(bag(tmp_path))) as (viewer, process):
        robot = viewer.node.create_publisher(Odometry, "odom", qos.ODOMETRY)
        said, _ = process.communicate(timeout=60.0)
        viewer.node.destroy_publisher(robot)
    assert process.returncode == 1
    assert "somebody else publishes odom; take a ROS_DOMAIN_ID of your own" in said
    assert len(viewer.pictures) < FRAMES
