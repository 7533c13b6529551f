"""What the peers of compare.sh eval have in common: their arguments, and LibTorch set up as they ask."""
import argparse

import torch

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


def arguments(texts, numbers, **choices):
    """--TEXT for each of texts, --NUMBER (default 1) for each of numbers, --NAME of these choices, --dtype, --threads."""
    parser = argparse.ArgumentParser()
    for name in texts:
        parser.add_argument(f"--{name}")
    for name in (*numbers, "threads"):
        parser.add_argument(f"--{name}", type=int, default=1)
    for name, values in choices.items():
        parser.add_argument(f"--{name}", choices=values)
    parser.add_argument("--dtype", choices=DTYPES, default="bf16")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.set_grad_enabled(False)
    return a
