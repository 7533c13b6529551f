"""Golden orders of examples, drawn by PyTorch's own sampler: tests/parity/data/data/sampler.json.

Run from the repository's root: python tests/parity/make/data.py
"""

import json
from pathlib import Path

import torch
from torch.utils.data import RandomSampler

OUT = Path(__file__).resolve().parent.parent / "data" / "data" / "sampler.json"


def digest(order):
    """Long permutations are kept as their ends and a sum that depends on every place."""
    if len(order) <= 64:
        return {"order": order}
    total = sum((i + 1) * x for i, x in enumerate(order)) % (2**61 - 1)
    return {"first": order[:8], "last": order[-8:], "sum": total}


def first_draw(seed):
    torch.manual_seed(seed)
    return int(torch.empty((), dtype=torch.int64).random_().item())


def epochs(n, seed, count):
    """What a DataLoader over RandomSampler sees when each epoch is read to its end."""
    sampler = RandomSampler(range(n), generator=torch.Generator().manual_seed(seed))
    return [digest(list(sampler)) for _ in range(count)]


def main():
    golden = {
        "generator_seed": [{"seed": s, "value": first_draw(s)} for s in (0, 1, 2, 3, 42, 2**32 + 7)],
        "permutation": [
            {"n": n, "seed": s, **digest(torch.randperm(n, generator=torch.Generator().manual_seed(s)).tolist())}
            for n in (1, 2, 3, 16, 64, 1000, 29999, 30000, 70001)
            for s in (42, 6909045637428952499)
        ],
        "epochs": [{"n": n, "seed": s, "epochs": epochs(n, s, 4)} for n, s in ((7, 42), (50, 6909045637428952499), (8011, 1))],
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(golden, indent=None) + "\n")


if __name__ == "__main__":
    main()
