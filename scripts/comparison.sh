#!/usr/bin/env bash
# The methods beside each other at equal numbers of trained prompt parameters, on film reviews (docs/comparison.md).
#   scripts/comparison.sh search MODEL METHOD...   learning rates by the validation part, seed 1, all training sentences
#   scripts/comparison.sh all MODEL METHOD...      5 seeds of the best, all training sentences
#   scripts/comparison.sh nodrop MODEL METHOD...   the same without the backbone's dropout
#   scripts/comparison.sh few MODEL METHOD...      5 seeds of the best, 16 and 32 sentences
# MODEL is smollm2 or minilm, METHOD dept, vanilla, adept, ulpt, dpt, residual or p_tuning. What is there is not made again.
# SWEEP_FLAGS: flags of dept sweep for all, as --ranks 2.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
usage="[comparison.sh] expected search, all, nodrop or few, smollm2 or minilm, then methods"
[ $# -ge 3 ] || die "$usage, received $# arguments"
part=$1 model=$2
shift 2
dept=${DEPT:-build/release/bin/dept}
read -ra sweep_flags <<<"${SWEEP_FLAGS:-}"
out=runs/comparison/$model
seeds="seed: {values: [1, 2, 3, 4, 5]}"

case $model in
  smollm2) recipe=configs/halving.yaml recipe_flags=() few_flags=(--max_steps 30 --max_predict_samples 200) ;;
  minilm) recipe=configs/film_reviews_minilm.yaml recipe_flags=(--max_steps 150 --per_device_train_batch_size 16) few_flags=(--max_steps 40) ;;
  *) die "$usage, received $model" ;;
esac

# method_of METHOD: sets `flags`, of as many numbers as the recipe's m d + s r + r d, and `rates`, the axes of its search. DePT and
# vanilla have nine configurations, which halving compares in the same number of steps; the others two.
method_of() {
  local nine="learning_rate: {values: [0.005, 0.009, 0.016, 0.028, 0.05, 0.09, 0.16, 0.28, 0.5]}"
  local pairs="learning_rate: {values: [0.05, 0.15, 0.45]}, lora_embedding_lr: {values: [1e-4, 1e-3, 1e-2]}"
  [ "$model" = smollm2 ] || pairs=${pairs/0.05, 0.15, 0.45/0.01, 0.03, 0.09}
  case $model-$1 in
    *-dept) flags=() rates=$pairs ;;
    smollm2-vanilla) flags=(--peft_type PROMPT_TUNING --prefix_length 19) rates=$nine ;;
    minilm-vanilla) flags=(--peft_type PROMPT_TUNING --prefix_length 30) rates=$nine ;;
    smollm2-adept) flags=(--peft_type ADEPT --r 4) rates="learning_rate: {value: 0.15}, lora_embedding_lr: {values: [1e-4, 1e-3]}" ;;
    minilm-adept) flags=(--peft_type ADEPT --r 4) rates="learning_rate: {values: [0.03, 0.15]}" ;;
    smollm2-ulpt) flags=(--peft_type ULPT --prefix_length 19 --r 525) rates="learning_rate: {values: [0.05, 0.6]}" ;;
    minilm-ulpt) flags=(--peft_type ULPT --prefix_length 30 --r 358) rates="learning_rate: {values: [0.05, 0.6]}" ;;
    smollm2-dpt) flags=(--peft_type DPT --prefix_length 19 --r 18) rates="learning_rate: {values: [0.01, 0.1]}" ;;
    minilm-dpt) flags=(--peft_type DPT --prefix_length 30 --r 28) rates="learning_rate: {values: [0.01, 0.1]}" ;;
    smollm2-residual) flags=(--peft_type RESIDUAL_PROMPT --prefix_length 9 --encoder_hidden_size 4) rates="learning_rate: {values: [0.03, 0.3]}" ;;
    minilm-residual) flags=(--peft_type RESIDUAL_PROMPT --encoder_hidden_size 4) rates="learning_rate: {values: [0.03, 0.3]}" ;;
    *-p_tuning) flags=(--peft_type P_TUNING --encoder_hidden_size 4) rates="learning_rate: {values: [0.003, 0.03]}" ;;
    *) die "$usage, received $1" ;;
  esac
}

# sweep_of NAME RECIPE SWEEP [flag...]: RECIPE with the key `sweep: {SWEEP}`, into $out/NAME.
sweep_of() {
  local name=$1 from=$2 key=$3
  shift 3
  mkdir -p "$out"
  { sed '/^sweep:/,$d' "$from"; echo "sweep: {$key}"; } >"$out/$name.yaml"
  "$dept" sweep "$out/$name.yaml" --output_dir "$out/$name" --validation_file data/film-reviews/validation.csv --save_strategy no \
    --do_predict "$@" "${sweep_flags[@]}" >"$out/$name.csv"
}

# column SWEEP NAME: of the first row of its results.
column() {
  awk -F , -v wanted="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == wanted) c = i } NR == 2 { print $c }' "$out/$1/results.csv"
}

search() {
  local how="method: grid, parameters: {$rates}"
  case $1 in dept | vanilla) how="method: halving, early_terminate: {min_iter: 25, eta: 3}, parameters: {$rates}" ;; esac
  sweep_of "$1-search" "$recipe" "$how" "${recipe_flags[@]}" "${flags[@]}"
  cat "$out/$1-search/results.csv"
}

# seeds_of METHOD NAME TITLE [flag...]: 5 seeds of the best of its search.
seeds_of() {
  local name=$1-$2 title=$3 best=$out/$1-search/best.yaml
  shift 3
  [ -e "$best" ] || die "[comparison.sh] expected $best, made by scripts/comparison.sh search"
  sweep_of "$name" "$best" "parameters: {$seeds}, repeat: [seed]" --max_eval_samples 32 "$@"
  printf '%-8s %-24s test accuracy %5.1f +- %.1f %%, loss %.3f, %d seeds\n' "$model" "$title" "$(column "$name" test_accuracy)" \
    "$(column "$name" test_accuracy_std)" "$(column "$name" test_loss)" "$(column "$name" runs)"
}

scripts/film_reviews.sh
for method in "$@"; do
  method_of "$method"
  case $part in
    search) search "$method" ;;
    all) seeds_of "$method" all "$method, all" ;;
    nodrop) seeds_of "$method" nodrop "$method, no dropout" --backbone_dropout 0 ;;
    few) for k in 16 32; do seeds_of "$method" "$k" "$method, $k sentences" --k_shot_examples "$k" --warmup_steps 10 "${few_flags[@]}"; done ;;
    *) die "$usage, received $part" ;;
  esac
done
