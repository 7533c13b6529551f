"""Rows with hostile cells, as Python's csv module writes them: tests/parity/data/data/written.csv, written.tsv and written.json.

Run from the repository's root: python tests/parity/make/tables.py
"""

import csv
import json
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "data" / "data"

COLUMNS = ["text", "a, b", 'quoted "name"', "label"]
ROWS = [
    ["plain", "", "x", "yes"],
    ["a, b", 'say "so"', "two\nlines", "no"],
    ["tab\there", '"', ",", "\n"],
    [" blanks ", "'single'", "crlf\r\nend", "é中😀"],
    ["", "", "", ""],
    ["0.1", "-5", "1e300", "null"],
]
PREDICTION = ["yes", "no, or not", 'a "word"', "", "x\ty", "z"]
SCORES = [0.1, 1 / 3, 1.0, 5e-324, 0.30000000000000004, 1e22]

for name, delimiter in (("csv", ","), ("tsv", "\t")):
    with open(OUT / f"written.{name}", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
        writer.writerow(COLUMNS + ["prediction"])
        writer.writerows(row + [prediction] for row, prediction in zip(ROWS, PREDICTION))
content = {"columns": COLUMNS, "rows": ROWS, "prediction": PREDICTION, "score": SCORES}
(OUT / "written.json").write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
