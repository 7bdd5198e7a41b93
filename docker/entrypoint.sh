#!/bin/bash
# Launch arguments (name:=value), or none, start the Go2; anything else is a command to run instead.
set -e
. /opt/ros/jazzy/setup.bash
. /wam/install/setup.bash
export PATH=/opt/venv/bin:/wam/install/wam_tools/lib/wam_tools:$PATH
case "$1" in
    "" | *:=*) exec ros2 launch wam_planner go2.launch.py "$@" ;;
    *) exec "$@" ;;
esac
