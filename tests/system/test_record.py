"""`wam record` beside a robot, in real processes: what comes in is in the bag, and what cuts it off costs a second."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from system.fake_robot import FakeRobot
from system.graph import node_programs

from wam_controller import qos
from wam_models.data.about import read_about
from wam_models.data.bag_reader import BagReader
from wam_models.data.bag_repair import repair
from wam_models.data.bags import read_run
from wam_planner.bringup import Go2Options
from wam_planner.processes import Processes
from wam_tools.guest_node import GuestNode
from wam_tools.message_types import typestore

LOST = 1.5  # s: the recorder writes twice a second, and a loaded machine may be late
PICTURES = "/camera/front/image/compressed"


@contextmanager
def recorder(domain: int, *words: str) -> Iterator[subprocess.Popen[str]]:
    """`wam record` in a session of its own, so that all of it can be killed."""
    process = subprocess.Popen(
        ["wam", "record", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "ROS_DOMAIN_ID": str(domain)},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for_content(bag: Path, enough: Callable[[bytes], bool]) -> None:
    """Until what is on the disk is enough."""
    deadline = time.monotonic() + 30.0
    while not enough(b"".join(file.read_bytes() for file in bag.glob("*.mcap"))):
        assert time.monotonic() < deadline, f"{bag} does not fill"
        time.sleep(0.2)


def test_what_a_robot_sends_is_in_the_bag_and_counted(tmp_path):
    domain = random.SystemRandom().randint(1, 100)
    options = Go2Options(model="baseline:straight", goal="200,0", instruction="past the tree")
    words = ("--out", str(tmp_path), "--name", "bag", "--note", "a test", "--json", str(tmp_path / "report.json"))
    log: list[str] = []
    with (
        FakeRobot(domain) as robot,
        Processes(node_programs(("safety_gate", "controller", "planner"), domain, options), log.append),
        recorder(domain, *words) as process,
    ):
        robot.wait_for(lambda: robot.planner is not None and robot.planner.plans_published > 5, "plans")
        wait_for_content(tmp_path / "bag", lambda data: data.count(b"camera_front") > 50 and b"past the tree" in data)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=20.0)
    assert process.returncode == 0, said
    report = json.loads((tmp_path / "report.json").read_text())
    with BagReader(tmp_path / "bag", typestore) as bag:
        counts = {channel.topic: channel.count for channel in bag.channels}
        about = read_about(bag)
    assert counts[PICTURES] > 20
    assert counts["/trajectory"] > 5
    assert {topic: each["messages"] for topic, each in report["topics"].items()} == counts
    assert report["topics"][PICTURES]["lost"] == report["topics"][PICTURES]["dropped"] == 0
    assert report["topics"]["/odom"]["rate"] == pytest.approx(50.0, rel=0.2)
    assert about["note"] == "a test"
    assert len(about["commit"].rstrip("+")) in (0, 40)
    assert about["parameters"]["/planner"]["instruction"] == "past the tree"
    made = read_run(tmp_path / "bag")
    assert made.instructions[-1] == "past the tree"
    assert made.goal == pytest.approx((200.0, 0.0), abs=5.0)
    assert len(made.stamps) > 20  # good enough to train on


def test_a_run_in_simulated_time_begins_when_that_begins(tmp_path):
    """What was said before, the recorder's own words among it, is not of 1970."""
    domain = random.SystemRandom().randint(1, 100)
    with (
        GuestNode("simulator", domain) as guest,
        recorder(domain, "carla", "--out", str(tmp_path), "--name", "bag") as process,
    ):
        told = guest.node.create_publisher(String, "instruction", qos.LATCHED)
        told.publish(String(data="follow the road"))
        wait_for_content(tmp_path / "bag", lambda data: len(data) > 0)
        time.sleep(2.0)
        clock = guest.node.create_publisher(Clock, "/clock", 10)
        odometry = guest.node.create_publisher(Odometry, "/carla/ego_vehicle/odometry", qos.ODOMETRY)
        for tick in range(120):
            now = Time(sec=1000 + tick // 20, nanosec=tick % 20 * 50_000_000)
            clock.publish(Clock(clock=now))
            message = Odometry()
            message.header.stamp, message.pose.pose.orientation.w = now, 1.0
            odometry.publish(message)
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20.0)
    with BagReader(tmp_path / "bag", typestore) as bag:
        assert 999.9 < bag.start < bag.end < 1006.0
        counts = {channel.topic: channel.count for channel in bag.channels}
    assert counts["/instruction"] == 1
    assert counts["/recording"] >= 1
    assert counts["/carla/ego_vehicle/odometry"] > 60


def test_a_robot_that_is_not_there_is_a_complaint(tmp_path):
    domain = random.SystemRandom().randint(1, 100)
    with recorder(domain, "--out", str(tmp_path), "--name", "bag", "--seconds", "5") as process:
        said, _ = process.communicate(timeout=30.0)
    assert process.returncode == 1
    assert f"nothing came on {PICTURES}" in said
    assert "nothing came on /odom" in said


def test_a_recorder_that_is_killed_leaves_all_but_the_last_second(tmp_path):
    domain = random.SystemRandom().randint(1, 100)
    with FakeRobot(domain), recorder(domain, "--out", str(tmp_path), "--name", "bag") as process:
        wait_for_content(tmp_path / "bag", lambda data: len(data) > 300_000)
        (node,) = psutil.Process(process.pid).children()
        node.kill()
        killed = time.time()
        said, _ = process.communicate(timeout=20.0)
    assert process.returncode == 1
    assert "wam bag repair" in said
    found = repair(tmp_path / "bag", tmp_path / "mended")
    assert killed - found.end < LOST
    with BagReader(tmp_path / "mended", typestore) as bag:
        pictures = [logged for _, logged, _ in bag.messages({PICTURES})]
        assert read_about(bag)["robot"] == "go2"
        assert not len(bag.findings)
    assert killed - 1e-9 * pictures[-1] < LOST
