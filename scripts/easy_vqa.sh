#!/usr/bin/env bash
# Makes the data of quickstart.sh vqa: data/easy-vqa/{train,test}.csv with the columns text, image and label, an image's path being
# relative to its file. The rows stand in one order that mixes images and kinds of question, the same on every machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
out=data/easy-vqa
scripts/setup.sh easy-vqa
[ ! -e "$out/test.csv" ] || exit 0
mkdir -p data
work=$(mktemp -d data/tmp.XXXXXX)
trap 'rm -rf "$work"' EXIT

# [["what is the blue shape?", "rectangle", 0], ..]: no question holds a quote or a comma. Shuffled as the film reviews are.
for split in train test; do
  {
    echo text,image,label
    sed 's/^\[\[//; s/\]\]$//; s/\], \[/\n/g' ".deps/easy-vqa/$split/questions.json" |
      LC_ALL=C awk -v part="$split" -F '", "|", ' '
        function below(n) { state = (state * 16807) % 2147483647; return state % n }
        { row[++rows] = substr($1, 2) ",../../.deps/easy-vqa/" part "/images/" $3 ".png," $2 }
        END {
          state = 42
          for (i = rows; i > 1; i--) { j = 1 + below(i); kept = row[i]; row[i] = row[j]; row[j] = kept }
          for (i = 1; i <= rows; i++) print row[i]
        }'
  } >"$work/$split.csv"
done
chmod 755 "$work"
mv "$work" "$out"
trap - EXIT
say "$out: $(($(wc -l <"$out/train.csv") - 1)) questions to train on, $(($(wc -l <"$out/test.csv") - 1)) to test"
