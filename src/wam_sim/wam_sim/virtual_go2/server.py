"""The process that plays the robot: the vendor's own RPC servers and topics around the simulation.

    virtual_go2 --world unseen:3 --interface lo --domain 7 --truth out/truth.jsonl

It prints one line of JSON when it is ready, takes faults on standard input ("camera frozen", see wam_sim.faults), and
ends on SIGINT or SIGTERM with a summary in the truth file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from transforms3d.euler import euler2quat
from unitree_sdk2py.core import channel
from unitree_sdk2py.idl.default import unitree_go_msg_dds__SportModeState_
from unitree_sdk2py.idl.unitree_go.msg.dds_ import SportModeState_
from unitree_sdk2py.rpc.server import Server

from wam_sim.faults import CameraFault, Faults, SportFault, StateFault
from wam_sim.simulation import YardSimulation
from wam_sim.virtual_go2.sport import Api, SportConfig, SportService
from wam_sim.virtual_go2.truth import Truth
from wam_sim.virtual_go2.video import Camera
from wam_sim.worlds import make_world

STEP = 0.02  # s, of the physics and of the state topic
LINGER = 1.0  # s between the signal to end and the end
MAX_BEHIND = 0.5  # s; after a longer pause of this process the world does not catch up
VIDEO_SAMPLE = 1001


class _Sport(Server):
    """The "sport" service. Calls arrive on a thread of the SDK's; the lock is held for microseconds."""

    def __init__(self, service: SportService, faults: Faults) -> None:
        super().__init__("sport")
        self._service = service
        self._faults = faults
        self.lock = threading.Lock()
        self._SetApiVersion("1.0.0.1")
        for api in Api:
            self._RegistHandler(int(api), lambda parameter, api=api: self._carry_out(api, parameter), False)

    def _carry_out(self, api: Api, parameter: str) -> tuple[int, str]:
        if self._faults.sport is SportFault.DEAF:
            return 0, ""
        with self.lock:
            return self._service.call(time.monotonic(), api, parameter), ""

    def _SendResponse(self, response: object) -> None:
        if self._faults.sport is SportFault.OK:
            super()._SendResponse(response)


class _Video(Server):
    """The "videohub" service."""

    def __init__(self, camera: Camera, taken: Callable[[float], None], faults: Faults) -> None:
        super().__init__("videohub")
        self._camera, self._taken, self._faults = camera, taken, faults
        # As shipped it is a dict, and registering any binary handler fails.
        self._Server__apiBinarySet: set[int] = set()
        self._SetApiVersion("1.0.0.1")
        self._RegistBinaryHandler(VIDEO_SAMPLE, self._sample, False)

    def _sample(self, _: object) -> tuple[int, list[int]]:
        clock = time.time()
        jpeg, taken = self._camera.sample(time.monotonic(), self._faults.camera)
        if taken:
            self._taken(clock)
        return 0, list(jpeg)

    def _SendResponse(self, response: object) -> None:
        if self._faults.camera is not CameraFault.SILENT:
            super()._SendResponse(response)


class VirtualGo2:
    """Simulation, services and topic of one robot."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        split, seed = arguments.world
        world = make_world(split, seed)
        self._faults = Faults()
        self._simulation = YardSimulation(world, camera_size=arguments.camera_size, seed=seed)
        facts = {
            "split": split,
            "seed": seed,
            "kind": world.kind,
            "night": world.appearance.night,
            "start": list(world.start),
            "goal": list(world.goal),
            "camera_size": list(arguments.camera_size),
        }
        self._truth = Truth.open(arguments.truth, world.name, facts)
        self._service = SportService(
            SportConfig(dead_window=arguments.dead_window, reports_mode=not arguments.no_mode), arguments.start_standing
        )
        self._sport = _Sport(self._service, self._faults)
        self._video = _Video(Camera(self._simulation.render, arguments.camera_rate), self._on_image, self._faults)
        self._publisher = channel.ChannelPublisher("rt/sportmodestate", SportModeState_)
        self._velocity_frame = arguments.velocity_frame
        self._ends_at = math.inf

    def run(self, announce: Callable[[str], None]) -> None:
        """Play until `end`; the summary is then in the truth file. announce: takes the line that says it is ready."""
        self._publisher.Init()
        self._sport.Start()
        self._video.Start()
        threading.Thread(target=self._listen, name="faults", daemon=True).start()
        announce(json.dumps({"ready": self._truth.summary.world}))
        began = time.monotonic()
        try:
            while time.monotonic() < self._ends_at:
                time.sleep(max(began + self._simulation.time + STEP - time.monotonic(), 0.0))
                behind = time.monotonic() - began - self._simulation.time
                if behind > MAX_BEHIND:
                    began += behind - STEP
                self._step()
        finally:
            self._truth.close()

    def end(self) -> None:
        """End in a moment: whoever walks the robot ends at the same Ctrl-C and wants its last stop acknowledged."""
        self._ends_at = min(self._ends_at, time.monotonic() + LINGER)

    def _step(self) -> None:
        now, simulation = time.monotonic(), self._simulation
        with self._sport.lock:
            command = self._service.velocity(now)
            mode, error_code = self._service.reported
            height = self._service.body_height(now)
        simulation.step(command, STEP)
        if self._faults.state is not StateFault.SILENT:
            self._publisher.Write(self._state(now, mode, error_code, height))
        self._truth.step(
            clock=time.time(),
            seconds=simulation.time,
            pose=simulation.pose.tolist(),
            twist=simulation.twist.tolist(),
            command=list(command),
            mode=int(self._service.mode),
            contact=bool(simulation.in_contact),
            clearance=float(simulation.clearance),
            reached=bool(simulation.reached),
            path_length=simulation.path_length,
        )

    def _on_image(self, clock: float) -> None:
        """From the video service's thread."""
        self._truth.image(clock, [list(map(float, pose)) for pose in self._simulation.walkers])

    def _state(self, now: float, mode: int, error_code: int, height: float) -> SportModeState_:
        x, y, yaw = self._simulation.pose
        vx, vy, yaw_rate = self._simulation.twist
        if self._velocity_frame == "odom":
            vx, vy = np.cos(yaw) * vx - np.sin(yaw) * vy, np.sin(yaw) * vx + np.cos(yaw) * vy
        if self._faults.state is StateFault.NAN:
            x = float("nan")
        state = unitree_go_msg_dds__SportModeState_()
        # The robot's clock is its own: here, seconds since the machine started.
        state.stamp.sec, state.stamp.nanosec = int(now), int(now % 1.0 * 1e9)
        state.mode, state.error_code, state.body_height = mode, error_code, height
        state.position = [float(x), float(y), height]
        state.velocity = [float(vx), float(vy), 0.0]
        state.yaw_speed = float(yaw_rate)
        state.imu_state.quaternion = [float(value) for value in euler2quat(0.0, 0.0, float(yaw))]
        state.imu_state.rpy = [0.0, 0.0, float(yaw)]
        return state

    def _listen(self) -> None:
        """Thread: faults from standard input."""
        for line in sys.stdin:
            try:
                self._faults.switch(line)
            except ValueError as error:
                print(error, file=sys.stderr, flush=True)


def _world(text: str) -> tuple[str, int]:
    split, _, seed = text.partition(":")
    return split, int(seed)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=_world, default=("val", 0), metavar="SPLIT:SEED")
    parser.add_argument("--interface", default="lo", help="network card to answer on")
    parser.add_argument("--domain", type=int, default=0, help="DDS domain")
    parser.add_argument("--camera-size", type=_size, default=(180, 320), metavar="HxW")
    parser.add_argument("--camera-rate", type=float, default=15.0, help="Hz, at most")
    parser.add_argument("--truth", type=Path, help="file for what really happened, JSON lines")
    parser.add_argument("--start-standing", action="store_true", help="balanced from the start instead of lying")
    parser.add_argument("--dead-window", type=float, default=4.0, help="s after StandUp in which Move is ignored")
    parser.add_argument("--no-mode", action="store_true", help="as newer firmware: mode stays 0")
    parser.add_argument("--velocity-frame", choices=("odom", "base_link"), default="odom")
    arguments = parser.parse_args()
    # As shipped, DDS writes a trace into one file for all users of the machine.
    channel.ChannelConfigHasInterface = re.sub(
        r"<Verbosity>.*</OutputFile>", "<Verbosity>none</Verbosity>", channel.ChannelConfigHasInterface, flags=re.S
    )
    announce = partial(print, file=sys.stdout, flush=True)
    with contextlib.redirect_stdout(sys.stderr):  # the SDK prints as it goes
        if not channel.ChannelFactory().Init(arguments.domain, arguments.interface):
            print(f"DDS does not start on {arguments.interface!r}: is there such an interface, and is it up?")
            return 1
        robot = VirtualGo2(arguments)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: robot.end())
        robot.run(announce)
    return 0


if __name__ == "__main__":
    sys.exit(main())
