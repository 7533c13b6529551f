"""Sizes of models that people use, by their published configurations, and how many parameters transformers 5.17 gives them:
tests/parity/data/models/published.json. No weights are made: the models stand on the meta device.

    python tests/parity/make/published.py
"""
import json
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

OUT = Path(__file__).resolve().parents[1] / "data" / "models" / "published.json"


def llama(model_type, hidden, intermediate, layers, heads, kv_heads, vocab, **more):
    return {"model_type": model_type, "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocab, **more}


def neox(hidden, layers, heads, vocab=50304):
    return {"model_type": "gpt_neox", "hidden_size": hidden, "intermediate_size": 4 * hidden, "num_hidden_layers": layers,
            "num_attention_heads": heads, "vocab_size": vocab, "rotary_pct": 0.25, "rotary_emb_base": 10000, "use_parallel_residual": True}


def encoder(model_type, hidden, intermediate, layers, heads, vocab, **more):
    return {"model_type": model_type, "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
            "num_attention_heads": heads, "vocab_size": vocab, "max_position_embeddings": 512, **more}


def deberta(hidden, layers, heads, buckets=256, intermediate=0, **more):
    return encoder("deberta-v2", hidden, intermediate or 4 * hidden, layers, heads, 128100, type_vocab_size=0, relative_attention=True,
                   max_relative_positions=-1, position_buckets=buckets, norm_rel_ebd="layer_norm", share_att_key=True,
                   pos_att_type="p2c|c2p", position_biased_input=False, layer_norm_eps=1e-7, **more)


def electra(hidden, embedding, layers, heads):
    return encoder("electra", hidden, 4 * hidden, layers, heads, 30522, type_vocab_size=2, embedding_size=embedding)


def modernbert(hidden, intermediate, layers, heads):
    return encoder("modernbert", hidden, intermediate, layers, heads, 50368) | {"max_position_embeddings": 8192}


def bart(hidden, layers, heads):
    return {"model_type": "bart", "d_model": hidden, "vocab_size": 50265, "max_position_embeddings": 1024, "scale_embedding": False,
            **{f"{stack}_{key}": value for stack in ("encoder", "decoder")
               for key, value in (("layers", layers), ("attention_heads", heads), ("ffn_dim", 4 * hidden))}}


GEMMA2 = {"head_dim": 256, "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "sliding_window": 4096,
          "query_pre_attn_scalar": 256}
GEMMA3 = {"head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window_pattern": 6, "rope_theta": 1e6, "rope_local_base_freq": 1e4}
TIED = {"tie_word_embeddings": True}
MODELS = {
    "meta-llama/Llama-3.2-1B": llama("llama", 2048, 8192, 16, 32, 8, 128256, head_dim=64, **TIED),
    "mistralai/Mistral-7B-v0.1": llama("mistral", 4096, 14336, 32, 32, 8, 32000, sliding_window=4096),
    "Qwen/Qwen2.5-0.5B": llama("qwen2", 896, 4864, 24, 14, 2, 151936, use_sliding_window=False, **TIED),
    "Qwen/Qwen2.5-7B": llama("qwen2", 3584, 18944, 28, 28, 4, 152064, use_sliding_window=False, sliding_window=131072),
    "Qwen/Qwen3-0.6B": llama("qwen3", 1024, 3072, 28, 16, 8, 151936, head_dim=128, **TIED),
    "Qwen/Qwen3-8B": llama("qwen3", 4096, 12288, 36, 32, 8, 151936, head_dim=128),
    "google/gemma-2-2b": llama("gemma2", 2304, 9216, 26, 8, 4, 256000, **GEMMA2),
    "google/gemma-2-9b": llama("gemma2", 3584, 14336, 42, 16, 8, 256000, **GEMMA2),
    "google/gemma-3-270m": llama("gemma3_text", 640, 2048, 18, 4, 1, 262144, sliding_window=512, **GEMMA3),
    "google/gemma-3-1b-pt": llama("gemma3_text", 1152, 6912, 26, 4, 1, 262144, sliding_window=512, **GEMMA3),
    "HuggingFaceTB/SmolLM3-3B": llama("smollm3", 2048, 11008, 36, 16, 4, 128256, no_rope_layer_interval=4, rope_theta=5e6),
    "allenai/OLMo-2-0425-1B": llama("olmo2", 2048, 8192, 16, 16, 16, 100352, rope_theta=5e5),
    "ibm-granite/granite-3.1-2b-base": llama("granite", 2048, 8192, 40, 32, 8, 49155, embedding_multiplier=12.0, logits_scaling=8.0,
                                             residual_multiplier=0.22, attention_multiplier=0.015625, **TIED),
    "microsoft/Phi-3-mini-4k-instruct": llama("phi3", 3072, 8192, 32, 32, 32, 32064, sliding_window=2047, max_position_embeddings=4096),
    "microsoft/Phi-4-mini-instruct": llama("phi3", 3072, 8192, 32, 24, 8, 200064, partial_rotary_factor=0.75,
                                           max_position_embeddings=131072, original_max_position_embeddings=4096,
                                           rope_scaling={"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [2.0] * 48}, **TIED),
    "microsoft/phi-4": llama("phi3", 5120, 17920, 40, 40, 10, 100352, max_position_embeddings=16384, rope_theta=250000),
    "EleutherAI/pythia-70m": neox(512, 6, 8),
    "EleutherAI/pythia-1.4b": neox(2048, 24, 16),
    "distilbert/distilbert-base-uncased": {"model_type": "distilbert", "dim": 768, "hidden_dim": 3072, "n_layers": 6, "n_heads": 12,
                                           "vocab_size": 30522, "max_position_embeddings": 512, "sinusoidal_pos_embds": False},
    "google/electra-small-discriminator": electra(256, 128, 12, 4),
    "google/electra-base-discriminator": electra(768, 768, 12, 12),
    "google/electra-large-discriminator": electra(1024, 1024, 24, 16),
    "answerdotai/ModernBERT-base": modernbert(768, 1152, 22, 12),
    "answerdotai/ModernBERT-large": modernbert(1024, 2624, 28, 16),
    "microsoft/deberta-v3-xsmall": deberta(384, 12, 6),
    "microsoft/deberta-v3-base": deberta(768, 12, 12),
    "microsoft/deberta-v3-large": deberta(1024, 24, 16),
    "microsoft/deberta-v2-xlarge": deberta(1536, 24, 24, conv_kernel_size=3, conv_act="gelu"),
    "facebook/bart-base": bart(768, 6, 12),
    "facebook/bart-large": bart(1024, 12, 16),
}


ENCODERS = ("distilbert", "electra", "modernbert", "deberta-v2")
HEADS = ("classifier.", "pre_classifier.", "pooler.")  # of encoders: the adapter's


def count(config):
    encodes = config["model_type"] in ENCODERS
    auto = AutoModelForSequenceClassification if encodes else AutoModelForSeq2SeqLM if config["model_type"] == "bart" else AutoModelForCausalLM
    with torch.device("meta"):
        model = auto.from_config(AutoConfig.for_model(**config))
    model.tie_weights()
    return sum(p.numel() for name, p in model.named_parameters() if not (encodes and name.startswith(HEADS)))


if __name__ == "__main__":
    out = {name: {"config": config, "parameters": count(config)} for name, config in MODELS.items()}
    for name, model in out.items():
        print(f"{name:40} {model['parameters']:>15,}")
    OUT.write_text(json.dumps(out, indent=1) + "\n")
