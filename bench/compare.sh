#!/usr/bin/env bash
# Measures dept beside its peers in Python, in turns (A B A B): each run's JSON line, then the medians and their ratio.
#   bench/compare.sh train TASK PEER_MODE [REPEATS [STEPS]]   a training step beside DePT on transformers, by SHAPE: T5, bert-base, gpt2
#   bench/compare.sh eval TASK [REPEATS [EXAMPLES]]           by SHAPE, beside transformers with SDPA: T5 encodes and writes a label,
#                                                             gpt2 and bert-base score the labels of an adapter
#   bench/compare.sh reviews [REPEATS]                        the quickstart's training step beside the same in PyTorch
# PEER_PYTHON is a Python with torch, transformers and tokenizers; PEERS the folder of peer_train.py (its modes: ref, longest, tuned,
# tuned16), peer_bert.py, peer_gpt2.py (tuned, tuned16) and peer_smol.py, whose neighbours data/ and tokenizers/ hold the texts.
# Where they are not, dept is measured alone.
# TASK: sst2, mrpc, or lenN, all inputs of N tokens, as T5 counts them. SHAPE (t5-base), BATCH (of eval the peer's alone), M and R (40
# and 45; of other families 20 and 8), DTYPE (bf16 beside tuned16 and in eval, else fp32) and THREADS may be set, as may OUR_STEPS
# (20: with batches of 32 a list of 640 examples); ALLOW_BUSY=1 measures on a machine that is not idle.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
dept=build/release/bin/dept
[ -x "$dept" ] || scripts/build.sh release --target dept_program
threads=${THREADS:-$(nproc)} batch=${BATCH:-32} shape=${SHAPE:-t5-base} peers=${PEERS:-../shared/peers}
m=${M:-20} r=${R:-8}
[[ $shape != t5-* ]] || m=${M:-40} r=${R:-45}
busy=()
[ -z "${ALLOW_BUSY:-}" ] || busy=(--allow_busy)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The texts of peer_train.py in its order: 60 batches of shuffled rows. KIND source or target, one JSON string a line.
texts() {
  python3 - "$peers/../data" "$1" "$2" "$((batch * 60))" <<'PY'
import json
import random
import sys

folder, task, kind, count = sys.argv[1:]
if task == "sst2":
    lines = [line.rstrip("\n").split("\t") for line in open(f"{folder}/sst2_train.tsv", encoding="utf-8")]
    rows = [(f"sst2 sentence: {text}", "positive" if label == "1" else "negative") for text, label in lines]
else:
    lines = [line.rstrip("\n").split("\t") for line in open(f"{folder}/mrpc_train.tsv", encoding="utf-8-sig")][1:]
    rows = [(f"mrpc sentence1: {f[3]} sentence2: {f[4]}", "equivalent" if f[0] == "1" else "not_equivalent") for f in lines]
random.Random(0).shuffle(rows)
for source, target in rows[:int(count)]:
    print(json.dumps(source if kind == "source" else target))
PY
}
# Input and label tokens of the task's examples into $work/lengths and $work/targets.
lengths() {
  if [[ $1 == len* ]]; then
    echo "${1#len}" >"$work/lengths"
    echo 2 >"$work/targets"
    return
  fi
  local t5=$peers/../tokenizers/t5
  texts "$1" source | "$dept" tokenize --model_name_or_path "$t5" | awk -F , '{ print NF }' >"$work/lengths"
  texts "$1" target | "$dept" tokenize --model_name_or_path "$t5" | awk -F , '{ print NF }' >"$work/targets"
}

# Runs a command and keeps its line of JSON; ours up to five times, half a minute apart, where it finds the machine busy (exit code 5).
ours() {
  local try code=5
  for ((try = 0; try < 5 && code == 5; ++try)); do
    [ "$try" -eq 0 ] || sleep 30
    code=0
    "$@" >"$work/line" || code=$?
  done
  tee -a "$work/ours" <"$work/line"
  return "$code"
}
theirs() { "$@" 2>"$work/log" | tee -a "$work/theirs" || { cat "$work/log" >&2 && exit 1; }; }
median() { # FILE KEY
  [ -e "$1" ] || return 0
  sed -nE "s/.*\"$2\": ?([0-9.e+-]+).*/\1/p" "$1" | sort -g | awk '{ v[NR] = $1 } END { if (NR > 0) print v[int((NR + 1) / 2)] }'
}
summary() { # KEY...
  local key a b
  for key in "$@"; do
    a=$(median "$work/ours" "$key") b=$(median "$work/theirs" "$key")
    awk -v key="$key" -v a="$a" -v b="$b" 'BEGIN {
      printf "{\"median_of\": \"%s\", \"dept\": %s", key, a
      if (b > 0) printf ", \"peer\": %s, \"ratio\": %.3f", b, a / b
      print "}"
    }'
  done
}

# The peer of a shape, which is given the lengths' files or the task by name.
train_peer() { # TASK PEER_MODE STEPS LONGEST
  local options=(--mode "$2" --steps "$3" --max_len "$4" --batch "$batch" --m "$m" --r "$r" --threads "$threads")
  case $shape in
    t5-*) theirs "$PEER_PYTHON" "$peers/peer_train.py" "${options[@]}" --shape "$shape" --task "$1" --data "$work/data" ;;
    bert-* | minilm) theirs "$PEER_PYTHON" "$peers/peer_bert.py" "${options[@]}" --shape "$shape" --lengths "$work/lengths" ;;
    gpt2) theirs "$PEER_PYTHON" "$peers/peer_gpt2.py" "${options[@]}" --lengths "$work/lengths" --target 2 ;;
    *) echo "compare.sh: no peer for SHAPE=$shape" >&2 && exit 2 ;;
  esac
}

compare_train() { # TASK PEER_MODE [REPEATS [STEPS]]
  local task=$1 mode=$2 repeats=${3:-5} steps=${4:-5} run
  local dtype=fp32
  [ "$mode" != tuned16 ] || dtype=bf16
  dtype=${DTYPE:-$dtype}
  local longest=256  # what the original pads to
  [ "$task" != len512 ] || longest=512
  lengths "$task"
  [[ $shape == t5-* ]] || echo 2 >"$work/targets"
  mkdir "$work/data"
  ln -s "$(realpath "$peers/../data")"/*.tsv "$work/data/"
  ln -s "$(realpath "$peers/../tokenizers/t5/tokenizer.json")" "$work/data/t5_tokenizer.json"
  for ((run = 0; run < repeats; ++run)); do
    ours "$dept" bench train --shape "$shape" --lengths "$work/lengths" --target_length "$work/targets" --max_seq_length "$longest" \
      --batch "$batch" --m "$m" --r "$r" --dtype "$dtype" --threads "$threads" --steps "${OUR_STEPS:-20}" --warmup 2 --json "${busy[@]}"
    [ -z "${PEER_PYTHON:-}" ] || train_peer "$task" "$mode" "$steps" "$longest"
  done
  summary examples_per_s peak_rss_gb
}

compare_eval() { # TASK [REPEATS [EXAMPLES]]
  [ -n "${PEER_PYTHON:-}" ] || { echo "compare.sh: eval needs PEER_PYTHON, which writes its model" >&2; exit 2; }
  case $shape in
    t5-*) compare_answers "$@" ;;
    gpt2) compare_scores gpt2 "$@" ;;
    bert-base) compare_scores bert-uncased "$@" ;;
    *) echo "compare.sh: eval has no peer for SHAPE=$shape" >&2 && exit 2 ;;
  esac
}

compare_scores() { # TOKENIZER TASK [REPEATS [EXAMPLES]]
  local tokenizer=$peers/../tokenizers/$1/tokenizer.json task=$2 repeats=${3:-5} examples=${4:-640} dtype=${DTYPE:-bf16} order run
  local adapter=$work/adapter
  peer() {
    "$PEER_PYTHON" bench/scoring_peer.py --shape "$shape" --threads "$threads" --batch "$batch" --model "$work/model" \
      --adapter "$adapter" "$@"
  }
  # Rows a second of the bar at its end.
  score() { # DTYPE
    "$dept" eval --peft_model_id "$adapter" --test_file "$work/$order.csv" --predict_by score --dtype "$1" --threads "$threads" 2>&1 |
      sed -nE 's/^evaluate .* 100% +([0-9.]+)\/s.*/{"who": "dept", "examples_per_s": \1}/p'
  }
  texts "$task" source >"$work/texts"
  peer --make "$work/texts" --tokenizer "$tokenizer" --examples "$examples" --out "$work"
  "$dept" train --model_name_or_path "$work/model" --train_file "$work/given.csv" --do_train --max_steps 1 --prefix_length "$m" --r "$r" \
    --learning_rate 0.01 --dtype fp32 --output_dir "$adapter" 2>"$work/log" >&2
  for order in given sorted; do
    rm -f "$work/ours" "$work/theirs"
    for ((run = 0; run < repeats; ++run)); do
      score "$dtype" | ours cat
      theirs peer --rows "$work/$order.csv" --out "$work/their_scores" --order "$order" --dtype "$dtype"
    done
    summary examples_per_s
    "$dept" predict --peft_model_id "$adapter" --input "$work/$order.csv" --output "$work/our_scores.csv" --predict_by score --scores \
      --dtype fp32 --threads "$threads" 2>"$work/log"
    peer --rows "$work/$order.csv" --out "$work/their_scores" --order "$order" --dtype fp32 >"$work/log"
    peer --compare "$work/our_scores.csv" --out "$work/their_scores" --order "$order"
  done
}

compare_answers() { # TASK [REPEATS [EXAMPLES]]
  local task=$1 repeats=${2:-5} examples=${3:-640} dtype=${DTYPE:-bf16} order run
  peer() { "$PEER_PYTHON" bench/evaluation_peer.py --threads "$threads" --batch "$batch" --new_tokens 3 --model "$work/t5" --dtype "$dtype" "$@"; }
  answer() { # DTYPE FILE
    "$dept" generate --model_name_or_path "$work/t5" --dtype "$1" --threads "$threads" --max_new_tokens 3 \
      --input "$work/$order.jsonl" --output "$2" 2>"$work/log"
  }
  texts "$task" source >"$work/texts"
  peer --make "$work/texts" --tokenizer "$peers/../tokenizers/t5/tokenizer.json" --examples "$examples" --out "$work"
  for order in given sorted; do
    rm -f "$work/ours" "$work/theirs"
    for ((run = 0; run < repeats; ++run)); do
      answer "$dtype" "$work/our_answers"
      sed -nE 's/.*answers ([0-9]+), .*seconds ([0-9.]+).*/\1 \2/p' "$work/log" |
        awk -v order="$order" '{ printf "{\"who\": \"dept\", \"order\": \"%s\", \"examples_per_s\": %.2f}\n", order, $1 / $2 }' | ours cat
      theirs peer --ids "$work/$order.jsonl" --out "$work/their_answers" --order "$order"
    done
    summary examples_per_s
    answer fp32 "$work/exact_answers"
    peer --compare "$work/our_answers" --out "$work/their_answers" --exact "$work/exact_answers" --order "$order"
  done
}

compare_reviews() { # [REPEATS]
  local repeats=${1:-5} model=.deps/models/smollm2-135m run
  scripts/setup.sh build model reviews
  scripts/film_reviews.sh
  # csv rows to JSON strings, to ids, to their number, as long as A has rows
  sed -e 1d -e 's/\\/\\\\/g' -e 's/^"//' -e 's/",[a-z]*$/ Label :/' -e 's/""/\\"/g' -e 's/.*/"&"/' -e 1601q data/film-reviews/train.csv |
    "$dept" tokenize --model_name_or_path "$model"/*.gguf | awk -F , '{ print NF < 96 ? NF : 96 }' >"$work/lengths"
  for ((run = 0; run < repeats; ++run)); do
    ours "$dept" bench train --model_name_or_path "$model"/*.gguf --lengths "$work/lengths" --target_length 2 --batch 16 --m 10 --r 8 \
      --max_seq_length 96 --dtype auto --threads "$threads" --steps 20 --warmup 3 --json "${busy[@]}"
    [ -z "${PEER_PYTHON:-}" ] || theirs "$PEER_PYTHON" "$peers/peer_smol.py" --model_dir "$model" --threads "$threads" --steps 20 \
      --data .deps/reviews/movieReviewSnippets_GroundTruth.txt
  done
  summary step_median_s examples_per_s peak_rss_gb
}

case ${1:-} in
  train | eval | reviews) "compare_$1" "${@:2}" ;;
  *) sed -n '2,/^set/{/^#/p}' "$0" >&2 && exit 2 ;;
esac
