"""ros2 launch wam_planner carla.launch.py sim:=true world:=unseen:0"""

from __future__ import annotations

from launch import LaunchDescription
from wam_planner.bringup.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe("carla")
