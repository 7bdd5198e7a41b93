#!/usr/bin/env bash
# From a bare Debian or Ubuntu with Python 3.11 to a workspace that runs: `make setup`, `make test` and `make demo` call this.
#
# Five stages. Each leaves a stamp that names its inputs, written last and inside the thing it vouches for, so a stage is
# done again when an input changed, when it was interrupted, or when its product was deleted. With nothing to do: a second.
set -Eeuo pipefail
trap 'printf "[setup] stopped in line %s of scripts/setup.sh\n" $LINENO >&2' ERR
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
unset PYTHONPATH PYTHONHOME AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH LD_LIBRARY_PATH
venv=$root/.venv
log=$root/.cache/setup.log

say() { printf '[setup] %s\n' "$*"; }
fail() { printf '\n[setup] %s\n' "$@" >&2; exit 1; }
digest() { sha256sum | cut -c1-16; }
stamped() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }
logged() {
    "$@" >>"$log" 2>&1 || { local status=$?; tail -n 30 "$log" >&2; say "failed: $* (all of it in $log)" >&2; return $status; }
}

# 1. What only the machine's owner can give: an interpreter, a compiler, libraries.

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3.11}" python3 "$HOME"/.pyenv/versions/3.11.*/bin/python; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            "$candidate" -c 'import sys; print(sys.executable)'
            return
        fi
    done
    fail "Python 3.11 is missing: the ROS wheels and requirements/lock.txt are for it." \
        "Debian 12: apt install python3.11. Elsewhere: pyenv install 3.11, or PYTHON=/path/to/python3.11 make setup."
}

missing_packages() {
    local library libraries
    command -v git >/dev/null || echo git
    command -v c++ >/dev/null || echo g++
    "$python" -c 'import ensurepip' 2>/dev/null || echo python3.11-venv
    "$python" -c 'import sysconfig, pathlib; pathlib.Path(sysconfig.get_path("include"), "Python.h").stat()' 2>/dev/null ||
        echo python3.11-dev
    libraries=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p)
    for library in libEGL.so.1=libegl1 libGL.so.1=libgl1 libgthread-2.0.so.0=libglib2.0-0; do
        case $libraries in *"${library%=*} "*) ;; *) echo "${library#*=}" ;; esac
    done
    compgen -G '/usr/lib/*/dri/swrast_dri.so' >/dev/null || echo libgl1-mesa-dri
    if grep -q '^VERSION_CODENAME=bookworm' /etc/os-release && ! dpkg-query -W cyclonedds-dev >/dev/null 2>&1; then
        echo cyclonedds-dev    # elsewhere the version is another one, see cyclonedds.sh
    fi
}

install_packages() {
    local line="apt-get install -y --no-install-recommends $*"
    [ "$(id -u)" = 0 ] || fail "This machine lacks: $*." "Run this once, then the same command again:  sudo $line"
    command -v apt-get >/dev/null || fail "This machine lacks: $*. It has no apt-get: install them its own way."
    say "system packages: $*"
    logged apt-get update
    DEBIAN_FRONTEND=noninteractive logged $line
}

mkdir -p .cache
exec 9>.cache/setup.lock
flock -n 9 || { say "another set-up runs in this folder: waiting for it"; flock 9; }

python=$(find_python)
packages=$(missing_packages)
[ -z "$packages" ] || install_packages $packages

# 2. The virtual environment. A stage that was cut off inside it may have left half a package: only a new one is sure.

interpreter="$root $("$python" -c 'import sys; print(sys.version)')"
unfinished=$venv/.unfinished
if [ -e "$unfinished" ] || ! stamped "$venv/.interpreter" "$interpreter" ||
    ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    say "virtual environment with $python"
    : >"$log"
    logged "$python" -m venv --clear "$venv"
    printf '%s\n' "$interpreter" >"$venv/.interpreter"
fi
touch "$venv/COLCON_IGNORE" .cache/COLCON_IGNORE

# pip that fails tidies up after itself; pip that is killed does not, and leaves the mark.
installing() {
    local status=0
    touch "$unfinished"
    logged env PIP_CONSTRAINT="$root/requirements/lock.txt" "$@" || status=$?
    [ $status -gt 128 ] || rm "$unfinished"
    return $status
}

# 3. Wheels: ROS 2, torch and everything else, at the versions of requirements/lock.txt.

key=$(cat requirements/{ros,apt,robot,carla,desk,dev,lock}.txt scripts/repair_wheels.py | digest)
if ! stamped "$venv/.wheels" "$key"; then
    say "wheels: ROS 2 Jazzy, torch, MuJoCo and the rest (some minutes)"
    : >"$log"
    installing "$venv/bin/python" -m pip install \
        -r requirements/ros.txt -r requirements/apt.txt -r requirements/robot.txt -r requirements/carla.txt \
        -r requirements/desk.txt -r requirements/dev.txt
    logged "$venv/bin/python" scripts/repair_wheels.py
    echo "$key" >"$venv/.wheels"
fi

# 4. The Unitree SDK on the Cyclone DDS that the robot speaks.

key=$(cat requirements/{sdk,lock}.txt scripts/{sdk,cyclonedds}.sh | digest)
if ! stamped "$venv/.sdk" "$key"; then
    say "Unitree SDK on Cyclone DDS 0.10.2"
    : >"$log"
    installing scripts/sdk.sh "$venv"
    echo "$key" >"$venv/.sdk"
fi

# 5. The packages of this repository. Python is linked, not copied: only what colcon reads or copies is an input.

colcon_build() {
    env PATH="$venv/bin:$PATH" VIRTUAL_ENV="$venv" AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv" \
        LD_LIBRARY_PATH="$(echo "$venv"/lib "$venv"/lib/python3.11/site-packages/ros_*.libs | tr ' ' ':')" \
        colcon build --symlink-install --event-handlers console_cohesion+ console_start_end- \
        --cmake-args -GNinja -DPython3_EXECUTABLE="$venv/bin/python" -DCMAKE_BUILD_TYPE=Release -DBUILD_TESTING=OFF
}

# Contents of what describes a package, names of what a package copies.
workspace_inputs() {
    local each=(find . \( -path './.*' -o -path ./build -o -path ./install -o -path ./log -o -path ./out \) -prune -o -type f)
    "${each[@]}" \( -name package.xml -o -name setup.py -o -name setup.cfg -o -name CMakeLists.txt -o -name '*.msg' \) \
        -print0 | sort -z | xargs -0 sha256sum
    "${each[@]}" \( -path './launch/*.py' -o -path './config/*' -o -path './models/configs/*' -o -path './models/bundled/*' \
        -o -path './requirements/*' \) -print | sort
}

maker="$interpreter $(digest <requirements/ros.txt)"
key="$maker $(workspace_inputs | digest)"
if ! stamped install/.stamp "$key"; then
    say "colcon build of every package"
    : >"$log"
    if [ -e build ] && ! stamped build/.maker "$maker"; then
        say "build/ and install/ were made with another environment: making them anew"
        rm -rf build install log
    fi
    mkdir -p build && printf '%s\n' "$maker" >build/.maker
    logged colcon_build
    printf '%s\n' "$key" >install/.stamp
fi

say "ready"
