"""ros2 launch wam_planner go2.launch.py sim:=true goal:=8.0,0.0"""

from __future__ import annotations

from launch import LaunchDescription
from wam_planner.bringup.launching import describe


def generate_launch_description() -> LaunchDescription:
    return describe("go2")
