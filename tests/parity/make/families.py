"""Tiny random models of every family and variant, and what transformers computes with them: tests/parity/data/models/families.

NAME/ is a checkpoint. NAME.golden.safetensors holds logits of every token and d sum(cotangent * logits) / d inputs_embeds, each
example run alone and unpadded in fp32, logits of the same examples in one padded batch (on the left for decoders), and how far
transformers' own bf16 is from its fp32. NAME.greedy.json holds greedy continuations of 200 prompts, each up to the first step
that less than 1e-4 decides; NAME.beams.json the two best of four beams for the same prompts, none where less than 1e-4 decides.

    OMP_NUM_THREADS=1 python tests/parity/make/families.py [NAME ...]
"""
import copy
import json
import math
import shutil
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, AutoModelForSeq2SeqLM, BartConfig, Gemma2Config, Gemma3TextConfig, GPT2Config, GPTNeoXConfig,
                          GraniteConfig, LlamaConfig, MistralConfig, MT5Config, Olmo2Config, Phi3Config, Qwen2Config, Qwen3Config,
                          SmolLM3Config, T5Config, UMT5Config)
from transformers.utils import logging

from generation import answer

DATA = Path(__file__).resolve().parent.parent / "data" / "models" / "families"
VOCAB, WIDTH, EOS, NEW = 64, 16, [2, 20, 30, 31, 40, 41, 50, 57], 12

GPT2 = dict(vocab_size=VOCAB, n_embd=WIDTH, n_layer=2, n_head=2, n_positions=48, bos_token_id=1, eos_token_id=EOS)
LLAMA = dict(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1, head_dim=16, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=EOS,
             pad_token_id=0, tie_word_embeddings=False)
T5 = dict(vocab_size=VOCAB, d_model=WIDTH, d_kv=8, d_ff=24, num_layers=2, num_decoder_layers=2, num_heads=2,
          relative_attention_num_buckets=8, relative_attention_max_distance=20, decoder_start_token_id=0, pad_token_id=0,
          eos_token_id=EOS)


BART = dict(vocab_size=VOCAB, d_model=WIDTH, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=24, decoder_ffn_dim=24, max_position_embeddings=40, decoder_start_token_id=1, bos_token_id=1, pad_token_id=0,
            eos_token_id=EOS, forced_eos_token_id=None)


def rope(**parameters):
    return {"rope_theta": 100.0, **parameters}


LLAMA3 = rope(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=24)
LINEAR = rope(rope_type="linear", factor=4.0)
DEFAULT = rope(rope_type="default")
# Windows that are shorter than texts and answers; two layers cover both kinds.
GEMMA = {**LLAMA, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 5, "tie_word_embeddings": True,
         "query_pre_attn_scalar": 12}
LONG = rope(rope_type="longrope", original_max_position_embeddings=10, short_factor=[1.0, 1.2, 1.5],
            long_factor=[1.0, 3.0, 6.0])
NEOX = dict(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=64, bos_token_id=1, eos_token_id=EOS, pad_token_id=0)
CONFIGS = {
    "gpt2": GPT2Config(**GPT2),
    "gpt2-gelu": GPT2Config(**GPT2, activation_function="gelu", n_inner=24, scale_attn_by_inverse_layer_idx=True,
                            reorder_and_upcast_attn=True),
    "gpt2-relu": GPT2Config(**GPT2, activation_function="relu", scale_attn_weights=False, tie_word_embeddings=False),
    "llama-llama3": LlamaConfig(**LLAMA, rope_parameters=LLAMA3),
    "llama-linear": LlamaConfig(**{**LLAMA, "tie_word_embeddings": True}, rope_parameters=LINEAR),
    "llama-yarn": LlamaConfig(**LLAMA, rope_parameters=rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16,
                                                           beta_fast=4.0)),
    "llama-biases": LlamaConfig(**LLAMA, attention_bias=True, mlp_bias=True, rope_parameters=rope(rope_type="default")),
    "mistral": MistralConfig(**LLAMA, sliding_window=None, rope_parameters=rope(rope_type="default")),
    "qwen2": Qwen2Config(**LLAMA, rope_parameters=rope(rope_type="default")),
    "t5-v1.1": T5Config(**T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "t5-v1.1-resaved": T5Config(**T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False),
    "t5-gelu": T5Config(**T5, feed_forward_proj="gelu"),
    "t5-gated-relu": T5Config(**T5, feed_forward_proj="gated-relu"),
    "t5-gated-silu": T5Config(**T5, feed_forward_proj="gated-silu", tie_word_embeddings=False),
    "mt5": MT5Config(**T5),
    "llama": LlamaConfig(**{**LLAMA, "num_key_value_heads": 2, "head_dim": None}, rope_parameters=rope(rope_type="default")),
    "t5-v1.0": T5Config(**T5),
    # Heads as wide as the packed attention takes them, and targets so short that cross-attention reads the memory itself.
    "t5-wide-heads": T5Config(**{**T5, "d_model": 32, "d_kv": 32, "d_ff": 64, "num_heads": 2, "num_layers": 1, "num_decoder_layers": 1}),
    "mistral-window": MistralConfig(**LLAMA, sliding_window=6, rope_parameters=DEFAULT),
    "qwen2-window": Qwen2Config(**LLAMA, use_sliding_window=True, sliding_window=4, max_window_layers=1, rope_parameters=DEFAULT),
    "qwen3": Qwen3Config(**LLAMA, rope_parameters=DEFAULT),
    "qwen3-window": Qwen3Config(**{**LLAMA, "head_dim": 6, "tie_word_embeddings": True}, attention_bias=True, use_sliding_window=True,
                                sliding_window=3, layer_types=["sliding_attention", "full_attention"], rope_parameters=LINEAR),
    "gemma2": Gemma2Config(**{**GEMMA, "query_pre_attn_scalar": 8}, attn_logit_softcapping=1.5, final_logit_softcapping=4.0, rope_parameters=DEFAULT),
    "gemma2-plain": Gemma2Config(**{**GEMMA, "tie_word_embeddings": False}, attn_logit_softcapping=None, final_logit_softcapping=None,
                                 attention_bias=True, rope_parameters=DEFAULT,
                                 layer_types=["full_attention", "sliding_attention"]),
    "gemma3": Gemma3TextConfig(**{**GEMMA, "query_pre_attn_scalar": 8}, layer_types=["sliding_attention", "full_attention"],
                               rope_parameters={"full_attention": LINEAR, "sliding_attention": rope(rope_type="default", rope_theta=20.0)}),
    "gemma3-v4": Gemma3TextConfig(**GEMMA, final_logit_softcapping=5.0, layer_types=["sliding_attention", "full_attention"],
                                  rope_parameters={"full_attention": LINEAR,
                                                   "sliding_attention": rope(rope_type="default", rope_theta=20.0)}),
    "smollm3": SmolLM3Config(**{**LLAMA, "num_hidden_layers": 4}, no_rope_layers=[1, 1, 1, 0], rope_parameters=DEFAULT),
    "smollm3-window": SmolLM3Config(**{**LLAMA, "tie_word_embeddings": True}, no_rope_layer_interval=2, use_sliding_window=True,
                                    sliding_window=5, attention_bias=True, mlp_bias=True, rope_parameters=DEFAULT),
    "olmo2": Olmo2Config(**LLAMA, rope_parameters=DEFAULT),
    "granite": GraniteConfig(**LLAMA, embedding_multiplier=1.7, logits_scaling=0.6, residual_multiplier=0.8, attention_multiplier=0.3,
                             rope_parameters=DEFAULT),
    "granite-biases": GraniteConfig(**{**LLAMA, "tie_word_embeddings": True}, attention_bias=True, mlp_bias=True,
                                    embedding_multiplier=2.0, attention_multiplier=0.25, rope_parameters=DEFAULT),
    "phi3": Phi3Config(**LLAMA, sliding_window=7, rope_parameters=DEFAULT),
    "phi3-longrope": Phi3Config(**{**LLAMA, "head_dim": 8, "tie_word_embeddings": True}, original_max_position_embeddings=10,
                                rope_parameters={**LONG, "partial_rotary_factor": 0.75}),
    "gpt_neox": GPTNeoXConfig(**NEOX, rope_parameters=rope(rope_type="default", partial_rotary_factor=0.5)),
    "gpt_neox-serial": GPTNeoXConfig(**NEOX, use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new",
                                     tie_word_embeddings=True, rope_parameters=rope(rope_type="default", partial_rotary_factor=1.0)),
    "umt5": UMT5Config(**T5),
    "bart": BartConfig(**BART),
    "bart-scaled": BartConfig(**{**BART, "encoder_layers": 1, "encoder_attention_heads": 4, "encoder_ffn_dim": 32}, scale_embedding=True,
                              activation_function="silu", attention_dropout=0.1, activation_dropout=0.1),
}


def randomise(model, seed):
    """Weights wide enough that logits differ by units, not by thousandths."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in sorted(model.named_parameters()):
        noise = torch.randn(p.shape, generator=generator)
        fan_in = p.shape[0] if ".c_" in name else p.shape[-1]
        if name.endswith(".bias"):
            p.data = 0.3 * noise
        elif p.dim() == 1:
            p.data = (0 if "gemma" in model.config.model_type else 1) + 0.2 * noise  # Gemma's norms add the 1
        elif "relative_attention_bias" in name:
            p.data = noise
        elif any(part in name for part in ("embed_tokens", "embed_in", "shared", "wte", "wpe")):
            p.data = 0.4 * noise
        elif any(part in name for part in ("o_proj", "down_proj", ".o.", ".wo.", "c_proj", "attention.dense", "4h_to_h")):
            p.data = noise * 3 / math.sqrt(fan_in)
        elif ".q." in name:  # T5 has no 1/sqrt(d): keep the scores of a trained model's size
            p.data = noise * 1.2 / math.sqrt(8 * fan_in)
        else:
            p.data = noise * 1.2 / math.sqrt(fan_in)
    return model.eval()


def make(name, seed):
    config = CONFIGS[name]
    config._attn_implementation = "eager"
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = auto.from_config(config)
    if name.startswith(("t5-v1.1", "t5-gated-silu", "mt5", "umt5")):  # a head of its own, as these checkpoints have
        model.lm_head.weight = torch.nn.Parameter(torch.empty(VOCAB, WIDTH))
    model = randomise(model, seed)
    if "bart" in name:
        model.final_logits_bias.normal_(generator=torch.Generator().manual_seed(seed))
    if name == "bart-scaled":  # behind their factor words are of the usual size
        model.model.shared.weight.data /= 4
        model.final_logits_bias /= 4
    folder = DATA / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, max_shard_size="12KB" if name == "llama-llama3" else "1GB")
    rewrite(name, folder)
    loaded = auto.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.arange(3, 12)[None]
    out = [m(ids, **({"decoder_input_ids": ids} if config.is_encoder_decoder else {})).logits for m in (model, loaded)]
    assert torch.equal(*out), name  # what stands on disk is what the golden values are of
    if "longrope" in name:  # with a cache, 5.17 forgets what stands before the token at which the frequencies change
        loaded.generation_config.use_cache = False
    return loaded


def rewrite(name, folder):
    """Configurations in the forms that are about: of transformers 4 and 5, with and without the base model's prefix."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    for key in ("transformers_version", "_name_or_path"):
        config.pop(key, None)
    if name == "llama-llama3":
        scaling = config.pop("rope_parameters")
        config["rope_theta"], config["rope_scaling"] = scaling.pop("rope_theta"), scaling
    if name == "llama-linear":
        scaling = config.pop("rope_parameters")
        config["rope_theta"] = scaling["rope_theta"]
        config["rope_scaling"] = {"type": "linear", "factor": scaling["factor"]}
    if name == "gemma3-v4":
        scaling = config.pop("rope_parameters")
        config["rope_local_base_freq"], config["rope_theta"] = (scaling[key].pop("rope_theta") for key in ("sliding_attention", "full_attention"))
        config["rope_scaling"] = scaling["full_attention"]
        config.pop("layer_types")
        config["sliding_window_pattern"] = 2
    if name == "phi3-longrope":
        scaling = config.pop("rope_parameters")
        config["rope_theta"], config["partial_rotary_factor"] = scaling.pop("rope_theta"), scaling.pop("partial_rotary_factor")
        config["rope_scaling"] = {"type": "longrope", "short_factor": scaling["short_factor"], "long_factor": scaling["long_factor"]}
    if name == "gpt_neox":
        scaling = config.pop("rope_parameters")
        config["rotary_emb_base"], config["rotary_pct"] = scaling["rope_theta"], scaling["partial_rotary_factor"]
    if name in ("t5-v1.1", "t5-gated-silu"):  # as the published files have it
        config.pop("scale_decoder_outputs", None)
        config["tie_word_embeddings"] = False
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    prefix = {"gpt2-gelu": "transformer.", "llama-linear": "model."}.get(name)
    if prefix:
        tensors = load_file(folder / "model.safetensors")
        save_file({key.removeprefix(prefix): value for key, value in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    (folder / "generation_config.json").unlink()


def run(model, sources, targets=None):
    if targets is None:
        # Without a mask transformers takes a jump in the positions for the border of a packed sequence.
        return [model(inputs_embeds=x[None], position_ids=p[None], attention_mask=torch.ones_like(p)[None]).logits[0] for x, p in sources]
    return [model(inputs_embeds=x[None], decoder_inputs_embeds=z[None]).logits[0] for x, z in zip(sources, targets)]


def gradients(model, name, out, dtype):
    """logits and the gradients of sum(cotangent * logits)."""
    model = copy.deepcopy(model).to(dtype)
    leaves = {key: out[key].detach().to(dtype, copy=True).requires_grad_() for key in ("embeds", "target") if key in out}
    lengths = out["lengths"].tolist()
    if "target" in leaves:
        n = out["target_lengths"].tolist()
        logits = run(model, leaves["embeds"].split(lengths), leaves["target"].split(n))
    else:
        logits = run(model, list(zip(leaves["embeds"].split(lengths), out["position"].split(lengths))))
    logits = torch.cat(logits)
    (logits.float() * out["cotangent"]).sum().backward()
    return {"logits": logits.detach().float(), **{"d_" + key: leaf.grad.float() for key, leaf in leaves.items()}}


def padded(model, out):
    """Logits of the examples in one batch: decoders padded on the left, T5 on the right."""
    lengths = out["lengths"].tolist()
    x, longest = out["embeds"].split(lengths), max(lengths)
    left = "target" not in out
    mask = torch.zeros(len(x), longest, dtype=torch.long)
    batch, position = torch.zeros(len(x), longest, x[0].shape[1]), torch.zeros(len(x), longest, dtype=torch.long)
    where = [slice(longest - n, longest) if left else slice(0, n) for n in lengths]
    for b, part in enumerate(where):
        mask[b, part], batch[b, part] = 1, x[b]
    if left:
        for b, p in enumerate(out["position"].split(lengths)):
            position[b, where[b]] = p
        logits = model(inputs_embeds=batch, attention_mask=mask, position_ids=position).logits
        return torch.cat([logits[b, part] for b, part in enumerate(where)])
    n = out["target_lengths"].tolist()
    target = torch.nn.utils.rnn.pad_sequence(out["target"].split(n), batch_first=True)
    logits = model(inputs_embeds=batch, attention_mask=mask, decoder_inputs_embeds=target).logits
    return torch.cat([logits[b, :k] for b, k in enumerate(n)])


def random_embeds(model, n, generator):
    table = model.get_input_embeddings().weight.detach()
    ids = torch.randint(3, VOCAB, (n,), generator=generator)
    return table[ids] + 0.2 * torch.randn(n, table.shape[1], generator=generator)


def draw(model, out, generator):
    """Another batch of the same lengths."""
    fresh = {**out, **{key: random_embeds(model, len(out[key]), generator) for key in ("embeds", "target") if key in out}}
    tokens = len(out.get("target", out["embeds"]))
    fresh["cotangent"] = torch.randn(tokens, VOCAB, generator=generator) * (torch.rand(tokens, 1, generator=generator) < 0.5)
    return fresh


def bf16_error(model, name, out, generator):
    """|bf16 - fp32| / |fp32| of transformers, the median of 50 batches: where a ReLU falls on the other side, the gradient of one is
    several times as far off as that of the next."""
    errors = {}
    for _ in range(50):
        batch = draw(model, out, generator)
        exact, rough = gradients(model, name, batch, torch.float32), gradients(model, name, batch, torch.bfloat16)
        for key, value in exact.items():
            errors.setdefault("bf16." + key, []).append((rough[key] - value).norm() / value.norm())
    return {key: torch.stack(values).quantile(0.5) for key, values in errors.items()}


def golden(model, name, seed):
    generator = torch.Generator().manual_seed(seed)
    lengths = [7, 1, 20, 16, 12, 4]
    out = {"lengths": torch.tensor(lengths), "embeds": random_embeds(model, sum(lengths), generator)}
    tokens = sum(lengths)
    if model.config.is_encoder_decoder:
        out["target_lengths"] = torch.tensor([3, 1, 4, 7, 8, 5] if name == "t5-wide-heads" else [3, 1, 4, 9, 12, 5])
        tokens = int(out["target_lengths"].sum())
        out["target"] = random_embeds(model, tokens, generator)
    else:
        out["position"] = torch.cat([torch.arange(n) for n in lengths])
        out["position"][-2:] += 5  # the last example counts 0 1 7 8
    out["cotangent"] = torch.randn(tokens, VOCAB, generator=generator) * (torch.rand(tokens, 1, generator=generator) < 0.5)
    exact = gradients(model, name, out, torch.float32)
    if "longrope" not in name:  # of a batch it takes all texts to be as long as the longest
        with torch.no_grad():
            exact["padded"] = padded(model, out)
        worst = (exact["padded"] - exact["logits"]).abs().max().item()
        assert worst < 1e-4, (name, worst)
    if (getattr(model.config, "rope_parameters", None) or DEFAULT).get("rope_type", "default") not in ("default", "longrope"):
        plain = copy.deepcopy(model.config)
        plain.rope_parameters = rope(rope_type="default")
        unscaled = type(model)(plain).eval()
        unscaled.load_state_dict(model.state_dict())
        assert (gradients(unscaled, name, out, torch.float32)["logits"] - exact["logits"]).abs().max() > 0.1, name
    out.update(bf16_error(model, name, out, generator))
    save_file({**out, **exact}, DATA / f"{name}.golden.safetensors")
    print(name, "spread", round(exact["logits"].std().item(), 2), {key: round(v.item(), 4) for key, v in out.items() if "bf16" in key})


def greedy(model, name, seed):
    """200 prompts, 40 of each length."""
    generator = torch.Generator().manual_seed(seed)
    prompts, answers = [], []
    for length in (1, 3, 5, 8, 11):
        ids = torch.randint(3, VOCAB, (40, length), generator=generator)
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False, eos_token_id=EOS,
                             pad_token_id=0, output_scores=True, return_dict_in_generate=True)
        best = torch.stack([s.topk(2).values for s in out.scores])
        begin = 1 if model.config.is_encoder_decoder else length
        for b in range(40):
            answer = []
            for step, token in enumerate(out.sequences[b, begin:].tolist()):
                if best[step, b, 0] - best[step, b, 1] < 1e-4:
                    break
                answer.append(token)
                if token in EOS:
                    break
            prompts.append(ids[b].tolist())
            answers.append(answer)
    ends = sum(answer[-1:] != [] and answer[-1] in EOS for answer in answers)
    print(name, "ended by eos", ends, "cut", sum(len(a) < NEW and a[-1:] != [] and a[-1] not in EOS for a in answers),
          "different answers", len({tuple(a) for a in answers}))
    assert 0 < ends < 195 and len({tuple(a) for a in answers}) > 30, (name, ends)
    (DATA / f"{name}.greedy.json").write_text(json.dumps({"eos_ids": EOS, "max_new_tokens": NEW, "prompts": prompts, "answers": answers},
                                                         separators=(",", ":")) + "\n")


def beams(model, name):
    """The prompts of NAME.greedy.json again, one at a time."""
    options = {"num_beams": 4, "num_return_sequences": 2, "length_penalty": 1.0, "max_new_tokens": NEW, "eos_token_id": EOS}
    rows = [answer(model, ids, options) for ids in json.loads((DATA / f"{name}.greedy.json").read_text())["prompts"]]
    sure = [answers if gap >= 1e-4 else None for answers, _, gap in rows]
    other = sum(answers[0] != greedy for (answers, *_), greedy in zip(rows, json.loads((DATA / f"{name}.greedy.json").read_text())["answers"]))
    print(name, "beams unsure", sure.count(None), "unlike greedy", other, flush=True)
    assert sure.count(None) < 30 and other > 20, name
    (DATA / f"{name}.beams.json").write_text(json.dumps({"options": options, "answers": sure}, separators=(",", ":")) + "\n")


def write_gguf(model, path, **options):
    """As llama.cpp converts: rows of Q and K interleaved, Llama 3's scaling as a tensor of divisors."""
    c = model.config
    writer = gguf.GGUFWriter(path, "llama", **options)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_rope_dimension_count(c.head_dim)
    parameters = c.rope_parameters
    writer.add_rope_freq_base(parameters["rope_theta"])
    if parameters["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(parameters["factor"])
    if parameters["rope_type"] == "llama3":
        plain = parameters["rope_theta"] ** -(np.arange(0, c.head_dim, 2) / c.head_dim)
        writer.add_tensor("rope_freqs.weight", (plain / model.model.rotary_emb.inv_freq.numpy()).astype(np.float32))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, c.num_hidden_layers)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and c.tie_word_embeddings:
            continue
        for part, heads in (("q_proj", c.num_attention_heads), ("k_proj", c.num_key_value_heads)):
            if part in name:
                value = value.reshape(heads, 2, value.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(value.shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), value.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# Models whose GGUF has everything that their configuration says.
ARCHITECTURES = {"qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2", "gemma3": "gemma3", "phi3": "phi3", "phi3-longrope": "phi3",
                 "smollm3": "smollm3", "gpt2": "gpt2", "gpt_neox": "gptneox"}


def write_other_gguf(model, name):
    """As llama.cpp's convert_hf_to_gguf.py writes these architectures."""
    c, arch = model.config, ARCHITECTURES[name]
    writer = gguf.GGUFWriter(DATA / f"{name}.gguf", arch)
    heads, inner = c.num_attention_heads, getattr(c, "intermediate_size", None) or 4 * c.hidden_size
    head_dim = getattr(c, "head_dim", None) or c.hidden_size // heads
    writer.add_block_count(c.num_hidden_layers)
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    if arch in ("gpt2", "gptneox"):
        writer.add_layer_norm_eps(getattr(c, "layer_norm_eps", None) or c.layer_norm_epsilon)
    else:
        writer.add_head_count_kv(c.num_key_value_heads)
        writer.add_layer_norm_rms_eps(c.rms_norm_eps)
        if arch != "phi3" or head_dim * heads != c.hidden_size:
            writer.add_key_length(head_dim)
            writer.add_value_length(head_dim)
    rope = getattr(c, "rope_parameters", None) or {}
    if "full_attention" in rope:
        writer.add_rope_freq_base_swa(rope["sliding_attention"]["rope_theta"])
        writer.add_sliding_window_pattern(2)
        rope = rope["full_attention"]
    if arch != "gpt2":
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_rope_dimension_count(int(head_dim * (rope.get("partial_rotary_factor") or 1)))
    if rope.get("rope_type") == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if arch.startswith("gemma") or arch == "phi3":
        writer.add_sliding_window(c.sliding_window or 0)
    if arch == "gemma2":
        writer.add_attn_logit_softcapping(c.attn_logit_softcapping)
        writer.add_final_logit_softcapping(c.final_logit_softcapping)
    if arch == "phi3":
        writer.add_rope_scaling_orig_ctx_len(c.original_max_position_embeddings)
    if arch == "gptneox":
        writer.add_parallel_residual(c.use_parallel_residual)
    if rope.get("rope_type") == "longrope":
        writer.add_rope_scaling_attn_factors(model.model.rotary_emb.attention_scaling)
        writer.add_tensor("rope_factors_long.weight", np.array(rope["long_factor"], np.float32))
        writer.add_tensor("rope_factors_short.weight", np.array(rope["short_factor"], np.float32))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[arch.upper()], c.num_hidden_layers)
    for key, value in model.state_dict().items():
        if key == "lm_head.weight" and c.tie_word_embeddings:
            continue
        if arch == "smollm3":
            for part, count in (("q_proj", heads), ("k_proj", c.num_key_value_heads)):
                if part in key:
                    value = value.reshape(count, 2, value.shape[0] // count // 2, -1).swapaxes(1, 2).reshape(value.shape)
        if arch.startswith("gemma") and key.endswith("norm.weight"):
            value = value + 1
        if arch == "gpt2" and ".c_" in key and value.dim() == 2:
            value = value.t()
        if "query_key_value" in key:
            value = value.reshape(heads, 3, head_dim, -1).swapaxes(0, 1).reshape(value.shape)
        writer.add_tensor(names.get_name(key, try_suffixes=(".weight", ".bias")), value.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    logging.set_verbosity_error()
    DATA.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(CONFIGS):
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        model = make(name, 50 + seed)
        golden(model, name, 150 + seed)
        with torch.no_grad():
            greedy(model, name, 250 + seed)
            beams(model, name)
        if name in ("llama-llama3", "llama-linear"):
            write_gguf(model, DATA / f"{name}.gguf")
        if name in ARCHITECTURES:
            write_other_gguf(model, name)


if __name__ == "__main__":
    main()
