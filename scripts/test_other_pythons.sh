#!/usr/bin/env bash
# Runs the tests of the pure modules and of wam_models on the Pythons of Humble (3.10) and newer Jazzy hosts (3.12).
#
# Small environments in .cache, made once. Torch comes along where pip is offered a CPU build of it, or with WITH_TORCH=1 in
# whatever build there is, which may be some gigabytes; without it the tests that need it are left out, and the output says so.
# A Python that this machine has not is skipped with a line that says so. What is marked `once` has run on 3.11 already.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
unset PYTHONPATH PYTHONHOME LD_LIBRARY_PATH
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
tests=(models/test src/wam_carla/test src/wam_controller/test src/wam_go2/test src/wam_planner/test src/wam_sim/test)

find_python() {
    local candidate
    for candidate in "python$1" "$HOME/.pyenv/versions/$1".*/bin/python; do
        "$candidate" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$1')" 2>/dev/null && echo "$candidate" && return
    done
    return 1
}

test_on() {
    local version=$1 python venv key torch wanted selected
    if ! python=$(find_python "$version"); then
        echo "[python $version] not on this machine: skipped"
        return
    fi
    venv=$root/.cache/python$version
    key=$("$python" -c 'import sys; print(sys.version)')$(sha256sum requirements/{pure,robot}.txt)${WITH_TORCH:-0}
    if [ "$(cat "$venv/.stamp" 2>/dev/null)" != "$key" ]; then
        echo "[python $version] environment"
        "$python" -m venv --clear "$venv"
        "$venv/bin/pip" install -qq -r requirements/pure.txt
        torch=$(sed -n 's/^\(torch==[0-9.]*\).*/\1/p' requirements/robot.txt)
        [ "${WITH_TORCH:-0}" = 1 ] || torch=$torch+cpu
        if "$venv/bin/pip" install -qq "$torch" 2>/dev/null; then
            wanted='[a-zA-Z]'
        else
            wanted='(mcap|mujoco|PyOpenGL|rosbags|rosbags-image|safetensors)=='
            echo "[python $version] pip is offered no $torch: the tests that need it are left out (WITH_TORCH=1 takes any build)"
        fi
        # One at a time: together with old libraries pip would try combinations for many minutes.
        grep -E "^$wanted" requirements/robot.txt | while IFS= read -r requirement; do
            "$venv/bin/pip" install -qq -c requirements/pure.txt "${requirement%%#*}"
        done
        printf '%s\n' "$key" >"$venv/.stamp"
    fi
    echo "[python $version] tests"
    selected=$("$venv/bin/python" scripts/pure_tests.py "${tests[@]}")
    # shellcheck disable=SC2086 -- one word a file
    PYTHONPATH=models:$(echo src/* | tr ' ' ':') "$venv/bin/python" -m pytest -q -p no:cacheprovider -m "not once" $selected
}

# Side by side: each takes one core for minutes. What each says comes in one piece.
status=0
mkdir -p .cache
declare -A running
for version in 3.10 3.12; do
    (set -e; test_on "$version") >".cache/python$version.log" 2>&1 &
    running[$version]=$!
done
for version in 3.10 3.12; do
    wait "${running[$version]}" || status=1
    cat ".cache/python$version.log"
done
exit $status
