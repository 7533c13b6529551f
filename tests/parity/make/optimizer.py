"""Golden values for src/train's optimiser: AdamW in two forms, schedules and clipping.

python tests/parity/make/optimizer.py  ->  tests/parity/data/train/
adamw_hf is written out in numpy after the text of transformers 4.28; adamw_torch is torch.optim.AdamW; schedules are
transformers.get_scheduler, with transformers 4.28 those alone that it knows (schedules_4.28.json); clipping is
torch.nn.utils.clip_grad_norm_.
"""
import json
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

DATA = Path(__file__).resolve().parents[1] / "data" / "train"
SHAPES = {"P": (4, 6), "A": (9, 3), "B": (3, 6)}
GROUP = {"P": 0, "A": 1, "B": 1}
RATES = [[0.3, 0.005], [0.05, 0.02]]  # [configuration][group]
STEPS = 12
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-6


def hf_adamw(p, grads, rate, decay):
    p, m, v = p.copy(), np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(grads, 1):
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * g * g
        step = rate * t / STEPS * np.sqrt(1 - BETA2**t) / (1 - BETA1**t)
        p = p - step * m / (np.sqrt(v) + EPSILON)
        p = p - rate * t / STEPS * decay * p
    return p


def torch_adamw(p, grads, rate, decay):
    p = torch.nn.Parameter(torch.from_numpy(p.copy()))
    optimizer = torch.optim.AdamW([p], lr=rate, betas=(BETA1, BETA2), eps=EPSILON, weight_decay=decay)
    for t, g in enumerate(grads, 1):
        optimizer.param_groups[0]["lr"] = rate * t / STEPS
        p.grad = torch.from_numpy(g.copy())
        optimizer.step()
    return p.detach().numpy()


def make_adamw():
    random = np.random.default_rng(5)
    K = len(RATES)
    tensors = {}
    for name, shape in SHAPES.items():
        start = random.standard_normal((K, *shape)).astype(np.float32).astype(np.float64)
        grads = random.standard_normal((STEPS, K, *shape)) * 10.0 ** random.integers(-6, 1, (STEPS, K, *shape))
        grads = grads.astype(np.float32).astype(np.float64)
        tensors |= {f"{name}.start": start, f"{name}.grads": grads}
        for form, function in (("adamw_hf", hf_adamw), ("adamw_torch", torch_adamw)):
            for decay in (0.0, 0.1):
                end = [function(start[k], grads[:, k], RATES[k][GROUP[name]], decay) for k in range(K)]
                tensors[f"{name}.{form}.{decay}"] = np.stack(end)
    # Clipping: the first step's gradients, all of a configuration together.
    for limit in (1.0, 100.0):
        for k in range(K):
            parameters = [torch.nn.Parameter(torch.zeros(SHAPES[n], dtype=torch.float64)) for n in SHAPES]
            for parameter, name in zip(parameters, SHAPES):
                parameter.grad = torch.from_numpy(tensors[f"{name}.grads"][0, k].copy())
            norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
            tensors[f"clip.{limit}.{k}.norm"] = norm.reshape(1).numpy()
            for parameter, name in zip(parameters, SHAPES):
                tensors[f"clip.{limit}.{k}.{name}"] = parameter.grad.numpy()
    save_file({n: torch.from_numpy(np.ascontiguousarray(t)) for n, t in tensors.items()}, DATA / "optimizer.safetensors")


def make_schedules():
    cases = []
    schedules = [(name, {}) for name in ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup",
                                         "inverse_sqrt")]
    old = transformers.__version__.startswith("4.")
    schedules += [] if old else [("cosine", {"num_cycles": 1.25}), ("cosine_with_restarts", {"num_cycles": 3}),
                  ("polynomial", {"lr_end": 0.01, "power": 2.5}), ("inverse_sqrt", {"timescale": 40}),
                  ("cosine_with_min_lr", {"min_lr": 0.05}), ("cosine_with_min_lr", {"min_lr_rate": 0.1, "num_cycles": 1.5}),
                  ("cosine_warmup_with_min_lr", {"min_lr": 0.05}),
                  ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.2, "warmup_lr_rate": 0.3})]
    schedules += [] if old else [("warmup_stable_decay", {"num_decay_steps": 6, "decay_type": fall, "warmup_type": rise, "min_lr_ratio": least})
                  for fall, rise, least in (("cosine", "linear", 0), ("linear", "cosine", 0.1), ("1-sqrt", "1-sqrt", 0.3))]
    schedules += [] if old else [("warmup_stable_decay", {"num_decay_steps": 5, "num_stable_steps": 4})]
    for name, arguments in schedules:
        for warmup, total in ((0, 25), (7, 25), (30, 25), (1, 2)):
            if name == "polynomial" and warmup >= total:
                continue  # never reached there, a division by zero
            if old and name == "inverse_sqrt" and warmup == 0:
                continue  # another division by zero
            optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
            scheduler = transformers.get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=total,
                                                   **({} if old else {"scheduler_specific_kwargs": arguments}))
            rates = []
            for _ in range(28):
                rates.append(scheduler.get_last_lr()[0])
                optimizer.step()
                scheduler.step()
            cases.append({"name": name, "arguments": json.dumps(arguments), "warmup": warmup, "total": total, "rates": rates})
    (DATA / ("schedules_4.28.json" if old else "schedules.json")).write_text(json.dumps(cases))


def metrics_of(seed, count, falling):
    """Steps down (or up) with standstills and setbacks between."""
    random = np.random.default_rng(seed)
    value, values = 2.0, []
    for _ in range(count):
        value -= random.choice([0, 0, 0.01, 0.3, -0.2, 1e-5])
        values.append(value if falling else -value)
    return values


def make_metric_schedules():
    cases = []
    schedules = [("reduce_lr_on_plateau", arguments) for arguments in (
        {}, {"patience": 1}, {"patience": 2, "factor": 0.5, "cooldown": 3}, {"patience": 0, "mode": "max", "threshold": 0.05},
        {"patience": 1, "threshold": 0.1, "threshold_mode": "abs", "min_lr": 0.01},
        {"patience": 0, "factor": 0.9, "eps": 1e-3, "mode": "max", "threshold_mode": "abs"})]
    schedules += [("greedy", arguments) for arguments in (
        {}, {"patience": 0}, {"patience": 1, "factor": 0.5, "cooldown": 2, "warmup": 1}, {"patience": 0, "mode": "max", "max_lr": 0.35},
        {"patience": 0, "factor": 0.3, "min_lr": 0.004, "reset_start": 3},
        {"patience": 0, "smooth": True, "window_size": 3, "threshold_mode": "rel", "threshold": 1e-3})]
    for seed, (name, arguments) in enumerate(schedules):
        for falling in (True, False):
            groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (0.3, 0.005, 0.02)]
            optimizer = torch.optim.AdamW(groups)
            scheduler = transformers.get_scheduler(name, optimizer, scheduler_specific_kwargs=arguments)
            metrics, rates = metrics_of(seed, 60, falling), []
            for metric in metrics:
                scheduler.step(metric)
                rates.append([group["lr"] for group in optimizer.param_groups])
            cases.append({"name": name, "arguments": json.dumps(arguments), "metrics": metrics, "rates": rates})
    (DATA / "metric_schedules.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    torch.set_num_threads(1)
    DATA.mkdir(parents=True, exist_ok=True)
    make_schedules()
    if not transformers.__version__.startswith("4."):
        make_adamw()
        make_metric_schedules()
