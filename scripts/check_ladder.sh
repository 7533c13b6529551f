#!/usr/bin/env bash
# Holds the #include lines of src/ and include/ to the ladder of folders: a folder may use itself and what CMakeLists.txt links it
# with, directly or through others; of a program's folders each may use those behind it. Fails on any other line and says which.
#   include/dept/NAME.h      published: includes published headers only. It belongs to the folder whose NAME.cpp includes it, if any does
#   include/dept/FOLDER/*.h  what FOLDER shows to the folders above it
#   src/FOLDER/*.h           private to FOLDER; in src/kernels a backend's are closed to the other backends as well
#   scripts/check_ladder.sh [REPOSITORY]
set -euo pipefail
cd "${1:-$(dirname "${BASH_SOURCE[0]}")/..}"

{
  # "link FOLDER OTHER ..." and, for a program, "program FOLDER OTHER ... LINKED ..."; each call stands on one line.
  sed -nE '/^dept_folder\(/  { s/^dept_folder\(([a-z]+) +LINKS ([^)]*)\).*/link \1 \2/; s/ PRIVATE_LINKS.*//; p }
           /^dept_program\(/ { s/^dept_program\([a-z]+ FOLDERS ([^)]*)\).*/program \1/; s/src\/|dept_|LINKS//g; p }' CMakeLists.txt
  grep -rHE '^[[:space:]]*#[[:space:]]*include[[:space:]]*("|<dept/)' src include --include='*.h' --include='*.cpp' --include='*.cu' --include='*.cuh' |
    sed -E 's/^([^:]*):[^"<]*["<]([^">]*)[">].*/include \1 \2/'
} | awk '
  function link(folder, other,   known) {  # FOLDER may use OTHER, and what OTHER may use
    if (!(other in folders)) return
    below[folder, other] = 1
    for (known in folders) if ((other, known) in below) below[folder, known] = 1
  }
  function folder_of(path,   name) {
    name = path
    if (sub(/^include\/dept\//, "", name) && !index(name, "/")) return (name in owner) ? owner[name] : ""
    sub(/^src\//, "", name)
    return index(name, "/") ? substr(name, 1, index(name, "/") - 1) : "none"
  }
  function backend_of(path) {  # a folder in src/kernels
    return sub(/^src\/kernels\//, "", path) && index(path, "/") ? substr(path, 1, index(path, "/") - 1) : ""
  }
  function published(path) { return path ~ /^include\/dept\/[^\/]*$/ }
  function breach(kind) { print kind ": " file " includes " target; ++breaches }
  function check(   from, to) {
    from = folder_of(file)
    to = folder_of(target)
    if ((from != "" && !(from in folders)) || (to != "" && !(to in folders))) breach("unknown folder")
    else if (published(file) && !published(target)) breach("unpublished")
    else if (target ~ /^src\// && to != from) breach("private")
    else if (from != "" && to != "" && to != from && !((from, to) in below)) breach((to, from) in below ? "upward" : "sideways")
    else if (backend_of(file) != "" && backend_of(target) != "" && backend_of(file) != backend_of(target)) breach("sideways")
    if ((target, file) in seen) breach("two-way")
    seen[file, target] = 1
  }

  $1 == "link" { folders[$2]; for (i = 3; i <= NF; ++i) link($2, $i) }
  $1 == "program" {
    for (i = NF; i > 1; --i) for (j = i + 1; j <= NF; ++j) { folders[$i]; in_program[$i]; link($i, $j) }
  }
  $1 == "include" {
    files[++lines] = $2
    targets[lines] = ($3 ~ /^dept\// ? "include/" : "src/") $3
    split($2, parts, "/")
    name = $2
    sub(/^.*\//, "", name)
    sub(/\.cpp$/, ".h", name)
    if (parts[1] == "src" && !(parts[2] in in_program) && $3 == "dept/" name) owner[name] = parts[2]
  }
  END {
    if (lines == 0) { print "no include line found"; exit 1 }
    for (i = 1; i <= lines; ++i) { file = files[i]; target = targets[i]; check() }
    exit breaches > 0
  }'
