"""Golden values for src/train's loop: label smoothing, length-aware order, early stopping, TensorBoard's checksum.

python tests/parity/make/trainer.py  ->  tests/parity/data/train/trainer.json
By transformers' LabelSmoother (and torch's cross_entropy, in fp64 throughout), get_length_grouped_indices and EarlyStoppingCallback;
the checksum by tensorboard's own writer.
"""
import json
import random
from pathlib import Path
from types import SimpleNamespace

import torch
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from transformers import EarlyStoppingCallback, TrainerControl, TrainerState
from transformers.trainer_pt_utils import LabelSmoother, get_length_grouped_indices

DATA = Path(__file__).resolve().parents[1] / "data" / "train"


def smoothing():
    torch.manual_seed(3)
    logits = torch.randn(1, 7, 11, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[3, -100, 0, 10, -100, 5, 5]])
    cases = []
    for factor in (0.0, 0.1, 0.9, 1.0):
        logits.grad = None
        loss = torch.nn.functional.cross_entropy(logits[0], labels[0], label_smoothing=factor)
        loss.backward()
        smoother = LabelSmoother(epsilon=factor)({"logits": logits}, labels)  # the same formula, a sum of it in fp32
        cases.append({"factor": factor, "mean_loss": loss.item(), "smoother": smoother.item(), "gradient": logits.grad[0].tolist()})
    return {"logits": logits[0].tolist(), "labels": labels[0].tolist(), "cases": cases}


def grouped():
    random.seed(7)
    cases = []
    for count, batch in ((1, 4), (9, 4), (37, 2), (450, 2)):
        lengths = [random.randint(1, 30) for _ in range(count)]
        order = get_length_grouped_indices(lengths, batch, generator=torch.Generator().manual_seed(11))
        cases.append({"lengths": lengths, "batch": batch, "seed": 11, "order": order})
    return cases


# Each evaluation is followed by a save, which remembers a strictly better one, as the Trainer does.
def early_stopping():
    random.seed(2)
    cases = []
    for greater in (True, False):
        for patience, threshold in ((1, 0.0), (2, 0.0), (2, 0.05), (3, 0.1)):
            values = [round(random.uniform(0, 1), 2) for _ in range(12)]
            callback = EarlyStoppingCallback(patience, threshold)
            args = SimpleNamespace(metric_for_best_model="loss", greater_is_better=greater)
            state, control = TrainerState(), TrainerControl()
            stopped = None
            for i, value in enumerate(values, 1):
                callback.on_evaluate(args, state, control, {"eval_loss": value})
                if state.best_metric is None or (value > state.best_metric if greater else value < state.best_metric):
                    state.best_metric = value
                if control.should_training_stop:
                    stopped = i
                    break
            cases.append({"greater": greater, "patience": patience, "threshold": threshold, "values": values, "stopped": stopped})
    return cases


def checksums():
    texts = ["", "a", "123456789", "a longer text " * 20]
    return [{"text": text, "crc": int(masked_crc32c(text.encode()))} for text in texts]


if __name__ == "__main__":
    out = {"smoothing": smoothing(), "grouped": grouped(), "early_stopping": early_stopping(), "checksums": checksums()}
    (DATA / "trainer.json").write_text(json.dumps(out))
