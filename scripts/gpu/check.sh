#!/usr/bin/env bash
# The tests that need a GPU: every rung against the cached one, full memory, failed recordings. Minutes; compiles.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/gpu/environment.sh
python3 -m pytest -p no:cacheprovider models/test/test_gpu.py models/test/test_gate.py --junitxml "$OUT/check.xml"
