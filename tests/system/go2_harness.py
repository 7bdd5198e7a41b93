"""The virtual Go2 as a process, the stock SDK in another, and an operator with a ROS node: what the Go2 tests share.

The SDK's DDS and ROS's do not belong into one process, so the test's own process only has ROS.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geometry_msgs.msg import TwistStamped
from nav_msgs.msg import Odometry
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from wam_controller import qos
from wam_controller.conversions import time_message

PATIENCE = 30.0  # s
STILL = 0.03  # m/s or rad/s: slower is standing
PROBE = Path(__file__).with_name("go2_probe.py")


def wait_for(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What `condition` says as soon as it says something; fails after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {patience} s for {what}"
        time.sleep(0.01)
    return result


def free_domain() -> int:
    """A DDS domain that hardly anyone else has just now."""
    return random.SystemRandom().randint(101, 200)


@dataclass(frozen=True)
class Stop:
    """What it took to stand still: seconds and metres."""

    seconds: float
    metres: float


class VirtualRobot:
    """A running virtual_go2. prefix: words before its command, such as those that change the network namespace."""

    def __init__(self, folder: Path, domain: int, *arguments: str, prefix: tuple[str, ...] = ()) -> None:
        self.truth_file = folder / "truth.jsonl"
        self._steps: list[dict[str, Any]] = []
        self._read = 0  # bytes of the truth file that are in _steps
        self._log = (folder / "robot.log").open("w")
        words = ["--domain", str(domain), "--truth", str(self.truth_file), "--camera-size", "90x160", *arguments]
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "wam_sim.virtual_go2.server", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def __enter__(self) -> VirtualRobot:
        line = self.process.stdout.readline()
        assert "ready" in line, f"the virtual robot did not start, see {self._log.name}"
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def fault(self, line: str) -> None:
        """Switch a fault, as wam_sim.faults describes."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def steps(self, since: float = 0.0) -> list[dict[str, Any]]:
        """The physics steps in the truth file from a moment (s since 1970) on.

        Only what is new is read: parsing minutes of steps would hold the interpreter from the operator's 50 Hz.
        """
        with self.truth_file.open("rb") as file:
            file.seek(self._read)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._read += len(whole) + len(newline)
        self._steps += [step for step in map(json.loads, whole.splitlines()) if "pose" in step]
        return self._steps[bisect_left(self._steps, since, key=lambda step: step["t"]) :]

    @property
    def speed(self) -> float:
        """The largest component of the body's twist now, m/s or rad/s."""
        self.steps()
        return max(map(abs, self._steps[-1]["twist"])) if self._steps else 0.0

    def stop_since(self, moment: float, settle: float = 0.5, patience: float = 10.0) -> Stop:
        """Time and way from `moment` (s since 1970) until the body stood, and stayed, still."""

        def stood() -> Stop | None:
            steps = self.steps(moment)
            moving = [step for step in steps if max(map(abs, step["twist"])) > STILL]
            last = moving[-1] if moving else {"t": moment}
            if not steps or steps[-1]["t"] - last["t"] < settle:
                return None
            (x0, y0, _), (x1, y1, _) = steps[0]["pose"], steps[-1]["pose"]
            return Stop(last["t"] - moment, ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5)

        return wait_for(stood, "the robot to stand still", patience)


class Probe:
    """The vendor's stock clients in a process of their own."""

    def __init__(self, domain: int, interface: str = "lo", prefix: tuple[str, ...] = ()) -> None:
        self._process = subprocess.Popen(
            [*prefix, sys.executable, str(PROBE), str(domain), interface],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Probe:
        assert self._answer() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.stdin.close()
        self._process.wait(10.0)

    def __call__(self, call: str, *arguments: float) -> Any:
        """Make one call; its answer. See go2_probe.py."""
        self._process.stdin.write(json.dumps([call, *arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        assert line, "the SDK's client ended"
        return json.loads(line)


class Operator:
    """Everything left of the gate: commands at 50 Hz, engages, and listens to the bridge. speed: m/s ahead."""

    def __init__(self, ros_domain: int, topic: str = "cmd_vel_nav") -> None:
        self._context = Context()
        self._context.init(domain_id=ros_domain)
        self.node = Node("operator", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self.speed = 0.0
        self.states: list[str] = []
        self.odometry: list[Odometry] = []
        self.images: list[CompressedImage] = []
        self.infos: list[CameraInfo] = []
        self._commands = self.node.create_publisher(TwistStamped, topic, qos.COMMAND)
        self.node.create_timer(0.02, self._command)
        self.node.create_subscription(String, "go2_bridge/state", self._on_state, qos.LATCHED)
        self.node.create_subscription(Odometry, "odom", self.odometry.append, qos.ODOMETRY)
        self.node.create_subscription(CompressedImage, "camera/front/image/compressed", self.images.append, qos.CAMERA)
        self.node.create_subscription(CameraInfo, "camera/front/camera_info", self.infos.append, qos.CAMERA)
        self._clients = {
            "engage": self.node.create_client(SetBool, "safety_gate/engage"),
            "stand_up": self.node.create_client(Trigger, "go2_bridge/stand_up"),
            "stand_down": self.node.create_client(Trigger, "go2_bridge/stand_down"),
        }

    def __enter__(self) -> Operator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # The executor first: a callback that meets a context which is gone already would raise.
        self._executor.shutdown(timeout_sec=5.0)
        self._thread.join(timeout=5.0)
        self.node.destroy_node()
        self._context.try_shutdown()

    @property
    def state(self) -> str:
        """The bridge's, empty before it said one."""
        return self.states[-1] if self.states else ""

    @property
    def now(self) -> float:
        """s of the ROS clock."""
        return self.node.get_clock().now().nanoseconds * 1e-9

    def call(self, name: str) -> tuple[bool, str]:
        """Call one of the services; its answer. Asked again when it went to a server that is gone."""
        client = self._clients[name]
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert client.wait_for_service(PATIENCE), f"nobody serves {client.srv_name}"
            done = threading.Event()
            future = client.call_async(SetBool.Request(data=True) if name == "engage" else Trigger.Request())
            future.add_done_callback(lambda _, done=done: done.set())
            if done.wait(2.0):
                return future.result().success, future.result().message
        raise AssertionError(f"{client.srv_name} did not answer")

    def wait_for_state(self, state: str) -> None:
        wait_for(lambda: self.state == state, f"the bridge to be {state}; it is {self.state}")

    def wait_until_it_said(self, state: str, after: int) -> None:
        """A state that may be over again. after: how many states there were before."""
        wait_for(lambda: state in self.states[after:], f"the bridge to have been {state}")

    def _on_state(self, message: String) -> None:
        self.states.append(message.data)

    def _command(self) -> None:
        message = TwistStamped()
        message.header.stamp = time_message(self.now)
        message.twist.linear.x = self.speed
        self._commands.publish(message)


@contextmanager
def operator(topic: str = "cmd_vel_nav") -> Iterator[tuple[Operator, int]]:
    """An operator, and the ROS domain he is alone in."""
    domain = random.SystemRandom().randint(1, 100)
    with Operator(domain, topic) as person:
        yield person, domain
