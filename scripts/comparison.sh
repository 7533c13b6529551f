#!/usr/bin/env bash
# DePT beside vanilla prompt tuning at equal numbers of trained prompt parameters, on film reviews (docs/comparison.md).
#   scripts/comparison.sh all MODEL [train flag...]   all training sentences: the prompt's rate by the validation part, then 5 seeds
#   scripts/comparison.sh few MODEL [train flag...]   16 and 32 sentences, from nothing and from the product reviews, 5 seeds
# MODEL is smollm2 or minilm. `few` takes the rates that `all` has chosen. Runs that are there are not made again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
usage="[comparison.sh] expected all or few, then smollm2 or minilm"
[ $# -ge 2 ] || die "$usage, received $# arguments"
part=$1 model=$2
shift 2
flags=("$@")
seeds=(1 2 3 4 5)
products=(--train_file data/product-reviews/train.csv --validation_file data/product-reviews/validation.csv
  --test_file data/product-reviews/test.csv)

# Of each model: its recipes, the rates of the prompt to choose from (a third, once and three times the recipe's), and the prompt that
# has as many numbers as m d + s r + r d of the recipe.
case $model in
  smollm2)
    recipe=configs/quickstart.yaml source=configs/quickstart.yaml few=configs/quickstart.yaml
    rates=(0.015 0.05 0.15) vanilla_length=19
    few_flags=(--max_steps 60 --warmup_steps 10 --save_strategy no)
    source_flags=("${products[@]}")
    ;;
  minilm)
    recipe=configs/film_reviews_minilm.yaml source=configs/transfer_source.yaml few=configs/few_shot.yaml
    rates=(0.01 0.03 0.09) vanilla_length=30
    few_flags=()
    source_flags=()
    ;;
  *) die "$usage, received $model" ;;
esac

out=runs/comparison/$model

# method_flags METHOD: sets `method`.
method_flags() {
  method=()
  [ "$1" = dept ] || method=(--peft_type PROMPT_TUNING --prefix_length "$vanilla_length")
}

# seeds_of NAME RECIPE SEEDS -- FLAGS: the runs under $out/NAME, their table in $out/NAME/table.
seeds_of() {
  local name=$1
  mkdir -p "$out/$name"
  scripts/few_shot.sh "${@:2}" "${flags[@]}" >"$out/$name/table"
}

# on_all METHOD RATE SEED...
on_all() {
  local name=$1-$2
  method_flags "$1"
  seeds_of "$name" "$recipe" "$out/$name" "${@:3}" -- "${method[@]}" --learning_rate "$2" --do_eval \
    --validation_file data/film-reviews/validation.csv
}

# json FILE KEY: a number of it.
json() { sed -n "s/^ *\"$2\": \([0-9.e-]*\),*$/\1/p" "$1"; }

# choose METHOD: sets `rate`, by the validation accuracy of seed 1, of equal ones the smaller.
choose() {
  local best=-1 accuracy candidate
  for candidate in "${rates[@]}"; do
    on_all "$1" "$candidate" 1
    accuracy=$(json "$out/$1-$candidate/seed-1/eval_results.json" eval_accuracy)
    printf '%-8s %-8s rate %-6s validation accuracy %.1f %%\n' "$model" "$1" "$candidate" "$accuracy"
    if awk -v a="$accuracy" -v b="$best" 'BEGIN { exit !(a > b) }'; then best=$accuracy rate=$candidate; fi
  done
}

# numbers FOLDER: how many numbers its prompt has, m d + s r + r d.
numbers() {
  local config=$1/adapter_config.json m d s r
  m=$(json "$config" num_virtual_tokens) d=$(json "$config" token_dim) s=$(json "$config" max_length) r=$(json "$config" r)
  echo $((m * d + (s + d) * ${r:-0}))
}

# row NAME TITLE...: mean and deviation of the test accuracy.
row() {
  local name=$1 mean deviation runs
  shift
  read -r _ mean deviation runs < <(grep '^test_accuracy ' "$out/$name/table")
  printf '%-8s %-44s %6d numbers   %5.1f %% +- %-5.1f %d seeds\n' "$model" "$*" "$(numbers "$out/$name/seed-1")" "$mean" "$deviation" "$runs"
}

compare_on_all() {
  local name
  for name in dept vanilla; do
    choose "$name"
    on_all "$name" "$rate" "${seeds[@]}"
    row "$name-$rate" "$name, rate $rate, all sentences"
  done
}

compare_on_few() {
  local name k start
  scripts/film_reviews.sh products
  for name in dept vanilla; do
    choose "$name" >&2
    method_flags "$name"
    method+=(--learning_rate "$rate")
    seeds_of "$name-source" "$source" "$out/$name-source" 1 -- "${method[@]}" "${source_flags[@]}"
    for k in 16 32; do
      for start in nothing source; do
        begin=()
        [ "$start" = nothing ] || begin=(--peft_model_id "$out/$name-source/seed-1")
        seeds_of "$name-$k-$start" "$few" "$out/$name-$k-$start" "${seeds[@]}" -- "${method[@]}" --k_shot_examples "$k" \
          "${few_flags[@]}" "${begin[@]}"
        row "$name-$k-$start" "$name, rate $rate, $k sentences, from $start"
      done
    done
  done
}

scripts/film_reviews.sh
case $part in
  all) compare_on_all ;;
  few) compare_on_few ;;
  *) die "$usage, received $part" ;;
esac
