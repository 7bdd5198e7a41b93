"""The robot's own addresses: the virtual Go2 at 192.168.123.161 and the bridge at .99, in two network namespaces."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from system.go2_harness import Probe, VirtualRobot, wait_for

DOMAIN = 0  # the real robot's
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


def test_the_bridges_sdk_process_walks_the_robot_across_the_cable(cable, robot):
    output = subprocess.run(
        [*cable[1], sys.executable, str(PROBE), "host0"], stdout=subprocess.PIPE, text=True, check=True
    )
    seen = json.loads(output.stdout)
    assert seen["fault"] == ""
    assert seen["frames"] > 5 and seen["states"] > 40
    assert seen["speed"] == pytest.approx(0.4, abs=0.05)
    assert robot.steps()[-1]["command"] == [
        0.0,
        0.0,
        0.0,
    ]  # it was stopped at the end; the last Move would hold a second


def test_a_card_without_the_robots_network_finds_nothing_and_says_so(cable, robot):
    output = subprocess.run(
        [*cable[1], sys.executable, str(PROBE), "eth9"], stdout=subprocess.PIPE, text=True, check=True
    )
    assert "eth9" in json.loads(output.stdout)["fault"] and "host0" in json.loads(output.stdout)["fault"]
