#!/usr/bin/env python3
"""Lays out what hub_server.py serves: a tiny T5 named t5-base, and the data sets of the original's GLUE tasks in their own schema.

    make_hub.py ROOT
"""
import json
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODEL = HERE.parent / "parity" / "data" / "models" / "t5-v1.0"


def edited(name, change):
    content = json.loads((MODEL / name).read_text(encoding="utf-8"))
    change(content)
    return json.dumps(content, ensure_ascii=False)


def digits(tokenizer):
    """The labels of the tasks are numbers, which the tiny vocabulary lacks."""
    pieces = tokenizer["model"]["vocab"]
    pieces[-10:] = [[str(digit), -5.0] for digit in range(10)]


def ends_at_one(config):
    config["eos_token_id"] = 1


def main():
    root = Path(sys.argv[1])
    model = root / "models" / "t5-base"
    model.mkdir(parents=True)
    shutil.copy(MODEL / "model.safetensors", model)
    (model / "config.json").write_text(edited("config.json", ends_at_one), encoding="utf-8")
    (model / "generation_config.json").write_text(edited("generation_config.json", ends_at_one), encoding="utf-8")
    (model / "tokenizer.json").write_text(edited("tokenizer.json", digits), encoding="utf-8")
    (model / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}), encoding="utf-8")
    shutil.copytree(HERE / "data" / "glue", root / "datasets" / "nyu-mll" / "glue")


if __name__ == "__main__":
    main()
