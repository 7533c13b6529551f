#!/usr/bin/env bash
# Measures evaluation (encode, then write a label greedily) on T5-base with random weights beside transformers' generate with SDPA in
# bf16: the same weights, ids, batches and number of new tokens, in turns; one JSON object a run, then how many answers differ.
#   PEER_PYTHON=python3 bench/evaluation.sh TEXTS.tsv TOKENIZER.json [REPEATS [EXAMPLES]]
# TEXTS has a text in its first column; PEER_PYTHON has torch, transformers and tokenizers.
set -euo pipefail
if [ -z "${PEER_PYTHON:-}" ]; then
  echo "evaluation.sh: PEER_PYTHON names no Python with torch and transformers: left out" >&2
  exit 0
fi
texts=$(realpath "$1") tokenizer=$(realpath "$2") repeats=${3:-5} examples=${4:-640}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dept=build/release/bin/dept
[ -x "$dept" ] || scripts/build.sh release --target dept_program
threads=$(nproc) batch=32 new_tokens=3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
peer() { "$PEER_PYTHON" bench/evaluation_peer.py --threads "$threads" --batch "$batch" --new_tokens "$new_tokens" --model "$work/t5" "$@"; }
peer --make "$texts" --tokenizer "$tokenizer" --examples "$examples" --out "$work"

for order in given sorted; do
  for ((run = 0; run < repeats; ++run)); do
    "$dept" generate --model_name_or_path "$work/t5" --dtype bf16 --threads "$threads" --batch_size "$batch" --max_new_tokens "$new_tokens" \
      --input "$work/$order.jsonl" --output "$work/ours.jsonl" 2>"$work/log"
    sed -nE "s/.*answers ([0-9]+), .*seconds ([0-9.]+).*/\1 \2/p" "$work/log" |
      awk -v order="$order" '{ printf "{\"who\": \"dept\", \"order\": \"%s\", \"examples_per_s\": %.2f}\n", order, $1 / $2 }'
    peer --ids "$work/$order.jsonl" --out "$work/theirs.jsonl" --order "$order"
  done
  peer --compare "$work/ours.jsonl" --out "$work/theirs.jsonl" --order "$order"
done
