#!/usr/bin/env bash
# Plants one breach after the other in a copy of the sources; scripts/check_ladder.sh has to name each.
set -euo pipefail
repository=$1
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$repository/src" "$repository/include" "$repository/CMakeLists.txt" "$copy"

expect_named() {  # KIND FILE INCLUDED
  local found
  if found=$("$repository/scripts/check_ladder.sh" "$copy"); then
    echo "missed: $2 includes $3"
    exit 1
  fi
  grep -qE "^$1: $2 includes .*$3" <<<"$found" || { printf 'not named: %s: %s\n%s\n' "$1" "$2 includes $3" "$found"; exit 1; }
}

plant() {  # KIND FILE INCLUDED, or with the brackets of a system header: '<INCLUDED>'
  local line="#include \"$3\""
  [ "${3#<}" = "$3" ] || line="#include $3"
  [ ! -e "$copy/$2" ] || { echo "$2 is there already"; exit 1; }
  mkdir -p "$(dirname "$copy/$2")"
  echo "$line" >"$copy/$2"
  expect_named "$1" "$2" "$(tr -d '<>' <<<"$3")"
  rm "$copy/$2"
}

"$repository/scripts/check_ladder.sh" "$copy"
plant upward src/base/planted.cpp dept/tensor/ragged.h
plant upward src/base/planted.cpp '<dept/tensor/ragged.h>'
plant upward include/dept/models/planted.h dept/adapter/dept.h
plant upward src/bench/planted.cpp dept/cli/planted.h
plant sideways src/nn/planted.cpp dept/data/batch.h
plant sideways src/report/planted.cpp dept/hub/hub.h
plant sideways src/kernels/plain/planted.cpp kernels/cpu/simd.h
plant private src/train/planted.cpp models/common.h
plant private include/dept/train/planted.h models/common.h
plant private src/cli/planted.cpp bench/measure.h
plant unpublished include/dept/planted.h dept/base/error.h
plant unpublished include/dept/planted.h base/option_values.h
plant "unknown folder" src/base/planted.cpp planted.h
plant "unknown folder" src/planted/planted.cpp dept/base/error.h

# A published header belongs to the folder of its source.
touch "$copy/include/dept/planted.h"
echo '#include "dept/planted.h"' >"$copy/src/train/planted.cpp"
plant upward src/models/using_planted.cpp dept/planted.h
rm "$copy/src/train/planted.cpp" "$copy/include/dept/planted.h"

# Of two files that include each other the script names the one that it reads last.
echo '#include "base/planted_b.h"' >"$copy/src/base/planted_a.h"
echo '#include "base/planted_a.h"' >"$copy/src/base/planted_b.h"
expect_named two-way 'src/base/planted_[ab].h' 'src/base/planted_[ab].h'
rm "$copy"/src/base/planted_[ab].h

# What may be included is what CMakeLists.txt links.
sed -i -E 's/^(dept_folder\(data +LINKS tensor) text/\1/' "$copy/CMakeLists.txt"
expect_named sideways 'include/dept/data/[a-z_]*.h' dept/text/tokenizer.h
