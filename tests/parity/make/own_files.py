"""The same rows as csv, tsv, json, jsonl and parquet, by Python's csv and json and by pyarrow, as a user's programs write them.

python tests/parity/make/own_files.py  ->  tests/parity/data/tasks/own/
good.*: a BOM and CRLF where the format may have them, quotes with newlines, empty cells, text that looks like something else.
unknown.*, empty.*: a label outside the set, and none, in the fourth row. long.parquet: a cell of 10 MB.
"""
import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OUT = Path(__file__).resolve().parents[1] / "data" / "tasks" / "own"
TEXTS = ["plain", 'a "quoted" word, and a comma', "two\nlines", "", "tab\there", "ünïcode 漢字 🙂", " blanks ", "[1, 2]", "007", '"', "null",
         "three\n\n\"lines\", the middle one empty"]
LABELS = ["yes", "no"]


def write(name, rows):
    for extension, delimiter in (("csv", ","), ("tsv", "\t")):
        with open(OUT / f"{name}.{extension}", "w", encoding="utf-8-sig", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\r\n")
            writer.writerow(["text", "label"])
            writer.writerows(rows)
    objects = [{"text": text, "label": label} for text, label in rows]
    (OUT / f"{name}.json").write_text(json.dumps(objects, indent=1), encoding="utf-8-sig")
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\r\n" for one in objects)
    (OUT / f"{name}.jsonl").write_bytes(lines.encode("utf-8-sig"))
    pq.write_table(pa.table({"text": [r[0] for r in rows], "label": [r[1] for r in rows]}), OUT / f"{name}.parquet")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    rows = [(text, LABELS[i % 2]) for i, text in enumerate(TEXTS)]
    write("good", rows)
    (OUT / "good.expected.json").write_text(json.dumps(rows))
    write("unknown", rows[:3] + [("a text", "maybe")] + rows[3:])
    write("empty", rows[:3] + [("a text", "")] + rows[3:])
    long_cell = "many words " * 1_000_000
    pq.write_table(pa.table({"text": [long_cell, "short"], "label": LABELS}), OUT / "long.parquet", compression="zstd")
