#!/usr/bin/env bash
# Measures the quickstart's training step on the lengths of the film reviews, one JSON object a run; a peer's command runs in turns with it.
#   bench/film_reviews.sh [REPEATS [PEER COMMAND...]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
repeats=${1:-5}
shift || true
dept=build/release/bin/dept
model=.deps/models/smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf
scripts/setup.sh build model reviews
scripts/film_reviews.sh
scripts/build.sh release --target dept_program

lengths=$(mktemp)
trap 'rm -f "$lengths"' EXIT
# csv rows to JSON strings, to ids, to their number, as long as A has rows
sed -e 1d -e 's/\\/\\\\/g' -e 's/^"//' -e 's/",[a-z]*$/ Label :/' -e 's/""/\\"/g' -e 's/.*/"&"/' -e 1601q data/film-reviews/train.csv |
  "$dept" tokenize --model_name_or_path "$model" | awk -F , '{ print NF < 96 ? NF : 96 }' >"$lengths"

for ((run = 0; run < repeats; ++run)); do
  "$dept" bench train --model_name_or_path "$model" --lengths "$lengths" --target_length 2 --batch 16 --m 10 --r 8 \
    --max_seq_length 96 --dtype auto --steps 20 --warmup 3 --json
  [ $# -eq 0 ] || "$@"
done
