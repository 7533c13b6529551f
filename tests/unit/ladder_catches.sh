#!/usr/bin/env bash
# Plants one breach after the other in a copy of the sources; scripts/check_ladder.sh has to name each.
set -euo pipefail
repository=$1
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r "$repository/src" "$repository/include" "$copy"

plant() {  # KIND FILE INCLUDED; of two files that include each other the script names the one that it reads last
  mkdir -p "$(dirname "$copy/$2")"
  [ ! -e "$copy/$2" ] || { echo "$2 is there already"; exit 1; }
  printf '#include "%s"\n' "$3" >"$copy/$2"
  if found=$("$repository/scripts/check_ladder.sh" "$copy"); then
    echo "missed: $2 includes $3"
    exit 1
  fi
  grep -q "^$1: ${4:-$2} includes " <<<"$found" || { printf 'not named: %s\n%s\n' "$2 includes $3" "$found"; exit 1; }
}

"$repository/scripts/check_ladder.sh" "$copy"
plant upward src/base/planted.cpp dept/tensor/ragged.h
rm "$copy/src/base/planted.cpp"
plant upward include/dept/models/planted.h dept/adapter/dept.h
rm "$copy/include/dept/models/planted.h"
plant sideways src/nn/planted.cpp dept/data/batch.h
rm "$copy/src/nn/planted.cpp"
plant sideways src/kernels/plain/planted.cpp kernels/cpu/simd.h
rm "$copy/src/kernels/plain/planted.cpp"
plant "unknown folder" src/base/planted.cpp planted.h
rm "$copy/src/base/planted.cpp"
printf '#include "base/planted_b.h"\n' >"$copy/src/base/planted_a.h"
plant two-way src/base/planted_b.h base/planted_a.h 'src/base/planted_[ab].h'
