#!/usr/bin/env python3
"""Writes tests/parity/data/text/large.json: digests of what the `tokenizers` library makes of 100,000 strings.

    text_large.py FOLDER     FOLDER/NAME/tokenizer.json are real tokenizers; they are not part of the project.

Of each block of 1,000 strings one sum over: ids; ids without specials; both decoded (specials skipped, specials kept); the string cut to
a length; the string and the one after it cut to that length. Length and strategy change from block to block.
"""
import hashlib
import json
import os
import sys

from tokenizers import Tokenizer

sys.path.insert(0, os.path.dirname(__file__))
from text_strings import digest, digest_text, string  # noqa: E402

OUT = os.path.join(os.path.dirname(__file__), "..", "data", "text", "large.json")
STRINGS, BLOCK, FIRST = 100_000, 1000, 1_000_000
NAMES = ["bert-uncased", "gpt2", "llama2", "phi-2", "roberta", "smollm2", "t5"]
STRATEGIES = ["longest_first", "only_first", "only_second"]


def whole(tokenizer, texts):
    """What is made of whole strings: {kind: a digest each}."""
    ids = [e.ids for e in tokenizer.encode_batch(texts)]
    plain = [e.ids for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    return {"ids": [digest(x) for x in ids], "plain": [digest(x) for x in plain],
            "text": [digest_text(x) for x in tokenizer.decode_batch(ids)],
            "all": [digest_text(x) for x in tokenizer.decode_batch(plain, skip_special_tokens=False)]}


def digest_or_0(tokenizer, length, *texts):
    if length < tokenizer.num_special_tokens_to_add(len(texts) == 2):
        return 0  # the library's subtraction wraps around there and nothing is cut; ours refuses
    try:
        return digest(tokenizer.encode(*texts).ids)
    except Exception:  # too short a text to cut all of the excess from
        return 0


def truncated(tokenizer, texts, block):
    length = 3 + block % 60
    tokenizer.enable_truncation(length)
    cut = [digest_or_0(tokenizer, length, text) for text in texts[:-1]]
    tokenizer.enable_truncation(length, strategy=STRATEGIES[block % 3])
    pair = [digest_or_0(tokenizer, length, *both) for both in zip(texts, texts[1:])]
    tokenizer.no_truncation()
    return {"cut": cut, "pair": pair}


def main():
    texts = [string(FIRST + i) for i in range(STRINGS + 1)]
    out = {"first": FIRST, "block": BLOCK, "tokenizers": {}}
    for name in NAMES:
        path = os.path.join(sys.argv[1], name, "tokenizer.json")
        tokenizer = Tokenizer.from_file(path)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        blocks = {}
        for start in range(0, STRINGS, BLOCK):
            part = texts[start : start + BLOCK + 1]
            for kind, sums in (whole(tokenizer, part[:-1]) | truncated(tokenizer, part, start // BLOCK)).items():
                blocks.setdefault(kind, []).append("%08x" % (sum((i + 1) * s for i, s in enumerate(sums)) & 0xFFFFFFFF))
        with open(path, "rb") as file:
            out["tokenizers"][name] = {"sha256": hashlib.sha256(file.read()).hexdigest()} | {k: " ".join(v) for k, v in blocks.items()}
        print(name, flush=True)
    with open(OUT, "w") as file:
        json.dump(out, file, indent=0)
        file.write("\n")


main()
