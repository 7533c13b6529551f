#!/usr/bin/env python3
"""The tokenizer that `dept train` writes beside a .gguf model's adapter, loaded in transformers: the same ids and special tokens.

    in_transformers.py PROGRAM MODEL.gguf      with a Python that has transformers
"""
import json
import os
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
from transformers import AutoTokenizer, PreTrainedTokenizerFast  # noqa: E402

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "parity", "make"))
from text_strings import string  # noqa: E402

PROGRAM, MODEL = sys.argv[1:]
STRINGS = 500


def dept(*arguments, text=""):
    return subprocess.run([PROGRAM, *arguments], input=text, stdout=subprocess.PIPE, check=True, text=True).stdout


def train(folder):
    """One step."""
    data = os.path.join(folder, "rows.csv")
    with open(data, "w") as file:
        file.write("text,label\n" + "good,yes\nbad,no\n" * 2)
    out = os.path.join(folder, "adapter")
    dept("train", "--model_name_or_path", MODEL, "--train_file", data, "--output_dir", out, "--do_train", "--max_steps", "1", "--prefix_length", "2",
         "--r", "2", "--max_seq_length", "16", "--per_device_train_batch_size", "2", "--save_strategy", "no", "--report_to", "none")
    return out


with tempfile.TemporaryDirectory() as scratch:
    adapter = train(scratch)
    texts = [string(i) for i in range(STRINGS)]
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    expected = [json.loads(line) for line in dept("tokenize", "--model_name_or_path", MODEL, text=lines).split("\n")[:-1]]
    for kind in (AutoTokenizer, PreTrainedTokenizerFast):
        tokenizer = kind.from_pretrained(adapter)
        assert [tokenizer(text).input_ids for text in texts] == expected, kind.__name__
        decoded = dept("tokenize", "--decode", "--model_name_or_path", MODEL, text="".join(json.dumps(ids) + "\n" for ids in expected))
        assert [tokenizer.decode(ids, skip_special_tokens=True) for ids in expected] == [json.loads(line) for line in decoded.split("\n")[:-1]]
        print(kind.__name__, tokenizer.special_tokens_map, "%d strings alike" % STRINGS)
