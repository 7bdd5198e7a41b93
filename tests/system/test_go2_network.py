"""The robot's own addresses: the virtual Go2 at 192.168.123.161 and the bridge at .99, in two network namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.go2_harness import PATIENCE, Probe, VirtualRobot, wait_for

DOMAIN = 0  # the real robot's
RAMP, SLACK = 0.5, 0.4  # s from 0.4 m/s to standing, and what a loaded machine may be late
PROBE = Path(__file__).with_name("go2_link_probe.py")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def why_not() -> str:
    """What keeps this machine from having network namespaces; empty when nothing does."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "ip(8) is not installed: apt install iproute2"
    name = f"wam-try-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        return f"no network namespaces here: {made.stderr.strip()}"
    ip("netns", "delete", name)
    return ""


@pytest.fixture(scope="module")
def cable() -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """A cable between two namespaces; what to put before a command to run it at the robot's end, and at the host's."""
    if reason := why_not():
        pytest.skip(reason)
    ends = {"robot": "192.168.123.161", "host": "192.168.123.99"}
    names = {end: f"wam-{end}-{os.getpid()}" for end in ends}
    made = []
    try:
        for name in names.values():
            ip("netns", "add", name)
            made.append(name)
        ip("link", "add", "robot0", "netns", names["robot"], "type", "veth", "peer", "host0", "netns", names["host"])
        for end, address in ends.items():
            ip("-n", names[end], "address", "add", f"{address}/24", "dev", f"{end}0")
            ip("-n", names[end], "link", "set", f"{end}0", "up")
            ip("-n", names[end], "link", "set", "lo", "up")
        yield tuple(("ip", "netns", "exec", names[end]) for end in ends)
    finally:
        for name in made:
            ip("netns", "delete", name)


@pytest.fixture(scope="module")
def robot(cable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualRobot]:
    """The virtual Go2 at its end of the cable."""
    folder = tmp_path_factory.mktemp("go2")
    with VirtualRobot(folder, DOMAIN, "--interface", "robot0", "--start-standing", prefix=cable[0]) as it:
        yield it


def test_the_stock_sdk_finds_the_robot_across_the_cable(cable, robot):
    with Probe(DOMAIN, "host0", prefix=cable[1]) as probe:
        wait_for(lambda: probe("StopMove") == 0, "the sport service")
        wait_for(lambda: (state := probe("state")) and 45.0 < state["rate"] < 55.0, "states at 50 Hz")
        assert probe("image")["code"] == 0


def walk(cable: tuple[tuple[str, ...], tuple[str, ...]], interface: str, seconds: float) -> subprocess.Popen[str]:
    """The bridge's SDK process walking the robot at 0.4 m/s; what it prints at the end is what it saw."""
    words = [*cable[1], sys.executable, str(PROBE), interface, str(seconds)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def test_the_bridges_sdk_process_walks_the_robot_across_the_cable(cable, robot):
    seen = json.loads(walk(cable, "host0", 1.0).communicate(timeout=PATIENCE)[0])
    assert seen["fault"] == ""
    assert seen["frames"] > 5 and seen["states"] > 40
    assert seen["speed"] == pytest.approx(0.4, abs=0.05)
    assert robot.steps()[-1]["command"] == [0.0, 0.0, 0.0]  # it was stopped; the last Move would hold for a second


def test_a_cable_that_is_pulled_out_leaves_the_robots_own_hold_and_put_back_it_goes_on(cable, robot):
    process = walk(cable, "host0", 60.0)
    namespace = cable[1][-1]
    try:
        wait_for(lambda: robot.speed > 0.35, "the robot to walk")
        ip("-n", namespace, "link", "set", "host0", "down")
        moment = time.time()
        stop = robot.stop_since(moment)
        print(f"cable pulled out: {stop.seconds:.2f} s, {stop.metres:.2f} m")
        assert stop.seconds < 1.0 + RAMP + SLACK
        ip("-n", namespace, "link", "set", "host0", "up")
        wait_for(lambda: robot.speed > 0.35, "the robot to walk again")
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_a_card_that_is_not_there_is_named_with_those_that_are(cable, robot):
    seen = json.loads(walk(cable, "eth9", 1.0).communicate(timeout=PATIENCE)[0])
    assert "eth9" in seen["fault"] and "host0" in seen["fault"]
