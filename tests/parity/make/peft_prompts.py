"""Prompts that upstream PEFT saves, and what PEFT computes with them: tests/parity/data/adapter/peft.

NAME/ is the adapter as save_pretrained writes it, its base model named by the path from there; NAME.json holds texts with PEFT's
answers (greedy ids, text), likelihoods of targets, or the shares of a head's labels. Every text runs alone. The models are those of
models.py and encoders.py, the tokenizers those of cli.py.

    OMP_NUM_THREADS=1 python tests/parity/make/peft_prompts.py     (after cli.py)
"""
import json
import shutil
from pathlib import Path

import peft
import torch
from tokenizers import Tokenizer
from transformers import (AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoModelForSequenceClassification)

HERE = Path(__file__).resolve().parent
MODELS = HERE.parent / "data" / "models"
DATA = HERE.parent / "data" / "adapter" / "peft"
NEW = 8
TEXTS = ["the film is", "what is the capital of France?", "a very bad", "it was the worst of films; and no plot", "two hours of noise",
         "the cast makes them dance", "Zebras"]
TARGETS = [" quiet", " a very bad answer", " of noise"]
LONG = "two hours of noise, and no plot in search of it " * 8  # beyond the 256 tokens that training cuts at, where no position ends
GENERATORS = {"causal": ("llama-gqa-tied", AutoModelForCausalLM, "CAUSAL_LM"), "seq2seq": ("t5-v1.0", AutoModelForSeq2SeqLM, "SEQ_2_SEQ_LM")}
CLASSIFIERS = {"bert": ("bert", 3), "roberta": ("roberta", 3), "decoder-head": ("llama-gqa-tied", 2)}


def save(model, name, base):
    """With weights large enough to matter."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape) * 0.5)
    folder = DATA / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = f"../../../models/{base}"
    path.write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    return model.eval()


def generate(model, tokenizer, text):
    ids = torch.tensor([tokenizer.encode(text).ids])
    out = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False, output_scores=True,
                         return_dict_in_generate=True)
    gap = min((s.topk(2).values[0, 0] - s.topk(2).values[0, 1]).item() for s in out.scores)
    new = out.sequences[0].tolist()[1 if model.config.is_encoder_decoder else ids.shape[1]:]
    return new, gap


def score(model, tokenizer, source, target):
    source = tokenizer.encode(source).ids
    if model.config.is_encoder_decoder:
        labels = tokenizer.encode(target).ids
        given = dict(input_ids=torch.tensor([source]))
    else:
        target = tokenizer.encode(target, add_special_tokens=False).ids
        labels = [-100] * len(source) + target
        given = dict(input_ids=torch.tensor([source + target]))
    given["attention_mask"] = torch.ones_like(given["input_ids"])
    return model(**given, labels=torch.tensor([labels])).loss.item()


def make_generator(name):
    base, kind, task_type = GENERATORS[name]
    torch.manual_seed(5)
    model = kind.from_pretrained(MODELS / base, attn_implementation="eager")
    model = save(peft.get_peft_model(model, peft.PromptTuningConfig(task_type=task_type, num_virtual_tokens=4)), name, base)
    tokenizer = Tokenizer.from_file(str(MODELS / base / "tokenizer.json"))
    texts = TEXTS + ([LONG] if name == "seq2seq" else [])
    answers = [(text, *generate(model, tokenizer, text)) for text in texts]
    answers = [{"text": text, "ids": ids, "answer": tokenizer.decode(ids)} for text, ids, gap in answers if gap > 1e-3]
    assert len(answers) >= 5, len(answers)
    scores = [{"source": s, "target": t, "loss": score(model, tokenizer, s, t)} for s, t in zip(TEXTS, TARGETS)]
    write(name, {"base": base, "max_new_tokens": NEW, "answers": answers, "scores": scores})


def make_classifier(name):
    base, labels = CLASSIFIERS[name]
    torch.manual_seed(6)
    model = AutoModelForSequenceClassification.from_pretrained(MODELS / base, attn_implementation="eager", num_labels=labels)
    model = save(peft.get_peft_model(model, peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4)), name, base)
    tokenizer = Tokenizer.from_file(str(MODELS / "llama-gqa-tied" / "tokenizer.json"))
    rows = []
    for text in TEXTS:
        ids = torch.tensor([tokenizer.encode(text).ids])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0]
        rows.append({"text": text, "prediction": model.config.id2label[logits.argmax().item()], "shares": logits.double().softmax(-1).tolist()})
    write(name, {"base": base, "labels": [model.config.id2label[i] for i in range(labels)], "rows": rows})


def write(name, golden):
    (DATA / f"{name}.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(name, json.dumps(golden)[:300])


if __name__ == "__main__":
    torch.set_num_threads(1)
    DATA.mkdir(parents=True, exist_ok=True)
    for one in GENERATORS:
        make_generator(one)
    for one in CLASSIFIERS:
        make_classifier(one)
