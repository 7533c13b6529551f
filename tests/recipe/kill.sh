#!/usr/bin/env bash
# A signal at random moments of a training run: the same command, given until it ends, leaves the same bytes as an unbroken run.
#   kill.sh PROGRAM MOMENTS [train flag...]        by turns KILL, TERM and HUP
set -euo pipefail
dept=$1 moments=$2
shift 2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$here/../parity/data/models/llama-gqa-tied" "$work/model"
cp "$here"/tiny/tokenizer*.json "$work/model"

flags=(train --model_name_or_path "$work/model" --train_file "$here/tiny/train.csv" --validation_file "$here/tiny/validation.csv"
  --test_file "$here/tiny/test.csv" --labels no yes --causal_suffix " :" --prefix_length 4 --r 2 --max_seq_length 48
  --learning_rate 0.1 --lora_embedding_lr 0.01 --do_train --do_eval --do_predict --predict_by score
  --per_device_train_batch_size 4 --gradient_accumulation_steps 2 --max_steps 60 --warmup_steps 5 --eval_strategy steps
  --eval_steps 5 --save_steps 5 --logging_steps 5 --save_total_limit 2 --load_best_model_at_end --threads 1 "$@")
train() { "$dept" "${flags[@]}" --output_dir "$1" >>"$work/log" 2>&1 || { tail -5 "$work/log"; exit 1; }; }

# What has to be equal: weights, predictions, and every log and result without the figures that time gives.
fingerprint() {
  (cd "$1" && sha256sum adapter_model.safetensors adapter_config.json generated_predictions.jsonl README.md &&
    cat trainer_state.json ./*_results.json | grep -vE '_runtime"|_per_second"') | sed "s/,$//; s#$1/##"
}

signals=(KILL TERM HUP)
start=$(date +%s%N)
train "$work/unbroken"
length=$((($(date +%s%N) - start) / 1000000))
fingerprint "$work/unbroken" >"$work/expected"
[ "$(find "$work/unbroken" -name 'checkpoint-*' | wc -l)" -ge 2 ] || { echo "no checkpoints were written"; exit 1; }

for ((moment = 1; moment <= moments; ++moment)); do
  out=$work/killed-$moment
  # The first moment comes before the first checkpoint; a second kill hits the run that goes on.
  for kill in 1 2; do
    delay=$((RANDOM % length + 1))
    [ "$moment" -gt 1 ] || delay=$((kill * length / 10))
    signal=${signals[$(((moment + kill) % 3))]}
    "$dept" "${flags[@]}" --output_dir "$out" >>"$work/log" 2>&1 &
    pid=$!
    sleep "$(printf '%d.%03d' $((delay / 1000)) $((delay % 1000)))"
    kill "-$signal" "$pid" 2>/dev/null || true
    code=0
    wait "$pid" 2>/dev/null || code=$?
    # Before the program has set up its streams a signal ends it too, with the same code.
    [ "$code" -eq 0 ] || [ "$code" -eq $((128 + $(kill -l "$signal"))) ] ||
      { echo "moment $moment: $signal ends with $code"; tail -5 "$work/log"; exit 1; }
  done
  train "$out"
  if ! fingerprint "$out" | diff "$work/expected" - >"$work/diff"; then
    echo "moment $moment ($delay ms): another result"
    head -20 "$work/diff"
    exit 1
  fi
  if find "$out" -name '.*' -mindepth 1 | grep -q .; then
    echo "moment $moment: leftovers"
    find "$out" -name '.*'
    exit 1
  fi
  rm -rf "$out"
done
train "$work/unbroken" # a finished run given again keeps its results
fingerprint "$work/unbroken" | diff "$work/expected" -
echo "ended at $moments moments: the same bytes every time"
