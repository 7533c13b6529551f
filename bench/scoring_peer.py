"""The peer of compare.sh eval for decoders and encoders: labels scored by transformers with SDPA, behind a prompt and with A·B.

--make TEXTS writes SHAPE's checkpoint with random weights (fp32, with the tokenizer) and the rows as csv, as given and sorted by length;
--rows FILE scores them with the adapter of --adapter; --compare FILE tells how far the scores of `dept predict --scores` in that file are
from those of --out.

GPT-2: the source padded on the left, once, then each label's tokens behind its cached keys and values. BERT: one pass and the head.
"""
import csv
import json
import math
import shutil
import time
from pathlib import Path

import torch
from peer import DTYPES, arguments
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn.functional import log_softmax
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, BertConfig, GPT2Config

DECODER = "gpt2"
LABELS, SUFFIX, END = ("negative", "positive"), " Label : ", 50256
ALPHA = 8


def open_tokenizer(path):
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def make(a):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(GPT2Config()) if a.shape == DECODER else AutoModelForSequenceClassification.from_config(BertConfig())
    model.save_pretrained(a.model)
    shutil.copyfile(a.tokenizer, Path(a.model) / "tokenizer.json")
    tokenizer = open_tokenizer(a.tokenizer)
    rows = [(json.loads(text), LABELS[i % 2]) for i, text in enumerate(Path(a.make).read_text().splitlines()[:a.examples])]
    for order, some in (("given", rows), ("sorted", sorted(rows, key=lambda row: len(tokenizer.encode(row[0]).ids)))):
        with open(Path(a.out) / f"{order}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *some])


class Peer:
    def __init__(self, a):
        adapter = load_file(Path(a.adapter) / "adapter_model.safetensors")
        A, B = adapter["prompt_encoder.lora_embedding_A"], adapter["prompt_encoder.lora_embedding_B"]
        self.dtype, self.is_decoder = DTYPES[a.dtype], a.shape == DECODER
        self.prompt, self.delta = adapter["prompt_embeddings"].to(self.dtype), ALPHA / math.sqrt(A.shape[1]) * (A @ B)
        auto = AutoModelForCausalLM if self.is_decoder else AutoModelForSequenceClassification
        self.model = auto.from_pretrained(a.model, dtype=self.dtype, attn_implementation="sdpa").eval()
        self.head = [adapter.get(f"base_model.classifier.{name}") for name in ("weight", "bias")]
        self.words = self.model.get_input_embeddings()

    def embed(self, batch):
        """Prompt and text of each row, decoders' on the right; the rows of A·B count from the end there, else from the start."""
        longest, M = max(map(len, batch)), len(self.prompt)
        embeds = torch.zeros(len(batch), M + longest, self.prompt.shape[1], dtype=self.dtype)
        mask = torch.zeros(len(batch), M + longest, dtype=torch.long)
        words = self.words(torch.tensor([row + [0] * (longest - len(row)) for row in batch])).float()
        for i, row in enumerate(batch):
            n, first = len(row), longest - len(row) if self.is_decoder else 0
            delta = self.delta[len(self.delta) - n:] if self.is_decoder else self.delta[:n]
            embeds[i, first:first + M] = self.prompt
            embeds[i, first + M:first + M + n] = (words[i, :n] + delta).to(self.dtype)
            mask[i, first:first + M + n] = 1
        return embeds, mask

    def classify(self, batch):
        embeds, mask = self.embed(batch)
        weight, bias = self.head
        state = self.model.bert(inputs_embeds=embeds, attention_mask=mask).pooler_output.float()
        return (state @ weight.T + bias).softmax(1)

    def score(self, batch, labels):
        embeds, mask = self.embed(batch)
        decoder = self.model.transformer
        positions = (mask.cumsum(1) - 1).clamp_min(0)
        sources = decoder(inputs_embeds=embeds, attention_mask=mask, position_ids=positions, use_cache=True)
        first = log_softmax(self.model.lm_head(sources.last_hidden_state[:, -1]).float(), -1)
        cache, ends = sources.past_key_values, mask.sum(1, keepdim=True)
        length, scores = cache.get_seq_length(), []
        for ids in labels:
            inputs, outputs = (torch.tensor(some).expand(len(batch), -1) for some in (ids[:-1], ids[1:]))
            hidden = decoder(input_ids=inputs, past_key_values=cache, attention_mask=torch.cat([mask, torch.ones_like(inputs)], 1),
                             position_ids=ends + torch.arange(inputs.shape[1]), use_cache=True).last_hidden_state
            log_p = log_softmax(self.model.lm_head(hidden).float(), -1).gather(2, outputs[..., None])
            scores.append(first[:, ids[0]].double() + log_p.double().sum((1, 2)))
            cache.crop(length - cache.get_seq_length())
        return torch.stack(scores, 1).softmax(1)


def run(a):
    peer, tokenizer = Peer(a), open_tokenizer(Path(a.model) / "tokenizer.json")
    texts = [row["text"] + (SUFFIX if peer.is_decoder else "") for row in csv.DictReader(open(a.rows))]
    ids = [tokenizer.encode(text).ids for text in texts]
    labels = [[*tokenizer.encode(label).ids, END] for label in LABELS] if peer.is_decoder else []
    begin = time.perf_counter()
    batches = [ids[i:i + a.batch] for i in range(0, len(ids), a.batch)]
    scores = torch.cat([peer.score(batch, labels) if peer.is_decoder else peer.classify(batch) for batch in batches])
    seconds = time.perf_counter() - begin
    print(json.dumps({"who": "transformers", "order": a.order, "examples_per_s": round(len(ids) / seconds, 2)}), flush=True)
    Path(a.out).write_text("".join(json.dumps(row) + "\n" for row in scores.tolist()))


def compare(a):
    ours = [[float(row[f"score_{label}"]) for label in LABELS] for row in csv.DictReader(open(a.compare))]
    theirs = [json.loads(line) for line in Path(a.out).read_text().splitlines()]
    apart = [max(abs(x - y) for x, y in zip(some, others, strict=True)) for some, others in zip(ours, theirs, strict=True)]
    print(json.dumps({"order": a.order, "rows": len(ours), "scores_apart_at_most": max(apart)}))


def main():
    a = arguments(("make", "rows", "compare", "tokenizer", "model", "adapter", "out", "order"), ("examples", "batch"),
                  shape=(DECODER, "bert-base"))
    (make if a.make else run if a.rows else compare)(a)


if __name__ == "__main__":
    main()
