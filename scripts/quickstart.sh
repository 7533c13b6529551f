#!/usr/bin/env bash
# From nothing to a trained prompt: set-up, build, a real model, real data, training, results and a few answers.
#   scripts/quickstart.sh           SmolLM2-135M, which answers in words
#   scripts/quickstart.sh gemma3    Gemma 3 270M, another one (Gemma Terms of Use)
#   scripts/quickstart.sh minilm    all-MiniLM-L6-v2, a sentence encoder with a classification head
#   scripts/quickstart.sh vqa       SmolLM2-135M with images in front of its questions
# What is there already is skipped; `rm -r runs/quickstart*` trains again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
dept=build/release/bin/dept

case ${1:-smollm2} in
  smollm2)
    model=model config=configs/quickstart.yaml run=runs/quickstart untrained=runs/quickstart-untrained.json
    short=60 predict=(--predict_by score) words=(--label_words "' a'" "' b'" "' c'")
    ;;
  gemma3)
    model=gemma3 config=configs/film_reviews_gemma3.yaml run=runs/quickstart-gemma3 untrained=runs/quickstart-gemma3-untrained.json
    short=60 predict=(--predict_by score) words=(--label_words "' a'" "' b'" "' c'")
    ;;
  minilm)
    model=minilm config=configs/film_reviews_minilm.yaml run=runs/quickstart-minilm untrained=
    short=300 predict=() words=()
    ;;
  vqa) exec scripts/quickstart_vqa.sh ;;
  *) die "[quickstart.sh] expected nothing, gemma3, minilm or vqa, received $1" ;;
esac

timed "set-up" scripts/setup.sh build "$model" reviews
timed "data" scripts/film_reviews.sh
timed "build" scripts/build.sh release --target dept_program

shorter=()
if ! cpu_has_bf16 && [ "$short" -lt 150 ]; then
  say "This CPU has no bf16 arithmetic (AVX512-BF16 or AMX): computing in fp32 and training $short steps in place of 150."
  shorter=(--max_steps "$short" --warmup_steps 10)
fi

# metric FILE NAME: a figure of a JSON file of metrics, all in percent.
metric() { printf '%.1f %%' "$(grep -oE "\"(test_)?$2\": ?[0-9.e-]+" "$1" | head -n 1 | sed 's/.*: *//')"; }

if [ -n "$untrained" ] && [ ! -e "$untrained" ]; then
  mkdir -p runs
  timed "the untrained model on the held-out tenth" "$dept" eval "$config" --output "$untrained"
fi
if [ ! -e "$run/test_results.json" ]; then
  timed "training" "$dept" train "$config" "${shorter[@]}"
fi

say ""
say "Film reviews, $(($(wc -l <data/film-reviews/test.csv) - 1)) held-out sentences, by the likelier label:"
[ -z "$untrained" ] || say "  untrained model    accuracy $(metric "$untrained" accuracy)   F1 $(metric "$untrained" f1)"
say "  with the prompt    accuracy $(metric "$run/test_results.json" accuracy)   F1 $(metric "$run/test_results.json" f1)"
say ""
printf '%s\n' '"A quiet, generous film that stays with you for days."' '"Two hours of noise in search of a plot."' \
  '"The jokes are old, but the cast makes them dance."' |
  "$dept" predict --peft_model_id "$run" "${predict[@]}" --scores
say ""
say "The same on your own csv with the columns text and label:"
say "  $dept train $config --train_file YOUR.csv --test_file YOUR_TEST.csv --labels a b c ${words[*]} --output_dir runs/mine"
