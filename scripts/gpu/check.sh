#!/usr/bin/env bash
# The tests that need a GPU: every rung against the cached one, failed recordings, full memory, and the gate. They compile.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/gpu/environment.sh
python3 -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "no GPU here: every test would be skipped")'
python3 -m pytest -p no:cacheprovider models/test/test_gpu.py models/test/test_gate.py --junitxml "$OUT/check.xml"
