"""Golden words and norms of a prompt by NumPy and tokenizers: tests/parity/data/train/findings.json.

Run from the repository's root: python tests/parity/make/findings.py
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "data" / "models" / "llama-gqa-tied"
TOKENIZER = ROOT.parent / "recipe" / "tiny" / "tokenizer.json"
OUT = ROOT / "data" / "train" / "findings.json"


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main():
    embeddings = load_file(MODEL / "model.safetensors")["model.embed_tokens.weight"].astype(np.float64)
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    draw = np.random.default_rng(11)
    width, scale = embeddings.shape[1], 2.5
    prompt = draw.normal(size=(4, width)).round(3)
    prompt[1] = (3 * embeddings[70]).round(6)
    a, b = draw.normal(size=(6, 2)).round(3), draw.normal(size=(2, width)).round(3)
    cosines = unit(prompt) @ unit(embeddings).T
    order = np.argsort(-cosines, axis=1)[:, :5]
    vectors = []
    for row, ids in enumerate(order.tolist()):
        words = [tokenizer.decode([i], skip_special_tokens=False).strip() or tokenizer.id_to_token(i) for i in ids]
        vectors.append(
            {
                "norm": float(np.linalg.norm(prompt[row])),
                "nearest": [{"word": word, "cosine": float(cosines[row, i])} for word, i in zip(words, ids)],
            }
        )
    golden = {
        "P": prompt.tolist(),
        "A": a.tolist(),
        "B": b.tolist(),
        "scale": scale,
        "prompt": vectors,
        "delta_norms": np.linalg.norm(scale * a @ b, axis=1).tolist(),
    }
    OUT.write_text(json.dumps(golden, separators=(",", ":"), ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
