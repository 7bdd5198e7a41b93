#!/usr/bin/env bash
# Installs the Unitree SDK on Cyclone DDS 0.10.2 into a virtual environment: scripts/sdk.sh VENV
#
# For Python 3.11 and later the binding has no wheel and is built here; cmake, setuptools below 80 and wheel must be there.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$(cd "$1" && pwd)
home=$venv/cyclonedds

"$root/scripts/cyclonedds.sh" "$home"

# The build writes the library's folder into the module, so nothing comes from a cache, and RPATH, not RUNPATH, since a ROS
# that is sourced puts a Cyclone DDS of its own on LD_LIBRARY_PATH.
CYCLONEDDS_HOME=$home LDFLAGS="-Wl,-rpath,$home/lib,--disable-new-dtags" "$venv/bin/python" -m pip install \
    --force-reinstall --no-deps --no-build-isolation --no-cache-dir --no-binary cyclonedds -r "$root/requirements/sdk.txt"

# The binding would look for a library of the system first; two copies in one process do not work.
for packages in "$venv"/lib/python3.*/site-packages; do
    echo "import os, sys; os.environ['CYCLONEDDS_HOME'] = os.path.join(sys.prefix, 'cyclonedds')" >"$packages/cyclonedds_home.pth"
done
