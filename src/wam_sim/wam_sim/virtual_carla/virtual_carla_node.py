"""The CARLA bridge with a virtual CARLA in its own process: the node, its parameters and topics are wam_carla's.

    virtual_carla_bridge --world unseen:3 --truth out/truth.jsonl --ros-args -p image_width:=320 -p image_height:=192

Beside those topics it publishes `instruction`, which says the next turn of the route. It takes faults on standard input
("server gone", see virtual_carla.faults), and writes what really happened, one JSON object a tick, where it is told to,
and at the end what the bridge has left in the world. The map is called after the world, such as unseen-3.
"""

from __future__ import annotations

import argparse
import sys
import threading
from functools import partial
from pathlib import Path

import numpy as np
from rclpy.utilities import remove_ros_args

from wam_carla.carla_bridge_node import CarlaBridgeNode, run_bridge
from wam_sim import virtual_carla
from wam_sim.town.layout import SPLITS
from wam_sim.town.scenarios import SCENARIOS, make_world
from wam_sim.town.simulation import TownSimulation
from wam_sim.virtual_carla.faults import Faults
from wam_sim.virtual_carla.referee import Referee
from wam_sim.virtual_carla.server import VirtualServer


def main() -> None:
    """Run the bridge until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=_world, default=("val", 0), metavar="SPLIT:SEED")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), default="route")
    parser.add_argument("--camera-size", type=_size, default=(192, 320), metavar="HxW", help="as it is drawn")
    parser.add_argument("--cameras", default="front", help="that are drawn, such as front,left,right")
    parser.add_argument("--still", action="store_true", help="show each camera's first picture for ever: costs nothing")
    parser.add_argument("--port", type=int, default=2000, help="that the bridge's parameter port must name")
    parser.add_argument("--truth", type=Path, help="file for what really happened, JSON lines")
    arguments = parser.parse_args(remove_ros_args(sys.argv)[1:])
    split, seed = arguments.world
    world = make_world(split, seed, arguments.scenario)
    cameras = tuple(arguments.cameras.split(","))
    referee = Referee(arguments.truth)

    def town(_: str) -> TownSimulation:
        simulation = (StillTown if arguments.still else TownSimulation)(world, arguments.camera_size, seed, cameras)
        for camera in cameras:
            simulation.render(camera)  # the first one takes a second, longer than a tick may
        referee.watch(simulation)
        return simulation

    server = VirtualServer(town, maps=(f"{split}-{seed}",), port=arguments.port, on_step=referee.on_step)
    threading.Thread(target=_listen, args=(server.faults,), name="faults", daemon=True).start()
    try:
        run_bridge(partial(CarlaBridgeNode, virtual_carla, lambda: referee.instruction))
    finally:
        server.close()
        left = sorted(actor.type_id for actor in server.actors.values())
        referee.close(left=left, synchronous=server.settings.synchronous_mode)


class StillTown(TownSimulation):
    """A town whose cameras show their first picture for ever. CARLA draws on another machine or a GPU; here it would
    take the time of whom a benchmark measures."""

    def render(self, camera: str = "front") -> np.ndarray:
        """See TownSimulation."""
        kept = self._pictures.get(camera)
        return super().render(camera) if kept is None else kept[1]


def _listen(faults: Faults) -> None:
    """Thread: faults from standard input."""
    for line in sys.stdin:
        try:
            faults.switch(line)
        except ValueError as error:
            print(error, file=sys.stderr, flush=True)


def _world(text: str) -> tuple[str, int]:
    split, _, seed = text.partition(":")
    if split not in SPLITS or not seed.isdecimal():
        raise argparse.ArgumentTypeError(
            f"{text!r} is no town: write SPLIT:SEED, such as unseen:3, of {', '.join(SPLITS)}"
        )
    return split, int(seed)


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return int(height), int(width)


if __name__ == "__main__":
    main()
