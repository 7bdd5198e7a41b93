"""The bridge and the gate as real processes against the virtual Go2: data, readiness, and a stop for every broken link.

The limits are those of docs/safety.md; the printed numbers are what was measured.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from geometry_msgs.msg import TwistStamped
from rclpy.qos import QoSDurabilityPolicy, QoSReliabilityPolicy
from system.go2_harness import Operator, Probe, VirtualRobot, free_domain, operator, wait_for

from wam_controller import qos
from wam_models.messages import motion, seconds
from wam_planner.bringup import Go2Options, go2_table, programs
from wam_planner.processes import Processes

WALK = 0.6  # m/s
SLACK = 0.4  # s that a loaded machine may be late
RAMP = 0.5  # s from WALK to standing, at the body's limits


@dataclass
class Setup:
    """A robot in its DDS domain, the bridge and the gate, and who commands them. killed: the publishers of cmd_vel that
    belonged to gates which could not say goodbye."""

    robot: VirtualRobot
    dds: int
    processes: Processes
    person: Operator
    log: list[str]
    killed: set[str] = field(default_factory=set)

    def pid(self, name: str) -> int:
        """Of a process; "sdk" is the one that the bridge started."""
        if name != "sdk":
            return self.processes.pid(name)
        children = psutil.Process(self.processes.pid("go2_bridge")).children(recursive=True)
        return next(child.pid for child in children if "wam_go2.sdk_process" in child.cmdline())

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> float:
        """Send a signal; the moment, s since 1970."""
        if (name, number) == ("safety_gate", signal.SIGKILL):
            self.killed |= self.gates()
        if name == "go2_bridge" and number not in (signal.SIGSTOP, signal.SIGCONT):
            self.person.states.clear()  # what the dead one said last is not what its successor says
        pid, moment = self.pid(name), time.time()
        os.kill(pid, number)
        return moment

    def gates(self) -> set[str]:
        """The publishers of cmd_vel; one that was killed is among them for up to 20 s."""
        return {bytes(end.endpoint_gid).hex() for end in self.person.node.get_publishers_info_by_topic("/cmd_vel")}

    def walk(self) -> None:
        """Engage, and wait until the robot walks."""
        self.person.wait_for_state("READY")
        self.person.speed = 0.0
        wait_for(lambda: self.robot.speed < 0.01 and self.person.call("engage")[0], "the gate to engage")
        self.person.speed = WALK
        wait_for(lambda: self.robot.speed > 0.9 * WALK, "the robot to walk")

    def stays(self, seconds: float = 0.6) -> bool:
        """Whether the robot is told nothing but to stand for the next seconds."""
        since = time.time()
        time.sleep(seconds)  # what must not happen has no condition to wait for
        steps = self.robot.steps(since)
        return bool(steps) and max(abs(value) for step in steps for value in step["command"]) == 0.0

    def mend(self) -> None:
        """Everything up and ready again, for the next test."""
        for fault in ("camera ok", "state ok", "sport ok"):
            self.robot.fault(fault)
        self.person.speed = 0.0
        wait_for(lambda: self.processes.watch() is None and len(self.processes.running) == 2, "every process")
        wait_for(lambda: len(self.gates()) == 1 and not self.gates() & self.killed, "the gate alone on cmd_vel")
        self.person.wait_for_state("READY")


@contextmanager
def setup(folder: Path, *arguments: str, **parameters: object) -> Iterator[Setup]:
    """Everything up; arguments: for the robot, parameters: for the bridge."""
    dds, log = free_domain(), []
    rows = tuple(
        replace(row, parameters={**row.parameters, **parameters}) if row.name == "go2_bridge" else row
        for row in go2_table(Go2Options(sim=True, domain=dds))
        if row.name in ("go2_bridge", "safety_gate")
    )
    with operator() as (person, ros), VirtualRobot(folder, dds, "--world", "val:1", *arguments) as robot:
        table = [
            replace(program, environment={"ROS_DOMAIN_ID": str(ros)}, respawn_delay=0.1) for program in programs(rows)
        ]
        with Processes(table, log.append) as processes:
            try:
                yield Setup(robot, dds, processes, person, log)
            finally:
                print("\n".join(log))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    """A robot that stands balanced from the start, for all tests that put right what they broke."""
    with setup(tmp_path_factory.mktemp("go2"), "--start-standing") as it:
        yield it


@pytest.fixture()
def standing(shared: Setup) -> Iterator[Setup]:
    """The shared robot, ready."""
    shared.mend()
    yield shared
    shared.mend()


def check(name: str, it: Setup, moment: float, limit: float) -> None:
    """The robot stood within the limit after `moment`, and in the way that this allows."""
    stop = it.robot.stop_since(moment)
    print(f"{name}: {stop.seconds:.2f} s, {stop.metres:.2f} m (limit {limit:.2f} s)")
    assert stop.seconds <= limit + SLACK
    assert stop.metres <= WALK * (limit + SLACK)


def test_camera_and_odometry_are_what_the_robot_really_does(standing):
    person, robot = standing.person, standing.robot
    standing.walk()
    wait_for(lambda: len(person.images) > 10 and len(person.odometry) > 50, "data")
    truth = robot.steps()
    times = np.array([step["t"] for step in truth])
    errors = []
    for message in person.odometry[-50:]:
        stamp, pose, twist = motion(message)
        x = np.interp(stamp, times, [step["pose"][0] for step in truth])
        vx = np.interp(stamp, times, [step["twist"][0] for step in truth])
        errors.append((abs(pose[0] - x), abs(twist[0] - vx)))
    assert np.median(errors, axis=0) == pytest.approx([0.0, 0.0], abs=0.02)

    infos = {seconds(info.header.stamp): info for info in person.infos}
    paired = [image for image in person.images if seconds(image.header.stamp) in infos]
    assert len(paired) > 5
    info = infos[seconds(paired[-1].header.stamp)]
    assert (info.width, info.height) == (160, 90)
    assert info.k[0] == pytest.approx(0.5 * 160 / np.tan(np.deg2rad(40)), rel=1e-3)
    lines = map(json.loads, robot.truth_file.read_text().splitlines()[:-1])
    taken = np.array([line["camera"] for line in lines if "camera" in line])
    late = [np.abs(taken - seconds(image.header.stamp)).min() for image in paired]
    assert np.median(late) < 0.03


def rows() -> list[tuple[str, str, str, str]]:
    """Name, type, quality and use of every topic and service in the bridge's README."""
    text = (Path(__file__).parents[2] / "src" / "wam_go2" / "README.md").read_text()
    return re.findall(r"^\| `([\w/]+)` \| (\w+/\w+) \| (.*?) ?\| (.*?) \|$", text, re.M)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_row_of_the_readme_is_true(standing, row):
    name, kind, quality, use = row
    package, kind = kind.split("/")
    me, topic = standing.person.node, f"/{name.lstrip('/')}"
    if not quality:
        assert dict(me.get_service_names_and_types())[topic] == [f"{package}/srv/{kind}"]
        return
    ends = me.get_subscriptions_info_by_topic if use.startswith("in") else me.get_publishers_info_by_topic
    (end,) = wait_for(lambda: [end for end in ends(topic) if end.node_name == "go2_bridge"], f"the bridge on {topic}")
    assert end.topic_type == f"{package}/msg/{kind}"
    assert (end.qos_profile.reliability is QoSReliabilityPolicy.RELIABLE) == quality.startswith("reliable")
    assert (end.qos_profile.durability is QoSDurabilityPolicy.TRANSIENT_LOCAL) == ("latched" in quality)


def test_a_lying_robot_stands_up_on_request_and_nothing_moves_it_before(tmp_path):
    with setup(tmp_path, "--dead-window", "1.0", settle_time=1.5, stand_up_on_start=False) as it:
        it.person.wait_for_state("STANDING")
        assert it.person.call("stand_up")[0]
        it.person.wait_for_state("READY")
        it.walk()
        moment = time.time()
        assert it.person.call("stand_down")[0]
        check("stand_down", it, moment, RAMP)
        assert it.person.state == "STANDING"
        wait_for(lambda: any("not ready to move" in line for line in it.log), "the gate to disengage")


@pytest.mark.parametrize("firmware", [(), ("--no-mode",)], ids=["older firmware", "newer firmware"])
def test_a_robot_that_is_damped_and_stood_up_again_does_not_walk_off(tmp_path, firmware):
    with setup(tmp_path, "--start-standing", "--dead-window", "1.0", *firmware, settle_time=1.5) as it:
        with Probe(it.dds) as remote_control:
            it.walk()
            moment = time.time()
            assert remote_control("Damp") == 0
            check("damped", it, moment, RAMP)
        # Where the firmware hides its mode, the robot is found out by its ignoring Move.
        it.person.wait_for_state("STANDING")
        assert it.person.call("stand_up")[0]
        it.person.wait_for_state("READY")
        assert it.person.speed == WALK and it.stays(2.0)
        it.walk()


def test_a_second_publisher_of_commands_stops_the_robot_and_is_named(standing):
    standing.walk()
    node, moment = standing.person.node, time.time()
    rival = node.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND)
    try:
        check("second publisher", standing, moment, 0.3 + RAMP)
        standing.person.wait_for_state("DEGRADED")
        assert any("2 nodes publish cmd_vel" in line for line in standing.log)
    finally:
        node.destroy_publisher(rival)
    standing.person.wait_for_state("READY")
    assert standing.stays()


def test_gate_and_bridge_say_their_limits_as_they_start(shared):
    said = [line for line in shared.log if "limits: vx" in line]
    assert any("[safety_gate]" in line and "vx -0.3 to 1.3 m/s, vy 0.45 m/s" in line for line in said)
    assert any("[go2_bridge]" in line and "vx -0.5 to 1.5 m/s, vy 0.6 m/s" in line for line in said)


def test_newer_firmware_that_hides_its_mode_walks_too(tmp_path):
    with setup(tmp_path, "--no-mode", "--dead-window", "1.0", settle_time=1.5) as it:
        it.walk()


def test_a_gate_that_dies_stops_the_robot(standing):
    standing.walk()
    moment = standing.kill("safety_gate")
    check("gate killed", standing, moment, 0.3 + RAMP)


def test_a_gate_that_hangs_stops_the_robot(standing):
    standing.walk()
    moment = standing.kill("safety_gate", signal.SIGSTOP)
    try:
        check("gate hangs", standing, moment, 0.3 + RAMP)
    finally:
        standing.kill("safety_gate", signal.SIGCONT)


def test_a_bridge_that_dies_stops_the_robot_at_once_and_leaves_nothing_behind(standing):
    standing.walk()
    sdk = standing.pid("sdk")
    moment = standing.kill("go2_bridge")
    check("bridge killed", standing, moment, RAMP)
    wait_for(lambda: not psutil.pid_exists(sdk), "the SDK process to end")


def test_a_bridge_that_hangs_stops_the_robot_and_its_backlog_does_not_move_it_again(standing):
    standing.walk()
    moment = standing.kill("go2_bridge", signal.SIGSTOP)
    try:
        check("bridge hangs", standing, moment, 0.3 + RAMP)
        wait_for(lambda: "outlasted" in standing.log[-1], "the gate to give up")
    finally:
        standing.kill("go2_bridge", signal.SIGCONT)
    assert standing.stays()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_bridge_that_is_asked_to_end_stops_the_robot_first(standing, number):
    standing.walk()
    moment = standing.kill("go2_bridge", number)
    check(f"bridge {number.name}", standing, moment, RAMP)


def test_an_sdk_process_that_dies_leaves_the_robots_own_hold_and_its_successor_does_not_walk_on(standing):
    standing.walk()
    first, said = standing.pid("sdk"), len(standing.person.states)
    moment = standing.kill("sdk")
    check("SDK process killed", standing, moment, 1.0 + RAMP)
    standing.person.wait_until_it_said("LOST", said)
    standing.person.wait_for_state("READY")
    assert standing.pid("sdk") != first
    assert standing.stays()


def test_an_sdk_process_that_is_asked_to_end_stops_the_robot_first(standing):
    standing.walk()
    said = len(standing.person.states)
    moment = standing.kill("sdk", signal.SIGTERM)
    check("SDK process SIGTERM", standing, moment, RAMP)
    standing.person.wait_until_it_said("LOST", said)


def test_a_robot_that_falls_silent_is_stopped_and_lost(standing):
    standing.walk()
    moment = time.time()
    standing.robot.fault("state silent")
    check("state silent", standing, moment, 0.3 + RAMP)
    standing.person.wait_for_state("LOST")


def test_odometry_that_is_not_finite_is_not_published_and_stops_the_robot(standing):
    standing.walk()
    moment = time.time()
    standing.robot.fault("state nan")
    check("state NaN", standing, moment, 0.2 + 0.3 + RAMP)
    assert all(np.isfinite(message.pose.pose.position.x) for message in standing.person.odometry)


def test_a_stop_that_is_not_acknowledged_is_asked_for_again_until_it_is(standing):
    standing.walk()
    standing.robot.fault("sport mute")
    moment = standing.kill("safety_gate", signal.SIGSTOP)
    try:
        check("StopMove unacknowledged", standing, moment, 0.3 + RAMP)
    finally:
        standing.kill("safety_gate", signal.SIGCONT)
    standing.person.speed = 0.0
    wait_for(lambda: standing.person.call("engage")[0], "the gate to engage")
    standing.person.speed = WALK
    assert standing.stays()
    standing.robot.fault("sport ok")
    wait_for(lambda: standing.robot.speed > 0.9 * WALK, "the robot to walk again")


def test_a_silent_camera_is_degraded_until_it_comes_back(standing):
    standing.robot.fault("camera silent")
    standing.person.wait_for_state("DEGRADED")
    standing.robot.fault("camera ok")
    standing.person.wait_for_state("READY")


def test_no_robot_gives_one_clear_message_and_it_connects_when_the_robot_comes(tmp_path):
    dds, log = free_domain(), []
    rows = tuple(row for row in go2_table(Go2Options(sim=True, domain=dds)) if row.name == "go2_bridge")
    with operator() as (person, ros):
        table = [replace(program, environment={"ROS_DOMAIN_ID": str(ros)}) for program in programs(rows)]
        with Processes(table, log.append):
            wait_for(lambda: any("no robot on interface 'lo'" in line for line in log), "the message")
            assert person.state == "CONNECTING" and person.odometry == []
            with VirtualRobot(tmp_path, dds, "--start-standing"):
                person.wait_for_state("READY")
        assert not any("Traceback" in line for line in log)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"interface": ""}, "interface is empty"),
        ({"calibration_file": "nowhere.yaml"}, "nowhere.yaml"),
        ({"command_timeout": 5.0}, "0.05 to 0.5"),
        ({"velocity_frame": "world"}, "one of odom, base_link"),
    ],
)
def test_a_bad_parameter_refuses_to_configure_and_says_the_rule(parameters, message):
    row = next(row for row in go2_table(Go2Options(sim=True)) if row.name == "go2_bridge")
    row = replace(row, parameters={**row.parameters, **parameters})
    log: list[str] = []
    with Processes(programs((row,)), log.append):
        wait_for(lambda: any("not configured" in line and message in line for line in log), message)
    assert not any("Traceback" in line for line in log)
