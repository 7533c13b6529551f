"""Tiny data sets in the schema of nyu-mll/glue, as the hub's parquet branch has them: tests/hub/data/glue/CONFIG/SPLIT/0000.parquet.
What tests/hub/make_hub.py serves them as. Large tasks have some more than the 1,000 rows of train that validate.

Run from the repository's root: python tests/parity/make/hub.py
"""

import random
from pathlib import Path

import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, Value

OUT = Path(__file__).resolve().parent.parent.parent / "hub" / "data" / "glue"
WORDS = "the film was very of and a it is no".split()
PAIRS = {"mrpc": ("sentence1", "sentence2"), "rte": ("sentence1", "sentence2"), "stsb": ("sentence1", "sentence2"),
         "qqp": ("question1", "question2"), "qnli": ("question", "sentence"), "mnli": ("premise", "hypothesis"),
         "cola": ("sentence",), "sst2": ("sentence",)}
LABELS = {"mrpc": ["not_equivalent", "equivalent"], "rte": ["entailment", "not_entailment"], "qqp": ["not_duplicate", "duplicate"],
          "qnli": ["entailment", "not_entailment"], "mnli": ["entailment", "neutral", "contradiction"],
          "cola": ["unacceptable", "acceptable"], "sst2": ["negative", "positive"]}
LARGE = ("qqp", "qnli", "sst2")  # validated on 1,000 rows of train


def rows(config, count, rng):
    columns = PAIRS[config]
    names = LABELS.get(config)
    made = {column: [" ".join(rng.choices(WORDS, k=rng.randint(2, 4))) for _ in range(count)] for column in columns}
    made["label"] = [i % len(names) for i in range(count)] if names else [round(rng.uniform(0, 5), 3) for _ in range(count)]
    made["idx"] = list(range(count))
    features = {column: Value("string") for column in columns}
    features["label"] = ClassLabel(names=names) if names else Value("float32")
    features["idx"] = Value("int32")
    return Dataset.from_dict(made, features=Features(features))


def main():
    rng = random.Random(1)
    for config in PAIRS:
        validation = ("validation_matched", "validation_mismatched") if config == "mnli" else ("validation",)
        for split in ("train", *validation):
            count = 24 if split != "train" else 1024 if config in LARGE else 32
            folder = OUT / config / split
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(rows(config, count, rng).data.table, folder / "0000.parquet", compression="zstd")


main()
