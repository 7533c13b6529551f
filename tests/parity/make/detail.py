"""Golden figures of evaluations in detail by scikit-learn and NumPy: tests/parity/data/tasks/detail.json.

Run from the repository's root: python tests/parity/make/detail.py
"""

import json
import random
from pathlib import Path

import numpy as np
from sklearn import metrics

OUT = Path(__file__).resolve().parent.parent / "data" / "tasks" / "detail.json"


def calibration(scores, labels, targets):
    scores = np.array(scores)
    confidence = scores.max(1)
    right = np.array([labels[i] for i in scores.argmax(1)]) == np.array(targets)
    bins, error = [], 0.0
    for low in range(10):
        inside = (confidence > low / 10) & (confidence <= (low + 1) / 10)
        count = int(inside.sum())
        one = {
            "low": low / 10,
            "high": (low + 1) / 10,
            "examples": count,
            "confidence": float(confidence[inside].mean()) if count else 0.0,
            "accuracy": float(right[inside].mean()) if count else 0.0,
        }
        bins.append(one)
        error += count / len(targets) * abs(one["confidence"] - one["accuracy"])
    return {"ece": error, "bins": bins}


def case(labels, predictions, targets, scores=None):
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        targets, predictions, labels=labels, zero_division=0
    )
    columns = zip(labels, precision.tolist(), recall.tolist(), f1.tolist(), support.tolist())
    expected = {
        "accuracy": float(metrics.accuracy_score(targets, predictions)),
        "classes": {
            label: {"precision": p, "recall": r, "f1": f, "support": s} for label, p, r, f, s in columns
        },
        "confusion_matrix": metrics.confusion_matrix(targets, predictions, labels=labels).tolist(),
        "no_label": sum(p not in labels for p in predictions),
    }
    worst = [i for i in range(len(targets)) if predictions[i] != targets[i]]
    if scores is not None:
        expected["calibration"] = calibration(scores, labels, targets)
        of_target = [scores[i][labels.index(targets[i])] for i in range(len(targets))]
        worst = np.argsort(np.array(of_target), kind="stable").tolist()
    return {
        "labels": labels,
        "predictions": predictions,
        "targets": targets,
        "scores": scores or [],
        "expected": expected,
        "worst": worst[:50],
    }


def generated(rng, labels, others, rows):
    targets = [rng.choice(labels) for _ in range(rows)]
    return case(labels, [t if rng.random() < 0.6 else rng.choice(labels + others) for t in targets], targets)


def scored(rng, labels, rows, sharpness):
    scores = [rng.dirichlet(np.full(len(labels), sharpness)).round(6).tolist() for _ in range(rows)]
    scores[0] = [1.0] + [0.0] * (len(labels) - 1)
    predictions = [labels[int(np.argmax(one))] for one in scores]
    targets = [p if rng.random() < 0.5 else labels[rng.integers(len(labels))] for p in predictions]
    return case(labels, predictions, targets, scores)


def main():
    words = random.Random(3)
    two, five = ["no", "yes"], ["a", "b", "c", "d", "é"]
    cases = [generated(words, labels, others, rows) for labels in (two, five) for others in ([], ["", "x y"]) for rows in (1, 7, 300)]
    cases.append(case(two, ["no"] * 4, ["yes", "no", "yes", "no"]))
    cases.append(case(five, ["a", "b", "x"], ["a", "a", "a"]))
    draws = np.random.default_rng(4)
    cases += [scored(draws, labels, rows, sharpness) for labels in (two, five) for rows in (1, 9, 200) for sharpness in (0.2, 2.0)]
    OUT.write_text(json.dumps(cases, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
