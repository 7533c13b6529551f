#!/usr/bin/env bash
# Set-up, release build and every test that needs no GPU and no long time: at most 20 minutes from a clean clone on 2 cores.
#   scripts/test.sh [ctest flag...]     for example scripts/test.sh -R adapter
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
timed "set-up" scripts/setup.sh
timed "release build" scripts/build.sh release
log=build/release/test.log
# Some tests wait more than they compute: one more of them than there are processors.
ctest --test-dir build/release -j "$(($(nproc) + 1))" --output-on-failure --label-exclude 'gpu|long|tokenizers' --no-tests=error "$@" 2>&1 | tee "$log"
say "$(grep 'tests passed' "$log")"
