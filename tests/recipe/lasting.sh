#!/usr/bin/env bash
# What ends a job on a shared machine: signals, a second process, a full disk, files that change, launchers, more steps.
#   lasting.sh PROGRAM
set -euo pipefail
dept=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; rm -rf "$work"' EXIT
cp -r "$here/../parity/data/models/llama-gqa-tied" "$work/model"
cp "$here"/tiny/tokenizer*.json "$work/model"
cp "$here"/tiny/*.csv "$work"
for ((i = 0; i < 200; ++i)); do tail -n +2 "$here/tiny/test.csv"; done | cat <(head -1 "$here/tiny/test.csv") - >"$work/long.csv"

flags=(train --model_name_or_path "$work/model" --train_file "$work/train.csv" --labels no yes --causal_suffix " :"
  --prefix_length 4 --r 2 --max_seq_length 48 --learning_rate 0.1 --do_train --predict_by score
  --per_device_train_batch_size 4 --save_steps 5 --threads 1)
endless=(--max_steps 1000000 --validation_file "$work/long.csv" --eval_strategy steps --eval_steps 10)

die() { printf '%s\n' "$*"; [ ! -f "$work/log" ] || tail -5 "$work/log"; exit 1; }
# ends CODE command...: with that exit code, stdout and stderr in $work/log
ends() {
  local expected=$1 code=0
  shift
  "$@" 2>&1 | cat >"$work/log" || code=$?
  [ "$code" -eq "$expected" ] || die "exit code $code in the place of $expected: $*"
}
# says PART...: a line of the last command has each of them
says() {
  local part
  cp "$work/log" "$work/lines"
  for part in "$@"; do
    grep -F -- "$part" "$work/lines" >"$work/matching" || die "no line with $*"
    mv "$work/matching" "$work/lines"
  done
}
clean() { [ ! -e "$1" ] || [ -z "$(find "$1" -name '.*' -mindepth 1)" ] || die "leftovers: $(find "$1" -name '.*')"; }
# until_there PATH: waits for what a process in the background makes
until_there() {
  for ((i = 0; i < 600; ++i)); do [ ! -e "$1" ] || return 0; sleep 0.05; done
  die "$1 never came"
}
# start command...: in the background, its output in $work/background
start() {
  rm -f "$work/background"
  "$@" >"$work/background" 2>&1 &
  pid=$!
}
# until_busy FOLDER: until it says something, or has begun a file there
until_busy() {
  for ((i = 0; i < 600; ++i)); do
    if [ -s "$work/background" ] || [ -n "$(ls -A "$1")" ]; then return 0; fi
    sleep 0.05
  done
  die "it never began"
}
# stop SIGNAL CODE: ends it, within a few seconds though an evaluation takes longer
stop() {
  local code=0 begin=$SECONDS
  kill "-$1" "$pid"
  wait "$pid" || code=$?
  pid=
  cp "$work/background" "$work/log"
  [ "$code" -eq "$2" ] || die "$1 ends with $code in the place of $2"
  [ $((SECONDS - begin)) -le 20 ] || die "$1 took $((SECONDS - begin)) s"
}

signals=(TERM:143 HUP:129 INT:130)
ignored=$(awk '/^SigIgn/ { print $2 }' /proc/self/status)
[ $((0x$ignored & 1)) -eq 0 ] || signals=(TERM:143 INT:130) # under nohup
for signal in "${signals[@]}"; do
  out=$work/${signal%:*}
  start "$dept" "${flags[@]}" "${endless[@]}" --output_dir "$out"
  until_there "$out/checkpoint-5" # an evaluation comes next
  stop "${signal%:*}" "${signal#*:}"
  says "interrupted: saved at step"
  [ -f "$out/checkpoint-5/training_state.json" ] || die "no checkpoint"
  clean "$out"
done

# timeout sends its signal twice, and nohup's is no reason to end.
start "$dept" "${flags[@]}" "${endless[@]}" --output_dir "$work/twice"
until_there "$work/twice/checkpoint-5"
kill -TERM "$pid"
stop TERM 143
says "interrupted: saved at step"
clean "$work/twice"
start nohup "$dept" "${flags[@]}" --max_steps 40 --output_dir "$work/nohup"
until_there "$work/nohup/run.json"
kill -HUP "$pid"
wait "$pid" || die "nohup's run ended"
pid=

# In the evaluation behind the training: what is trained is not trained again.
last=(--max_steps 8 --do_predict --test_file "$work/long.csv" --output_dir "$work/last")
start "$dept" "${flags[@]}" --save_steps 500 "${last[@]}"
until_there "$work/last/train_results.json"
stop TERM 143
says "interrupted in an evaluation, the training is done"
clean "$work/last"
ends 0 "$dept" "${flags[@]}" --save_steps 500 "${last[@]}"
says "going on from" "checkpoint-8"
[ "$(grep -c train_runtime "$work/last/trainer_state.json")" -eq 1 ] || die "more than one summary"

# Other commands leave no file behind.
ends 0 "$dept" "${flags[@]}" --max_steps 10 --output_dir "$work/run"
for command in predict eval generate; do
  case $command in
    predict) more=(--input "$work/long.csv") ;;
    eval) more=(--test_file "$work/long.csv") ;;
    generate) more=(--max_new_tokens 64 --input "$work/prompts") ;;
  esac
  yes '"a good film"' | head -2000 >"$work/prompts" || true
  mkdir "$work/$command"
  start "$dept" "$command" --peft_model_id "$work/run" --threads 1 --output "$work/$command/out" "${more[@]}"
  until_busy "$work/$command"
  stop TERM 143
  says "dept: interrupted (SIGTERM)"
  [ -z "$(ls -A "$work/$command")" ] || die "$command left $(ls -A "$work/$command")"
done

# One run a folder.
start "$dept" "${flags[@]}" "${endless[@]}" --output_dir "$work/run-2"
until_there "$work/run-2/run.json"
ends 4 "$dept" "${flags[@]}" "${endless[@]}" --output_dir "$work/run-2"
says "dept: [$work/run-2] expected a folder that no other run writes in" "process $pid on $(uname -n) since 20"
ends 4 "$dept" "${flags[@]}" --max_steps 3 --overwrite_output_dir --output_dir "$work/run-2"
says "process $pid on"
stop KILL 137
ends 0 "$dept" "${flags[@]}" --max_steps 3 --overwrite_output_dir --output_dir "$work/run-2"
clean "$work/run-2"

# A file over the limit, as a full disk.
for blocks in 2 8 24; do # reached by run.json, by what is logged, by a checkpoint
  ends 4 prlimit --fsize=$((blocks * 1024)) "$dept" "${flags[@]}" --max_steps 400 --logging_steps 1 \
    --output_dir "$work/full-$blocks"
  says "File too large"
  [ "$(grep -c '^dept: ' "$work/log")" -eq 1 ] || die "more than one line"
  clean "$work/full-$blocks"
  [ -z "$(find "$work" -name '*.json' -size 0)" ] || die "an empty file is left"
done
ends 4 "$dept" predict --peft_model_id "$work/run" --input "$work/prompts" --output /dev/full
says "No space left on device"

# Other data, another model: named, and refused.
changed() {
  ends 2 "$dept" "${flags[@]}" --max_steps 10 --output_dir "$work/run"
  says "$1 has changed" "--overwrite_output_dir"
}
ends 0 "$dept" "${flags[@]}" --max_steps 10 --output_dir "$work/run" --threads 2 --disable_tqdm true
says "this very run, finished"
printf 'more text,yes\n' >>"$work/train.csv"
changed "train_file: $work/train.csv"
cp "$here/tiny/train.csv" "$work/train.csv"
printf '\n' >>"$work/model/tokenizer_config.json"
changed "model_name_or_path: tokenizer_config.json"
cp "$here/tiny/tokenizer_config.json" "$work/model"
printf '\x01' | dd of="$work/model/model.safetensors" bs=1 seek=20000 conv=notrunc status=none
changed "model_name_or_path: model.safetensors"
cp "$here/../parity/data/models/llama-gqa-tied/model.safetensors" "$work/model"

# More steps.
ends 2 "$dept" "${flags[@]}" --max_steps 20 --output_dir "$work/run"
says "--resume_from_checkpoint true" "max_steps 20 (there 10)"
ends 0 "$dept" "${flags[@]}" --max_steps 20 --output_dir "$work/run" --resume_from_checkpoint true
grep -q "going on from .*checkpoint-10" "$work/log" || die "it did not go on"
[ -d "$work/run/checkpoint-20" ] || die "no further checkpoint"

# Half of a launcher's variables.
ends 2 env RANK=0 WORLD_SIZE=2 "$dept" "${flags[@]}" --max_steps 3 --output_dir "$work/ranks"
says "[MASTER_ADDR]"
ends 2 env OMPI_COMM_WORLD_SIZE=4 "$dept" "${flags[@]}" --max_steps 3 --output_dir "$work/ranks"
says "[OMPI_COMM_WORLD_RANK]"
[ ! -e "$work/ranks" ] || die "a folder is left"
echo "signals, a second process, a full disk, changed files, more steps, launchers: each in one line"
