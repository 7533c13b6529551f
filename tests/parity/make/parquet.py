"""Golden parquet files by pyarrow, with the cells that our tables are to have of them: tests/parity/data/data/*.parquet, *.json.

Run from the repository's root: python tests/parity/make/parquet.py
"""

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

OUT = Path(__file__).resolve().parent.parent / "data" / "data"


def cell(value):
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)


def write(name, table, **options):
    pq.write_table(table, OUT / f"{name}.parquet", **options)
    rows = [[cell(row[column]) for column in table.column_names] for row in table.to_pylist()]
    (OUT / f"{name}.json").write_text(json.dumps({"columns": table.column_names, "rows": rows}, ensure_ascii=False) + "\n")


def plain():
    n = 7
    columns = {
        "text": pa.array(["a", "", None, "ünï 中\n", "x" * 40, "\"q\"", "[1]"]),
        "large": pa.array([f"row {i}" for i in range(n)], pa.large_string()),
        "label": pa.array([0, 1, -1, None, 2, 3, 4], pa.int64()),
        "small": pa.array(range(n), pa.int8()),
        "unsigned": pa.array([2**64 - 1 - i for i in range(n)], pa.uint64()),
        "score": pa.array([3.8, 0.0, 5.0, 1.25, None, -1e-7, 1e20], pa.float32()),
        "double": pa.array([0.1 * i for i in range(n)], pa.float64()),
        "flag": pa.array([True, False, None] * 2 + [True]),
        "day": pa.array([date(2020, 1, 1 + i) for i in range(n)]),
        "word": pa.array(["u", "v", "u", None, "v", "u", "u"]).dictionary_encode(),
    }
    return pa.table(columns)


def nested():
    answers = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])
    rows = [
        {"answers": {"text": ["a \"b\"", "ü"], "answer_start": [1, 2]}, "entities": ["x", "y"], "idx": {"p": 0, "q": 1}},
        {"answers": {"text": [], "answer_start": []}, "entities": [], "idx": {"p": 0, "q": None}},
        {"answers": None, "entities": None, "idx": {"p": 3, "q": 4}},
        {"answers": {"text": ["c", None], "answer_start": None}, "entities": ["z"], "idx": None},
    ]
    schema = pa.schema([("answers", answers), ("entities", pa.large_list(pa.string())), ("idx", pa.struct([("p", pa.int32()), ("q", pa.int64())])),
                        ("pairs", pa.list_(pa.int16(), 2)), ("deep", pa.list_(pa.list_(pa.float64())))])
    for i, row in enumerate(rows):
        row.update(pairs=[i, -i], deep=[[0.5], []] if i else None)
    return pa.Table.from_pylist(rows, schema)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    write("plain", plain(), compression="snappy", row_group_size=3)
    write("nested", nested(), compression="zstd", data_page_version="2.0")
    many = pa.table({"i": pa.array(range(3000)), "t": pa.array([f"t{i % 7}" for i in range(3000)])})
    pq.write_table(many, OUT / "many.parquet", compression="gzip", row_group_size=1100, data_page_size=512)
    # 4 million rows in a few kilobytes
    zeros = pa.table({"a": pa.nulls(4_000_000, pa.int8()).fill_null(0)})
    pq.write_table(zeros, OUT / "growing.parquet", compression="zstd", row_group_size=4_000_000, data_page_size=1 << 30)


if __name__ == "__main__":
    main()
