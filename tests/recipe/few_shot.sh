#!/usr/bin/env bash
# scripts/few_shot.sh on a tiny model: a run a seed, their mean and deviation, and the same from a source task's adapter.
#   few_shot.sh PROGRAM
set -euo pipefail
export DEPT=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/../parity/data/models/llama-gqa-tied" "$work/model"
cp "$here"/tiny/tokenizer*.json "$work/model"
cat >"$work/recipe.yaml" <<YAML
model_name_or_path: $work/model
output_dir: $work/unused
train_file: $here/tiny/train.csv
test_file: $here/tiny/test.csv
labels: ["no", "yes"]
causal_suffix: " :"
k_shot_examples: 8
max_seq_length: 48
prefix_length: 3
r: 2
do_train: true
do_predict: true
predict_by: score
max_steps: 3
learning_rate: 0.1
save_strategy: "no"
threads: 1
YAML
few_shot() { "$here/../../scripts/few_shot.sh" "$work/recipe.yaml" "$@" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }; }

few_shot "$work/plain" 1 2 3 >"$work/table"
# The mean and the deviation of test_loss once more, by another formula: from sums of squares.
expected=$(cat "$work"/plain/seed-[123]/test_results.json | sed -n 's/ *"test_loss": \([0-9.e-]*\),*/\1/p' |
  awk '{ s += $1; q += $1 * $1 } END { m = s / NR; printf "%.4f %.4f %d", m, sqrt((q - NR * m * m) / (NR - 1)), NR }')
received=$(awk '$1 == "test_loss" { print $2, $3, $4 }' "$work/table")
[ "$received" = "$expected" ] || { echo "expected $expected, received $received"; cat "$work/table"; exit 1; }
grep -q '^test_accuracy .* 3$' "$work/table"
if grep 'runtime\|samples' "$work/table"; then exit 1; fi

# Given again nothing is trained anew; from the first run's adapter it is.
few_shot "$work/plain" 1 2 3 | diff "$work/table" -
few_shot "$work/transfer" 1 2 -- --peft_model_id "$work/plain/seed-1" | grep -q '^test_loss .* 2$'
cmp -s "$work/plain/seed-1/test_results.json" "$work/transfer/seed-1/test_results.json" && { echo "the adapter was not used"; exit 1; }
! "$here/../../scripts/few_shot.sh" "$work/recipe.yaml" "$work/none" 2>/dev/null || { echo "no seed was accepted"; exit 1; }
echo "few shots over seeds: mean, deviation, transfer"
