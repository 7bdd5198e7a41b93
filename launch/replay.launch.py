"""ros2 launch wam_planner replay.launch.py bag:=out/demo/unseen-0-indoor/bag"""

from __future__ import annotations

from launch import LaunchDescription
from wam_planner.bringup.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe("replay")
