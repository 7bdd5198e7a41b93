#!/usr/bin/env bash
# Beside a ROS 2 from apt, after `rosdep install`: a virtual environment with what only pip has.
#
#   scripts/beside_ros.sh .venv                      further arguments go to pip
#   .venv/bin/python -m colcon build                 so that executables run under its Python
#
# numpy and OpenCV stay those of apt, which cv_bridge was built with.
set -euo pipefail
venv=$1
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

python3 -m venv --system-site-packages "$venv"
"$venv/bin/python" -m pip install 'numpy<2' 'setuptools<80' wheel "$@" -r "$root/requirements/robot.txt"
"$root/scripts/sdk.sh" "$venv"
