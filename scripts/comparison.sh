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
dept=${DEPT:-build/release/bin/dept}
seeds="1, 2, 3, 4, 5"
products=(--train_file data/product-reviews/train.csv --validation_file data/product-reviews/validation.csv
  --test_file data/product-reviews/test.csv)

# Of each model: its recipes, the rates of the prompt to choose from (a third, once and three times the recipe's), and the prompt that
# has as many numbers as m d + s r + r d of the recipe.
case $model in
  smollm2)
    recipe=configs/quickstart.yaml source=configs/quickstart.yaml few=configs/quickstart.yaml
    rates="0.015, 0.05, 0.15" vanilla_length=19
    few_flags=(--max_steps 60 --warmup_steps 10 --save_strategy no)
    source_flags=("${products[@]}")
    ;;
  minilm)
    recipe=configs/film_reviews_minilm.yaml source=configs/transfer_source.yaml few=configs/seeds.yaml
    rates="0.01, 0.03, 0.09" vanilla_length=30
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

# sweep_over NAME RECIPE RATES SEEDS [train flag...]: a sweep of the recipe into $out/NAME, a row a rate; no RATES: the recipe's own.
sweep_over() {
  local name=$1 given=$2 axes="seed: {values: [$4]}"
  [ -z "$3" ] || axes="learning_rate: {values: [$3]}, $axes"
  shift 4
  mkdir -p "$out"
  { sed '/^sweep:/,$d' "$given"; printf 'sweep: {parameters: {%s}, repeat: [seed]}\n' "$axes"; } >"$out/$name.yaml"
  "$dept" sweep "$out/$name.yaml" --output_dir "$out/$name" --do_predict --validation_file data/film-reviews/validation.csv "$@" \
    "${flags[@]}" >/dev/null
}

# cell NAME COLUMN: of the first row of its results.
cell() {
  awk -F , -v wanted="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == wanted) column = i } NR == 2 { print $column }' "$out/$1/results.csv"
}

# json FILE KEY: a number of it.
json() { sed -n "s/^ *\"$2\": \([0-9.e-]*\),*$/\1/p" "$1"; }

# choose METHOD: sets `rate`, by the validation accuracy of seed 1, of equal ones the smaller.
choose() {
  method_flags "$1"
  sweep_over "$1-rates" "$recipe" "$rates" 1 "${method[@]}"
  rate=$(sed -n 's/^learning_rate: //p' "$out/$1-rates/best.yaml")
  awk -F , -v title="$model $1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "eval_accuracy") column = i }
    NR > 1 { printf "%-16s rate %-6s validation accuracy %.1f %%\n", title, $2, $column }' "$out/$1-rates/results.csv"
}

# numbers FOLDER: how many numbers its prompt has, m d + s r + r d.
numbers() {
  local config=$1/adapter_config.json m d s r
  m=$(json "$config" num_virtual_tokens) d=$(json "$config" token_dim) s=$(json "$config" max_length) r=$(json "$config" r)
  echo $((m * d + (s + d) * ${r:-0}))
}

# row NAME TITLE...: mean and deviation of the test accuracy.
row() {
  local name=$1 first
  shift
  first=$(find "$out/$name/runs" -mindepth 1 -maxdepth 1 | sort | head -n 1)
  printf '%-8s %-44s %6d numbers   %5.1f %% +- %-5.1f %d seeds\n' "$model" "$*" "$(numbers "$first")" \
    "$(cell "$name" test_accuracy)" "$(cell "$name" test_accuracy_std)" "$(cell "$name" runs)"
}

compare_on_all() {
  local name
  for name in dept vanilla; do
    choose "$name"
    sweep_over "$name-$rate" "$recipe" "" "$seeds" "${method[@]}" --learning_rate "$rate"
    row "$name-$rate" "$name, rate $rate, all sentences"
  done
}

compare_on_few() {
  local name k start
  scripts/film_reviews.sh products
  for name in dept vanilla; do
    choose "$name" >&2
    method+=(--learning_rate "$rate")
    "$dept" train "$source" "${method[@]}" "${source_flags[@]}" --output_dir "$out/$name-source" "${flags[@]}" >/dev/null
    for k in 16 32; do
      for start in nothing source; do
        begin=()
        [ "$start" = nothing ] || begin=(--peft_model_id "$out/$name-source")
        sweep_over "$name-$k-$start" "$few" "" "$seeds" "${method[@]}" --k_shot_examples "$k" "${few_flags[@]}" "${begin[@]}"
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
