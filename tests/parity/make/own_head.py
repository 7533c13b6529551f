"""What a classifier of transformers says of texts, for a head that is taken over: tests/parity/data/adapter/own_head.json.

The tiny BERT of encoders.py under other names of its rows: each label's share, all three far from each other.

    OMP_NUM_THREADS=1 python tests/parity/make/own_head.py     (after encoders.py and cli.py)
"""
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

MODELS = Path(__file__).resolve().parent.parent / "data" / "models"
NAMES = ["Third", "first", "SECOND"]
TEXTS = ["the film is", "two hours of noise", "a quiet one"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    model = AutoModelForSequenceClassification.from_pretrained(MODELS / "bert", attn_implementation="eager", id2label=dict(enumerate(NAMES))).eval()
    tokenizer = Tokenizer.from_file(str(MODELS / "llama-gqa-tied" / "tokenizer.json"))
    rows = []
    for text in TEXTS:
        shares = model(input_ids=torch.tensor([tokenizer.encode(text).ids])).logits[0].softmax(-1).tolist()
        assert min(abs(a - b) for a, b in ((shares[0], shares[1]), (shares[1], shares[2]), (shares[0], shares[2]))) > 0.1
        rows.append({"text": text, "shares": dict(zip(NAMES, shares))})
    path = MODELS.parent / "adapter" / "own_head.json"
    path.write_text(json.dumps({"names": NAMES, "rows": rows}, indent=1) + "\n")
    print(rows)
