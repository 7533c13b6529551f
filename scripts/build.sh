#!/usr/bin/env bash
# Builds the program and the tests: scripts/build.sh [debug|release|asan|readers|threads|cuda|kernels] [cmake --build flag...].
# The program is build/<preset>/bin/dept. readers: asan for the folders that read files, with the release build's kernels.
# threads: the server under the thread sanitizer, kernels: cuda for src/kernels, both with the release build's other libraries.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
preset=${1:-release}
shift || true
case $preset in
  cuda | kernels) scripts/setup.sh cuda ;;
  *) scripts/setup.sh ;;
esac
flags=(-DDEPT_PCH=ON -DDEPT_UNITY=ON)
# What ccache asks for where there are precompiled headers.
have ccache && flags+=("-DCMAKE_CXX_COMPILER_LAUNCHER=env;CCACHE_SLOPPINESS=pch_defines,time_macros;ccache")
cmake --preset "$preset" "${flags[@]}" >/dev/null
cmake --build --preset "$preset" "$@"
