#!/usr/bin/env bash
# How the cost of a training step grows with the input tokens of its batch, inputs of 60 tokens: a line of JSON a batch, then the
# exponent that fits best (least squares of the logarithms).
#   bench/tokens.sh [SHAPE [DTYPE]]        LENGTH=60, TOKENS="500 1000 ..." and ALLOW_BUSY=1 may be set
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dept=build/release/bin/dept
[ -x "$dept" ] || scripts/build.sh release --target dept_program
shape=${1:-t5-base} dtype=${2:-auto} length=${LENGTH:-60}
busy=()
[ -z "${ALLOW_BUSY:-}" ] || busy=(--allow_busy)
points=$(mktemp)
trap 'rm -f "$points"' EXIT
for tokens in ${TOKENS:-500 1000 2000 4000 8000 16000}; do
  "$dept" bench train --shape "$shape" --dtype "$dtype" --lengths "$length" --batch $(((tokens + length / 2) / length)) --m 40 --r 45 \
    --steps 3 --warmup 1 --json "${busy[@]}" | tee -a "$points"
done
sed -nE 's/.*"batch":([0-9]+),.*"step_median_s":([0-9.e+-]+),.*/\1 \2/p' "$points" | awk '
  { x = log($1); y = log($2); n++; sx += x; sy += y; sxx += x * x; sxy += x * y }
  END { printf "{\"fitted_exponent\": %.3f, \"points\": %d}\n", (n * sxy - sx * sy) / (n * sxx - sx * sx), n }'
