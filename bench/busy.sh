#!/usr/bin/env bash
# What other processes on the same CPUs cost a training run: examples a second on a quiet machine and beside busy processes, of small
# models, for each program in turns; then a table of the medians.
#   bench/busy.sh RESULTS [PROGRAM...]    programs: build/release/bin/dept unless older builds or others are named
# RESULTS takes a line of JSON a run. A run that stands there is not made again, so a script that was stopped goes on. About 10 minutes
# for two programs on 2 cores. THREADS (one a core), BUSY (processes beside: 3), REPEATS (2) and MODELS may be set; ALLOW_BUSY=1 takes
# a machine that is not quiet as one. A run of more than LIMIT (100) seconds counts as 0 examples a second.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -ge 1 ] || { sed -n '2,/^set/{/^#/p}' "$0" >&2 && exit 2; }
results=$(realpath "$1")
shift
programs=("$@")
if [ $# -eq 0 ]; then
  [ -x build/release/bin/dept ] || scripts/build.sh release --target dept_program
  programs=(build/release/bin/dept)
fi
threads=${THREADS:-$(nproc)} busy=${BUSY:-3} repeats=${REPEATS:-2} limit=${LIMIT:-100}
models=${MODELS:-tiny-t5 minilm smollm2 t5-base}
scripts/setup.sh minilm

# of_model NAME: the model's flags, and steps that take about 2 seconds on a quiet machine of 2 cores.
of_model() {
  case $1 in
    tiny-t5) steps=400 flags=(--model_name_or_path tests/parity/data/models/t5-v1.0 --batch 8 --lengths 16 --m 8 --r 4) ;;
    minilm) steps=12 flags=(--model_name_or_path .deps/models/minilm-l6 --batch 16 --lengths 24 --m 20 --r 8) ;;
    smollm2) steps=4 flags=(--shape smollm2-135m --batch 4 --lengths 24 --m 10 --r 8) ;;
    t5-base) steps=3 flags=(--shape t5-base --batch 4 --lengths 34 --m 40 --r 45) ;;
    *) echo "[busy.sh] expected tiny-t5, minilm, smollm2 or t5-base in MODELS, received $1" >&2 && exit 2 ;;
  esac
  flags+=(--max_seq_length 64 --dtype auto --threads "$threads" --warmup 1 --json)
}

others=()
stop_others() {
  [ ${#others[@]} -eq 0 ] || kill "${others[@]}" 2>/dev/null || true
  others=()
}
trap stop_others EXIT

bounded() { # PROGRAM STEPS FLAG...
  local code=0
  timeout "$limit" "$1" bench train "${flags[@]}" --steps "${@:2}" || code=$?
  [ "$code" -ne 124 ] || { code=0 && echo '{"examples_per_s":0}'; }
  return "$code"
}

# The line of JSON of one run: quiet up to five times, 20 seconds apart, where the program finds the machine busy (exit code 5).
run_quiet() { # PROGRAM
  local try code=5 allow=()
  [ -z "${ALLOW_BUSY:-}" ] || allow=(--allow_busy)
  for ((try = 0; try < 5 && code == 5; ++try)); do
    [ "$try" -eq 0 ] || sleep 20
    code=0
    bounded "$1" "$steps" "${allow[@]}" || code=$?
  done
  return "$code"
}
run_beside_others() { # PROGRAM
  local i code=0
  for ((i = 0; i < busy; ++i)); do
    (while :; do :; done) &
    others+=($!)
  done
  bounded "$1" $(((steps + 2) / 3)) --allow_busy || code=$?
  stop_others
  return "$code"
}

touch "$results"
for ((repeat = 1; repeat <= repeats; ++repeat)); do
  for model in $models; do
    of_model "$model"
    for program in "${programs[@]}"; do
      for kind in quiet beside_others; do
        key="\"program\":\"$program\",\"model\":\"$model\",\"threads\":$threads,\"others\":$([ $kind = quiet ] && echo 0 || echo "$busy"),\"repeat\":$repeat"
        ! grep -qF "{$key," "$results" || continue
        line=$(mktemp)
        "run_$kind" "$program" >"$line"
        echo "{$key,$(sed 's/^{//' "$line")" | tee -a "$results"
        rm "$line"
      done
    done
  done
done

# The medians of what RESULTS holds: a row a model and program.
printf '\n| model | program | quiet, examples/s | beside %s processes | times slower |\n|---|---|---|---|---|\n' "$busy"
median() { # PROGRAM MODEL OTHERS
  grep -F "\"program\":\"$1\",\"model\":\"$2\",\"threads\":$threads,\"others\":$3," "$results" |
    sed -nE 's/.*"examples_per_s":([0-9.e+-]+).*/\1/p' | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
for model in $models; do
  for program in "${programs[@]}"; do
    awk -v model="$model" -v program="$program" -v quiet="$(median "$program" "$model" 0)" -v beside="$(median "$program" "$model" "$busy")" \
      'BEGIN { printf "| %s | %s | %.1f | %.2f | %s |\n", model, program, quiet, beside, (beside > 0) ? sprintf("%.1f", quiet / beside) : "-" }'
  done
done
