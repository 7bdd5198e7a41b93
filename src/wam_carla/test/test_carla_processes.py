"""The bridge as a process of its own with a town behind it, and what happens to the car when something fails.

    python -m pytest -s src/wam_carla/test/test_carla_processes.py

prints the seconds and metres that the README gives.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("carla")
pytest.importorskip("mujoco")

from geometry_msgs.msg import TwistStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Bool

from wam_controller import qos

PATIENCE = 60.0  # s
SPEED = 5.0  # m/s
PARAMETERS = {"image_width": 320, "image_height": 192, "server_timeout": 3.0, "tick_timeout": 1.0}


class Drive:
    """A bridge in a process, and who drives it straight on at `speed`, a command after every clock; NaN says NaN, and
    None is silence."""

    def __init__(self, folder: Path) -> None:
        self.speed: float | None = 0.0
        self.ready: list[bool] = []
        self.images = 0
        self._truth = folder / "truth.jsonl"
        self._log = (folder / "bridge.log").open("w")
        domain = random.SystemRandom().randint(1, 100)
        words = ["--world", "val:0", "--scenario", "lane_following", "--truth", str(self._truth)]
        overrides = [part for name, value in PARAMETERS.items() for part in ("-p", f"{name}:={value}")]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wam_sim.virtual_carla.virtual_carla_node", *words, "--ros-args", *overrides],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
        )
        self._context = Context()
        self._context.init(domain_id=domain)
        self._node = Node("driver", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._commands = self._node.create_publisher(TwistStamped, "cmd_vel", qos.COMMAND)
        self._node.create_subscription(Clock, "/clock", self._on_clock, qos.CAMERA)
        self._node.create_subscription(Bool, "robot_ready", lambda it: self.ready.append(it.data), qos.LATCHED_STATUS)
        topic = "/carla/ego_vehicle/rgb_front/image/compressed"
        self._node.create_subscription(CompressedImage, topic, self._on_image, qos.CAMERA)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(timeout=5.0)
        self._node.destroy_node()
        self._context.try_shutdown()
        self._log.close()

    @property
    def truth(self) -> list[dict[str, Any]]:
        if not self._truth.exists():
            return []
        whole, _, _ = self._truth.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def steps(self) -> list[dict[str, Any]]:
        return [each for each in self.truth if "pose" in each]

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"waited for {what}, see {self._log.name}"
            time.sleep(0.05)

    def up_to_speed(self) -> None:
        self.until(lambda: self.ready[-1:] == [True], "the car")
        self.speed = SPEED
        self.until(lambda: self.steps[-1:] and self.steps[-1]["speed"] > 0.97 * SPEED, "speed")

    def stop_since(self, moment: float) -> tuple[float, float]:
        """Simulated seconds and metres from `moment` (s since 1970) until the car stood."""
        self.until(lambda: self.steps[-1]["speed"] == 0.0, "the car to stand")
        steps = [step for step in self.steps if step["t"] >= moment]
        stood = next(step for step in steps if step["speed"] == 0.0)
        metres = math.dist(steps[0]["pose"][:2], stood["pose"][:2])
        return stood["simulated"] - steps[0]["simulated"], metres

    def fault(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _on_clock(self, clock: Clock) -> None:
        if self.speed is not None:
            message = TwistStamped()
            message.header.stamp = clock.clock
            message.twist.linear.x = self.speed
            self._commands.publish(message)

    def _on_image(self, _: CompressedImage) -> None:
        self.images += 1


@pytest.fixture()
def drive(tmp_path: Path) -> Iterator[Drive]:
    made = Drive(tmp_path)
    yield made
    made.close()


def test_silence_of_the_gate_brakes_the_car(drive):
    drive.up_to_speed()
    assert drive.images > 0
    moment, drive.speed = time.time(), None
    seconds, metres = drive.stop_since(moment)
    print(f"\ngate silent at {SPEED:g} m/s: stands after {seconds:.2f} s, {metres:.2f} m")
    assert seconds < 2.0 and metres < 6.0
    assert "brake=1.0" in drive.steps[-1]["control"]
    drive.until(lambda: "hand_brake=True" in drive.steps[-1]["control"], "the hand brake")


def test_nan_brakes_the_car_at_once(drive):
    drive.up_to_speed()
    moment, drive.speed = time.time(), math.nan
    seconds, metres = drive.stop_since(moment)
    print(f"\nNaN at {SPEED:g} m/s: stands after {seconds:.2f} s, {metres:.2f} m")
    assert seconds < 1.7 and metres < 5.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_bridge_that_is_asked_to_end_leaves_nothing_behind(drive, number):
    drive.up_to_speed()
    began = time.monotonic()
    drive.process.send_signal(number)
    assert drive.process.wait(PATIENCE) == 0
    print(f"\n{number.name}: gone after {time.monotonic() - began:.2f} s")
    assert drive.truth[-1] == {"left": [], "synchronous": False}


def test_a_server_that_crashes_is_lost_and_found_again(drive):
    drive.up_to_speed()
    began = time.monotonic()
    drive.fault("server gone")
    drive.until(lambda: drive.ready[-1] is False, "LOST")
    print(f"\nserver gone: not ready after {time.monotonic() - began:.2f} s")
    drive.speed = 0.0
    drive.fault("server ok")
    drive.until(lambda: drive.ready[-1] is True, "a car again")
    assert drive.ready == [False, True, False, True]


@pytest.mark.skipif(
    os.environ.get("RMW_IMPLEMENTATION", "rmw_fastrtps_cpp") != "rmw_fastrtps_cpp", reason="shared memory of Fast DDS"
)
def test_raw_pictures_of_three_cameras_fit_into_the_shared_memory_of_the_bridge(tmp_path, monkeypatch):
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)  # localhost alone has transports of its own
    with closing(Drive(tmp_path)) as drive:
        drive.until(lambda: drive.ready[-1:] == [True], "the car")
        lines = Path(f"/proc/{drive.process.pid}/maps").read_text().splitlines()
        held = {Path(line.split()[-1]) for line in lines if "/dev/shm/fastrtps_" in line}
        # Six of each camera: what waits while a reader is busy for half a second at 10 Hz.
        assert max(path.stat().st_size for path in held) > 6 * 3 * (3 * 640 * 480)
