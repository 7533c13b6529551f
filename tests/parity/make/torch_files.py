"""Writes tests/parity/data/torch: files of torch.save, good and hostile, and the values that the good ones hold; and checks that
torch.load reads what ours wrote (to_torch.bin, written by the test TorchFile.WritesWhatTorchWasSeenToRead).

    python tests/parity/make/torch_files.py
"""

import builtins
import collections
import json
import os
import pathlib
import pickle
import subprocess
import zipfile

import torch
from safetensors.torch import save_file

folder = pathlib.Path(__file__).parent.parent / "data" / "torch"
folder.mkdir(parents=True, exist_ok=True)
marker = "dept-ran-a-pickle"  # what a hostile pickle would leave in the working folder


def state():
    """Every type, views of one storage, tied weights, parameters, scalars and what a state dict may hold beside tensors."""
    torch.manual_seed(1)
    wide = torch.randn(3, 5, dtype=torch.float64)
    whole = torch.arange(24, dtype=torch.float32).view(4, 6) / 7
    module = torch.nn.Linear(3, 2)
    tensors = collections.OrderedDict(module.state_dict())  # keeps the _metadata of a module
    tensors._metadata = module.state_dict()._metadata
    tensors.update(
        f64=wide,
        f32=wide.float() * 3,
        f16=wide.half() * 5,
        bf16=wide.bfloat16() * 7,
        f8_e4m3=(wide * 9).to(torch.float8_e4m3fn),
        f8_e5m2=(wide * 9).to(torch.float8_e5m2),
        i64=torch.randint(-(2**62), 2**62, (4,)),
        i32=torch.randint(-(2**31), 2**31, (2, 2)).int(),
        i16=torch.randint(-(2**15), 2**15, (7,)).short(),
        i8=torch.randint(-128, 128, (3,)).char(),
        u8=torch.randint(0, 256, (5,)).byte(),
        u16=torch.tensor([1, 65535], dtype=torch.uint16),
        u32=torch.tensor([1, 2**32 - 1], dtype=torch.uint32),
        u64=torch.tensor([1, 2**63], dtype=torch.uint64),
        c64=torch.view_as_complex(torch.randn(2, 2)),
        bool=torch.tensor([[True, False, True]]),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 4),
        transposed=whole.t(),
        column=whole[:, 1],
        block=whole[1:3, 2:5],
        stepped=whole[::2, ::3],
        row=whole[3].unsqueeze(0).expand(1, -1),
        tied=whole,
        parameter=torch.nn.Parameter(wide.float()),
        buffer_of_gradient=wide.float().requires_grad_(),
    )
    tensors["na\n\"me \u00e9\u4e2d"] = torch.ones(1)
    tensors.update(steps=3, large=2**40, negative=-(2**33), rate=0.5, name="text", flag=True, nothing=None)
    return tensors


def plain_values(tensors):
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


def repack(source, target, compression=zipfile.ZIP_STORED, **changed):
    """The archive again with other records: changed[name] is a record's bytes, or None to leave it out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for name in old.namelist():
            key = name.split("/", 1)[1].replace("/", "_").replace(".", "_")
            data = changed.get(key, old.read(name))
            if data is not None:
                new.writestr(zipfile.ZipInfo(name), data, compression)


def save_pickle(path, data):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), data)


def hostile():
    """File name -> the name that its pickle would call; protocol 2 writes Python 2's names of modules."""
    where = folder / "hostile"
    where.mkdir(exist_ok=True)
    command = f"touch {marker}"
    calls = {
        "os_system": ("posix.system", Call(os.system, command)),
        "eval": ("__builtin__.eval", Call(builtins.eval, f"open('{marker}', 'w')")),
        "exec": ("__builtin__.exec", Call(builtins.exec, f"open('{marker}', 'w')")),
        "popen": ("commands.Popen", Call(subprocess.Popen, ["touch", marker])),
        "getattr": ("__builtin__.getattr", Call(builtins.getattr, "text", "upper")),
        "torch_load": ("torch.serialization.load", Call(torch.load, marker)),
        "torch_hub": ("torch.hub.load", Call(torch.hub.load, "a/b", "c")),
        "loads": ("pickle.loads", Call(pickle.loads, pickle.dumps(Call(os.system, command)))),
    }
    names = {}
    for name, (called, call) in calls.items():
        torch.save({"weight": torch.ones(2), "extra": call}, where / f"{name}.bin")
        names[f"{name}.bin"] = called
    torch.save(Call(os.system, command), where / "alone.bin")
    names["alone.bin"] = "posix.system"
    for protocol in (3, 4, 5):
        save_pickle(where / f"protocol_{protocol}.bin", pickle.dumps({"x": Call(os.system, command)}, protocol))
        names[f"protocol_{protocol}.bin"] = "posix.system"
    (where / "names.json").write_text(json.dumps(names, indent=1) + "\n")


def wrong():
    """Files that are no dict of tensors, each wrong in one way."""
    where = folder / "wrong"
    where.mkdir(exist_ok=True)
    good = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}
    torch.save(good, where / "legacy.bin", _use_new_zipfile_serialization=False)
    torch.save({"a": torch.zeros(1).expand(2**30, 2**30)}, where / "expanded.bin")
    torch.save({"model": good}, where / "nested.bin")
    torch.save([torch.ones(1)], where / "list.bin")
    torch.save({"steps": 3}, where / "no_tensors.bin")
    torch.save(good, where / "good.bin")
    repack(where / "good.bin", where / "compressed.bin", zipfile.ZIP_DEFLATED)
    repack(where / "good.bin", where / "bomb.bin", zipfile.ZIP_DEFLATED, data_0=bytes(8 << 20))
    repack(where / "good.bin", where / "big_endian.bin", byteorder=b"big")
    repack(where / "good.bin", where / "no_storage.bin", data_1=None)
    repack(where / "good.bin", where / "short_storage.bin", data_1=b"\0" * 12)
    deep = b"\x80\x02" + b"]" * 20000 + b"a" * 19999 + b"."
    repack(where / "good.bin", where / "deep.bin", data_pkl=deep)


def sharded():
    where = folder / "sharded"
    where.mkdir(exist_ok=True)
    names = [f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2)]
    torch.save({"a": torch.arange(6.0).view(2, 3)}, where / names[0])
    torch.save({"b": torch.full((4,), 2.0), "c": torch.tensor(3)}, where / names[1])
    index = {"metadata": {"total_size": 48}, "weight_map": {"a": names[0], "b": names[1], "c": names[1]}}
    (where / "pytorch_model.bin.index.json").write_text(json.dumps(index, indent=1) + "\n")


tensors = state()
save_file(plain_values(tensors), folder / "state_values.safetensors")
for protocol in (2, 3, 4, 5):
    torch.save(tensors, folder / f"state_{protocol}.bin", pickle_protocol=protocol)
    with zipfile.ZipFile(folder / f"state_{protocol}.bin") as archive:  # seeds of tests/fuzz
        (folder / f"state_{protocol}.pkl").write_bytes(archive.read(f"state_{protocol}/data.pkl"))
hostile()
wrong()
sharded()
loaded = torch.load(folder / "to_torch.bin", weights_only=True)
assert list(loaded) == ["prompt_embeddings", "half", "scalar", "empty", "ids"], list(loaded)
assert torch.equal(loaded["prompt_embeddings"], torch.arange(48.0).view(3, 16) / 8 - 3)
assert torch.equal(loaded["half"], torch.tensor([0.5, -2], dtype=torch.float16))
assert torch.equal(loaded["scalar"], torch.tensor(0.25)) and loaded["empty"].shape == (0, 4)
assert torch.equal(loaded["ids"], torch.tensor([2**40, -1]))
