"""Golden metrics by scikit-learn and SciPy: tests/parity/data/tasks/metrics.json.

Run from the repository's root: python tests/parity/make/tasks.py
"""

import json
import math
import random
import warnings
from pathlib import Path

from scipy import stats
from sklearn import metrics

OUT = Path(__file__).resolve().parent.parent / "data" / "tasks" / "metrics.json"
warnings.filterwarnings("ignore")


def number(text):
    try:
        return float(text)
    except ValueError:
        return -1.0


def nan_to_zero(value):
    return 0.0 if math.isnan(value) else float(value)


def binary_f1(predictions, targets, labels):
    negative, positive = labels
    opposite = {negative: positive, positive: negative}
    repaired = [p if p in labels else opposite[t] for p, t in zip(predictions, targets)]
    return metrics.f1_score(targets, repaired, pos_label=positive)


def expected(predictions, targets, labels, numeric):
    values = {
        "accuracy": metrics.accuracy_score(targets, predictions),
        "exact_match": sum(p.strip() == t.strip() for p, t in zip(predictions, targets)) / len(targets),
        "f1_macro": metrics.f1_score(targets, predictions, average="macro"),
        "matthews_correlation": metrics.matthews_corrcoef(targets, predictions),
    }
    if len(labels) == 2:
        values["f1"] = binary_f1(predictions, targets, labels)
    if numeric:
        x, y = [number(p) for p in predictions], [number(t) for t in targets]
        values["pearson"] = nan_to_zero(stats.pearsonr(x, y)[0])
        values["spearmanr"] = nan_to_zero(stats.spearmanr(x, y)[0])
    return {name: 100 * float(value) for name, value in values.items()}


def case(predictions, targets, labels=(), numeric=False):
    labels = list(labels)
    return {
        "predictions": predictions,
        "targets": targets,
        "labels": labels,
        "expected": expected(predictions, targets, labels, numeric),
    }


def main():
    rng = random.Random(5)
    cases = []
    two, four = ["negative", "positive"], ["a", "b", "c", "d"]
    for labels, invalid in ((two, []), (two, ["maybe", ""]), (four, []), (four, ["e", "negativ"])):
        for n in (1, 7, 60):
            targets = [rng.choice(labels) for _ in range(n)]
            predictions = [t if rng.random() < 0.6 else rng.choice(labels + invalid) for t in targets]
            cases.append(case(predictions, targets, labels))
    cases.append(case(["negative"] * 5, ["positive", "negative"] * 2 + ["positive"], two))
    cases.append(case(["negative"] * 4, ["negative"] * 4, two))
    cases.append(case([" yes", "no", "Yes "], ["yes", "no ", "yes"]))
    for n in (2, 9, 80):
        targets = [str(round(rng.random() * 5, 1)) for _ in range(n)]
        predictions = [str(round(float(t) + rng.gauss(0, 1), 1)) for t in targets]
        cases.append(case(predictions, targets, numeric=True))
        broken = [p if rng.random() < 0.8 else rng.choice(["", "high", "2.5 stars", "+1.5", " 3e-1 "]) for p in predictions]
        cases.append(case(broken, targets, numeric=True))
    cases.append(case(["1.0", "1.0", "1.0"], ["1.2", "3.4", "0.6"], numeric=True))
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("[" + ",\n".join(json.dumps(c) for c in cases) + "]\n")


if __name__ == "__main__":
    main()
