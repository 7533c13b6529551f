"""Validation rows by --validation_split, drawn with NumPy and stratified as scikit-learn does: tests/parity/data/data/shares.json.

Run from the repository's root: python tests/parity/make/shares.py
The parts of the classes are the largest remainders; scikit-learn's are the same up to the lot that it draws among equal remainders.
"""
import json
import math
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

OUT = Path(__file__).resolve().parents[1] / "data" / "data" / "shares.json"


def quotas(counts, wanted):
    rows = sum(counts)
    quota = [wanted * c // rows for c in counts]
    order = sorted(range(len(counts)), key=lambda c: -(wanted * counts[c] % rows))
    for kept in (1, 0):
        given = -1
        while sum(quota) < wanted and given != sum(quota):
            given = sum(quota)
            for c in order:
                if sum(quota) < wanted and quota[c] + kept < counts[c]:
                    quota[c] += 1
    return quota


def choose(classes, share, seed):
    n = len(classes)
    wanted = min(max(math.ceil(share * n), 1), n - 1)
    left = quotas(np.bincount(classes).tolist(), wanted)
    chosen = []
    for place in np.random.default_rng(seed).permutation(n).tolist():
        if left[classes[place]] > 0:
            left[classes[place]] -= 1
            chosen.append(place)
    return sorted(chosen)


def compare(classes, share, chosen):
    if math.ceil(share * len(classes)) >= len(classes):
        return
    counts = np.bincount(classes)
    if min(c for c in counts if c) < 2 or not len(set(classes)) <= len(chosen) <= len(classes) - len(set(classes)):
        return
    theirs = train_test_split(range(len(classes)), test_size=share, stratify=classes, random_state=0)[1]
    assert len(theirs) == len(chosen)
    parts = [np.bincount([classes[i] for i in rows], minlength=len(counts)) for rows in (chosen, theirs)]
    assert np.abs(parts[0] - parts[1]).max() <= 1, parts


def main():
    golden = []
    for number, (n, weights) in enumerate([(2, [1]), (3, [1, 1]), (10, [1, 1]), (30, [1, 2, 3]), (57, [5, 1]), (100, [90, 9, 1]), (101, [1] * 7), (12, [1] * 12)]):
        draw = np.random.default_rng(1000 + number)
        classes = draw.choice(len(weights), n, p=np.array(weights) / sum(weights)).tolist() if len(weights) < n else list(range(n))
        for share in (0.1, 0.07, 0.25, 0.5, 0.999):
            for seed in (0, 42):
                chosen = choose(classes, share, seed)
                compare(classes, share, chosen)
                golden.append({"classes": classes, "share": share, "seed": seed, "chosen": chosen})
    OUT.write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    main()
