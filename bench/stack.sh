#!/usr/bin/env bash
# The time of a training step of one run by batch size and by how many runs share a pass. JSON lines to OUT, a table to stdout.
#   bench/stack.sh OUT.jsonl [MODEL...]
# MODEL: a model's folder, a .gguf file or a name of `dept bench --shape`. LENGTHS (64), DTYPE (auto), EXAMPLES (128: of the measured
# steps of one cell, at least two steps) and ALLOW_BUSY=1 may be set. BATCHES and STACKS name what is measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dept=build/release/bin/dept
[ -x "$dept" ] || scripts/build.sh release --target dept_program
out=${1:?a file for the results}
shift
models=("$@")
[ $# -gt 0 ] || models=(.deps/models/minilm-l6 .deps/models/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf)
busy=()
[ -z "${ALLOW_BUSY:-}" ] || busy=(--allow_busy)
: >"$out"
read -ra batches <<<"${BATCHES:-4 8 16 32}"
read -ra stacks <<<"${STACKS:-1 2 4 8}"

# measure MODEL BATCH K: milliseconds of one run's step
measure() {
  local model=(--model_name_or_path "$1")
  [ -e "$1" ] || model=(--shape "$1")
  local steps=$((${EXAMPLES:-128} / ($2 * $3)))
  "$dept" bench train "${model[@]}" --batch "$2" --stack "$3" --lengths "${LENGTHS:-64}" --m 20 --r 8 --dtype "${DTYPE:-auto}" \
    --steps "$((steps < 2 ? 2 : steps))" --warmup 1 --json "${busy[@]}" | tee -a "$out" |
    python3 -c 'import json, sys; f = json.load(sys.stdin); print("%.1f" % (1000 * f["step_median_s"] / f["stack"]))'
}
for model in "${models[@]}"; do
  printf '%s, ms a step of a run\n| batch |' "$model"
  printf ' K = %s |' "${stacks[@]}"
  printf '\n|---|'
  printf -- '---|%.0s' "${stacks[@]}"
  printf '\n'
  for batch in "${batches[@]}"; do
    printf '| %s |' "$batch"
    for stack in "${stacks[@]}"; do printf ' %s |' "$(measure "$model" "$batch" "$stack")"; done
    printf '\n'
  done
done
