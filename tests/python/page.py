#!/usr/bin/env python3
"""Runs the blocks of docs/python.md on adapters that the program has just trained, and compares with the program's own answers.

    page.py PROGRAM      with a Python that has torch, transformers, safetensors and peft
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "parity" / "data" / "models"
PROGRAM = sys.argv[1]
TEXTS = ["the film is", "two hours of noise", "a very good question, and a very bad answer"]
TARGET = " bad"
BLOCKS = re.findall(r"```python\n(.*?)```", (HERE.parents[1] / "docs" / "python.md").read_text(), re.S)


def dept(command, flags, lines=()):
    """The program's lines of JSON."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([PROGRAM, command, *map(str, flags)], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()] if lines else []


def train(model, peft_type, folder):
    """A few steps with rates so large that the adapter changes what the model says."""
    data = folder / "data.csv"
    data.write_text("text,label\n" + "".join(f'"{text}",{i % 2}\n' for i, text in enumerate(TEXTS * 4)))
    out = folder / peft_type
    dept("train", ["--model_name_or_path", model, "--train_file", data, "--text_column", "text", "--label_column", "label", "--labels", "0", "1",
                   "--label_words", " bad", " good", "--peft_type", peft_type, "--prefix_length", 3, "--r", 4, "--max_seq_length", 64,
                   "--max_steps", 20, "--learning_rate", 0.5, "--lora_embedding_lr", 0.5, "--per_device_train_batch_size", 4, "--do_train",
                   "--threads", 1, "--output_dir", out])
    return out


def run(block, **given):
    names = dict(given)
    exec(block, names)
    return names


def nll_of_target(logits, ids):
    return -torch.log_softmax(logits, -1)[range(len(ids)), ids].detach()


def near(ours, theirs, what):
    theirs = theirs.tolist()
    assert len(ours) == len(theirs) and all(abs(a - b) <= 1e-4 * max(1, abs(b)) for a, b in zip(ours, theirs)), (what, ours, theirs)


def compare(model, adapter, block, encoder_decoder):
    """Likelihoods of a target and greedy answers, of each text; what the block has made of the last."""
    bare = ["--model_name_or_path", model, "--threads", 1]
    flags = [*bare, "--peft_model_id", adapter]
    pairs = [{"source": text, "target": TARGET} for text in TEXTS]
    scores = dept("score", flags, pairs)
    assert scores != dept("score", bare, pairs), "the adapter changes nothing"
    runs = [run(block, base=str(model), adapter=str(adapter), text=text) for text in TEXTS]
    answers = dept("generate", [*flags, "--max_new_tokens", 8], [names["source"] for names in runs])
    for text, names, score, answer in zip(TEXTS, runs, scores, answers):
        target = torch.tensor(names["tokenizer"](TARGET, add_special_tokens=encoder_decoder).input_ids)
        with torch.no_grad():
            if encoder_decoder:
                logits = names["model"](inputs_embeds=names["X"], labels=target[None]).logits[0]
            else:
                behind = names["model"].get_input_embeddings()(target[:-1])[None]
                logits = names["model"](inputs_embeds=torch.cat([names["X"], behind], 1)).logits[0, -len(target):]
        near(score["nll"], nll_of_target(logits, target), f"{adapter}: {text}")
        assert answer["ids"] == names["answer"].tolist()[encoder_decoder:], (text, answer, names["answer"])
    return names


def vanilla(model, adapter, block, names):
    scores = dept("score", ["--model_name_or_path", model, "--peft_model_id", adapter, "--threads", 1],
                  [{"text": text} for text in TEXTS])
    for text, score in zip(TEXTS, scores):
        ids = names["tokenizer"](text, return_tensors="pt").input_ids[0]
        logits = run(block, **{**names, "adapter": str(adapter), "ids": ids})["logits"]
        near(score["nll"][-(len(ids) - 1):], nll_of_target(logits[:-1], ids[1:]), f"{adapter}: {text}")


def main():
    torch.set_num_threads(1)
    causal, seq2seq, peft = BLOCKS
    with tempfile.TemporaryDirectory() as work:
        llama, t5 = MODELS / "llama-gqa-tied", MODELS / "t5-v1.0"
        for model in (llama, t5):
            (Path(work) / model.name).mkdir()
        names = compare(llama, train(llama, "PROMPT_TUNING_LORA", Path(work) / llama.name), causal, False)
        vanilla(llama, train(llama, "PROMPT_TUNING", Path(work) / llama.name), peft, names)
        # The second block goes on from what the first has read: its model is of the other kind.
        read = causal[:causal.index("tokenizer, model")]
        start = read + "tokenizer = AutoTokenizer.from_pretrained(base)\n"
        compare(t5, train(t5, "PROMPT_TUNING_LORA", Path(work) / t5.name), start + seq2seq, True)
    print("docs/python.md: likelihoods and answers are the program's")


if __name__ == "__main__":
    main()
