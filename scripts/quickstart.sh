#!/usr/bin/env bash
# From nothing to a trained prompt: set-up, build, a real model, real data, training, results and a few answers.
# What is there already is skipped; `rm -r runs/quickstart` trains again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
config=configs/quickstart.yaml
run=runs/quickstart
dept=build/release/bin/dept

timed "set-up" scripts/setup.sh build model reviews
timed "data" scripts/film_reviews.sh
timed "build" scripts/build.sh release --target dept_program

shorter=()
if ! cpu_has_bf16; then
  say "This CPU has no bf16 arithmetic (AVX512-BF16 or AMX): computing in fp32 and training 60 steps in place of 150."
  shorter=(--max_steps 60 --warmup_steps 10)
fi

# metric FILE NAME: a figure of a JSON file of metrics, all in percent.
metric() { printf '%.1f %%' "$(grep -oE "\"(test_)?$2\": ?[0-9.e-]+" "$1" | head -n 1 | sed 's/.*: *//')"; }

untrained=runs/quickstart-untrained.json
if [ ! -e "$untrained" ]; then
  mkdir -p runs
  timed "the untrained model on the held-out tenth" "$dept" eval "$config" --output "$untrained"
fi
if [ ! -e "$run/test_results.json" ]; then
  timed "training" "$dept" train "$config" "${shorter[@]}"
fi

say ""
say "Film reviews, $(($(wc -l <data/film-reviews/test.csv) - 1)) held-out sentences, by the likelier label:"
say "  untrained model    accuracy $(metric "$untrained" accuracy)   F1 $(metric "$untrained" f1)"
say "  with the prompt    accuracy $(metric "$run/test_results.json" accuracy)   F1 $(metric "$run/test_results.json" f1)"
say ""
printf '%s\n' '"A quiet, generous film that stays with you for days."' '"Two hours of noise in search of a plot."' \
  '"The jokes are old, but the cast makes them dance."' |
  "$dept" predict --peft_model_id "$run" --predict_by score --scores
say ""
say "The same on your own csv with the columns text and label:"
say "  $dept train $config --train_file YOUR.csv --test_file YOUR_TEST.csv --labels a b c --label_words ' a' ' b' ' c' --output_dir runs/mine"
