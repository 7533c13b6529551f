#!/usr/bin/env python3
"""Writes tests/parity/data/text/large.json: digests of what the `tokenizers` library makes of 100,000 strings.

    text_large.py FOLDER     FOLDER/NAME/tokenizer.json are real tokenizers; they are not part of the project.
"""
import hashlib
import json
import os
import sys

from tokenizers import Tokenizer

sys.path.insert(0, os.path.dirname(__file__))
from text_strings import digest, string  # noqa: E402

OUT = os.path.join(os.path.dirname(__file__), "..", "data", "text", "large.json")
STRINGS, BLOCK, FIRST = 100_000, 1000, 1_000_000
NAMES = ["bert-uncased", "gpt2", "llama2", "phi-2", "roberta", "smollm2", "t5"]


def main():
    texts = [string(FIRST + i) for i in range(STRINGS)]
    out = {"first": FIRST, "block": BLOCK, "tokenizers": {}}
    for name in NAMES:
        path = os.path.join(sys.argv[1], name, "tokenizer.json")
        tokenizer = Tokenizer.from_file(path)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        blocks = []
        for start in range(0, STRINGS, BLOCK):
            sums = [digest(e.ids) for e in tokenizer.encode_batch(texts[start : start + BLOCK])]
            blocks.append("%08x" % (sum((i + 1) * s for i, s in enumerate(sums)) & 0xFFFFFFFF))
        with open(path, "rb") as file:
            out["tokenizers"][name] = {"sha256": hashlib.sha256(file.read()).hexdigest(), "blocks": " ".join(blocks)}
        print(name)
    with open(OUT, "w") as file:
        json.dump(out, file, indent=0)
        file.write("\n")


main()
