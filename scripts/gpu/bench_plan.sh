#!/usr/bin/env bash
# Times a plan of the full-size Metis with random weights on every rung, on one GPU, in less than ten minutes.
# Needs a Python with a CUDA build of torch, transformers and accelerate; what it lacks besides comes from the wheels
# that scripts/gpu/wheels.sh puts into .whl. Results: a table for each group of rungs, and JSON in $OUT.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/gpu/environment.sh

preset=${PRESET:-wan22_5b_ae1b} status=0
# A group a process, each with a rung to compare with: one that fails takes no other with it.
for rungs in ${RUNGS:-plain,cached cached,graph cached,compiled cached,fp8}; do
    python3 -m wam_tools bench plan --preset "$preset" --random-weights --device "${DEVICE:-cuda}" --rungs "$rungs" \
        --steps "${STEPS:-1,2,5,10}" --candidates 6 --imagine --repeats "${REPEATS:-100}" --seconds 6 \
        --json "$OUT/plan-$preset-${rungs//,/-}.json" || { echo "$rungs: not measured" && status=1; }
done
exit $status
