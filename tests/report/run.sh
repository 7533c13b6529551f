#!/usr/bin/env bash
# Pages on tiny runs in Debian's Chromium; where there is none, a line says so.
#   run.sh PROGRAM
set -euo pipefail
dept=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
browser=$(command -v chromium || command -v chromium-browser || true)
if [ -z "$browser" ]; then
  echo "no chromium here (scripts/setup.sh check installs it on Debian): the pages are not looked at"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/../parity/data/models/llama-gqa-tied" "$work/model"
cp "$here"/../recipe/tiny/tokenizer*.json "$work/model"

# A text that is markup.
printf 'text,label\n"<script>console.log(1)</script><img src=x.png> & ""more""",yes\nA warm score.,no\n' >"$work/test.csv"
train() {
  local name=$1
  shift
  "$dept" train --model_name_or_path "$work/model" --train_file "$here/../recipe/tiny/train.csv" \
    --validation_file "$here/../recipe/tiny/validation.csv" --test_file "$work/test.csv" --labels no yes --causal_suffix " :" \
    --prefix_length 4 --r 2 --max_seq_length 96 --do_train --do_eval --do_predict --predict_by score --max_steps 12 --logging_steps 2 \
    --eval_strategy steps --eval_steps 4 --threads 1 --learning_rate 0.1 --output_dir "$work/$name" "$@" >>"$work/log" 2>&1 ||
    { tail -3 "$work/log"; exit 1; }
}
for seed in 1 2; do train "seed-$seed" --seed "$seed"; done
train rate --learning_rate 0.3
train wide --learning_rate 0.3 --prefix_length 8
train rank --lora_embedding_lr 0.01 --r 4 --prefix_length 8

report() { "$dept" report "$@" 2>>"$work/log" || { tail -1 "$work/log"; exit 1; }; }
report "$work/seed-1" --output "$work/again.html"
cmp "$work/seed-1/report.html" "$work/again.html"
report "$work"/seed-* --output "$work/seeds.html"
report "$work"/{seed-1,rate,wide,rank} --output "$work/options.html"
report "$work"/{seed-1,rate,wide} --output "$work/map.html"
python3 "$here/page_in_chromium.py" "$browser" "$work/seed-1/report.html" "$work/seeds.html" "$work/options.html" "$work/map.html"
echo "the pages are as they should be in $("$browser" --version 2>/dev/null)"
