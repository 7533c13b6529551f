#!/usr/bin/env python3
"""Greedy continuations of a .gguf model by `dept generate`, beside those of its dequantised weights in transformers: the same ids.

    gemma3_in_transformers.py PROGRAM MODEL.gguf      with a Python that has transformers and gguf
"""
import json
import os
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
from transformers import AutoModelForCausalLM  # noqa: E402

PROGRAM, MODEL = sys.argv[1:]
NEW = 16
PROMPTS = ["The capital of France is", "Water boils at", "Once upon a time there was a", "The three primary colours are", "def add(a, b):",
           "Der schnellste Weg zum Bahnhof", "2, 4, 6, 8,", "She opened the letter and", "The opposite of hot is", "In 1969, people first"]


def dept(*arguments, lines):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    out = subprocess.run([PROGRAM, *arguments, "--model_name_or_path", MODEL], input=text, stdout=subprocess.PIPE, check=True, text=True).stdout
    return [json.loads(line) for line in out.split("\n")[:-1]]


all_ids = dept("tokenize", lines=PROMPTS)
answers = dept("generate", "--max_new_tokens", str(NEW), "--repetition_penalty", "1", lines=[{"input_ids": ids} for ids in all_ids])
model = AutoModelForCausalLM.from_pretrained(os.path.dirname(MODEL), gguf_file=os.path.basename(MODEL), dtype=torch.float32).eval()
for prompt, ids, answer in zip(PROMPTS, all_ids, answers):
    with torch.no_grad():
        written = model.generate(torch.tensor([ids]), max_new_tokens=NEW, do_sample=False)[0, len(ids):].tolist()
    assert answer["ids"] == written, (prompt, answer["ids"], written)
    print(json.dumps(prompt + answer["text"]))
print("%d prompts alike" % len(PROMPTS))
