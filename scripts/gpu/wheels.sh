#!/usr/bin/env bash
# Downloads what a GPU machine with torch, transformers, accelerate and peft lacks for the jobs into .whl, to travel
# with the working tree. Run it where pip reaches a package index.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python3 -m pip download -q --no-deps --only-binary=:all: -d .whl diffusers==0.42.1 importlib-metadata==10.2.0
ls .whl
