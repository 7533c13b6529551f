"""Delimited files and the rows that Python's csv module reads from them, plain and as gzip: tests/parity/data/data/delimited/.

Run from the repository's root: python tests/parity/make/delimited.py
Columns without a name at the end are left out where they are empty, as Excel writes them; csv knows no rule for them.
"""
import csv
import gzip
import io
import json
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "data" / "data" / "delimited"
QUOTING = {"minimal": csv.QUOTE_MINIMAL, "none": csv.QUOTE_NONE}

# name, text, --delimiter, --quoting, what csv is told
CASES = [
    ("plain.csv", 'text,label\n"a ""b"", c",x\nd,y\n', "", "", ",", "minimal"),
    ("opens.tsv", 'text\tlabel\n"Oh no, said he\ta\nbad film\tb\nso very good"\ta\n"whole"\tb\n""\ta\n"\tb\n', "", "", "\t", "none"),
    ("inside.tsv", 'text\tlabel\nThe minister said "no comment" today\ta\n"No," he said\tb\n', "", "", "\t", "none"),
    ("quoted.tsv", 'text\tlabel\n"a\tb"\tx\n"line\nbreak"\ty\n', "", "minimal", "\t", "minimal"),
    ("none.csv", 'text,label\n"a,x\n5" pipe,y\n', "", "none", ",", "none"),
    ("semicolon.csv", 'text;label\n"a;b";x\nc,d;y\n', ";", "", ";", "minimal"),
    ("bar.txt", 'text|label\na|x\n"b|c"|y\n', "|", "", "|", "minimal"),
    ("paraphrase.txt", 'Quality\t#1 String\n1\t"No," he said\n0\tthe 3" pipe\n', "tab", "none", "\t", "none"),
    ("crlf.tsv", 'text\tlabel\r\n"a\tx\r\n\r\nb\ty\r\n', "\\t", "", "\t", "none"),
    ("excel.csv", 'text,label,,\na,x,,\n"b, c",y,,\nd,z\n', "", "", ",", "minimal"),
    ("sep.csv", 'sep=;\r\ntext;label;\r\na,b;x;\r\n"c;d";y;\r\n', "", "", ";", "minimal"),
    ("one.csv", 'text\n"a, b"\nc\n', "", "", ",", "minimal"),
]


def read(text, delimiter, quoting):
    """csv's records; blank lines are none."""
    text = text[text.index("\n") + 1 :] if text.startswith("sep=") else text
    rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=QUOTING[quoting], strict=True) if row]
    width = max(i + 1 for i, name in enumerate(rows[0]) if name)
    assert not any(cell for row in rows for cell in row[width:])
    return rows[0][:width], [row[:width] for row in rows[1:]]


def write_gzip():
    rows = [{"text": f"row {i}", "label": "ab"[i % 2]} for i in range(300)]
    table = "text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in rows)
    lines = "".join(json.dumps(r) + "\n" for r in rows)
    half = len(table) // 2
    parts = {"rows.csv.gz": gzip.compress(table.encode(), mtime=0), "rows.jsonl.gz": gzip.compress(lines.encode(), mtime=0),
             "rows.tsv.gz": gzip.compress(table.replace(",", "\t").encode(), mtime=0),
             "rows.json.gz": gzip.compress(json.dumps(rows).encode(), mtime=0),
             "members.csv.gz": gzip.compress(table[:half].encode(), mtime=0) + gzip.compress(table[half:].encode(), mtime=0),
             # 400 MB in a few hundred bytes
             "grows.csv.gz.gz": gzip.compress(gzip.compress(b"text,label\n" + b"a" * 400_000_000, mtime=0), mtime=0)}
    for name, data in parts.items():
        (OUT / name).write_bytes(data)
    return [[r["text"], r["label"]] for r in rows]


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    golden = []
    for name, text, delimiter, quoting, told, how in CASES:
        columns, rows = read(text, told, how)
        golden.append({"name": name, "text": text, "delimiter": delimiter, "quoting": quoting, "columns": columns, "rows": rows})
    (OUT / "golden.json").write_text(json.dumps({"cases": golden, "gzip": write_gzip()}, ensure_ascii=False, indent=0) + "\n")
