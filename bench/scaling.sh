#!/usr/bin/env bash
# What ranks cost: N ranks of 1 thread that train together against N processes of 1 thread that train by themselves, in turns.
#   bench/scaling.sh [RANKS [PAIRS]]     RANKS 2, PAIRS 3; the quickstart's model and reviews; STEPS=20, BATCH=8 and DTYPE=auto may be set
#   bench/scaling.sh model BYTES LATENCY BANDWIDTH STEP
#                                        the arithmetic of docs/scaling.md: bytes of an all-reduce, seconds of a message, bytes a second
#                                        of the network, seconds of a step on one rank
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh

if [ "${1:-}" = model ]; then
  [ $# -eq 5 ] || die "[scaling.sh model] expected BYTES LATENCY BANDWIDTH STEP, received $*"
  awk -v bytes="$2" -v latency="$3" -v bandwidth="$4" -v step="$5" 'BEGIN {
    print "ranks  all-reduce (ms)  same batch each  same batch in all"
    for (n = 1; n <= 1024; n *= 2) {
      reduce = 2 * (n - 1) * latency + 2 * (n - 1) / n * bytes / bandwidth
      printf "%5d  %15.2f  %14.0f%%  %16.0f%%\n", n, 1000 * reduce, 100 * step / (step + reduce), 100 * step / n / (step / n + reduce)
    }
  }'
  exit
fi

ranks=${1:-2} pairs=${2:-3} steps=${STEPS:-20} batch=${BATCH:-8}
dept=build/release/bin/dept
[ -x "$dept" ] || scripts/build.sh release --target dept_program
scripts/setup.sh model reviews
scripts/film_reviews.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
train() { # FOLDER [flag...]
  local folder=$1
  shift
  "$dept" train configs/quickstart.yaml --output_dir "$folder" --do_train true --do_eval false --do_predict false --eval_strategy no \
    --save_strategy no --load_best_model_at_end false --report false --report_to none --max_steps "$steps" --dtype "${DTYPE:-auto}" \
    --per_device_train_batch_size "$batch" --threads 1 "$@" >"$folder.log" 2>&1 || { tail -3 "$folder.log" >&2; exit 1; }
}
rate() { sed -nE 's/.*"train_samples_per_second": ([0-9.]+).*/\1/p' "$1/train_results.json"; }

for ((pair = 0; pair < pairs; ++pair)); do
  train "$work/together-$pair" --ranks "$ranks"
  alone=0
  for ((rank = 0; rank < ranks; ++rank)); do train "$work/alone-$pair-$rank" --seed "$rank" & done
  wait
  for ((rank = 0; rank < ranks; ++rank)); do alone=$(awk "BEGIN {print $alone + $(rate "$work/alone-$pair-$rank")}"); done
  together=$(rate "$work/together-$pair")
  awk "BEGIN {printf \"{\\\"ranks\\\": $ranks, \\\"together\\\": $together, \\\"alone\\\": $alone, \\\"share\\\": %.3f}\\n\", $together / $alone}"
done
