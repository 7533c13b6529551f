#!/usr/bin/env bash
# Makes the quickstart's data: data/film-reviews/{train,validation,test}.csv with the columns text and label; with the word products
# the same of product reviews, data/product-reviews.
# A sentence is positive if its mean human rating is above 0.5, negative below -0.5; the rest is left out.
# 80/10/10 by a seeded permutation: the same rows on every machine, whatever its awk or locale.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/lib.sh
case ${1:-films} in
  films) out=data/film-reviews rated=movieReviewSnippets_GroundTruth.txt ;;
  products) out=data/product-reviews rated=amazonReviewSnippets_GroundTruth.txt ;;
  *) die "[film_reviews.sh] expected films or products, received $1" ;;
esac
scripts/setup.sh reviews
[ ! -e "$out/test.csv" ] || exit 0
mkdir -p data
work=$(mktemp -d data/tmp.XXXXXX)
trap 'rm -rf "$work"' EXIT

# The permutation is Fisher and Yates' shuffle with Park and Miller's generator, whose products stay exact in a double.
iconv -f UTF-8 -t UTF-8 -c ".deps/reviews/$rated" | tr -d '\r' |
  LC_ALL=C awk -F '\t' -v folder="$work" -v seed=42 '
    function below(n) { state = (state * 16807) % 2147483647; return state % n }
    $2 > 0.5 || $2 < -0.5 {
      text = $3
      gsub(/"/, "\"\"", text)
      row[++rows] = "\"" text "\"," ($2 > 0 ? "positive" : "negative")
    }
    END {
      state = seed
      for (i = rows; i > 1; i--) { j = 1 + below(i); kept = row[i]; row[i] = row[j]; row[j] = kept }
      tenth = int(rows / 10)
      split("test validation train", name, " ")
      for (i = 1; i <= 3; i++) print "text,label" > (folder "/" name[i] ".csv")
      for (i = 1; i <= rows; i++) print row[i] > (folder "/" name[i <= tenth ? 1 : i <= 2 * tenth ? 2 : 3] ".csv")
    }'
chmod 755 "$work"
mv "$work" "$out"
trap - EXIT
say "$out: $(($(wc -l <"$out/train.csv") - 1)) sentences to train on, $(($(wc -l <"$out/validation.csv") - 1)) to validate, $(($(wc -l <"$out/test.csv") - 1)) to test"
