"""The peer of compare.sh eval: transformers' generate on T5-base with random weights, SDPA, padded to each batch's longest.

--make TEXTS writes the checkpoint (fp32, with the tokenizer) and the ids; --ids FILE runs them; --compare FILE counts the answers in
which that file, those of --out and those of --exact, made in fp32, differ.
"""
import json
import shutil
import time
from pathlib import Path

import torch
from peer import DTYPES, arguments
from transformers import T5Config, T5ForConditionalGeneration


def make(a):
    from tokenizers import Tokenizer
    torch.manual_seed(0)
    config = T5Config(vocab_size=32128, d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_decoder_layers=12, num_heads=12,
                      decoder_start_token_id=0, pad_token_id=0, eos_token_id=1)
    model = T5ForConditionalGeneration(config)
    model.shared.weight.mul_(0.05)  # else the tied head would only repeat the start token
    model.save_pretrained(a.model)
    shutil.copyfile(a.tokenizer, Path(a.model) / "tokenizer.json")
    tokenizer = Tokenizer.from_file(a.tokenizer)
    lines = Path(a.make).read_text().splitlines()[:a.examples]
    ids = [tokenizer.encode(json.loads(line)).ids for line in lines]
    for order, rows in (("given", ids), ("sorted", sorted(ids, key=len))):
        (Path(a.out) / f"{order}.jsonl").write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))


def run(a):
    model = T5ForConditionalGeneration.from_pretrained(a.model, dtype=DTYPES[a.dtype], attn_implementation="sdpa").eval()
    rows = [json.loads(line)["input_ids"] for line in Path(a.ids).read_text().splitlines()]

    def answer(batch):
        longest = max(map(len, batch))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in batch])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in batch])
        return model.generate(ids, attention_mask=mask, max_new_tokens=a.new_tokens, do_sample=False)[:, 1:].tolist()

    begin = time.perf_counter()
    answers = [row for i in range(0, len(rows), a.batch) for row in answer(rows[i:i + a.batch])]
    seconds = time.perf_counter() - begin
    print(json.dumps({"who": "transformers", "order": a.order, "examples_per_s": round(len(rows) / seconds, 2)}), flush=True)
    Path(a.out).write_text("".join(json.dumps({"ids": row[:row.index(1) + 1] if 1 in row else row}) + "\n" for row in answers))


def compare(a):
    ours, theirs, exact = ([json.loads(line)["ids"] for line in Path(name).read_text().splitlines()] for name in (a.compare, a.out, a.exact))

    def differ(some, others):
        return sum(x != y for x, y in zip(some, others, strict=True))

    print(json.dumps({"order": a.order, "answers": len(ours), "differ": differ(ours, theirs), "dept_from_fp32": differ(ours, exact),
                      "transformers_from_fp32": differ(theirs, exact)}))


def main():
    a = arguments(("make", "ids", "compare", "tokenizer", "model", "out", "exact", "order"), ("examples", "batch", "new_tokens"))
    (make if a.make else run if a.ids else compare)(a)


if __name__ == "__main__":
    main()
