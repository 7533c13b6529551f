#!/usr/bin/env bash
# Builds the program and the tests: scripts/build.sh [debug|release|asan|cuda]. The program is build/<preset>/bin/dept.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:-release}
shift || true
[ -f ".deps/torch/lib/libtorch_cpu.so" ] || scripts/setup.sh
launcher=()
command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
cmake --preset "$preset" "${launcher[@]}" >/dev/null
cmake --build --preset "$preset" "$@"
