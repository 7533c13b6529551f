#!/usr/bin/env python3
"""Writes a .gguf file of a Llama architecture with random weights in one quantised type, and a vocabulary of bytes and made-up words:
what a training step at that size needs, for lack of the real weights. Needs `pip install gguf`.

    bench/random_gguf.py FILE [TYPE] [SHAPE]     TYPE Q4_0, Q4_K, ...; SHAPE llama-2-7b, or small to try it
"""
import sys

import gguf
import numpy as np

#        width, feed-forward, layers, heads, key-value heads, vocabulary, context
SHAPES = {"llama-2-7b": (4096, 11008, 32, 32, 32, 32000, 4096), "small": (256, 512, 2, 4, 4, 512, 256)}


def main():
    path, kind, shape = (sys.argv[1:] + ["Q4_K", "llama-2-7b"][len(sys.argv) - 2:])[:3]
    width, inner, layers, heads, kv_heads, vocab, context = SHAPES[shape]
    kind, random = gguf.GGMLQuantizationType[kind], np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(10000.0)
    words = [f"\u2581w{i}" for i in range(vocab - 259)]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>", *(f"<0x{i:02X}>" for i in range(256)), *words])
    writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(len(words))])
    writer.add_token_types([gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2, *[gguf.TokenType.BYTE] * 256, *[gguf.TokenType.NORMAL] * len(words)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    made = {}

    def linear(name, rows, columns):
        """One layer's blocks serve for all of that shape, so that this script needs little memory; the file holds each of them."""
        if (rows, columns) not in made:
            block, size = gguf.GGML_QUANT_SIZES[kind]
            weights = random.standard_normal((64, columns), dtype=np.float32) / np.sqrt(columns)
            blocks = quantised(weights, kind).reshape(64, columns // block, size)
            made[rows, columns] = blocks[random.integers(0, 64, rows)].reshape(rows, -1)
        writer.add_tensor(name, made[rows, columns], raw_dtype=kind)

    for name in ("token_embd", "output"):
        linear(f"{name}.weight", vocab, width)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    for layer in range(layers):
        kv = width // heads * kv_heads
        for name, rows, columns in (("attn_q", width, width), ("attn_k", kv, width), ("attn_v", kv, width), ("attn_output", width, width),
                                    ("ffn_gate", inner, width), ("ffn_up", inner, width), ("ffn_down", width, inner)):
            linear(f"blk.{layer}.{name}.weight", rows, columns)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantised(weights, kind):
    if kind != gguf.GGMLQuantizationType.Q4_K:
        return gguf.quants.quantize(weights, kind)
    # gguf has no quantiser for Q4_K: blocks of fp16 d and dmin, eight scales and mins of 6 bits each, 4-bit values around the middle.
    out = np.random.default_rng(1).integers(0, 256, (weights.size // 256, 144), dtype=np.uint8)
    d = np.float16(weights.std() / 265)  # random codes are 265 wide: scales 0..63 times values 0..15
    out[:, :4] = np.frombuffer(np.array([d, d * 7.5], np.float16).tobytes(), np.uint8)
    return out


main()
