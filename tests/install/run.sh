#!/usr/bin/env bash
# Installs the program alone and runs it; installs the build, and builds another project's program against it and runs that on a tiny
# Llama, T5 and BERT. Both trees move:
#   tests/install/run.sh BUILD_FOLDER
set -euo pipefail
build=$(realpath "$1") here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
models=$here/../parity/data/models
model=$models/llama-gqa-tied
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$*"; exit 1; }

cmake --install "$build" --prefix "$work/first" --component runtime >/dev/null
mv "$work/first" "$work/program"
[ -z "$(find "$work/program" -name include -o -name cmake -o -name '*.a' -o -name '*.h')" ] || fail "the program's tree has what only a build needs"
[ -s "$work/program/share/doc/dept/LICENSE" ] || fail "the program's tree has no licence"
line='{"input_ids":[5,6,7],"labels":[5,6,7]}'
(cd / && "$work/program/bin/dept" score --model_name_or_path "$model" <<<"$line") | grep -q '"nll":' || fail "the program alone gave no score"
# Debian's packages of the libraries that do not lie in the tree are those that docs/install.md names.
if grep -q '^VERSION_ID="12"' /etc/os-release && have_dpkg=$(command -v dpkg-query); then
  for library in $(readelf -d "$work/program/bin/dept" | sed -nE 's/.*NEEDED.*\[(.*)\]/\1/p'); do
    [ ! -e "$work/program/lib/dept/$library" ] || continue
    package=$("$have_dpkg" -S "/usr/lib/x86_64-linux-gnu/$library" "/lib/x86_64-linux-gnu/$library" 2>/dev/null | sed 's/:.*//;q') || true
    case $package in libc6 | libgcc-s1) continue ;; esac  # on every machine
    [ -n "$package" ] || fail "no package of this system has $library"
    grep -qwF -- "$package" "$here/../../docs/install.md" || fail "docs/install.md does not name $package, which has $library"
  done
fi

cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/moved"
! grep -rlF "$work/first" "$work/moved/lib/cmake" || fail "the installed tree names the place it was installed to"
! grep -rlF "$(dirname "$(dirname "$build")")/" "$work/moved/lib/cmake" || fail "the installed tree names its source tree"

(cd / && "$work/moved/bin/dept" --version)
cmake -S "$here" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$work/moved" >/dev/null
cmake --build "$work/build" >"$work/log" || { cat "$work/log"; exit 1; }
published=$(cd "$work/moved/include/dept" && echo *)
[ "$published" = "$(cd "$here/../../include/dept" && printf '%s ' *.h | sed 's/ $//')" ] || fail "other headers are installed than the published: $published"
for name in llama-gqa-tied t5-v1.0 bert; do
  cp -r "$models/$name" "$work/$name"
  cp "$here/../recipe/tiny/tokenizer.json" "$here/../recipe/tiny/tokenizer_config.json" "$work/$name/"
  (cd / && "$work/build/outside" "$work/$name" "$work/adapter-$name") || fail "the outside program failed on $name"
  [ -s "$work/adapter-$name/adapter_model.safetensors" ] || fail "no adapter of $name"
done
