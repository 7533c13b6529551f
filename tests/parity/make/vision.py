"""Pictures, features and tiny random CLIP models, and what Pillow, PyTorch and transformers make of them: tests/parity/data/vision.

    OMP_NUM_THREADS=1 python tests/parity/make/vision.py

images/ with images.golden.safetensors (each as convert("RGB") has it) and resize.golden.safetensors; processors.json with
processors.golden.safetensors (pixel_values of transformers over Pillow and over torchvision); clip/ and clip_whole/ with
clip.golden.safetensors; features.h5 and features.safetensors with features.golden.safetensors; odd/*.h5, which are refused.
"""
import json
import shutil
import struct
import zlib
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPVisionConfig, CLIPVisionModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

OUT = Path(__file__).resolve().parents[1] / "data" / "vision"
IMAGES = OUT / "images"
HEIGHT, WIDTH = 37, 50
draw = np.random.default_rng(20261130)
# x first, x step, y first, y step of the seven passes of an interlaced PNG
ADAM7 = [(0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2)]


def picture(channels, top=255):
    """Smooth waves with a little noise, [HEIGHT, WIDTH, channels]."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    waves = [np.sin(x / (3 + c) + c) + np.cos(y / (2 + c) - c) + draw.normal(0, 0.1, x.shape) for c in range(channels)]
    return np.clip((np.stack(waves, -1) + 2) / 4 * top, 0, top).astype(np.uint16 if top > 255 else np.uint8)


def packed_rows(samples, bits):
    """[h, w, channels] as PNG has it: each row behind filter 0, samples of `bits` bits, the high byte first."""
    rows = b""
    for row in samples.reshape(samples.shape[0], -1):
        if bits < 8:
            digits = "".join(format(int(v), f"0{bits}b") for v in row)
            digits += "0" * (-len(digits) % 8)
            data = bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8))
        else:
            data = row.astype(">u2" if bits == 16 else "u1").tobytes()
        rows += b"\0" + data
    return rows


def write_png(name, samples, bits, kind, chunks=(), interlaced=False):
    """Pillow writes neither interlaced files nor 16 bits of colour."""
    def chunk(label, data):
        return struct.pack(">I", len(data)) + label + data + struct.pack(">I", zlib.crc32(label + data))

    if interlaced:
        parts = [samples[y0::dy, x0::dx] for x0, dx, y0, dy in ADAM7]
        rows = b"".join(packed_rows(part, bits) for part in parts if part.size)
    else:
        rows = packed_rows(samples, bits)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], bits, kind, 0, 0, int(interlaced))
    (IMAGES / name).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(*c) for c in chunks)
                                + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def write_images():
    colour = Image.fromarray(picture(3))
    colour.save(IMAGES / "colour.jpg", quality=90)
    colour.save(IMAGES / "progressive.jpg", quality=70, progressive=True, subsampling=0)
    turned = Image.Exif()
    turned[0x112] = 6  # orientation: a quarter turn
    colour.save(IMAGES / "turned.jpg", quality=80, exif=turned)
    colour.convert("L").save(IMAGES / "grey.jpg", quality=85)
    Image.fromarray(picture(4), "CMYK").save(IMAGES / "cmyk.jpg", quality=90)
    palette = [("PLTE", draw.integers(0, 256, 3 * 11, dtype=np.uint8).tobytes()), ("tRNS", bytes([0, 90, 255, 7]))]
    palette = [(label.encode(), data) for label, data in palette]
    for bits in (1, 2, 4, 8):
        write_png(f"grey{bits}.png", picture(1, 2**bits - 1), bits, 0)
    write_png("grey8_transparent.png", picture(1), 8, 0, [(b"tRNS", struct.pack(">H", 90))])
    write_png("grey16.png", picture(1, 600), 16, 0)
    write_png("grey_alpha.png", picture(2), 8, 4)
    write_png("grey_alpha16.png", picture(2, 65535), 16, 4)
    write_png("rgb.png", picture(3), 8, 2)
    write_png("rgb16.png", picture(3, 65535), 16, 2)
    write_png("rgba.png", picture(4), 8, 6)
    write_png("rgba16.png", picture(4, 65535), 16, 6)
    write_png("palette.png", picture(1, 10), 8, 3, palette)
    write_png("palette4.png", picture(1, 10), 4, 3, palette)
    write_png("palette_short.png", picture(1, 40), 8, 3, palette)  # names colours that it does not have
    write_png("interlaced.png", picture(3), 8, 2, interlaced=True)
    write_png("interlaced2.png", picture(1, 3), 2, 0, interlaced=True)
    write_png("one.png", picture(3)[:1, :1], 8, 2)


def rgb(path):
    return Image.open(path).convert("RGB")


def tensor(image):
    return torch.from_numpy(np.array(image)).contiguous()


def write_resized():
    source = rgb(IMAGES / "rgb.png")
    sizes = [(HEIGHT, WIDTH), (20, 30), (75, 100), (37, 25), (90, 50), (5, 90), (1, 1), (3, 2), (224, 7)]
    resized = {f"{h}x{w}": tensor(source.resize((w, h), Image.Resampling.BICUBIC)) for h, w in sizes}
    black_and_white = np.tile(np.array([[0, 255], [255, 0]], dtype=np.uint8).repeat(3, 1)[..., None], (9, 5, 3))
    Image.fromarray(black_and_white).save(IMAGES / "sharp.png")
    resized["sharp 5x7"] = tensor(Image.fromarray(black_and_white).resize((7, 5), Image.Resampling.BICUBIC))
    resized["sharp 40x50"] = tensor(Image.fromarray(black_and_white).resize((50, 40), Image.Resampling.BICUBIC))
    save_file(resized, OUT / "resize.golden.safetensors")


def write_processors():
    configs = [
        {},
        {"size": {"shortest_edge": 20}, "crop_size": {"height": 18, "width": 16}},
        {"size": 21, "crop_size": 17},
        {"size": {"height": 19, "width": 33}, "do_center_crop": False},
        {"size": {"shortest_edge": 12}, "crop_size": {"height": 20, "width": 15}},
        {"do_resize": False, "crop_size": {"height": 21, "width": 22}},
        {"size": {"shortest_edge": 16}, "crop_size": 16, "do_normalize": False},
        {"size": {"shortest_edge": 16}, "crop_size": 16, "do_rescale": False, "image_mean": [120, 110, 100], "image_std": [60, 70, 80]},
        {"size": {"shortest_edge": 16}, "crop_size": 16, "rescale_factor": 0.5, "image_mean": [0.5, 0.4, 0.3], "image_std": [2, 1, 3]},
    ]
    golden = {}
    for i, config in enumerate(configs):
        if not config:
            continue  # 224 x 224: compared by clip.golden, in a model
        for name in ("colour.jpg", "rgb.png"):
            for kind, maker in (("pil", CLIPImageProcessorPil), ("torchvision", CLIPImageProcessor)):
                values = maker(**config)(rgb(IMAGES / name), return_tensors="pt")["pixel_values"][0]
                golden[f"{i} {name} {kind}"] = values.float().contiguous()
    (OUT / "processors.json").write_text(json.dumps(configs, indent=1) + "\n")
    save_file(golden, OUT / "processors.golden.safetensors")


def randomise(model):
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            scale = 0.3 if weight.dim() > 1 else 0.1
            weight.copy_(torch.randn(weight.shape, generator=generator) * scale + (1.0 if "norm" in name and "weight" in name else 0.0))


def write_clip():
    sizes = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4)
    alone = CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=16, patch_size=4, hidden_act="quick_gelu"))
    whole = CLIPModel(CLIPConfig(
        text_config=dict(hidden_size=4, intermediate_size=4, num_hidden_layers=1, num_attention_heads=1, vocab_size=10,
                         max_position_embeddings=5, bos_token_id=1, eos_token_id=2),
        vision_config=dict(**sizes, image_size=23, patch_size=7, hidden_act="gelu", layer_norm_eps=1e-4), projection_dim=8))
    names = ["colour.jpg", "rgb.png", "palette.png"]
    golden = {}
    for folder, model, side in (("clip", alone, 16), ("clip_whole", whole, 23)):
        randomise(model)
        model.eval()
        model.save_pretrained(OUT / folder)
        processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
        processor.save_pretrained(OUT / folder)
        pixels = processor([rgb(IMAGES / name) for name in names], return_tensors="pt")["pixel_values"].float()
        vision = model if folder == "clip" else model.vision_model
        with torch.no_grad():
            golden[folder] = vision(pixel_values=pixels).last_hidden_state.contiguous()
            half = vision.bfloat16()(pixel_values=pixels.bfloat16()).last_hidden_state.float()
        golden[folder + " bf16"] = ((half - golden[folder]).norm() / golden[folder].norm()).reshape(1)
    save_file(golden, OUT / "clip.golden.safetensors")


def write_features():
    """20 images, so that the names do not fit into one node of the tree; cells in three types."""
    golden, stored = {}, {}
    with h5py.File(OUT / "features.h5", "w") as file:
        for i in range(20):
            name = f"COCO_{i * 7919 % 100:012d}"
            values = draw.normal(0, 2, (49, 3)).astype(("f4", "f2", "f8")[i % 3])
            file.create_group(name)["features"] = values
            grid = torch.from_numpy(values.astype("f4"))
            pooled = torch.nn.functional.adaptive_max_pool2d(grid.T.reshape(1, 3, 7, 7), (6, 6))[0]
            golden[name] = pooled.flatten(1).T.contiguous()
            stored[name + ("/features" if i % 2 else "")] = grid.to((torch.float32, torch.float16, torch.float64)[i % 3]).contiguous()
            golden[name + " 4"] = torch.nn.functional.adaptive_max_pool2d(grid.T.reshape(1, 3, 7, 7), (4, 4))[0].flatten(1).T.contiguous()
            golden[name + " 0"] = grid.contiguous()
    save_file(stored, OUT / "features.safetensors")
    save_file(golden, OUT / "features.golden.safetensors")


def write_odd():
    """Files that the reader refuses; `a` is the only image of each."""
    folder = OUT / "odd"
    folder.mkdir()
    values = np.ones((4, 2), dtype="f4")

    def write(name, make, **options):
        with h5py.File(folder / f"{name}.h5", "w", **options) as file:
            make(file)

    write("latest", lambda f: f.create_dataset("a/features", data=values), libver="latest")
    write("track_order", lambda f: f.create_dataset("a/features", data=values), track_order=True)
    write("chunked", lambda f: f.create_dataset("a/features", data=values, chunks=(2, 2)))
    write("gzip", lambda f: f.create_dataset("a/features", data=values, compression="gzip"))
    write("integers", lambda f: f.create_dataset("a/features", data=values.astype("i4")))
    write("big_endian", lambda f: f.create_dataset("a/features", data=values.astype(">f4")))
    write("one_size", lambda f: f.create_dataset("a/features", data=values[0]))
    write("scalar", lambda f: f.create_dataset("a/features", data=np.float32(1)))
    write("unwritten", lambda f: f.create_dataset("a/features", shape=(4, 2), dtype="f4"))
    write("empty", lambda f: None)
    write("group", lambda f: f.create_group("a/features"))
    write("elsewhere", lambda f: f.create_dataset("a/features", shape=(4, 2), dtype="f4",
                                                  external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)]))
    write("nan", lambda f: f.create_dataset("a/features", data=values * np.nan))

    def soft(file):
        file["b"] = values
        file["a/features"] = h5py.SoftLink("/b")

    write("soft", soft)
    write("external", lambda f: f.__setitem__("a", h5py.ExternalLink("features.h5", "/COCO_000000000000")))

    def loop(file):
        group = file.create_group("a")
        group["features"] = group

    write("loop", loop)

    def virtual(file):
        layout = h5py.VirtualLayout((4, 2), "f4")
        layout[:] = h5py.VirtualSource("features.h5", "x", (4, 2))
        file.create_virtual_dataset("a/features", layout)

    write("virtual", virtual, libver="v110")


if __name__ == "__main__":
    shutil.rmtree(OUT, ignore_errors=True)
    IMAGES.mkdir(parents=True)
    write_images()
    write_resized()
    save_file({path.name: tensor(rgb(path)) for path in sorted(IMAGES.iterdir())}, OUT / "images.golden.safetensors")
    write_processors()
    write_clip()
    write_features()
    write_odd()
