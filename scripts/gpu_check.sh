#!/usr/bin/env bash
# The first minutes on a machine with a GPU, which needs a driver, CUDA 13 and PyTorch 2.11 alone (its wheel has LibTorch and what that
# is linked against); 5 minutes a part at most.
#   scripts/gpu_check.sh pack FILE     on the machine that built it: program, tests and their libraries, without LibTorch
#   scripts/gpu_check.sh right [FILE]  there: devices, kernels and whole steps beside the CPU
#   scripts/gpu_check.sh fast [FILE]   there: the time of a training step and of answers
# FILE: what pack wrote; without it, the cuda build in this tree.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
readonly programs=(dept gpu_kernels unit_train)

# What a program is linked with beside LibTorch, CUDA and the C library, which are there.
own_libraries() {
  ldd "$1" | sed -nE 's/.* => (\/[^ ]+).*/\1/p' |
    grep -vE '/lib(c10|torch|cu|nv|nccl|c\.so|m\.so|dl|rt|pthread|stdc\+\+|gcc_s)[^/]*$|/ld-linux' | sort -u
}

pack() {
  local file work program
  file=$(realpath "$1")
  scripts/build.sh cuda --target dept_program gpu_kernels unit_train
  work=$(mktemp -d)
  # shellcheck disable=SC2064  # the folder's name of now
  trap "rm -rf '$work'" EXIT
  mkdir -p "$work/bin" "$work/lib"
  for program in "${programs[@]}"; do
    strip -o "$work/bin/$program" "build/cuda/bin/$program"
    own_libraries "build/cuda/bin/$program" | xargs -I{} cp -L {} "$work/lib"
  done
  echo "$PWD/tests" >"$work/tests_at"  # where the tests look for their data
  cp -r tests/parity/data/models "$work/models"
  tar -C "$work" -cf - . | xz -T0 -1 >"$file"
  say "$file: $(du -h "$file" | cut -f1) of 64 MiB"
}

# Finds LibTorch, unpacks FILE where one is given, and sets `bin`.
ready() {
  local torch site
  if [ $# -eq 0 ]; then
    bin=$PWD/build/cuda/bin
    return
  fi
  torch=$(python3 -c 'import torch; print(torch.__path__[0])') || die "[gpu_check.sh] expected Python with PyTorch 2.11, received none"
  site=$(dirname "$torch")
  unpacked=$(mktemp -d)
  trap 'rm -rf "$unpacked"' EXIT
  xz -dc "$1" | tar -C "$unpacked" -xf -
  local tests
  tests=$(cat "$unpacked/tests_at")
  if [ ! -e "$tests/parity/data/models" ]; then
    mkdir -p "$tests/parity/data"
    cp -r "$unpacked/models" "$tests/parity/data"
  fi
  LD_LIBRARY_PATH=$torch/lib:$unpacked/lib:$(find "$site/nvidia" -type d -name lib -printf '%p:')${LD_LIBRARY_PATH:-}
  export LD_LIBRARY_PATH
  bin=$unpacked/bin
}

right() {
  timed "devices" "$bin/dept" doctor --threads 1
  timed "kernels beside the CPU and fp64" "$bin/gpu_kernels"
  timed "training, scores and answers beside the CPU" "$bin/unit_train" --gtest_filter='*Device*'
  timed "CUDA graphs beside steps without" "$bin/unit_train" --gtest_filter='*Graphs*'
  if have compute-sanitizer; then
    local tool
    for tool in memcheck racecheck; do
      timed "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 "$bin/gpu_kernels" --gtest_filter='*bf16*:*Cases/*Prompt*'
    done
  else
    say "no compute-sanitizer here: left out"
  fi
}

fast() {
  local step=("$bin/dept" bench train --shape t5-base --dtype bf16 --device cuda --batch 32 --m 40 --r 45 --warmup 5 --steps 30) kernels
  for kernels in own plain; do
    timed "a training step, $kernels kernels" "${step[@]}" --kernels "$kernels"
  done
  timed "a training step, CUDA graphs" "${step[@]}" --cuda_graphs
  timed "answers" "$bin/dept" bench eval --shape t5-base --dtype bf16 --device cuda
}

case ${1:-} in
  pack) pack "${2:?a file}" ;;
  right | fast)
    part=$1
    shift
    ready "$@"
    "$part"
    ;;
  *) die "[gpu_check.sh] expected pack FILE, right or fast, received ${1:-nothing}" ;;
esac
