#!/usr/bin/env bash
# Writes requirements/lock.txt from what pip has installed in .venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
.venv/bin/python - > requirements/lock.txt <<'PY'
from importlib.metadata import distributions

print("# Constraints for Python 3.11, written by scripts/lock.sh. Tops and reasons are in the other files of this folder.")
pins = {}
for found in distributions():
    # ROS wheels carry descriptions of their own parts, which no index knows; those have no INSTALLER.
    if found.read_text("INSTALLER") == "pip\n" and found.name != "pip":
        pins[found.name.lower().replace("_", "-")] = found.version.partition("+")[0]
for name, version in sorted(pins.items()):
    print(f"{name}=={version}")
PY
