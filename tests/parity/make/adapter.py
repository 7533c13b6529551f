"""Golden values for src/adapter: DePT by autograd, the inits of torch.nn, adapters that PEFT wrote and reads.

python tests/parity/make/adapter.py  ->  tests/parity/data/adapter/
"""
import json
import math
import shutil
import warnings
from pathlib import Path

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

DATA = Path(__file__).resolve().parents[1] / "data" / "adapter"
M, S, D = 4, 12, 8


def dept_case(K, R, alignment, generator):
    """One ragged batch: forward and gradients of P, A, B for a random linear loss, with copied and with shared prompts."""
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float32).double()
    P, A, B = draw(K, M, D), draw(K, S, R), draw(K, R, D)
    scale = 8 / math.sqrt(R) if R else 0.0
    sources = [(3, 2), (12, 1), (1, 0), (7, 3), (5, 2)]  # tokens with a row, tokens without one
    config = [(b * 2 + 1) % K for b in range(len(sources))]
    rows, lengths, E = [], [], []
    for source, target in sources:
        first = 0 if alignment == "start" else S - source
        rows.append(torch.tensor([first + i for i in range(source)] + [-1] * target))
        lengths.append(source + target)
        E.append(draw(source + target, D))
    d_text = [draw(n, D) for n in lengths]
    d_copies = [draw(M, D) for _ in lengths]
    d_shared = draw(K, M, D)

    out = {"P": P, "A": A, "B": B, "scale": torch.tensor([scale], dtype=torch.float64), "E": torch.cat(E), "row": torch.cat(rows),
           "length": torch.tensor(lengths), "config": torch.tensor(config)}
    for share in (False, True):
        leaves = [t.clone().requires_grad_() for t in (P, A, B)]
        p, a, b = leaves
        text = []
        for n, k in enumerate(config):
            with_row = (rows[n] >= 0).double()[:, None]
            text.append(E[n] + with_row * scale * (a[k] @ b[k])[rows[n].clamp(min=0)])
        if share:
            x = torch.cat([p.reshape(K * M, D), *text])
            d = torch.cat([d_shared.reshape(K * M, D), *d_text])
        else:
            x = torch.cat([torch.cat([p[k], t]) for k, t in zip(config, text)])
            d = torch.cat([torch.cat(pair) for pair in zip(d_copies, d_text)])
        (x * d).sum().backward()
        name = "shared" if share else "copied"
        out |= {f"{name}.X": x.detach(), f"{name}.d": d}
        out |= {f"{name}.d{n}": torch.zeros_like(t) if t.grad is None else t.grad for n, t in zip("PAB", leaves)}
    return out


def make_dept():
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for K in (1, 3):
        for R in (0, 5):
            for alignment in ("start", "end"):
                for name, value in dept_case(K, R, alignment, generator).items():
                    tensors[f"k{K}.r{R}.{alignment}.{name}"] = value.contiguous()
    save_file(tensors, DATA / "dept.safetensors")


def make_init():
    generator = torch.Generator().manual_seed(42)
    P = torch.empty(7, 16).normal_(0, 1, generator=generator)
    A = torch.nn.init.kaiming_uniform_(torch.empty(24, 5), a=math.sqrt(5), generator=generator)
    save_file({"P": P, "A": A}, DATA / "init.safetensors")


def tiny_llama():
    return LlamaForCausalLM(LlamaConfig(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
                                        num_key_value_heads=1, vocab_size=32))


def make_from_peft():
    """A vanilla prompt as upstream PEFT writes it."""
    torch.manual_seed(3)
    model = peft.get_peft_model(tiny_llama(), peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))
    folder = DATA / "from_peft"
    model.save_pretrained(folder)
    (folder / "README.md").unlink()


def make_original():
    """A DePT adapter as the original's fork of PEFT lays it out."""
    folder = DATA / "original"
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(11)
    draw = lambda *shape: torch.randn(*shape, generator=generator)
    save_file({"prompt_embeddings": draw(5, 16), "prompt_encoder.lora_embedding_A": draw(12, 3),
               "prompt_encoder.lora_embedding_B": draw(3, 16)}, folder / "adapter_model.safetensors")
    config = {"base_model_name_or_path": "t5-base", "hidden_size": 768, "inference_mode": True, "lora_alpha": 8, "max_length": 12,
              "num_attention_heads": 4, "num_layers": 2, "num_transformer_submodules": 1, "num_virtual_tokens": 5,
              "peft_type": "PROMPT_TUNING_LORA", "prompt_tuning_init": "TEXT",
              "prompt_tuning_init_text": "Classify this text is postive or not:", "r": 3, "task_type": "SEQ_2_SEQ_LM",
              "token_dim": 16, "tokenizer_name_or_path": "t5-base"}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2))


def check_to_peft():
    """to_peft/ is written by save_adapter (the parity test compares bytes); upstream PEFT must load it."""
    folder = DATA / "to_peft"
    if not folder.exists():
        print("to_peft/ is not there yet: run the parity test, which writes it")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peft.PeftModel.from_pretrained(tiny_llama(), folder)
    want = load_file(folder / "adapter_model.safetensors")["prompt_embeddings"]
    got = model.prompt_encoder["default"].embedding.weight
    assert torch.equal(got, want), "PEFT loaded another prompt"
    assert torch.equal(want, (torch.arange(48, dtype=torch.float32) / 8 - 3).reshape(3, 16))
    print("PEFT loads to_peft/")


if __name__ == "__main__":
    torch.set_num_threads(1)
    shutil.rmtree(DATA / "from_peft", ignore_errors=True)
    DATA.mkdir(parents=True, exist_ok=True)
    make_dept()
    make_init()
    make_from_peft()
    make_original()
    check_to_peft()
