"""The process that speaks to the robot through the vendor's SDK: `python -m wam_go2.sdk_process`, started by the
bridge.

It is a process of its own because the SDK's Cyclone DDS and a ROS middleware do not belong together, because it may
need another interpreter, and because it must stop the robot when everything else is gone. Apart from this file only the
virtual robot imports unitree_sdk2py.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import platform
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from wam_go2.protocol import Channel, Fault, Hello, RobotState
from wam_go2.robot_side import RobotSide, Settings
from wam_go2.watchdog import WatchdogConfig

CYCLONE_VERSION = "0.10.2"  # what the robot speaks
# The only calls that this process can make: what is not registered here, the SDK's client refuses (3103). The acrobatic
# ids of the same service must never be within a policy's reach.
SPORT_API = {
    "damp": 1001,
    "balance_stand": 1002,
    "stop_move": 1003,
    "stand_up": 1004,
    "stand_down": 1005,
    "recovery_stand": 1006,
    "move": 1008,
}
CALL_TIMEOUT = 0.2  # s; a longer one would hold up the next stop
VIDEO_TIMEOUT = 1.0  # s


class SetupError(RuntimeError):
    """The SDK cannot start here. retry: whether waiting may help."""

    def __init__(self, text: str, retry: bool) -> None:
        super().__init__(text)
        self.retry = retry


def check_versions() -> str:
    """The Cyclone DDS version. Raises SetupError unless it is the robot's: another one starts, and never finds it."""
    if importlib.util.find_spec("unitree_sdk2py") is None:
        raise SetupError(f"{sys.executable} has no unitree_sdk2py: run 'make setup'", retry=False)
    try:
        version = importlib.metadata.version("cyclonedds")
    except importlib.metadata.PackageNotFoundError:
        raise SetupError(f"{sys.executable} has no cyclonedds: install {CYCLONE_VERSION}", retry=False) from None
    if version != CYCLONE_VERSION:
        raise SetupError(
            f"{sys.executable} has Cyclone DDS {version}, but the robot speaks {CYCLONE_VERSION} and the two never "
            f"find each other: install cyclonedds=={CYCLONE_VERSION}, or set sdk_python to an interpreter that has it",
            retry=False,
        )
    return version


def check_interface(name: str) -> None:
    """Raises SetupError when this machine has no such network card."""
    cards = [card for _, card in socket.if_nameindex()]
    if name not in cards:
        raise SetupError(f"no network interface {name!r} here: set interface to one of {', '.join(cards)}", retry=True)


class SdkRobot:
    """The robot through the SDK. Raises SetupError when DDS cannot start on the interface."""

    def __init__(self, interface: str, domain: int) -> None:
        # Here and not above: everything in this file that can refuse does so before Cyclone is loaded.
        from unitree_sdk2py.core import channel
        from unitree_sdk2py.go2.video.video_client import VideoClient
        from unitree_sdk2py.idl.unitree_go.msg.dds_ import SportModeState_
        from unitree_sdk2py.rpc.client import Client

        # As shipped, DDS writes a trace into one file for all users of the machine, and a line on stderr for every
        # packet that a pulled-out cable loses. What goes wrong is said by the codes of the calls.
        channel.ChannelConfigHasInterface = re.sub(
            r"<Verbosity>.*</OutputFile>", "<Verbosity>none</Verbosity>", channel.ChannelConfigHasInterface, flags=re.S
        )
        if not channel.ChannelFactory().Init(domain, escape(interface, {'"': "&quot;"})):
            raise SetupError(
                f"DDS does not start on {interface!r}: is it up, with an address such as 192.168.123.99/24?", retry=True
            )
        self._sport = Client("sport")
        self._sport.SetTimeout(CALL_TIMEOUT)
        for api_id in SPORT_API.values():
            self._sport._RegistApi(api_id, 0)
        self._video = VideoClient()
        self._video.SetTimeout(VIDEO_TIMEOUT)
        self._video.Init()
        self._state = channel.ChannelSubscriber("rt/sportmodestate", SportModeState_)

    def call(self, name: str) -> int:
        code, _ = self._sport._Call(SPORT_API[name], "{}")
        return code

    def move(self, vx: float, vy: float, yaw_rate: float) -> int:
        return self._sport._CallNoReply(SPORT_API["move"], json.dumps({"x": vx, "y": vy, "z": yaw_rate}))

    def image(self) -> tuple[int, bytes]:
        code, data = self._video.GetImageSample()
        return code, bytes(data or b"")

    def listen(self, heard: Callable[[RobotState], None]) -> None:
        def convert(sample: Any) -> None:
            heard(
                RobotState(
                    arrival=time.monotonic(),
                    stamp=sample.stamp.sec + 1e-9 * sample.stamp.nanosec,
                    mode=int(sample.mode),
                    error_code=int(sample.error_code),
                    position=[float(value) for value in sample.position],
                    quaternion=[float(value) for value in sample.imu_state.quaternion],
                    velocity=[float(value) for value in sample.velocity],
                    yaw_rate=float(sample.yaw_speed),
                    body_height=float(sample.body_height),
                )
            )

        # With a queue the SDK calls from a thread of its own; without one, from DDS's, which must not be held up.
        self._state.Init(convert, 10)


def main() -> int:
    """Serve one node; the exit status is 0 when the node ended it and 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the connected socket, inherited from the bridge")
    parser.add_argument("--interface", required=True)
    parser.add_argument("--domain", type=int, required=True)
    parser.add_argument("--camera-rate", type=float, required=True, help="Hz")
    parser.add_argument("--command-timeout", type=float, required=True, help="s")
    parser.add_argument("--resend-rate", type=float, required=True, help="Hz")
    arguments = parser.parse_args()

    channel = Channel(socket.socket(fileno=arguments.fd))
    try:
        cyclone = check_versions()
        check_interface(arguments.interface)
        # The SDK prints a line for every call that fails; those lines reach the user through the codes instead.
        with contextlib.redirect_stdout(None):
            return _serve(channel, arguments, cyclone)
    except SetupError as error:
        channel.send(Fault(str(error), error.retry))
        return 1
    finally:
        channel.close(flush=1.0)


def _serve(channel: Channel, arguments: argparse.Namespace, cyclone: str) -> int:
    watchdog = WatchdogConfig(command_timeout=arguments.command_timeout, resend_rate=arguments.resend_rate)
    robot = SdkRobot(arguments.interface, arguments.domain)
    side = RobotSide(channel, robot, Settings(watchdog, camera_rate=arguments.camera_rate))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: side.end(f"signal {received}"))

    def broken(failure: threading.ExceptHookArgs) -> None:
        channel.send(Fault(f"{failure.thread}: {failure.exc_value!r}", retry=True))
        side.end("a thread broke")

    threading.excepthook = broken
    channel.send(Hello(platform.python_version(), cyclone))
    side.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
