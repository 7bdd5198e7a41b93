# Sourced by the jobs: where the code is, where results go, and the wheels that the machine has not.
export OUT=${OUT:-out/gpu} PYTHONUNBUFFERED=1 COLUMNS=${COLUMNS:-160}
mkdir -p "$OUT"
export PYTHONPATH="$PWD/models:$PWD/src/wam_tools${PYTHONPATH:+:$PYTHONPATH}"
if compgen -G '.whl/*.whl' >/dev/null; then
    python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target .whl/site .whl/*.whl
    export PYTHONPATH="$PYTHONPATH:$PWD/.whl/site"
fi
