#!/usr/bin/env bash
# The paper's claim of efficiency: time and memory of a training step and of generation for a soft prompt of 100 tokens against
# shorter ones with A·B in their place, over T5's sizes with random weights. JSON lines to OUT, a picture to OUT.svg.
#   bench/efficiency.sh LENGTHS OUT.jsonl [SHAPE...]
# LENGTHS: a file of input lengths, or a number. BATCH (16), DTYPE (auto), STEPS (3) and ALLOW_BUSY=1 may be set. A shape may carry
# a number of layers, t5-3b:4: then 2 and 4 layers of each stack are measured and continued in a line to its own 24.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dept=build/release/bin/dept
[ -x "$dept" ] || scripts/build.sh release --target dept_program
lengths=${1:?a file of lengths or a number} out=${2:?a file for the results}
shift 2
shapes=("$@")
[ $# -gt 0 ] || shapes=(t5-small t5-base t5-large t5-3b)
busy=()
[ -z "${ALLOW_BUSY:-}" ] || busy=(--allow_busy)
: >"$out"

measure() { # train|eval SHAPE LAYERS M R
  "$dept" bench "$1" --shape "$2" --layers "$3" --m "$4" --r "$5" --lengths "$lengths" --target_length 2 --batch "${BATCH:-16}" \
    --dtype "${DTYPE:-auto}" --steps "${STEPS:-3}" --warmup 1 --json "${busy[@]}" |
    sed "s/^{/{\"what\":\"$1\",\"layers\":$3,\"m\":$4,\"r\":$5,/" | tee -a "$out"
}
for shape in "${shapes[@]}"; do
  layers=(0)
  [[ $shape != *:* ]] || layers=($((${shape#*:} / 2)) "${shape#*:}")
  for pair in "100 0" "80 15" "60 30" "40 45" "0 75"; do
    read -r m r <<<"$pair"
    for count in "${layers[@]}"; do
      measure train "${shape%:*}" "$count" "$m" "$r"
      measure eval "${shape%:*}" "$count" "$m" "$r"
    done
  done
done
python3 bench/efficiency_plot.py "$out" "$out.svg"
