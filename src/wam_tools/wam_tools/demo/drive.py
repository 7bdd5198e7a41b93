"""One drive of the demo: the whole graph as real processes in one town, from the first plan to the judge's verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from wam_planner.bringup import CarlaOptions, carla_table
from wam_planner.bringup.carla import car_topics
from wam_sim.town.world import TownWorld
from wam_tools.demo.drive_truth import DriveFollower, Standing
from wam_tools.demo.run import PERIOD, REST_PATIENCE, STILL, Folder, Graph, staged

PATIENCE = 600.0  # s of the wall clock for a route: the judge ends it sooner where simulated time keeps its pace
_FIRST_MOTION = 60.0  # s for the car to be told to move, once engaged


def drive(world: TownWorld, model: str, folder: Folder, progress: Callable[[str, Standing], None]) -> Standing:
    """Drive one town; progress: called a few times a second with what is going on. Raises RunError."""
    folder.clear()
    follower = DriveFollower(folder.truth)
    with staged(_graph(world, model, folder), folder, lambda what: progress(what, follower.look())) as stage:
        for _ in stage.wait("starting"):
            if stage.operator.state == "READY":
                break
        stage.engage()
        deadline = time.monotonic() + _FIRST_MOTION
        for _ in stage.wait("driving", PATIENCE):
            standing = follower.standing
            if standing.ended or (not standing.began and time.monotonic() > deadline):
                break
        stage.operator.engage(False)
        resting = time.monotonic() + REST_PATIENCE
        while follower.look().speed > STILL and time.monotonic() < resting:
            time.sleep(PERIOD)
    return follower.look()


def _graph(world: TownWorld, model: str, folder: Folder) -> Graph:
    options = CarlaOptions(sim=True, model=model, world=f"{world.split}:{world.seed}", scenario=world.scenario)
    rows = [
        replace(row, arguments=(*row.arguments, "--truth", str(folder.truth))) if row.name == "carla_bridge" else row
        for row in carla_table(options)
    ]
    odometry, pictures, calibrations = car_topics(options.role_name)
    return Graph(rows, "carla", {**odometry, **pictures, **calibrations}, simulated_time=True)
