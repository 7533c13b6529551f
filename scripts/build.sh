#!/usr/bin/env bash
# Builds the program and the tests: scripts/build.sh [debug|release|asan|readers|cuda] [cmake --build flag...].
# The program is build/<preset>/bin/dept. readers: asan for the folders that read files, with the release build's kernels.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
preset=${1:-release}
shift || true
if [ "$preset" = cuda ]; then scripts/setup.sh cuda; else scripts/setup.sh; fi
flags=(-DDEPT_PCH=ON)
# What ccache asks for where there are precompiled headers.
have ccache && flags+=("-DCMAKE_CXX_COMPILER_LAUNCHER=env;CCACHE_SLOPPINESS=pch_defines,time_macros;ccache")
cmake --preset "$preset" "${flags[@]}" >/dev/null
cmake --build --preset "$preset" "$@"
