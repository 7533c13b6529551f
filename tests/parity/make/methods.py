"""Golden values of the methods beside DePT on whole models: loss, gradients of all that trains, the losses of ten optimiser steps;
and where each starts.

OMP_NUM_THREADS=1 python tests/parity/make/methods.py  ->  tests/parity/data/adapter/MODEL.methods.{safetensors,json},
                                                          starts.safetensors
Models, batches, loss and optimiser are those of make/dept_on_models.py. P-tuning's network and start are PEFT's own PromptEncoder;
the other methods are written out after their papers, their starts by torch.nn and torch.nn.init.
"""
import json
import math

import torch
import torch.nn.functional as F
from dept_on_models import DATA, LENGTHS, decoder_logits, train
from models import DATA as MODELS, Plain, VOCAB, WIDTH
from peft.tuners.p_tuning import PromptEncoder, PromptEncoderConfig
from safetensors.torch import save_file
from transformers import LlamaForCausalLM, T5ForConditionalGeneration

M, R, H = 4, 3, 6
RATES = {"prompt": 0.1, "delta": 0.02}
LORA = "prompt_encoder.lora_embedding_"
BASE = "prompt_encoder.base_embedding."


def projection(seed):
    """ULPT's frozen matrix."""
    R_matrix = torch.empty(R, WIDTH)
    bound = math.sqrt(6 / (R + WIDTH))
    return R_matrix.uniform_(-bound, bound, generator=torch.Generator().manual_seed(seed))


FROZEN = projection(42)


def adept(E, w):
    offset = F.relu(E @ w[LORA + "A"] + w[LORA + "a"]) @ w[LORA + "B"] + w[LORA + "b"]
    return w["prompt_embeddings"], E + offset


def ulpt(E, w):
    return w[BASE + "scale"] * (w["prompt_embeddings"] @ FROZEN.to(E.dtype)) + w[BASE + "bias"], E


def dpt(E, w):
    return F.linear(w["prompt_embeddings"], w[BASE + "weight"]), E


def residual(E, w):
    P, name = w["prompt_encoder.embedding.weight"], "prompt_encoder.module."
    units = F.relu(F.linear(P, w[name + "0.weight"]))
    y = F.linear(units, w[name + "2.weight"])
    return P + F.layer_norm(y, (WIDTH,), w[name + "3.weight"], w[name + "3.bias"]), E


def p_tuning(E, w):
    config = PromptEncoderConfig(num_virtual_tokens=M, token_dim=WIDTH, num_transformer_submodules=1, encoder_hidden_size=H)
    encoder = PromptEncoder(config).to(E.dtype)
    own = {name.removeprefix("prompt_encoder."): value for name, value in w.items()}
    return torch.func.functional_call(encoder, own, (torch.arange(M),)), E


METHODS = {
    "ADEPT": (adept, {"prompt_embeddings": (M, WIDTH), LORA + "A": (WIDTH, R), LORA + "B": (R, WIDTH), LORA + "a": (R,),
                      LORA + "b": (WIDTH,)}),
    "ULPT": (ulpt, {"prompt_embeddings": (M, R), BASE + "scale": (WIDTH,), BASE + "bias": (WIDTH,)}),
    "DPT": (dpt, {"prompt_embeddings": (M, R), BASE + "weight": (WIDTH, R)}),
    "RESIDUAL_PROMPT": (residual, {"prompt_encoder.embedding.weight": (M, WIDTH), "prompt_encoder.module.0.weight": (H, WIDTH),
                                   "prompt_encoder.module.2.weight": (WIDTH, H), "prompt_encoder.module.3.weight": (WIDTH,),
                                   "prompt_encoder.module.3.bias": (WIDTH,)}),
    "P_TUNING": (p_tuning, {"prompt_encoder.embedding.weight": (M, WIDTH), "prompt_encoder.mlp_head.0.weight": (H, WIDTH),
                            "prompt_encoder.mlp_head.0.bias": (H,), "prompt_encoder.mlp_head.2.weight": (H, H),
                            "prompt_encoder.mlp_head.2.bias": (H,), "prompt_encoder.mlp_head.4.weight": (WIDTH, H),
                            "prompt_encoder.mlp_head.4.bias": (WIDTH,)}),
}


def nll(model, example, change, weights):
    source, target = (torch.tensor(example[key]) for key in ("source", "target"))
    table = model.get_input_embeddings().weight.detach()
    P, E = change(table[source], weights)
    if model.config.is_encoder_decoder:
        logits = decoder_logits(model, torch.cat([P, E]), P[:0], target[:-1])
    else:
        x = torch.cat([P, E, table[target[:-1]]])
        logits = model(inputs_embeds=x[None]).logits[0, M + len(source) - 1:]
    return F.cross_entropy(logits, target, reduction="sum")


def batch_loss(model, batch, change, weights):
    return sum(nll(model, e, change, weights) for e in batch) / sum(len(e["target"]) for e in batch)


def rate_of(name):
    return RATES["delta" if name.startswith(LORA) else "prompt"]


def golden(name, model, seed):
    generator = torch.Generator().manual_seed(seed)
    ids = lambda n: torch.randint(3, VOCAB, (n,), generator=generator).tolist()
    batches = [[{"source": ids(s), "target": ids(t)} for s, t in lengths] for lengths in LENGTHS]
    tensors, losses = {}, {}
    for method, (change, shapes) in METHODS.items():
        values = {n: 0.3 * torch.randn(*shape, generator=generator) for n, shape in shapes.items()}
        for kind, dtype in (("fp32", torch.float32), ("fp64", torch.float64)):
            model.to(dtype).requires_grad_(False)
            weights = {n: t.detach().clone().to(dtype).requires_grad_() for n, t in values.items()}
            with torch.enable_grad() if kind == "fp32" else Plain():
                loss = batch_loss(model, batches[0], change, weights)
                loss.backward()
                start = {n: t.to(dtype) for n, t in values.items()}
                steps = train(lambda batch, w: batch_loss(model, batch, change, w), batches, start, rate_of)
            losses.setdefault(method, {})[kind] = {"loss": loss.item(), "steps": steps}
            tensors |= {f"{method}.d.{n}.{kind}": w.grad for n, w in weights.items()}
        tensors |= {f"{method}.{n}": t for n, t in values.items()}
        a, b = losses[method]["fp32"]["steps"], losses[method]["fp64"]["steps"]
        print(name, method, [round(x, 4) for x in b], "apart", f"{max(abs(x - y) / y for x, y in zip(a, b)):.1e}")
    save_file(tensors, DATA / f"{name}.methods.safetensors")
    (DATA / f"{name}.methods.json").write_text(json.dumps({"batches": batches, "losses": losses}) + "\n")


def starts():
    """A fresh adapter of each method from the global generator at 7; the prompt from words is that of `words`."""
    tensors = {"words": torch.randn(M, WIDTH, generator=torch.Generator().manual_seed(3))}
    linear = lambda i, o: torch.nn.Linear(i, o, bias=False).weight.detach()
    torch.manual_seed(7)
    A = torch.nn.init.kaiming_uniform_(torch.zeros(WIDTH, R), a=math.sqrt(5))
    tensors |= {"ADEPT." + LORA + "A": A}
    torch.manual_seed(7)
    tensors["ULPT.prompt_embeddings"] = torch.nn.Embedding(M, R).weight.detach()
    torch.manual_seed(7)
    tensors["DPT.prompt_embeddings"] = torch.nn.Embedding(M, R).weight.detach()
    tensors["DPT." + BASE + "weight"] = linear(R, WIDTH)
    torch.manual_seed(7)
    tensors["RESIDUAL_PROMPT.prompt_encoder.module.0.weight"] = linear(WIDTH, H)
    tensors["RESIDUAL_PROMPT.prompt_encoder.module.2.weight"] = linear(H, WIDTH)
    torch.manual_seed(7)
    config = PromptEncoderConfig(num_virtual_tokens=M, token_dim=WIDTH, num_transformer_submodules=1, encoder_hidden_size=H)
    tensors |= {f"P_TUNING.prompt_encoder.{n}": t.detach() for n, t in PromptEncoder(config).state_dict().items()}
    save_file(tensors, DATA / "starts.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    load = lambda family, name: family.from_pretrained(MODELS / name, attn_implementation="eager").eval()
    golden("llama-gqa-tied", load(LlamaForCausalLM, "llama-gqa-tied"), 31)
    golden("t5-v1.0", load(T5ForConditionalGeneration, "t5-v1.0"), 32)
    starts()
