#!/usr/bin/env bash
# Makes PREFIX a Cyclone DDS 0.10.2 that `pip install cyclonedds==0.10.2` can build against: scripts/cyclonedds.sh PREFIX
#
# Debian 12 packages exactly this version; anywhere else it is built from the upstream tag (two minutes).
set -euo pipefail
version=0.10.2
prefix=$1
PATH=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)/.venv/bin:$PATH    # for cmake, where apt has not brought it

rm -rf "$prefix"
mkdir -p "$prefix/lib" "$prefix/bin"

case $(dpkg-query -W -f '${Version}' cyclonedds-dev 2>/dev/null) in
    "$version"-*)
        libraries=/usr/lib/$(c++ -print-multiarch)
        ln -s /usr/include "$prefix/include"
        ln -s "$libraries"/libddsc.so* "$libraries"/libcycloneddsidl.so* "$libraries/cmake" "$prefix/lib/"
        ln -s /usr/bin/idlc "$prefix/bin/idlc"
        ;;
    *)
        work=$(mktemp -d)
        trap 'rm -rf "$work"' EXIT
        git clone --quiet --depth 1 --branch "$version" https://github.com/eclipse-cyclonedds/cyclonedds "$work/source"
        # Where the compiler fortifies by itself (Ubuntu), this version ends the process with "buffer overflow detected"
        # while it writes its configuration to the trace, which the SDK turns on.
        cmake -S "$work/source" -B "$work/build" -DCMAKE_C_FLAGS=-U_FORTIFY_SOURCE \
            -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib \
            -DENABLE_SSL=OFF -DENABLE_SECURITY=OFF -DENABLE_SHM=OFF -DBUILD_EXAMPLES=OFF -DBUILD_TESTING=OFF
        cmake --build "$work/build" --parallel 2 --target install
        ;;
esac
