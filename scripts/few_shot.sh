#!/usr/bin/env bash
# A recipe over several seeds: one run a seed in OUT/seed-N, then mean and standard deviation (of a sample) of its test results.
# Runs that are there are not made again.
#   scripts/few_shot.sh RECIPE OUT SEED... [-- train flag...]
#   scripts/few_shot.sh configs/few_shot.yaml runs/few-shot 1 2 3 4 5 -- --k_shot_examples 32
# From a source task's adapter (train it first, by configs/transfer_source.yaml):
#   scripts/few_shot.sh configs/few_shot.yaml runs/transfer 1 2 3 4 5 -- --peft_model_id runs/product-reviews
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
dept=${DEPT:-build/release/bin/dept}

usage="[few_shot.sh] expected RECIPE OUT SEED... [-- train flag...]"
[ $# -ge 3 ] || die "$usage, received $# arguments"
recipe=$1 out=$2
shift 2
seeds=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  [[ $1 =~ ^[0-9]+$ ]] || die "$usage, received the seed $1"
  seeds+=("$1")
  shift
done
[ ${#seeds[@]} -gt 0 ] || die "$usage, received no seed"
[ $# -eq 0 ] || shift

results=()
for seed in "${seeds[@]}"; do
  run=$out/seed-$seed
  timed "seed $seed" "$dept" train "$recipe" --seed "$seed" --output_dir "$run" "$@" >/dev/null
  results+=("$run/test_results.json")
done

printf '%-28s %10s %10s %5s\n' result mean deviation runs
awk -F '[":, ]+' '
  $2 ~ /^test_/ && $2 !~ /_runtime$|_per_second$|_samples$/ {
    if (!($2 in count)) order[++names] = $2
    value[$2, ++count[$2]] = $3
  }
  END {
    for (i = 1; i <= names; i++) {
      name = order[i]; n = count[name]; sum = squares = 0
      for (j = 1; j <= n; j++) sum += value[name, j]
      mean = sum / n
      for (j = 1; j <= n; j++) squares += (value[name, j] - mean) ^ 2
      printf "%-28s %10.4f %10s %5d\n", name, mean, (n > 1 ? sprintf("%.4f", sqrt(squares / (n - 1))) : "-"), n
    }
  }' "${results[@]}"
