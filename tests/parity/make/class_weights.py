"""Losses and gradients under class weights by PyTorch, balanced weights by scikit-learn: tests/parity/data/train/class_weights.json.

Run from the repository's root: python tests/parity/make/class_weights.py
"""
import json
from pathlib import Path

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight

OUT = Path(__file__).resolve().parents[1] / "data" / "train" / "class_weights.json"


def loss(seed, weights, smoothing, rows=6):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, len(weights), generator=generator, dtype=torch.float64).requires_grad_()
    labels = torch.randint(len(weights), (rows,), generator=generator)
    weight = torch.tensor(weights, dtype=torch.float64)
    each = torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing, reduction="none")(logits, labels)
    mean = torch.nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)(logits, labels)
    mean.backward()
    return {"logits": logits.tolist(), "labels": labels.tolist(), "weights": weights, "smoothing": smoothing, "each": each.tolist(),
            "mean": mean.item(), "d_logits": logits.grad.tolist()}


def balanced(labels):
    names = sorted(set(labels))
    return {"rows": labels, "labels": names, "weights": compute_class_weight("balanced", classes=np.array(names), y=np.array(labels)).tolist()}


def main():
    cases = [loss(1, [1.0, 1.0, 1.0], 0.0), loss(2, [0.2, 3.0, 1.5], 0.0), loss(3, [0.2, 3.0, 1.5], 0.1), loss(4, [0.0, 2.0], 0.3),
             loss(5, [0.01, 0.02, 0.03, 0.04], 0.0)]
    rows = [balanced(["a"] * 9 + ["b"] * 3), balanced(list("abcabcaab")), balanced(["yes", "no"])]
    OUT.write_text(json.dumps({"losses": cases, "balanced": rows}) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
