#!/usr/bin/env bash
# Installs the build, moves the tree, and builds and runs another project's program against it:
#   tests/install/run.sh BUILD_FOLDER MODEL_FOLDER
set -euo pipefail
build=$(realpath "$1") model=$(realpath "$2") here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/moved"
! grep -rlF "$work/first" "$work/moved/lib/cmake" || { echo "the installed tree names the place it was installed to"; exit 1; }
! grep -rlF "$(dirname "$(dirname "$build")")/" "$work/moved/lib/cmake" || { echo "the installed tree names its source tree"; exit 1; }

(cd / && "$work/moved/bin/dept" --version)
cmake -S "$here" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$work/moved" >/dev/null
cmake --build "$work/build" >"$work/log" || { cat "$work/log"; exit 1; }
mkdir "$work/adapter"
(cd / && "$work/build/outside" "$model" "$work/adapter")
[ -s "$work/adapter/adapter_model.safetensors" ]
