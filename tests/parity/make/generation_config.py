"""What transformers writes under a model's generation_config.json, and without one: tests/parity/data/generation/config.json.

Each case changes config.json and generation_config.json (null: the file is not there) of a tiny model of models.py and holds
generate()'s new ids, with nothing asked for but --max_new_tokens where the case says so; of T5 also the loss of labels, which
generation_config.json does not touch.

    OMP_NUM_THREADS=1 python tests/parity/make/generation_config.py     (after cli.py)
"""
import json
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
from transformers.utils import logging

MODELS = Path(__file__).resolve().parent.parent / "data" / "models"
DATA = MODELS.parent / "generation"
KINDS = {"llama-gqa-tied": AutoModelForCausalLM, "t5-v1.0": AutoModelForSeq2SeqLM}
PROMPTS = [[5, 40, 61, 7, 33], [9], [12, 80, 44], [71, 8, 8, 20, 65, 33, 90], [50, 51], [77, 6, 41, 13]]
LABELS = [12, 40, 7, 1]
ENDS = [30, 57]
CASES = {
    "llama-gqa-tied": [
        {"generation": {"eos_token_id": ENDS, "temperature": 0.0, "do_sample": False}},
        {"generation": {"eos_token_id": ENDS, "temperature": -1, "top_p": 7.5, "top_k": -3, "typical_p": 0.3, "min_p": 0.2, "epsilon_cutoff": 0.5}},
        {"generation": {"eos_token_id": 57, "temperature": None, "top_k": None, "num_beams": None, "max_new_tokens": None, "pad_token_id": None}},
        {"generation": {"eos_token_id": ENDS, "max_new_tokens": 6, "length_penalty": 3.0, "early_stopping": True}},
        {"generation": {"eos_token_id": ENDS, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "num_beams": 2, "max_new_tokens": 9}},
        {"generation": {"bos_token_id": 1}},  # no end at all
        {"generation": {"eos_token_id": None}},
        {"generation": None, "config": {"eos_token_id": ENDS, "repetition_penalty": 1.4, "no_repeat_ngram_size": 2}},
        {"generation": None, "config": {"eos_token_id": 31, "num_beams": 3, "temperature": 0.0, "task_specific_params": {"x": {"num_beams": 9}}}},
        {"generation": {"eos_token_id": 57, "forced_eos_token_id": [31, 57], "max_new_tokens": 5, "min_new_tokens": 5}},
        {"generation": {"eos_token_id": 57, "forced_eos_token_id": 30, "max_new_tokens": 4, "num_beams": 3}},
    ],
    "t5-v1.0": [
        {"generation": {"eos_token_id": 30, "decoder_start_token_id": 0}, "config": {"decoder_start_token_id": 3}},
        {"generation": {"eos_token_id": 30, "decoder_start_token_id": 44}, "config": {"decoder_start_token_id": 3}},
        {"generation": {"eos_token_id": 30, "bos_token_id": 61}, "config": {"decoder_start_token_id": 3}},
        {"generation": None, "config": {"eos_token_id": ENDS, "decoder_start_token_id": 12}},
        {"generation": None, "config": {"eos_token_id": ENDS, "decoder_start_token_id": None, "bos_token_id": 17}, "loss": False},
        {"generation": {"eos_token_id": ENDS, "decoder_start_token_id": 0, "max_length": 7, "min_length": 4}},
        {"generation": {"eos_token_id": ENDS, "decoder_start_token_id": 0, "max_length": 20}},
        {"generation": {"eos_token_id": 30, "decoder_start_token_id": 0, "forced_bos_token_id": 44, "forced_eos_token_id": 30, "max_length": 8}},
        {"generation": {"eos_token_id": 30, "decoder_start_token_id": 0, "forced_bos_token_id": 44, "forced_eos_token_id": 30, "max_length": 8,
                        "num_beams": 4, "early_stopping": True, "no_repeat_ngram_size": 3, "length_penalty": 2.0, "min_length": 5}},
        {"generation": None, "config": {"eos_token_id": ENDS, "num_beams": 3, "max_length": 9, "length_penalty": 0.5}},
    ],
}


def run(name, case):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for file in ("config.json", "model.safetensors"):
            shutil.copy(MODELS / name / file, folder)
        config = json.loads((folder / "config.json").read_text()) | case.get("config", {})
        (folder / "config.json").write_text(json.dumps(config))
        if case["generation"] is not None:
            (folder / "generation_config.json").write_text(json.dumps(case["generation"]))
        model = KINDS[name].from_pretrained(folder, attn_implementation="eager").eval()
    rows = []
    for ids in PROMPTS:
        given = torch.tensor([ids])
        out = model.generate(given, attention_mask=torch.ones_like(given))[0].tolist()
        rows.append({"input_ids": ids, "ids": out[1 if name == "t5-v1.0" else len(ids):]})
    golden = {"model": name, **case, "rows": rows}
    if name == "t5-v1.0" and case.get("loss", True):
        golden["loss"] = model(input_ids=torch.tensor([PROMPTS[0]]), labels=torch.tensor([LABELS])).loss.item()
        golden["labels"] = LABELS
    else:
        golden.pop("loss", None)
    print(name, case, rows[0]["ids"], golden.get("loss"))
    return golden


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    logging.set_verbosity_error()
    cases = [run(name, case) for name, cases in CASES.items() for case in cases]
    (DATA / "config.json").write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")
