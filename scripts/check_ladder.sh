#!/usr/bin/env bash
# Reads the #include lines of src/ and include/ and fails on any that goes up the ladder of folders, sideways to another folder of
# the same step or from one backend of the kernels to another, to an unknown folder, or that closes a circle of two files.
#   scripts/check_ladder.sh [REPOSITORY]
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

grep -rHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' src include --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh' |
  awk '
  BEGIN {
    ladder = "base | tensor tensorio hub report | text kernels dist | nn data | models tasks | adapter | train | sweep | serve | cli bench examples"
    count = split(ladder, steps, / *\| */)
    for (s = 1; s <= count; ++s) {
      n = split(steps[s], names, " ")
      for (i = 1; i <= n; ++i) step[names[i]] = s
    }
    sideways["bench cli"] = 1  # a benchmark is a command and uses the frame of commands
  }
  function folder_of(path) {
    sub(/^(src|include\/dept)\//, "", path)
    return index(path, "/") ? substr(path, 1, index(path, "/") - 1) : path
  }
  function backend_of(path) {  # a folder in src/kernels
    return sub(/^src\/kernels\//, "", path) && index(path, "/") ? substr(path, 1, index(path, "/") - 1) : ""
  }
  function published(path) { return path ~ /^include\/dept\/[^\/]*$/ }  # include/dept/NAME.h may include its like alone
  function breach(kind) { print kind ": " file " includes " target; ++breaches }
  {
    file = substr($0, 1, index($0, ":") - 1)
    match($0, /"[^"]*"/)
    target = substr($0, RSTART + 1, RLENGTH - 2)
    ++lines
    target = (target ~ /^dept\// ? "include/" : "src/") target
    if (published(target)) next
    if (published(file)) { breach("unpublished"); next }
    from = folder_of(file)
    to = folder_of(target)
    if (!(from in step) || !(to in step)) breach("unknown folder")
    else if (step[to] > step[from]) breach("upward")
    else if (step[to] == step[from] && to != from && !((from " " to) in sideways)) breach("sideways")
    else if (backend_of(file) != "" && backend_of(target) != "" && backend_of(file) != backend_of(target)) breach("sideways")
    if ((target, file) in seen) breach("two-way")
    seen[file, target] = 1
  }
  END {
    if (lines == 0) { print "no include line found"; exit 1 }
    exit breaches > 0
  }'
