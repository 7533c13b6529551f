#!/usr/bin/env python3
"""64 adapters of every method and of many sizes behind one server: what each answers, alone and while all others are asked too, is what
`dept predict` and `dept generate` answer with it.

    many.py PROGRAM
"""
import concurrent.futures
import json
import math
import shutil

from client import LABELS, WORK, Server, dept, make_models, train

TEXTS = ["A warm score.", "A dull film with a score and one more cold cast.", "A fine scene."]
METHODS = ["PROMPT_TUNING_LORA", "PROMPT_TUNING", "ADEPT", "ULPT", "DPT", "RESIDUAL_PROMPT", "P_TUNING", "PROMPT_TUNING_LORA"]
COUNT = 64


def make_adapter(index):
    """No two with the same method, prompt length and seed."""
    method = METHODS[index % len(METHODS)]
    flags = ["--peft_type", method, "--prefix_length", 1 + index % 7, "--seed", 100 + index]
    if method in ("PROMPT_TUNING_LORA", "ADEPT", "ULPT", "DPT"):
        flags += ["--r", 1 + index % 3]
    if method in ("RESIDUAL_PROMPT", "P_TUNING"):
        flags += ["--encoder_hidden_size", 8]
    train("llama", f"a{index}", *flags)


def lines(words, texts):
    given = "".join(json.dumps(text) + "\n" for text in texts)
    return [json.loads(line) for line in dept(words + ["--threads", "1"], text=given).stdout.splitlines()]


def expected(index):
    """Labels with scores, and continuations."""
    adapter = ["--peft_model_id", WORK / f"a{index}"]
    return (lines(["predict", *adapter, "--predict_by", "score", "--scores"], TEXTS),
            [line["text"] for line in lines(["generate", *adapter, "--max_new_tokens", 8], TEXTS)])


def check(server, index, labels, continuations):
    name = f"a{index}"
    answer = server.post("/v1/classify", {"model": name, "input": TEXTS})
    assert answer.status == 200, answer.body
    for got, want in zip(answer.json["data"], labels, strict=True):
        assert got["label"] == want["prediction"], (name, got, want)
        assert all(math.isclose(got["scores"][label], want["scores"][label], abs_tol=1e-5) for label in LABELS), (name, got, want)
    choices = server.choices(model=name, prompt=TEXTS, max_tokens=8, temperature=0)
    assert [choice["text"] for choice in choices] == continuations, (name, choices, continuations)


def main():
    make_models()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(make_adapter, range(COUNT)))
        goldens = list(pool.map(expected, range(COUNT)))
    assert len({json.dumps(golden) for golden in goldens}) > COUNT / 2, "adapters that answer alike show nothing"
    flags = [word for index in range(COUNT) for word in ("--adapter", f"a{index}={WORK}/a{index}")]
    with Server("llama", *flags) as server:
        for index, golden in enumerate(goldens):
            check(server, index, *golden)
        with concurrent.futures.ThreadPoolExecutor(COUNT) as pool:
            asked = [pool.submit(check, server, index, *golden) for _ in range(2) for index, golden in enumerate(goldens)]
            for one in asked:
                one.result()
        figures = server.metrics()
        mean = figures["dept_batch_size_sum"] / figures["dept_batch_size_count"]
        assert mean > 2, f"batches of {mean} sequences mix nothing"
        server.end()
    print(f"{COUNT} adapters answer over HTTP as alone, {mean:.1f} sequences a step")
    shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
