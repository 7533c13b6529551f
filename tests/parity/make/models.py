"""Tiny random models and what transformers computes with them: tests/parity/data/models.

For each model a folder as save_pretrained writes it, and NAME.golden.safetensors / NAME.greedy.json beside it:
logits of every token and d sum(cotangent * logits) / d inputs_embeds, each example run alone and unpadded, in fp32 (as
transformers computes) and in fp64 (its casts to fp32 patched away); greedy continuations under several options.

    OMP_NUM_THREADS=1 python tests/parity/make/models.py [--smollm2 FILE.gguf TOKENIZER.json]
"""
import argparse
import contextlib
import json
import math
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration
from transformers.models.llama import modeling_llama
from transformers.models.t5 import modeling_t5

DATA = Path(__file__).resolve().parent.parent / "data" / "models"
VOCAB, WIDTH = 96, 32


# --- the same formulas without the casts to fp32 ---------------------------------------------------------------------

class Plain:
    """Inside this context transformers' norms, rotary angles and softmax stay in the tensors' own type."""

    def __enter__(self):
        self.kept = [(modeling_llama.LlamaRMSNorm, "forward"), (modeling_t5.T5LayerNorm, "forward"),
                     (modeling_llama.LlamaRotaryEmbedding, "forward"), (modeling_llama, "eager_attention_forward")]
        self.originals = [getattr(owner, name) for owner, name in self.kept]
        for (owner, name), new in zip(self.kept, [rms_norm, rms_norm, rotary, attention]):
            setattr(owner, name, new)

    def __exit__(self, *_):
        for (owner, name), old in zip(self.kept, self.originals):
            setattr(owner, name, old)


def rms_norm(self, x):
    return self.weight * x * torch.rsqrt((x * x).mean(-1, keepdim=True) + self.variance_epsilon)


def rotary(self, x, position_ids):
    dim = self.config.head_dim
    theta = self.config.rope_parameters["rope_theta"]
    frequency = theta ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    angle = position_ids[..., None].double() * frequency
    angle = torch.cat([angle, angle], -1)
    return angle.cos(), angle.sin()


def attention(module, query, key, value, attention_mask, scaling, dropout=0.0, **_):
    key = key.repeat_interleave(module.num_key_value_groups, 1)
    value = value.repeat_interleave(module.num_key_value_groups, 1)
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(-1)
    return (weights @ value).transpose(1, 2).contiguous(), weights


# --- models ----------------------------------------------------------------------------------------------------------

def randomise(model, seed):
    """Weights wide enough that logits differ by units, not by thousandths."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        if p.dim() == 1:
            p.data = 1 + 0.2 * noise
        elif "relative_attention_bias" in name:
            p.data = noise
        elif "embed_tokens" in name or "shared" in name:  # small beside what layers add: a tied model would only repeat its input
            p.data = 0.4 * noise
        elif any(part in name for part in ("o_proj", "down_proj", ".o.", ".wo.")):
            p.data = noise * 3 / math.sqrt(p.shape[1])
        else:
            p.data = noise * 1.2 / math.sqrt(p.shape[1])
    return model.eval()


def llama(tied, head_dim, eos, seed):
    config = LlamaConfig(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, head_dim=head_dim, max_position_embeddings=128, rms_norm_eps=1e-5,
                         rope_parameters={"rope_type": "default", "rope_theta": 1000.0 if tied else 10000.0},
                         bos_token_id=1, eos_token_id=eos, pad_token_id=0, tie_word_embeddings=tied, attn_implementation="eager")
    return randomise(LlamaForCausalLM(config), seed)


def t5(eos, seed):
    config = T5Config(vocab_size=VOCAB, d_model=WIDTH, d_kv=8, d_ff=48, num_layers=2, num_decoder_layers=2, num_heads=4,
                      relative_attention_num_buckets=8, relative_attention_max_distance=20, dropout_rate=0.1,
                      feed_forward_proj="relu", decoder_start_token_id=0, pad_token_id=0, eos_token_id=eos, tie_word_embeddings=True,
                      attn_implementation="eager")
    model = randomise(T5ForConditionalGeneration(config), seed)
    for block in model.decoder.block:  # T5 has no 1/sqrt(d): keep the scores of a trained model's size
        for layer in (block.layer[0].SelfAttention, block.layer[1].EncDecAttention):
            layer.q.weight.data /= math.sqrt(8)
    for block in model.encoder.block:
        block.layer[0].SelfAttention.q.weight.data /= math.sqrt(8)
    return model


def save(model, name):
    folder = DATA / name
    model.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key in ("transformers_version", "_name_or_path"):
        config.pop(key, None)
    if name == "llama-untied":  # the form that transformers 4 wrote
        config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
        config["rope_scaling"] = None
        config["torch_dtype"] = config.pop("dtype", "float32")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    path = folder / "generation_config.json"
    generation = json.loads(path.read_text())
    generation.pop("transformers_version", None)
    path.write_text(json.dumps(generation, indent=2, sort_keys=True) + "\n")


# --- golden values ---------------------------------------------------------------------------------------------------

def streams(lengths, generator, table):
    """ids and embeddings of a ragged batch: word embeddings with some noise, as a soft prompt and delta would add."""
    ids = torch.randint(3, VOCAB, (sum(lengths),), generator=generator)
    embeds = table[ids] + 0.2 * torch.randn(len(ids), WIDTH, generator=generator)
    return ids, embeds


def cotangents(n, generator):
    """Half of the tokens have labels."""
    return torch.randn(n, VOCAB, generator=generator) * (torch.rand(n, 1, generator=generator) < 0.5)


def llama_golden(model, name, seed):
    generator = torch.Generator().manual_seed(seed)
    lengths = [7, 1, 13, 4, 9]
    ids, embeds = streams(lengths, generator, model.get_input_embeddings().weight.detach())
    position = torch.cat([torch.arange(n) for n in lengths])
    position[21 + 2:21 + 4] += 5  # the fourth example counts 0 1 7 8
    out = {"lengths": torch.tensor(lengths), "ids": ids, "embeds": embeds, "position": position,
           "cotangent": cotangents(len(ids), generator)}
    for kind, dtype in (("fp32", torch.float32), ("fp64", torch.float64)):
        model.to(dtype)
        plain = Plain() if kind == "fp64" else contextlib.nullcontext()
        logits, gradient = [], []
        for x, p, c in zip(embeds.split(lengths), position.split(lengths), out["cotangent"].split(lengths)):
            x = x.to(dtype).requires_grad_()
            with plain:
                y = model(inputs_embeds=x[None], position_ids=p[None], attention_mask=torch.ones(1, len(x), dtype=torch.long)).logits[0]
            (y * c).sum().backward()
            logits.append(y.detach())
            gradient.append(x.grad)
        assert logits[0].dtype == dtype
        out[f"logits.{kind}"], out[f"d_embeds.{kind}"] = torch.cat(logits), torch.cat(gradient)
    model.float()
    save_file(out, DATA / f"{name}.golden.safetensors")
    report(name, out)


def t5_golden(model, name, seed):
    generator = torch.Generator().manual_seed(seed)
    sources, targets = [9, 1, 30, 5], [3, 1, 4, 24]
    table = model.get_input_embeddings().weight.detach()
    source_ids, source = streams(sources, generator, table)
    target_ids, target = streams(targets, generator, table)
    out = {"source_lengths": torch.tensor(sources), "source_ids": source_ids, "source": source, "target_lengths": torch.tensor(targets),
           "target_ids": target_ids, "target": target, "cotangent": cotangents(len(target_ids), generator)}
    for kind, dtype in (("fp32", torch.float32), ("fp64", torch.float64)):
        model.to(dtype)
        plain = Plain() if kind == "fp64" else contextlib.nullcontext()
        logits, d_source, d_target = [], [], []
        for x, z, c in zip(source.split(sources), target.split(targets), out["cotangent"].split(targets)):
            x, z = x.to(dtype).requires_grad_(), z.to(dtype).requires_grad_()
            with plain:
                y = model(inputs_embeds=x[None], decoder_inputs_embeds=z[None]).logits[0]
            (y * c).sum().backward()
            logits.append(y.detach())
            d_source.append(x.grad)
            d_target.append(z.grad)
        assert logits[0].dtype == dtype
        out[f"logits.{kind}"], out[f"d_source.{kind}"], out[f"d_target.{kind}"] = map(torch.cat, (logits, d_source, d_target))
    model.float()
    bucket = modeling_t5.T5Attention._relative_position_bucket
    distance = torch.arange(-300, 301)
    for buckets, far in ((8, 20), (32, 128)):
        for both in (True, False):
            out[f"bucket.{buckets}.{far}.{'both' if both else 'causal'}"] = bucket(distance, both, buckets, far)
    save_file(out, DATA / f"{name}.golden.safetensors")
    report(name, out)


def report(name, out):
    for key in [k for k in out if k.endswith(".fp32")]:
        a, b = out[key].double(), out[key[:-2] + "64"]
        print(name, key, "spread", round(b.std().item(), 3), "fp32 against fp64", f"{((a - b).abs().max() / b.abs().max()).item():.1e}")


GREEDY = {"plain": {}, "min": {"min_new_tokens": 6}, "penalty": {"repetition_penalty": 1.3}, "ngram": {"no_repeat_ngram_size": 2},
          "all": {"min_new_tokens": 4, "repetition_penalty": 1.2, "no_repeat_ngram_size": 3}}


def greedy(model, name, seed, eos):
    """Continuations of prompts of several lengths, none of them decided by less than 1e-3."""
    generator = torch.Generator().manual_seed(seed)
    prompts, cases = [], {key: [] for key in GREEDY}
    while len(prompts) < 10:
        length = [6, 1, 11, 3, 8][len(prompts) % 5]
        ids = torch.randint(3, VOCAB, (1, length), generator=generator)
        answers = {key: generate(model, ids, eos, **options) for key, options in GREEDY.items()}
        if min(gap for _, gap in answers.values()) < 1e-3:
            continue
        prompts.append(ids[0].tolist())
        for key in GREEDY:
            cases[key].append(answers[key][0])
    for key, rows in cases.items():
        assert any(row[-1] in eos and len(row) < 16 for row in rows) and any(row[-1] not in eos for row in rows), (key, rows)
    (DATA / f"{name}.greedy.json").write_text(compact({"prompts": prompts, "eos_ids": eos, "max_new_tokens": 16,
                                                       "options": GREEDY, "continuations": cases}))


def generate(model, ids, eos, **options):
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=16, do_sample=False, eos_token_id=eos, output_scores=True,
                         return_dict_in_generate=True, **options)
    gap = min((s.topk(2).values[0, 0] - s.topk(2).values[0, 1]).item() for s in out.scores)
    begin = 1 if model.config.is_encoder_decoder else ids.shape[1]
    return out.sequences[0, begin:].tolist(), gap


def compact(value):
    """JSON with one line a list of numbers."""
    lines = json.dumps(value, indent=1).splitlines()
    text, inside = [], False
    for line in lines:
        bare = line.strip().rstrip(",")
        number = bare.replace(".", "").replace("-", "").replace("e", "").isdigit()
        if inside or number:
            text[-1] += line.strip() + (" " if line.endswith(",") and number else "")
            inside = number
        else:
            text.append(line)
    return "\n".join(text) + "\n"


# --- the real model --------------------------------------------------------------------------------------------------

TEXTS = ["The capital of France is", "Once upon a time, there was a little", "def fibonacci(n):\n", "Water boils at a temperature of",
         "It is one of the worst films I have seen. Label :", "In 1969, 3 astronauts", "The three primary colors are", "A"]


def smollm2(gguf, tokenizer_file):
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(tokenizer_file)
    gguf = Path(gguf)
    model = transformers.AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32).eval()
    cases = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        steps, gaps = [], []
        with torch.no_grad():
            out = model(torch.tensor([ids]), use_cache=True)
            for _ in range(32):
                best = out.logits[0, -1].topk(2)
                steps.append(best.indices[0].item())
                gaps.append(round((best.values[0] - best.values[1]).item(), 4))
                out = model(torch.tensor([[steps[-1]]]), past_key_values=out.past_key_values, use_cache=True)
        cases.append({"text": text, "ids": ids, "continuation": steps, "gap": gaps})
        print(repr(text), "->", repr(tokenizer.decode(steps)), "least gap", min(gaps))
    (DATA / "smollm2_greedy.json").write_text(compact(cases))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--smollm2", nargs=2, metavar=("GGUF", "TOKENIZER"))
    options = parser.parse_args()
    DATA.mkdir(parents=True, exist_ok=True)
    if options.smollm2:
        return smollm2(*options.smollm2)
    for name, make, golden, eos, seed in (
            ("llama-gqa-tied", lambda e, s: llama(True, 8, e, s), llama_golden, [2, 30, 31, 57], 11),
            ("llama-untied", lambda e, s: llama(False, 16, e, s), llama_golden, [2, 30, 31, 57], 12),
            ("t5-v1.0", t5, t5_golden, [1, 30, 31, 57], 13)):
        model = make(eos, seed)
        save(model, name)
        golden(model, name, seed + 100)
        with torch.no_grad():
            greedy(model, name, seed + 200, eos)


if __name__ == "__main__":
    main()
