"""Golden values for DePT on whole models: loss, gradients of P, A, B and the losses of ten optimiser steps.

OMP_NUM_THREADS=1 python tests/parity/make/dept_on_models.py  ->  tests/parity/data/adapter/MODEL.dept.{safetensors,json}
The models are those of make/models.py. Every example runs alone and unpadded through transformers with autograd, in fp32 as
transformers computes and in fp64 with its casts to fp32 patched away. AdamW is written out after transformers 4.28.
MODEL.decoder-prompt: P of num_transformer_submodules = 2, M rows for the encoder and M for the decoder; also greedy answers,
and the adapter's files in a folder.
"""
import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from models import DATA as MODELS, Plain, VOCAB, WIDTH
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, T5ForConditionalGeneration

DATA = Path(__file__).resolve().parents[1] / "data" / "adapter"
M, S, R, ALPHA = 5, 16, 3, 8
NEW_TOKENS = 8
STEPS, WARMUP, RATES = 10, 2, {"P": 0.1, "A": 0.02, "B": 0.02}
LENGTHS = [[(3, 2), (16, 1), (7, 3), (1, 2)], [(9, 1), (2, 4), (11, 2)]]  # two batches of (source, target)


def decoder_logits(model, encoder_input, prompt, ids):
    """T5's logits behind the start token and each of ids, with a prompt in front of them."""
    table = model.get_input_embeddings().weight.detach()
    start = torch.tensor([model.config.decoder_start_token_id])
    decoder_input = torch.cat([prompt, table[torch.cat([start, ids])]])
    return model(inputs_embeds=encoder_input[None], decoder_inputs_embeds=decoder_input[None]).logits[0, len(prompt):]


def nll(model, example, P, A, B):
    """Sum of the negative log likelihoods of an example's target under the prompted model."""
    source, target = (torch.tensor(example[key]) for key in ("source", "target"))
    table = model.get_input_embeddings().weight.detach()
    delta = ALPHA / math.sqrt(R) * (A @ B)
    if model.config.is_encoder_decoder:
        x = torch.cat([P[:M], table[source] + delta[: len(source)]])
        logits = decoder_logits(model, x, P[M:], target[:-1])
    else:
        x = torch.cat([P, table[source] + delta[S - len(source):], table[target[:-1]]])
        logits = model(inputs_embeds=x[None]).logits[0, M + len(source) - 1:]
    return F.cross_entropy(logits, target, reduction="sum")


@torch.no_grad()
def greedy(model, source, P, A, B):
    """The likeliest token again and again, the whole decoder run anew for each; and the least lead over the second likeliest."""
    source, delta = torch.tensor(source), ALPHA / math.sqrt(R) * (A @ B)
    x = torch.cat([P[:M], model.get_input_embeddings()(source) + delta[: len(source)]])
    new, lead, ends = [], math.inf, model.generation_config.eos_token_id
    while len(new) < NEW_TOKENS and (not new or new[-1] not in ends):
        best = decoder_logits(model, x, P[M:], torch.tensor(new, dtype=torch.long))[-1].topk(2)
        new.append(best.indices[0].item())
        lead = min(lead, (best.values[0] - best.values[1]).item())
    return new, lead


def batch_loss(model, batch, weights):
    return sum(nll(model, e, *weights) for e in batch) / sum(len(e["target"]) for e in batch)


def train(loss_of, batches, start, rate_of):
    """The losses before each of ten steps: linear schedule with warm-up, clipping at 1, AdamW with eps before bias correction.

    loss_of(batch, weights) is a batch's loss, rate_of(name) the rate of the weight of that name in `start`."""
    p = {name: value.clone().requires_grad_() for name, value in start.items()}
    m, v = ({name: torch.zeros_like(value) for name, value in start.items()} for _ in range(2))
    losses = []
    for step in range(STEPS):
        loss = loss_of(batches[step % 2], p)
        losses.append(loss.item())
        grads = dict(zip(p, torch.autograd.grad(loss, list(p.values()))))
        norm = torch.sqrt(sum((g.double() ** 2).sum() for g in grads.values())).item()
        factor = step / WARMUP if step < WARMUP else (STEPS - step) / (STEPS - WARMUP)
        with torch.no_grad():
            for name, g in grads.items():
                g = g * min(1.0, 1.0 / (norm + 1e-6))
                m[name] = 0.9 * m[name] + 0.1 * g
                v[name] = 0.999 * v[name] + 0.001 * g * g
                rate = rate_of(name) * factor * math.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
                p[name] -= rate * m[name] / (v[name].sqrt() + 1e-6)
    return losses


def save_adapter(folder, P, A, B):
    folder.mkdir(exist_ok=True)
    save_file({"prompt_embeddings": P, "prompt_encoder.lora_embedding_A": A, "prompt_encoder.lora_embedding_B": B},
              folder / "adapter_model.safetensors")
    config = {"peft_type": "PROMPT_TUNING_LORA", "task_type": "SEQ_2_SEQ_LM", "r": R, "lora_alpha": ALPHA, "max_length": S,
              "num_virtual_tokens": M, "num_transformer_submodules": 2, "token_dim": WIDTH, "semantics": "dept-cpp",
              "delta_alignment": "start"}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n")


def golden(name, model, seed, submodules=1):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    ids = lambda n: torch.randint(3, VOCAB, (n,), generator=generator).tolist()
    batches = [[{"source": ids(s), "target": ids(t)} for s, t in lengths] for lengths in LENGTHS]
    table = model.get_input_embeddings().weight.detach()
    P = table[torch.tensor(ids(M * submodules))] + 0.2 * draw(M * submodules, WIDTH)
    A = (2 * torch.rand(S, R, generator=generator) - 1) / math.sqrt(R)
    B = 0.1 * draw(R, WIDTH)
    tensors, losses = {"P": P, "A": A, "B": B}, {}
    for kind, dtype in (("fp32", torch.float32), ("fp64", torch.float64)):
        model.to(dtype).requires_grad_(False)
        weights = [t.detach().clone().to(dtype).requires_grad_() for t in (P, A, B)]
        with torch.enable_grad() if kind == "fp32" else Plain():
            loss = batch_loss(model, batches[0], weights)
            loss.backward()
            start = {"P": P.to(dtype), "A": A.to(dtype), "B": torch.zeros_like(B, dtype=dtype)}
            steps = train(lambda batch, w: batch_loss(model, batch, list(w.values())), batches, start, RATES.get)
        assert loss.dtype == dtype
        losses[kind] = {"loss": loss.item(), "steps": steps}
        tensors |= {f"d{n}.{kind}": w.grad for n, w in zip("PAB", weights)}
    for n in "PAB":
        a, b = tensors[f"d{n}.fp32"].double(), tensors[f"d{n}.fp64"]
        print(name, f"d{n}: fp32 against fp64", f"{((a - b).abs().max() / b.abs().max()).item():.1e}")
    a, b = losses["fp32"]["steps"], losses["fp64"]["steps"]
    print(name, "losses", [round(x, 4) for x in b], "apart", f"{max(abs(x - y) / y for x, y in zip(a, b)):.1e}")
    save_file(tensors, DATA / f"{name}.dept.safetensors")
    facts = {"batches": batches, "losses": losses}
    if submodules == 2:
        model.float()
        save_adapter(DATA / name, P, A, B)
        facts["greedy"], leads = zip(*(greedy(model, e["source"], P, A, B) for e in batches[0]))
        print(name, "greedy", facts["greedy"], "least lead", min(leads))
    (DATA / f"{name}.dept.json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    load = lambda family, name: family.from_pretrained(MODELS / name, attn_implementation="eager").eval()
    golden("llama-gqa-tied", load(LlamaForCausalLM, "llama-gqa-tied"), 21)
    golden("t5-v1.0", load(T5ForConditionalGeneration, "t5-v1.0"), 22)
    golden("t5-v1.0.decoder-prompt", load(T5ForConditionalGeneration, "t5-v1.0"), 87, submodules=2)
