#!/usr/bin/env bash
# The original's loop over 8 tasks and 6 pairs of learning rates, at tiny scale: its command with fewer steps and samples, on a tiny
# t5-base and GLUE from a hub on the loopback; then again from the cache with HF_HUB_OFFLINE=1, with the same bytes as the result; then as one sweep.
#   seed_loop.sh PROGRAM PYTHON
set -euo pipefail
dept=$1 python=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/hub"
"$python" "$here/hub/make_hub.py" "$work/hub"
"$python" "$here/hub/hub_server.py" "$work/hub" 600 &
server=$!
for ((i = 0; i < 500; ++i)); do [ ! -f "$work/hub/hub.json" ] || break; sleep 0.02; done
HF_ENDPOINT=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["endpoint"])' "$work/hub/hub.json")
export HF_ENDPOINT HF_HUB_CACHE=$work/cache HF_HUB_ETAG_TIMEOUT=20 HF_HUB_DOWNLOAD_TIMEOUT=20 # machines that run tests may be busy
unset HF_TOKEN HF_HUB_OFFLINE TRANSFORMERS_OFFLINE

tiny=(--max_steps 4 --eval_steps 2 --save_steps 2 --warmup_steps 1 --max_seq_length 32 --max_eval_samples 6 --max_predict_samples 6
  --per_device_train_batch_size 4 --threads 1)

# run TASK LORA_LR LR OUTPUT: the original's command but for `tiny`
run() {
  "$dept" train --peft_type PROMPT_TUNING_LORA --lora_embedding_lr "$2" --learning_rate "$3" --prefix_length 40 --r 45 \
    --task_name "$1" --dataset_config_name en --model_name_or_path t5-base --do_train --do_eval --do_predict \
    --per_device_eval_batch_size 32 --save_strategy steps --evaluation_strategy steps --weight_decay 1e-5 \
    --load_best_model_at_end --save_total_limit 1 "${tiny[@]}" --output_dir "$4" >>"$work/log" 2>&1 ||
    { tail -3 "$work/log"; exit 1; }
}

# loop FOLDER: two runs at a time
loop() {
  local task lora_lr lr
  for task in cola mrpc mnli qnli qqp rte sst2 stsb; do
    for lora_lr in 5e-3 3e-1 5e-4; do
      run "$task" "$lora_lr" 3e-1 "$1/${task}_lr3e-1_loralr${lora_lr}" &
      local other=$!
      lr=4e-1
      run "$task" "$lora_lr" $lr "$1/${task}_lr${lr}_loralr${lora_lr}"
      wait "$other"
    done
  done
}

metric_of() {
  case $1 in
    cola) echo test_matthews_correlation ;;
    stsb) echo test_pearson ;;
    *) echo test_accuracy ;;
  esac
}

loop "$work/online"
asked=$(wc -l <"$work/hub/requests.jsonl")
kill "$server"
server=
HF_HUB_OFFLINE=1 loop "$work/offline"

count=0
for folder in "$work"/online/*; do
  name=$(basename "$folder")
  grep -q "\"$(metric_of "${name%%_*}")\"" "$folder/all_results.json" || { echo "$name: no metric of its task"; exit 1; }
  [ "$(wc -l <"$folder/generated_predictions.jsonl")" -eq 6 ] || { echo "$name: not 6 predictions"; exit 1; }
  for file in adapter_model.safetensors generated_predictions.jsonl; do
    cmp "$folder/$file" "$work/offline/$name/$file"
  done
  count=$((count + 1))
done
[ "$count" -eq 48 ] || { echo "$count runs in the place of 48"; exit 1; }

# The same as one command: each run has the same weights, and each task a best one, which alone is tried on the test data.
HF_HUB_OFFLINE=1 "$dept" sweep "$here/../configs/glue.yaml" --dtype fp32 "${tiny[@]}" --output_dir "$work/sweep" >"$work/table" 2>>"$work/log" ||
  { tail -3 "$work/log"; exit 1; }
[ "$(wc -l <"$work/table")" -eq 49 ] || { cat "$work/table"; exit 1; }
[ "$(grep -c '"best":true' "$work/sweep/results.jsonl")" -eq 8 ]
for task in cola mrpc mnli qnli qqp rte sst2 stsb; do
  for lora_lr in 5e-3 3e-1 5e-4; do
    for lr in 3e-1 4e-1; do
      cmp "$work/sweep/runs/${task}_${lora_lr}_$lr/adapter_model.safetensors" "$work/online/${task}_lr${lr}_loralr$lora_lr/adapter_model.safetensors"
    done
  done
  grep -q "\"$(metric_of "$task")\"" "$work/sweep/best-$task/test_results.json"
  [ "$(find "$work/sweep/runs/" -path "*/${task}_*/test_results.json" | wc -l)" -eq 1 ] || { echo "$task: more test results than one"; exit 1; }
done
echo "48 runs from the hub ($asked requests), 48 from its cache, 48 of one sweep, the same bytes"
