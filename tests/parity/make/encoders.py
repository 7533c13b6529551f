"""Tiny random encoders, and what transformers computes with them: tests/parity/data/models.

    OMP_NUM_THREADS=1 python tests/parity/make/encoders.py [NAME ...]

For each a folder as save_pretrained writes it, and NAME.golden.safetensors beside it: hidden states of every token and
d sum(cotangent * hidden) / d inputs_embeds, each example alone and unpadded, in fp32 and fp64, and how far transformers' own bf16 is
from them (|a-b|/|b| in the 2-norm).
"""
import contextlib
import json
import sys
from unittest import mock

import torch
from models import DATA, VOCAB, WIDTH, randomise, report
from safetensors.torch import save_file
from transformers import (AlbertConfig, AlbertModel, BertConfig, BertForSequenceClassification, DebertaV2Config,
                          DebertaV2ForSequenceClassification, DebertaV2Model, DistilBertConfig,
                          DistilBertForSequenceClassification, ElectraConfig, ElectraForSequenceClassification, ElectraModel,
                          ModernBertConfig, ModernBertForSequenceClassification, MPNetConfig, MPNetForSequenceClassification, RobertaConfig, RobertaForSequenceClassification,
                          XLMRobertaConfig, XLMRobertaForSequenceClassification)
from transformers.models.deberta_v2 import modeling_deberta_v2
from transformers.models.modernbert import modeling_modernbert

LENGTHS = [7, 1, 12, 4]
SIZES = dict(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=48, num_attention_heads=4)
COMMON = dict(**SIZES, attn_implementation="eager")


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


def distilbert():
    return DistilBertForSequenceClassification(DistilBertConfig(vocab_size=VOCAB, dim=WIDTH, hidden_dim=48, n_heads=4, n_layers=2,
                                                                max_position_embeddings=40, num_labels=3,
                                                                attn_implementation="eager"))


def electra():
    """With narrow words, as the small model has them."""
    return ElectraForSequenceClassification(ElectraConfig(num_hidden_layers=2, embedding_size=16, max_position_embeddings=40,
                                                          num_labels=3, classifier_dropout=0.2, **COMMON))


def electra_wide():
    """Words as wide as the layers, as in the base model, and without a head."""
    return ElectraModel(ElectraConfig(num_hidden_layers=2, embedding_size=WIDTH, max_position_embeddings=40, **COMMON))


def modernbert():
    """A window narrower than the texts; the first layer sees all."""
    return ModernBertForSequenceClassification(ModernBertConfig(num_hidden_layers=3, max_position_embeddings=40, local_attention=5,
                                                                num_labels=3, attention_dropout=0.1, mlp_dropout=0.1,
                                                                embedding_dropout=0.1, classifier_dropout=0.1, pad_token_id=0,
                                                                cls_token_id=1, sep_token_id=2, bos_token_id=1, eos_token_id=2,
                                                                **COMMON))


def modernbert_biases():
    """As transformers 5 writes it; biases everywhere, frequencies that are scaled."""
    rope = {"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 300.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}}
    return ModernBertForSequenceClassification(ModernBertConfig(layer_types=["sliding_attention", "full_attention"], num_hidden_layers=2,
                                                                max_position_embeddings=40, local_attention=4, norm_bias=True,
                                                                attention_bias=True, mlp_bias=True, classifier_bias=True,
                                                                rope_parameters=rope, pad_token_id=0, cls_token_id=1, sep_token_id=2,
                                                                bos_token_id=1, eos_token_id=2, hidden_activation="silu",
                                                                attention_dropout=0.1, num_labels=3, **COMMON))


def deberta():
    """As the third version: no absolute positions, shared projections, a table in buckets with a norm."""
    return DebertaV2ForSequenceClassification(DebertaV2Config(**SIZES, num_hidden_layers=2, max_position_embeddings=40,
                                                              type_vocab_size=0, relative_attention=True, position_buckets=4,
                                                              norm_rel_ebd="layer_norm", share_att_key=True,
                                                              pos_att_type="p2c|c2p", position_biased_input=False,
                                                              pooler_dropout=0.2, cls_dropout=0.3, num_labels=3))


def deberta_v2():
    """As the second: a convolution, and projections of their own for positions; absolute positions and token types, which it may have."""
    return DebertaV2Model(DebertaV2Config(**SIZES, num_hidden_layers=2, max_position_embeddings=40, type_vocab_size=2,
                                          relative_attention=True, position_buckets=6, max_relative_positions=10, conv_kernel_size=3, conv_act="gelu",
                                          pos_att_type=["c2p", "p2c"], position_biased_input=True))


def deberta_far():
    """A row for each distance, fewer rows than distances, content to position alone."""
    return DebertaV2Model(DebertaV2Config(**SIZES, num_hidden_layers=2, max_position_embeddings=40, type_vocab_size=0,
                                          relative_attention=True, max_relative_positions=5, pos_att_type=["c2p"],
                                          position_biased_input=True))


MODELS = {"bert": (bert, 31), "roberta": (roberta, 32), "albert": (albert, 33), "xlm-roberta": (xlm_roberta, 34), "mpnet": (mpnet, 35),
          "distilbert": (distilbert, 36), "electra": (electra, 37), "electra-wide": (electra_wide, 38), "modernbert": (modernbert, 39),
          "modernbert-biases": (modernbert_biases, 40),
          "deberta": (deberta, 41), "deberta-v2": (deberta_v2, 42), "deberta-far": (deberta_far, 43)}


def save(model, name):
    model.save_pretrained(DATA / name)
    path = DATA / name / "config.json"
    config = json.loads(path.read_text())
    config.pop("transformers_version", None)
    if name == "modernbert":  # as the published files have it
        rope = config.pop("rope_parameters")
        config["global_rope_theta"], config["local_rope_theta"] = (rope[kind]["rope_theta"] for kind in ("full_attention", "sliding_attention"))
        config["global_attn_every_n_layers"] = 3
        config.pop("layer_types")
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def rotate_in_double(q, k, cos, sin, unsqueeze_dim=1):
    cos, sin = cos.unsqueeze(unsqueeze_dim), sin.unsqueeze(unsqueeze_dim)
    return (x * cos + modeling_modernbert.rotate_half(x) * sin for x in (q, k))


def angles_in_double(self, x, position_ids, layer_type):
    rope, dim = self.config.rope_parameters[layer_type], self.config.hidden_size // self.config.num_attention_heads
    frequency = rope["rope_theta"] ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim) / rope.get("factor", 1.0)
    angle = position_ids[..., None].double() * frequency
    angle = torch.cat([angle, angle], -1)
    return angle.cos(), angle.sin()


def without_casts():
    """ModernBERT's rotation and softmax and DeBERTa's scale without their casts to fp32."""
    stack = contextlib.ExitStack()
    softmax = torch.nn.functional.softmax
    stack.enter_context(mock.patch.object(torch.nn.functional, "softmax", lambda x, dim=-1, dtype=None: softmax(x, dim=dim)))
    stack.enter_context(mock.patch.object(modeling_deberta_v2, "scaled_size_sqrt",
                                          lambda x, factor: torch.tensor(float(x.size(-1) * factor), dtype=torch.float64).sqrt()))
    stack.enter_context(mock.patch.object(modeling_modernbert, "apply_rotary_pos_emb", rotate_in_double))
    stack.enter_context(mock.patch.object(modeling_modernbert.ModernBertRotaryEmbedding, "forward", angles_in_double))
    return stack


def passes(model, embeds, cotangents, dtype):
    model.to(dtype)
    hidden, gradients = [], []
    for x, c in zip(embeds, cotangents):
        x = x.detach().to(dtype).requires_grad_()
        with without_casts() if dtype == torch.float64 else contextlib.nullcontext():
            y = model.base_model(inputs_embeds=x[None]).last_hidden_state[0]
        (y * c.to(dtype)).sum().backward()
        hidden.append(y.detach())
        gradients.append(x.grad)
    model.float()
    return torch.cat(hidden), torch.cat(gradients)


def distance_rows(buckets, far):
    """The rows of the table for the distances key - query from -600 to 600."""
    reach, span = 600, buckets or far
    place = torch.zeros(1, 2 * reach + 1, 1)
    distance = modeling_deberta_v2.build_relative_position(place, place, buckets or -1, far)[0, reach]  # query - key, by key
    return torch.clamp(distance + span, 0, 2 * span - 1)


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
    if name == "deberta":
        out |= {f"rows.{buckets}.{far}": distance_rows(buckets, far) for buckets, far in ((256, 512), (6, 10), (0, 40))}
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
