"""Tiny models in the forms that are about, and what transformers computes with them: tests/parity/data/models/wild.

NAME/ (or NAME.gguf) is a checkpoint, NAME.golden.safetensors the logits of one text. Unless said otherwise transformers has loaded
that very folder; `assert` holds its own reading to the definition where both are at hand.

    OMP_NUM_THREADS=1 python tests/parity/make/wild_models.py
"""
import json
import shutil

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, GPT2Config, LlamaConfig, MT5Config, T5Config
from transformers.utils import logging

from families import DATA as FAMILIES
from families import GPT2, LLAMA, T5, randomise, rope, write_gguf

DATA = FAMILIES.parent / "wild"
IDS = torch.tensor([[5, 9, 33, 41, 7, 60, 12]])
TARGET = torch.tensor([[0, 8, 21, 30, 3]])
WIDE = LlamaConfig(**{**LLAMA, "hidden_size": 32, "intermediate_size": 48, "head_dim": 16}, rope_parameters=rope(rope_type="default"))


def auto(config):
    return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM


def save(name, config, seed, change=lambda tensors: tensors, **fields):
    """A random model's folder whose tensors went through `change` and whose config.json got `fields`."""
    folder = DATA / name
    shutil.rmtree(folder, ignore_errors=True)
    randomise(auto(config).from_config(config), seed).save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    store(folder, change(load_file(folder / "model.safetensors")))
    path = folder / "config.json"
    kept = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("transformers_version", "_name_or_path")}
    path.write_text(json.dumps({**kept, **fields}, indent=2, sort_keys=True) + "\n")
    return folder


def store(folder, tensors):
    save_file({key: value.clone().contiguous() for key, value in tensors.items()}, folder / "model.safetensors", {"format": "pt"})


@torch.no_grad()
def logits(model):
    targets = {"decoder_input_ids": TARGET} if model.config.is_encoder_decoder else {}
    return model.eval()(IDS, **targets).logits[0]


def golden(name, model):
    out = {"ids": IDS[0], "logits": logits(model)}
    if model.config.is_encoder_decoder:
        out["target"] = TARGET[0]
    save_file(out, DATA / f"{name}.golden.safetensors")
    print(name, "spread", round(out["logits"].std().item(), 2))
    return out["logits"]


def by_transformers(name, config):
    return golden(name, auto(config).from_pretrained(DATA / name, dtype=torch.float32))


# --- 8-bit floating point ---------------------------------------------------------------------------------------------

def spread(scale, block, shape):
    return scale.float().repeat_interleave(block[0], 0)[:shape[0]].repeat_interleave(block[1], 1)[:, :shape[1]]


def fp8(tensors, block=None, kind=torch.float8_e4m3fn, scale_type=torch.float32, suffix="_scale_inv", extra=()):
    """The projections as 8-bit numbers with a scale for each block (None: for the matrix), the last ones of a row or column cut."""
    out = {}
    for name, value in tensors.items():
        if not name.endswith("proj.weight"):
            out[name] = value
            continue
        rows, columns = block or value.shape
        scale = torch.stack([torch.stack([part.abs().max() for part in row.split(columns, 1)]) for row in value.split(rows, 0)])
        scale = scale / torch.finfo(kind).max
        if scale_type == torch.float8_e8m0fnu:  # powers of two
            scale = scale.log2().ceil().exp2()
        out[name] = (value / spread(scale, (rows, columns), value.shape)).to(kind)
        out[name + suffix] = scale.to(scale_type) if block else scale.to(scale_type).reshape(())
        out.update({name.removesuffix("weight") + other: torch.tensor(0.5) for other in extra})
    return out


def widened(tensors, block, suffix="_scale_inv"):
    """The definition: each number times the scale of its block."""
    out = {}
    for name, value in tensors.items():
        if name.endswith((suffix, "_scale")):
            continue
        if name + suffix in tensors:
            scale = tensors[name + suffix]
            value = value.float() * (spread(scale, block, value.shape) if block else scale.float())
        out[name] = value
    return out


def fp8_models():
    scheme = {"quant_method": "fp8", "activation_scheme": "dynamic"}
    for name, block, by_hand, options, fields in (
            ("fp8-blocks", (16, 8), False, {}, {}),
            ("fp8-cut-blocks", (20, 24), True, {"kind": torch.float8_e5m2}, {}),
            ("fp8-powers-of-two", (16, 16), False, {"scale_type": torch.float8_e8m0fnu}, {"scale_fmt": "ue8m0"}),
            ("fp8-static", None, False, {"extra": ("activation_scale",)}, {"activation_scheme": "static"}),
            ("fp8-weight-scale", None, True, {"suffix": "_scale", "extra": ("input_scale",)}, {"activation_scheme": "static"})):
        quantised = {**scheme, **fields, "weight_block_size": list(block) if block else None}
        folder = save(name, WIDE, 21, lambda tensors: fp8(tensors, block, **options), quantization_config=quantised)
        tensors = load_file(folder / "model.safetensors")
        model = AutoModelForCausalLM.from_config(WIDE)
        model.load_state_dict(widened(tensors, block, options.get("suffix", "_scale_inv")))
        defined = golden(name, model) if by_hand else logits(model)
        if not by_hand:
            assert torch.allclose(by_transformers(name, WIDE), defined, atol=1e-5), name
        del quantised["quant_method"]


# --- heads and embeddings -----------------------------------------------------------------------------------------------

def other(tensors, name):
    generator = torch.Generator().manual_seed(5)
    like = next(v for k, v in tensors.items() if k.endswith(("embed_tokens.weight", "wte.weight", "shared.weight")))
    return {**tensors, name: torch.randn(like.shape, generator=generator) * 0.3}


def renamed(tensors, *names):
    """shared.weight under other names."""
    tensors = dict(tensors)
    table = tensors.pop("shared.weight")
    return {**tensors, **{name: table for name in names}}


def heads():
    tied = {"tie_word_embeddings": True}
    for name, config in (("tied-llama", LlamaConfig(**{**LLAMA, **tied}, rope_parameters=rope(rope_type="default"))),
                         ("tied-gpt2", GPT2Config(**GPT2)), ("tied-t5", T5Config(**T5)), ("tied-mt5", MT5Config(**T5))):
        save(name, config, 31, lambda tensors: other(tensors, "lm_head.weight"))
        by_transformers(name, config)
    encoder, decoder = "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"
    for name, names in (("t5-encoder-table", [encoder]), ("t5-decoder-table", [decoder]), ("t5-both-tables", [encoder, decoder])):
        save(name, T5Config(**T5), 32, lambda tensors: renamed(tensors, *names))
        by_transformers(name, T5Config(**T5))
    save("t5-tables-and-head", T5Config(**T5), 33, lambda tensors: other(renamed(tensors, encoder, decoder), "lm_head.weight"))
    by_transformers("t5-tables-and-head", T5Config(**T5))
    # One table beside a head of its own: transformers 4 and the model's definition give both stacks the table (5.17 gives the head
    # to the stack whose table is not there).
    name = "t5-decoder-table-and-head"
    folder = save(name, T5Config(**T5), 34, lambda tensors: other(renamed(tensors, decoder), "lm_head.weight"))
    tensors = load_file(folder / "model.safetensors")
    model = AutoModelForSeq2SeqLM.from_config(T5Config(**T5))
    model.lm_head.weight = torch.nn.Parameter(torch.empty_like(tensors["lm_head.weight"]))
    model.load_state_dict({**tensors, encoder: tensors[decoder], "shared.weight": tensors[decoder]})
    golden(name, model)


# --- GGUF -----------------------------------------------------------------------------------------------------------------

def ggufs():
    """The model of families/llama-biases, whole and in shards; the values are the folder's."""
    model = AutoModelForCausalLM.from_pretrained(FAMILIES / "llama-biases")
    for old in DATA.glob("llama-biases*.gguf"):
        old.unlink()
    write_gguf(model, DATA / "llama-biases.gguf")
    write_gguf(model, DATA / "llama-biases-split.gguf", split_max_tensors=12)
    golden("llama-biases", model)


def main():
    logging.set_verbosity_error()
    DATA.mkdir(parents=True, exist_ok=True)
    fp8_models()
    heads()
    ggufs()


if __name__ == "__main__":
    main()
