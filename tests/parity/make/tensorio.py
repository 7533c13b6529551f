"""Writes tests/parity/data/tensorio: small safetensors and GGUF files made by the Python packages, and the values they hold.

    python tests/parity/make/tensorio.py
"""

import json
import pathlib

import gguf
import numpy as np
import torch
from safetensors.torch import save_file

folder = pathlib.Path(__file__).parent.parent / "data" / "tensorio"
folder.mkdir(parents=True, exist_ok=True)
generator = np.random.default_rng(20240917)
Type = gguf.GGMLQuantizationType


def plain_tensors():
    """One tensor of each type that torch and safetensors share, a scalar, an empty one, odd names."""
    torch.manual_seed(1)
    wide = torch.randn(3, 5, dtype=torch.float64)
    return {
        "f64": wide,
        "f32": wide.float() * 3,
        "f16": wide.half() * 5,
        "bf16": wide.bfloat16() * 7,
        "f8_e4m3": (wide * 9).to(torch.float8_e4m3fn),
        "f8_e5m2": (wide * 9).to(torch.float8_e5m2),
        "i64": torch.randint(-(2**62), 2**62, (4,)),
        "i32": torch.randint(-(2**31), 2**31, (2, 2), dtype=torch.int64).int(),
        "i16": torch.randint(-(2**15), 2**15, (7,), dtype=torch.int64).short(),
        "i8": torch.randint(-128, 128, (3,), dtype=torch.int64).char(),
        "u8": torch.randint(0, 256, (5,), dtype=torch.int64).byte(),
        "bool": torch.tensor([[True, False, True]]),
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        'na\n"me \u00e9\u4e2d': torch.ones(1),
    }


def random_blocks(kind, rows, scale_at):
    """Random bytes as blocks of `kind` with fp16 scales of ordinary size at the offsets `scale_at`."""
    _, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = generator.integers(0, 256, (rows, size), dtype=np.uint8)
    for offset in scale_at:
        blocks[:, offset : offset + 2] = generator.normal(0, 0.01, (rows, 1)).astype("<f2").view(np.uint8)
    return blocks


def write_types(path):
    """A GGUF with a tensor of every type; returns name -> its values as float32."""
    writer = gguf.GGUFWriter(path, "test")
    values = generator.normal(0, 2, (2, 3, 256)).astype(np.float32)
    values[0, 0, :32] = 0  # a block whose scale is zero
    expected = {}

    def add(kind, data, shape):
        name = f"tensor.{kind.name}"
        writer.add_tensor(name, data, raw_dtype=kind)
        expected[name] = torch.from_numpy(gguf.quants.dequantize(data, kind).astype(np.float32).reshape(shape).copy())

    for kind in (Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0):
        add(kind, gguf.quants.quantize(values, kind), values.shape)
    for kind, scale_at in ((Type.Q4_K, (0, 2)), (Type.Q5_K, (0, 2)), (Type.Q6_K, (208,))):
        add(kind, random_blocks(kind, 3, scale_at), (3, 256))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


def write_small_types(path):
    """The types of two to four bits that the package reads and does not write, of random blocks."""
    writer = gguf.GGUFWriter(path, "test")
    expected = {}
    for kind, scale_at in ((Type.Q2_K, (80, 82)), (Type.Q3_K, (108,)), (Type.IQ4_NL, (0,)), (Type.IQ4_XS, (0,))):
        data = random_blocks(kind, 3, scale_at)
        writer.add_tensor(f"tensor.{kind.name}", data, raw_dtype=kind)
        expected[f"tensor.{kind.name}"] = torch.from_numpy(gguf.quants.dequantize(data, kind).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


def write_metadata(path):
    """A GGUF without tensors, with a value of every kind; returns key -> value."""
    writer = gguf.GGUFWriter(path, "test")
    kinds = gguf.GGUFValueType
    pairs = {
        "u8": (200, kinds.UINT8),
        "i8": (-100, kinds.INT8),
        "u16": (60000, kinds.UINT16),
        "i16": (-30000, kinds.INT16),
        "u32": (4000000000, kinds.UINT32),
        "i32": (-2000000000, kinds.INT32),
        "f32": (0.15625, kinds.FLOAT32),
        "bool": (True, kinds.BOOL),
        "string": ("na\u00efve\n\u4e2d", kinds.STRING),
        "u64": (2**62 + 1, kinds.UINT64),
        "i64": (-(2**62), kinds.INT64),
        "f64": (-1e300, kinds.FLOAT64),
        "strings": (["a", "", "\u00e9"], kinds.ARRAY),
        "integers": ([1, -2, 3], kinds.ARRAY),
        "numbers": ([0.5, -0.25], kinds.ARRAY),
        "booleans": ([True, False], kinds.ARRAY),
    }
    for key, (value, kind) in pairs.items():
        writer.add_key_value(key, value, kind)
    writer.add_key_value("nested", [[1, 2], [3]], kinds.ARRAY)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return {key: value for key, (value, _) in pairs.items()}


plain = plain_tensors()
save_file(plain, folder / "plain.safetensors", metadata={"format": "pt"})
save_file({name: tensor.double() for name, tensor in plain.items() if tensor.dtype != torch.int64}, folder / "plain_values.safetensors")
save_file(write_types(folder / "types.gguf"), folder / "types_values.safetensors")
(folder / "metadata.json").write_text(json.dumps(write_metadata(folder / "metadata.gguf"), indent=1) + "\n")
save_file(write_small_types(folder / "small_types.gguf"), folder / "small_types_values.safetensors")
