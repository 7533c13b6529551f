"""A tiny Llama whose GGUF mixes every block type, and what transformers computes with the values that the gguf package reads
from it: tests/parity/data/models/llama-mixed.gguf and llama-mixed.golden.safetensors.

    OMP_NUM_THREADS=1 python tests/parity/make/quantised.py
"""
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

DATA = Path(__file__).resolve().parent.parent / "data" / "models"
VOCAB, WIDTH, INNER, HEADS, KV_HEADS, HEAD = 32, 256, 32, 2, 1, 16
Type = gguf.GGMLQuantizationType
SCALES = {Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,)}  # where a block has its fp16 scales
SIZE = {Type.Q4_K: 1.5e-4, Type.Q5_K: 8e-5, Type.Q6_K: 4e-5}
generator = np.random.default_rng(77)

# Hugging Face's name, GGUF's, shape; the types of each of the two layers. Q, K and V of a layer differ as in Q4_K_M and beyond.
LINEARS = [("self_attn.q_proj", "attn_q", (HEADS * HEAD, WIDTH), (Type.Q4_K, Type.Q8_0)),
           ("self_attn.k_proj", "attn_k", (KV_HEADS * HEAD, WIDTH), (Type.Q4_K, Type.F16)),
           ("self_attn.v_proj", "attn_v", (KV_HEADS * HEAD, WIDTH), (Type.Q6_K, Type.F32)),
           ("self_attn.o_proj", "attn_output", (WIDTH, HEADS * HEAD), (Type.Q5_0, Type.Q4_0)),
           ("mlp.gate_proj", "ffn_gate", (INNER, WIDTH), (Type.Q4_1, Type.Q5_K)),
           ("mlp.up_proj", "ffn_up", (INNER, WIDTH), (Type.Q5_K, Type.Q5_K)),
           ("mlp.down_proj", "ffn_down", (WIDTH, INNER), (Type.Q5_1, Type.BF16))]


def stored(kind, shape):
    """Random values of `shape` as the file holds them: bytes, or numbers of a plain type."""
    if kind not in SCALES:
        return gguf.quants.quantize(generator.normal(0, 1.2 / shape[1] ** 0.5, shape).astype(np.float32), kind)
    values, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = generator.integers(0, 256, (shape[0] * shape[1] // values, size), dtype=np.uint8)
    for offset in SCALES[kind]:
        scale = generator.uniform(0.5, 1.5, (len(blocks), 1)) * SIZE[kind]
        blocks[:, offset:offset + 2] = scale.astype("<f2").view(np.uint8)
    return blocks.reshape(shape[0], -1)


def in_order(weight, heads):
    """GGUF interleaves the two halves of each head of Q and K."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def write(path):
    """Returns the weights under Hugging Face's names."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(2)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    weights = {}

    def add(theirs, name, kind, shape, heads=0):
        data = stored(kind, shape)
        writer.add_tensor(name, data, raw_dtype=kind)
        values = gguf.quants.dequantize(data, kind).astype(np.float32).reshape(shape)
        weights[theirs] = torch.from_numpy((in_order(values, heads) if heads else values).copy())

    def add_norm(theirs, name):
        weights[theirs] = torch.from_numpy(generator.normal(1, 0.2, WIDTH).astype(np.float32))
        writer.add_tensor(name, weights[theirs].numpy())

    add("model.embed_tokens.weight", "token_embd.weight", Type.Q8_0, (VOCAB, WIDTH))
    add("lm_head.weight", "output.weight", Type.Q6_K, (VOCAB, WIDTH))
    add_norm("model.norm.weight", "output_norm.weight")
    for layer in range(2):
        add_norm(f"model.layers.{layer}.input_layernorm.weight", f"blk.{layer}.attn_norm.weight")
        add_norm(f"model.layers.{layer}.post_attention_layernorm.weight", f"blk.{layer}.ffn_norm.weight")
        for theirs, name, shape, kinds in LINEARS:
            heads = HEADS if name == "attn_q" else KV_HEADS if name == "attn_k" else 0
            add(f"model.layers.{layer}.{theirs}.weight", f"blk.{layer}.{name}.weight", kinds[layer], shape, heads)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return weights


def main():
    weights = write(DATA / "llama-mixed.gguf")
    config = LlamaConfig(vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=INNER, num_hidden_layers=2, num_attention_heads=HEADS,
                         num_key_value_heads=KV_HEADS, head_dim=HEAD, max_position_embeddings=128, rms_norm_eps=1e-5,
                         rope_parameters={"rope_type": "default", "rope_theta": 10000.0}, tie_word_embeddings=False,
                         attn_implementation="eager")
    model = LlamaForCausalLM(config).eval()
    model.load_state_dict(weights)
    torch.manual_seed(5)
    ids, cotangent = torch.randint(0, VOCAB, (9,)), torch.randn(9, VOCAB)
    embeds = model.get_input_embeddings()(ids).detach().requires_grad_()
    logits = model(inputs_embeds=embeds[None]).logits[0]
    (logits * cotangent).sum().backward()
    print("logits", logits.std().item(), "gradient", embeds.grad.std().item())
    save_file({"ids": ids, "cotangent": cotangent, "embeds": embeds.detach(), "logits": logits.detach(), "d_embeds": embeds.grad},
              DATA / "llama-mixed.golden.safetensors")


main()
