"""Tiny random encoders, and what transformers computes with them: tests/parity/data/models.

    OMP_NUM_THREADS=1 python tests/parity/make/encoders.py [NAME ...]

For each a folder as save_pretrained writes it, and NAME.golden.safetensors beside it: hidden states of every token and
d sum(cotangent * hidden) / d inputs_embeds, each example alone and unpadded, in fp32 and fp64, and how far transformers' own bf16 is
from them (|a-b|/|b| in the 2-norm).
"""
import torch
from models import DATA, VOCAB, WIDTH, randomise, report
from safetensors.torch import save_file
from transformers import (AlbertConfig, AlbertModel, BertConfig, BertForSequenceClassification, MPNetConfig,
                          MPNetForSequenceClassification, RobertaConfig, RobertaForSequenceClassification, XLMRobertaConfig,
                          XLMRobertaForSequenceClassification)
import json
import sys

LENGTHS = [7, 1, 12, 4]
COMMON = dict(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=48, num_attention_heads=4, attn_implementation="eager")


def bert():
    return BertForSequenceClassification(BertConfig(num_hidden_layers=2, max_position_embeddings=40, num_labels=3, **COMMON))


def roberta():
    return RobertaForSequenceClassification(RobertaConfig(num_hidden_layers=2, max_position_embeddings=42, type_vocab_size=1,
                                                          pad_token_id=1, bos_token_id=0, eos_token_id=2, num_labels=3,
                                                          layer_norm_eps=1e-5, classifier_dropout=0.2, **COMMON))


def albert():
    """Without a head, so that the names have no prefix; dropout as the first version had it."""
    return AlbertModel(AlbertConfig(num_hidden_layers=3, num_hidden_groups=2, inner_group_num=2, embedding_size=16,
                                    max_position_embeddings=40, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, **COMMON))


def xlm_roberta():
    return XLMRobertaForSequenceClassification(XLMRobertaConfig(num_hidden_layers=2, max_position_embeddings=42, type_vocab_size=1,
                                                                pad_token_id=1, num_labels=3, layer_norm_eps=1e-5,
                                                                classifier_dropout=0.2, **COMMON))


def mpnet():
    return MPNetForSequenceClassification(MPNetConfig(num_hidden_layers=2, max_position_embeddings=42, num_labels=3, **COMMON))


MODELS = {"bert": (bert, 31), "roberta": (roberta, 32), "albert": (albert, 33), "xlm-roberta": (xlm_roberta, 34), "mpnet": (mpnet, 35)}


def save(model, name):
    model.save_pretrained(DATA / name)
    path = DATA / name / "config.json"
    config = json.loads(path.read_text())
    config.pop("transformers_version", None)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def passes(model, embeds, cotangents, dtype):
    model.to(dtype)
    hidden, gradients = [], []
    for x, c in zip(embeds, cotangents):
        x = x.detach().to(dtype).requires_grad_()
        y = model.base_model(inputs_embeds=x[None]).last_hidden_state[0]
        (y * c.to(dtype)).sum().backward()
        hidden.append(y.detach())
        gradients.append(x.grad)
    model.float()
    return torch.cat(hidden), torch.cat(gradients)


def golden(model, name, seed):
    generator = torch.Generator().manual_seed(seed)
    table = model.get_input_embeddings().weight.detach()
    ids = torch.randint(3, VOCAB, (sum(LENGTHS),), generator=generator)
    embeds = table[ids] + 0.2 * torch.randn(sum(LENGTHS), table.shape[1], generator=generator)
    cotangent = torch.randn(sum(LENGTHS), WIDTH, generator=generator)
    out = {"ids": ids, "lengths": torch.tensor(LENGTHS), "embeds": embeds, "cotangent": cotangent}
    for kind, dtype in (("fp32", torch.float32), ("fp64", torch.float64), ("bf16", torch.bfloat16)):
        out[f"hidden.{kind}"], out[f"d_embeds.{kind}"] = passes(model, embeds.split(LENGTHS), cotangent.split(LENGTHS), dtype)
    for key in ("hidden", "d_embeds"):
        low, exact = out.pop(f"{key}.bf16").double(), out[f"{key}.fp64"]
        out[f"{key}.bf16_error"] = ((low - exact).norm() / exact.norm())[None]
        print(name, key, "bf16 error", f"{out[f'{key}.bf16_error'].item():.1e}")
    save_file(out, DATA / f"{name}.golden.safetensors")
    report(name, out)


def main():
    for name, (make, seed) in MODELS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        torch.manual_seed(seed)
        model = randomise(make(), seed)
        save(model, name)
        golden(model, name, seed + 100)


if __name__ == "__main__":
    main()
