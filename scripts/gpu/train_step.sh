#!/usr/bin/env bash
# Steps of training the full-size Metis with random weights and latents on one GPU: peak memory beside the plan of
# `wam train --plan`. All weights where they fit, else adapters; then adapters with more windows at a time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source scripts/gpu/environment.sh

preset=${PRESET:-wan22_5b_ae1b}
step() {
    python3 -m wam_models.training.step_benchmark --preset "$preset" --device "${DEVICE:-cuda}" --steps "${STEPS:-4}" \
        --json "$OUT/train-step-$preset-$1.json" "${@:2}" || echo "$1: not measured"
}
step auto
step lora --training lora --joint "${JOINT:-4}"
step lora-all-kept --training lora --no-checkpointing
