"""Parquet files as the `datasets` library writes them, with class labels, and what its features call them.

Run from the repository's root, with `datasets` installed: python tests/parity/make/class_names.py
-> tests/parity/data/data/classes/: labels.parquet (one split), hidden.parquet (a test split, all classes hidden), nested.parquet,
others.parquet (the same column, its classes in another order), golden.json.
"""
import json
import tempfile
from pathlib import Path

from datasets import ClassLabel, Dataset, Features, Sequence, Value

OUT = Path(__file__).resolve().parents[1] / "data" / "data" / "classes"
NAMES = ["sad", "happy", "angry"]


def write(name, features, rows):
    columns = {key: [row[key] for row in rows] for key in features}
    Dataset.from_dict(columns, features=Features(features)).to_parquet(OUT / f"{name}.parquet")


def shown(feature, value):
    """A value with its classes by name; -1 and None are what they are."""
    if value is None or isinstance(feature, Value):
        return value
    if isinstance(feature, ClassLabel):
        return value if value == -1 else feature.int2str(value)
    if isinstance(feature, dict):
        return {key: shown(feature[key], item) for key, item in value.items()}
    inner = feature.feature if hasattr(feature, "feature") else feature[0]
    if isinstance(inner, dict) and isinstance(value, dict):
        return {key: [shown(inner[key], x) for x in items] for key, items in value.items()}
    return [shown(inner, x) for x in value]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    label = ClassLabel(names=NAMES)
    flat = {"text": Value("string"), "label": label}
    rows = [{"text": f"text {i}", "label": i} for i in (2, 0, -1, 1, 0, 2)]
    write("labels", flat, rows)
    write("hidden", flat, [{"text": f"text {i}", "label": -1} for i in range(3)])
    write("others", {"text": Value("string"), "label": ClassLabel(names=NAMES[::-1])}, rows[:2])
    nested = {"tags": Sequence(label), "pair": {"left": label, "right": Value("int64")},
              "spans": Sequence({"kind": label, "at": Value("int32")}), "deep": Sequence(Sequence(label))}
    deep = [{"tags": [0, 1, -1], "pair": {"left": 2, "right": 1}, "spans": {"kind": [1, 2], "at": [0, 5]}, "deep": [[0], [], [1, 2]]},
            {"tags": [], "pair": {"left": -1, "right": None}, "spans": {"kind": [], "at": []}, "deep": []}]
    write("nested", nested, deep)
    with tempfile.TemporaryDirectory() as cache:
        stored = Dataset.from_parquet(str(OUT / "nested.parquet"), cache_dir=cache, keep_in_memory=True)
    features = stored.features
    golden = {"names": NAMES, "flat": [[row["text"], shown(label, row["label"])] for row in rows],
              "nested": [{key: shown(features[key], row[key]) for key in features} for row in stored.with_format("arrow")[:].to_pylist()]}
    (OUT / "golden.json").write_text(json.dumps(golden, indent=0) + "\n")


if __name__ == "__main__":
    main()
