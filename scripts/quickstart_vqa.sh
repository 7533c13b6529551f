#!/usr/bin/env bash
# scripts/quickstart.sh vqa: questions about images, answered by SmolLM2 with a prompt and a visual embedding, beside the same model
# that is trained as long on the questions alone. What is there already is skipped; `rm -r runs/quickstart-vqa*` trains again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
dept=build/release/bin/dept config=configs/easy_vqa.yaml run=runs/quickstart-vqa

timed "set-up" scripts/setup.sh build model easy-vqa
timed "data" scripts/easy_vqa.sh
timed "build" scripts/build.sh release --target dept_program

shorter=()
if ! cpu_has_bf16; then
  say "This CPU has no bf16 arithmetic (AVX512-BF16 or AMX): computing in fp32 and training 450 steps in place of 1,200."
  shorter=(--max_steps 450)
fi
if [ ! -e "$run/test_results.json" ]; then
  timed "training with images" "$dept" train "$config" "${shorter[@]}"
fi
if [ ! -e "$run-blind/test_results.json" ]; then
  timed "training on the questions alone" "$dept" train "$config" "${shorter[@]}" --visual none --output_dir "$run-blind"
fi

# by_kind TITLE FILE [ANSWER]: the share of right answers in evaluation.json, over all and by kind; with ANSWER of one who always says that.
by_kind() {
  awk -v title="$1" -v always="${3:-}" -F '[:,]' '
    function share(n, of) { return sprintf("%9.1f %%", of > 0 ? 100 * n / of : 0) }
    /"classes": \{/ { within = 1; next }
    within && /^    "/ { split($1, word, "\""); label = word[2] }
    within && /"recall"/ { recall = $2 }
    within && /"support"/ {
      kind = label ~ /^(yes|no)$/ ? 1 : label ~ /^(circle|rectangle|triangle)$/ ? 2 : 3
      right = always == "" ? recall * $2 : label == always ? $2 : 0
      good[0] += right; good[kind] += right; all[0] += $2; all[kind] += $2
    }
    within && /^  }/ { within = 0 }
    END {
      printf "  %-24s", title
      for (k = 0; k <= 3; ++k) printf "%s", share(good[k], all[k])
      print ""
    }' "$2" >&2
}

say ""
say "easy-VQA, $(grep -oE '"examples": [0-9]+' "$run/evaluation.json" | head -n 1 | grep -oE '[0-9]+') held-out questions, by the likeliest of 13 answers:"
say "                                all  yes or no      shape     colour"
by_kind 'always "yes"' "$run/evaluation.json" yes
by_kind "the questions alone" "$run-blind/evaluation.json"
by_kind "with the images" "$run/evaluation.json"
say ""
for question in "what shape is in the image?" "what is the color of the shape?" "is there a triangle in the image?"; do
  printf '{"text": "%s", "image": ".deps/easy-vqa/test/images/0.png"}\n' "$question"
done | "$dept" predict --peft_model_id "$run" --predict_by score
