"""Golden values for classification heads on whole models: logits, loss, gradients of all that trains, ten optimiser steps.

    OMP_NUM_THREADS=1 python tests/parity/make/heads.py [MODEL ...]  ->  tests/parity/data/adapter/MODEL.head.{safetensors,json}

The models are those of make/models.py, make/encoders.py and make/families.py. Every example runs alone and unpadded, its prompt in front, through
transformers' ...ForSequenceClassification (as it pools: BERT's family at index 0, the decoders at the last token), in fp32 and fp64. The mean
and the real [CLS] are pooled here, from the same hidden states. The optimiser is that of make/dept_on_models.py.
"""
import json
import math
import sys

import torch
import torch.nn.functional as F
from dept_on_models import ALPHA, DATA, M, R, S, train
from encoders import without_casts
from models import DATA as MODELS, Plain
from safetensors.torch import save_file
from transformers import (AlbertForSequenceClassification, BertForSequenceClassification, DebertaV2ForSequenceClassification,
                          DistilBertForSequenceClassification, ElectraForSequenceClassification, GPT2ForSequenceClassification,
                          LlamaForSequenceClassification, ModernBertForSequenceClassification, RobertaForSequenceClassification)

LABELS = 3
RATES = {"P": 0.1, "A": 0.02, "B": 0.02}
HEAD_RATE = 0.03
LENGTHS = [[3, 16, 7, 1], [9, 2, 11]]
FAMILIES = {"llama-gqa-tied": LlamaForSequenceClassification, "bert": BertForSequenceClassification,
            "roberta": RobertaForSequenceClassification, "albert": AlbertForSequenceClassification,
            "families/gpt2": GPT2ForSequenceClassification, "distilbert": DistilBertForSequenceClassification,
            "electra": ElectraForSequenceClassification, "modernbert": ModernBertForSequenceClassification,
            "deberta": DebertaV2ForSequenceClassification}
OWN_HEAD = ("classifier", "score", "pre_classifier", "pooler.dense")


def head_names(model):
    return sorted(name for name, _ in model.named_parameters() if name.startswith(OWN_HEAD))


def embed(model, example, P, A, B):
    ids = torch.tensor(example["source"])
    delta = ALPHA / math.sqrt(R) * (A @ B)
    rows = delta[S - len(ids):] if model.config.model_type in ("llama", "gpt2") else delta[: len(ids)]
    return torch.cat([P, model.get_input_embeddings().weight.detach()[ids] + rows])


def run(model, x, head):
    """As the model itself judges, with `head` in the place of its own."""
    return torch.func.functional_call(model, head, kwargs={"inputs_embeds": x[None]}).logits[0]


def run_pooled(model, x, head, pooling):
    hidden = model.base_model(inputs_embeds=x[None]).last_hidden_state[0]
    state = hidden[M:].mean(0) if pooling == "mean" else hidden[M]
    kind = model.config.model_type
    if kind in ("roberta", "electra"):
        unit = torch.tanh if kind == "roberta" else F.gelu
        state = unit(F.linear(state, head["classifier.dense.weight"], head["classifier.dense.bias"]))
        return F.linear(state, head["classifier.out_proj.weight"], head["classifier.out_proj.bias"])
    if kind == "distilbert":
        state = F.relu(F.linear(state, head["pre_classifier.weight"], head["pre_classifier.bias"]))
    elif kind == "deberta-v2":
        state = F.gelu(F.linear(state, head["pooler.dense.weight"], head["pooler.dense.bias"]))
    elif pooling == "cls" and kind == "modernbert":
        state = model.head(state)
    elif pooling == "cls":  # the mean goes past the pooler
        pooler = model.base_model.pooler
        state = torch.tanh(pooler(state)) if isinstance(pooler, torch.nn.Linear) else torch.tanh(pooler.dense(state))
    return F.linear(state, head["classifier.weight"], head["classifier.bias"])


def batch_loss(model, batch, weights, judge=run):
    head = {name: value for name, value in weights.items() if len(name) > 1}
    logits = torch.stack([judge(model, embed(model, e, weights["P"], weights["A"], weights["B"]), head) for e in batch])
    return F.cross_entropy(logits, torch.tensor([e["label"] for e in batch])), logits


def golden(name, family, seed):
    model = family.from_pretrained(MODELS / name, num_labels=LABELS, attn_implementation="eager", ignore_mismatched_sizes=True).eval()
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    ids = lambda n: torch.randint(3, model.config.vocab_size, (n,), generator=generator).tolist()
    batches = [[{"source": ids(n), "label": (i + n) % LABELS} for i, n in enumerate(lengths)] for lengths in LENGTHS]
    table = model.get_input_embeddings().weight.detach()
    width = table.shape[1]
    start = {"P": table[torch.tensor(ids(M))] + 0.2 * draw(M, width), "A": (2 * torch.rand(S, R, generator=generator) - 1) / math.sqrt(R),
             "B": 0.1 * draw(R, width)}
    start |= {n: 0.4 * draw(*model.get_parameter(n).shape) for n in head_names(model)}
    tensors, losses = dict(start), {}
    poolings = {"": run}
    if "score.weight" not in head_names(model):
        poolings |= {f".{p}": lambda model, x, head, p=p: run_pooled(model, x, head, p) for p in ("cls", "mean")}
    for kind, dtype in (("fp32", torch.float32), ("fp64", torch.float64)):
        model.to(dtype).requires_grad_(False)
        with torch.enable_grad() if kind == "fp32" else Plain() if "llama" in name else without_casts():
            losses[kind] = {}
            for suffix, judge in poolings.items():
                weights = {n: t.detach().clone().to(dtype).requires_grad_() for n, t in start.items()}
                loss, logits = batch_loss(model, batches[0], weights, judge)
                loss.backward()
                assert loss.dtype == dtype
                losses[kind]["loss" + suffix] = loss.item()
                tensors[f"logits{suffix}.{kind}"] = logits.detach()
                tensors |= {f"d{suffix}.{n}.{kind}": w.grad for n, w in weights.items()}
            zero_b = {n: torch.zeros_like(t) if n == "B" else t for n, t in start.items()}
            losses[kind]["steps"] = train(lambda batch, w: batch_loss(model, batch, w)[0], batches,
                                          {n: t.to(dtype) for n, t in zero_b.items()}, lambda n: RATES.get(n, HEAD_RATE))
    a, b = losses["fp32"]["steps"], losses["fp64"]["steps"]
    print(name, "losses", [round(x, 4) for x in b], "apart", f"{max(abs(x - y) / y for x, y in zip(a, b)):.1e}")
    name = name.split("/")[-1]
    save_file({n: t.contiguous() for n, t in tensors.items()}, DATA / f"{name}.head.safetensors")
    (DATA / f"{name}.head.json").write_text(json.dumps({"batches": batches, "losses": losses}) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for number, (name, family) in enumerate(FAMILIES.items()):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        golden(name, family, 41 + number)
