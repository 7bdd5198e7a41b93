# The environment of this workspace: wheels, messages, packages. Made by `make setup`.
#
#   in a shell (bash):    . scripts/env.sh          then python, pytest, wam_* and the ROS executables just work
#   for one command:      scripts/run python -m pytest src/wam_controller/test
#   from Python:          start children with os.environ as it is; it carries everything
#
# Values are set, not appended: an apt ROS sourced earlier would mix two ROS versions in one process.

_wam_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
_wam_venv=$_wam_root/.venv

if [ ! -e "$_wam_root/install/local_setup.bash" ] || [ ! -x "$_wam_venv/bin/python" ]; then
    echo "This workspace is not set up yet: run 'make setup' in $_wam_root" >&2
    return 1
fi

unset PYTHONPATH PYTHONHOME CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH
export AMENT_PREFIX_PATH=$_wam_venv
export ROS_DISTRO=jazzy ROS_VERSION=2 ROS_PYTHON_VERSION=3
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp

# The ROS wheels restart every interpreter once to find their libraries; saying here where they are spares the restart.
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
LD_LIBRARY_PATH=$_wam_venv/lib
for _wam_libs in "$_wam_venv"/lib/python3*/site-packages/ros_*.libs; do
    LD_LIBRARY_PATH=$LD_LIBRARY_PATH:$_wam_libs
done
export LD_LIBRARY_PATH

. "$_wam_root/install/local_setup.bash"

case "$PATH" in
    "$_wam_venv/bin:"*) ;;
    *) export PATH=$_wam_venv/bin:$_wam_root/install/wam_tools/lib/wam_tools:$PATH ;;
esac
export VIRTUAL_ENV=$_wam_venv
export MUJOCO_GL=${MUJOCO_GL:-egl}    # rendering without a display
unset _wam_root _wam_venv _wam_libs
