"""Whole runs of the original on tiny models: tests/parity/data/original_runs.

    OMP_NUM_THREADS=1 HF_DATASETS_OFFLINE=1 python tests/parity/make/original_runs.py CHECKOUT [CASE...]

CHECKOUT is one of github.com/ZhengxiangShi/DePT (never part of this repository); python 3.11 with torch 2.0.1, transformers 4.28.1,
datasets 2.11.0, accelerate 0.18.0, numpy below 2, scikit-learn and scipy. Each case has a folder with start/ (an adapter as the
original saves it), run.json (its flags; loss and learning rates of each step, batch order, metrics, answers; how far the same run in
fp64 is away) and final.safetensors. models/ and rows/ are shared.
"""

import json
import os
import random
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

DATA = Path(__file__).resolve().parent.parent / "data" / "original_runs"
CHECKOUT = None

# --- rows, in the schema of the hub ------------------------------------------------------------------------------------


def sentence(rng, low=2, high=7):
    from original_models import WORDS

    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(low, high)))


PAIRS = {"mrpc": ("sentence1", "sentence2"), "rte": ("sentence1", "sentence2"), "qqp": ("question1", "question2"),
         "mnli": ("premise", "hypothesis"), "snli": ("premise", "hypothesis"), "superglue-cb": ("premise", "hypothesis"),
         "qnli": ("question", "sentence"), "superglue-boolq": ("question", "passage"), "wnli": ("sentence1", "sentence2"),
         "superglue-rte": ("premise", "hypothesis"), "paws": ("sentence1", "sentence2"), "multi_nli": ("premise", "hypothesis")}
CLASSES = {"mnli": 3, "snli": 3, "superglue-cb": 3, "multi_nli": 3}


def label_of(rng, text, classes):
    """Something that a prompt can learn: the number of letters, with some noise."""
    return rng.randrange(classes) if rng.random() < 0.2 else len(text) % classes


def row(task, rng, i):
    a, b = sentence(rng), sentence(rng)
    if task in PAIRS:
        return {PAIRS[task][0]: a, PAIRS[task][1]: b, "label": label_of(rng, a, CLASSES.get(task, 2)), "idx": i}
    if task in ("cola", "sst2"):
        return {"sentence": a, "label": label_of(rng, a, 2), "idx": i}
    if task == "stsb":
        return {"sentence1": a, "sentence2": b, "label": round(rng.random() * 25) / 5, "idx": i}
    if task in ("squad", "triviaqa"):
        answer = sentence(rng, 1, 3)
        return {"id": str(i), "question": a + "?", "context": f"{b}, {answer}. {a}", "answers": {"text": [answer], "answer_start": [len(b) + 2]}}
    if task in ("newsqa", "searchqa", "nq", "hotpotqa"):
        answers = [sentence(rng, 1, 4) for _ in range(rng.randint(1, 2))]
        return {"question": a, "context": f"{b} ({answers[0]}), it's {a}.", "answers": answers, "key": str(i)}
    if task == "superglue-multirc":
        return {"paragraph": f"<b>{a}</b><br>{b}", "question": b + "?", "answer": sentence(rng, 1, 3), "label": label_of(rng, a, 2),
                "idx": {"paragraph": i // 4, "question": i // 2, "answer": i}}
    if task == "superglue-wic":
        word = a.split()[0]
        return {"word": word, "sentence1": a, "sentence2": f"{b} {word}", "label": label_of(rng, a, 2), "idx": i, "start1": 0, "end1": 1}
    if task == "superglue-wsc.fixed":
        words = (a + " it " + b).split()
        at = rng.randrange(len(words))
        return {"text": " ".join(words), "span1_text": words[at], "span1_index": at, "span2_text": "it", "span2_index": words.index("it"),
                "label": label_of(rng, a, 2), "idx": i}
    if task == "superglue-copa":
        return {"premise": a, "choice1": b, "choice2": sentence(rng), "question": "cause", "label": label_of(rng, a, 2), "idx": i}
    if task == "superglue-record":
        answers = [rng.choice(b.split()) for _ in range(rng.randint(0, 2))]
        return {"passage": f"{a}\n@highlight\n{b}", "query": f"@placeholder {a}", "entities": b.split(), "answers": answers}
    if task == "winogrande":
        return {"sentence": f"_ {a}", "option1": b.split()[0], "option2": b.split()[-1], "answer": str(1 + label_of(rng, a, 2))}
    if task == "scitail":
        return {"sentence1": a, "sentence2": b, "gold_label": ["entailment", "neutral"][label_of(rng, a, 2)]}
    raise KeyError(task)


LARGE = ("qqp", "qnli", "superglue-record", "sst2", "squad", "snli", "winogrande", "newsqa", "searchqa", "triviaqa", "nq", "hotpotqa")


def rows_of(task, train, validation, seed):
    """From the 60th on they repeat themselves, so that they compress."""
    rng = random.Random(f"{task} {seed}")

    def make(n):
        made = [row(task, rng, i) for i in range(min(n, 60))]
        return [made[i % 60] for i in range(n)]

    return {"train": make(train), "validation": make(validation), "test": make(validation)}


def source_splits(task):
    """Which stored split each of the three is read from: the original divides it."""
    if task in LARGE and task != "snli":
        return {"train": "train", "validation": "train", "test": "validation"}
    if task == "snli":
        return {"train": "train", "validation": "train", "test": "test"}
    if task in ("mnli", "multi_nli", "paws"):
        return {"train": "train", "validation": "validation", "test": "test"}
    return {"train": "train", "validation": "validation", "test": "validation"}


# --- starts and runs ---------------------------------------------------------------------------------------------------


def make_start(folder, model, m, r, s, seed, kind="PROMPT_TUNING_LORA", submodules=1, edit=None, scale=0.05, with_delta=True):
    """An adapter as the original saves a trained one: B is no longer zero."""
    child = os.fork()
    if child == 0:
        try:
            sys.path.insert(0, str(CHECKOUT))
            import peft
            import torch
            import transformers

            transformers.set_seed(seed)
            auto, task_type = {
                "t5": (transformers.AutoModelForSeq2SeqLM, "SEQ_2_SEQ_LM"),
                "bert": (transformers.AutoModelForSequenceClassification, "SEQ_CLS"),
                "roberta": (transformers.AutoModelForSequenceClassification, "SEQ_CLS"),
            }.get(transformers.AutoConfig.from_pretrained(model).model_type, (transformers.AutoModelForCausalLM, "CAUSAL_LM"))
            base = auto.from_pretrained(model)
            common = {"task_type": task_type, "prompt_tuning_init": "TEXT", "num_virtual_tokens": m, "num_transformer_submodules": submodules,
                      "prompt_tuning_init_text": "Classify this text is postive or not:", "tokenizer_name_or_path": str(model)}
            if kind == "PROMPT_TUNING":
                config = peft.PromptTuningConfig(**common)
            else:
                config = peft.PromptTuningLoRAConfig(r=r, token_dim=base.config.hidden_size, max_length=s, save_lora_embeddings=with_delta, **common)
            made = peft.get_peft_model(base, config)
            if kind == "PROMPT_TUNING_LORA":
                made.prompt_encoder["default"].lora_embedding_B.data.normal_(0, scale)
            made.save_pretrained(folder)
            if edit:
                path = Path(folder) / "adapter_config.json"
                path.write_text(json.dumps({**json.loads(path.read_text()), **edit}, indent=2, sort_keys=True))
            (Path(folder) / "README.md").unlink(missing_ok=True)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def noise_of(single, double):
    """How far fp32 is from fp64: of each step's loss, of each tensor, and whether answers differ."""
    return {
        "loss": [abs(x - y) for x, y in zip(single["losses"], double["losses"])],
        "weights": {name: (value.double() - double["weights"][name].double()).abs().max().item() if value.numel() else 0.0
                    for name, value in (single["weights"] or {}).items()},
        "answers_differ": single["answers"] != double["answers"] or single["classes"] != double["classes"],
    }


def run_both(arguments, rows, output):
    import original_driver

    single = original_driver.run_apart(CHECKOUT, arguments, rows, f"{output}/single")
    double = original_driver.run_apart(CHECKOUT, arguments, rows, f"{output}/double", double=True)
    return single, double


# --- the stored cases --------------------------------------------------------------------------------------------------

COMMON = "--do_train --do_eval --do_predict --logging_steps 1 --generation_max_length 8"
BEST = "--evaluation_strategy steps --save_strategy steps --load_best_model_at_end --save_total_limit 1"


def case(model, task, flags, m=5, r=3, s=26, seed=1, kind="PROMPT_TUNING_LORA", submodules=1, edit=None, start=None):
    return {"model": model, "task": task, "flags": f"{COMMON} {flags}", "m": m, "r": r, "s": s, "seed": seed, "kind": kind,
            "submodules": submodules, "edit": edit, "start": start}


CASES = {
    "t5-mrpc": case("t5", "mrpc", f"{BEST} --eval_steps 4 --save_steps 4 --learning_rate 0.3 --lora_embedding_lr 0.05 --max_steps 16 "
                    "--warmup_steps 3 --per_device_train_batch_size 4 --weight_decay 1e-5"),
    "t5-cola-vanilla": case("t5", "cola", "--learning_rate 0.3 --max_steps 24 --per_device_train_batch_size 5 --warmup_steps 2",
                            kind="PROMPT_TUNING", m=7),
    "t5-rte-rank-0": case("t5", "rte", "--learning_rate 0.2 --lora_embedding_lr 0.1 --max_steps 10 --per_device_train_batch_size 6", r=0),
    "t5-stsb-accumulation": case("t5", "stsb", "--learning_rate 0.3 --lora_embedding_lr 0.02 --max_steps 14 --gradient_accumulation_steps 3 "
                                 "--per_device_train_batch_size 4 --seed 11", r=4),
    "t5-cb-k-shot": case("t5", "superglue-cb", "--k_shot_example 10 --seed 5 --learning_rate 0.2 --lora_embedding_lr 0.01 --max_steps 20 "
                         "--per_device_train_batch_size 4", m=4),
    "t5-nq-beams": case("t5", "nq", "--learning_rate 0.3 --lora_embedding_lr 0.02 --max_steps 12 --per_device_train_batch_size 4 "
                        "--generation_num_beams 3 --max_train_samples 19 --max_eval_samples 9 --max_predict_samples 9 "
                        "--per_device_eval_batch_size 4", s=30),
    "t5-squad": case("t5", "squad", "--learning_rate 0.3 --lora_embedding_lr 0.02 --max_steps 10 --per_device_train_batch_size 4 "
                     "--max_train_samples 17 --max_eval_samples 9 --max_predict_samples 9 --generation_max_length 14", s=40),
    "t5-boolq-transfer": case("t5", "superglue-boolq", "--learning_rate 0.1 --lora_embedding_lr 0.02 --max_steps 10 --data_seed 3 "
                              "--per_device_train_batch_size 4 --add_prefix", start="t5-mrpc"),
    "t5-wic-fresh-B": case("t5", "superglue-wic", "--learning_rate 0.2 --lora_embedding_lr 0.05 --max_steps 10 "
                           "--per_device_train_batch_size 3", edit={"load_lora_embedding_B": False}),
    "t5-multirc-two-submodules": case("t5", "superglue-multirc", f"{BEST} --eval_steps 5 --save_steps 5 --learning_rate 0.2 "
                                      "--lora_embedding_lr 0.05 --max_steps 10 --per_device_train_batch_size 4", submodules=2),
    "t5v1.1-mnli-one-rate": case("t5-v1.1", "mnli", "--learning_rate 0.1 --max_steps 12 --per_device_train_batch_size 4 --warmup_steps 4"),
    "t5-cola-other-type": case("t5", "cola", "--peft_type PROMPT_TUNING --learning_rate 0.1 --lora_embedding_lr 0.001 --max_steps 8 "
                               "--per_device_train_batch_size 4"),
    "gpt2-mrpc": case("gpt2", "mrpc", f"{BEST} --eval_steps 5 --save_steps 5 --learning_rate 0.1 --lora_embedding_lr 0.02 --max_steps 15 "
                      "--warmup_steps 3 --per_device_train_batch_size 4", s=52),
    "gpt2-sst2-vanilla": case("gpt2", "sst2", "--learning_rate 0.2 --max_steps 10 --per_device_train_batch_size 4 --max_train_samples 18 "
                              "--max_eval_samples 6 --max_predict_samples 6 --gradient_accumulation_steps 2", kind="PROMPT_TUNING", s=36),
    "gpt2-stsb-beams": case("gpt2", "stsb", "--learning_rate 0.1 --lora_embedding_lr 0.02 --max_steps 8 --per_device_train_batch_size 5 "
                            "--generation_num_beams 3 --per_device_eval_batch_size 4", s=56),
    "gpt2-squad-pads": case("gpt2", "squad", "--learning_rate 0.1 --lora_embedding_lr 0.02 --max_steps 6 --per_device_train_batch_size 4 "
                            "--max_train_samples 12 --max_eval_samples 7 --max_predict_samples 6 --per_device_eval_batch_size 4", s=60),
    "llama-rte": case("llama", "rte", "--learning_rate 0.1 --lora_embedding_lr 0.02 --max_steps 12 --warmup_steps 2 "
                      "--per_device_train_batch_size 4", s=64),
    "llama-wsc-k-shot": case("llama", "superglue-wsc.fixed", "--k_shot_example 16 --learning_rate 0.1 --lora_embedding_lr 0.02 --max_steps 9 "
                             "--per_device_train_batch_size 3 --generation_num_beams 2", s=64),
    "bert-mrpc": case("bert", "mrpc", f"{BEST} --eval_steps 4 --save_steps 4 --learning_rate 0.05 --lora_embedding_lr 0.02 --max_steps 16 "
                      "--warmup_steps 2 --per_device_train_batch_size 4"),
    "roberta-cola": case("roberta", "cola", "--learning_rate 0.03 --lora_embedding_lr 0.02 --max_steps 15 --per_device_train_batch_size 5 "
                         "--gradient_accumulation_steps 2", s=30),
    "bert-mrpc-smoothing": case("bert", "mrpc", "--label_smoothing_factor 0.2 --learning_rate 0.05 --max_steps 9 --dataloader_drop_last "
                                "--per_device_train_batch_size 4 --per_device_eval_batch_size 4 --optim adafactor"),
    "roberta-cola-epoch-logs": case("roberta", "cola", "--logging_strategy epoch --evaluation_strategy steps --eval_steps 5 "
                                    "--logging_first_step --learning_rate 0.03 --max_steps 15 --per_device_train_batch_size 5 "
                                    "--gradient_accumulation_steps 2", s=30),
    "t5-rte-by-length": case("t5", "rte", "--group_by_length --learning_rate 0.2 --lora_embedding_lr 0.1 --max_steps 12 "
                             "--per_device_train_batch_size 3"),
    "roberta-boolq-vanilla": case("roberta", "superglue-boolq", "--learning_rate 0.05 --max_steps 10 --per_device_train_batch_size 4",
                                  kind="PROMPT_TUNING", s=40),
}
MODELS = {"t5": ("t5", {}), "t5-v1.1": ("t5", {"variant": "v1.1", "seed": 2}), "gpt2": ("gpt2", {"vocab": 300}),
          "llama": ("llama", {"vocab": 340}), "bert": ("bert", {"vocab": 200}), "roberta": ("roberta", {"vocab": 300})}
ROWS = {"mrpc": (22, 17), "cola": (23, 12), "rte": (20, 10), "stsb": (26, 15), "superglue-cb": (30, 11), "nq": (1024, 12),
        "squad": (1020, 12), "superglue-boolq": (18, 10), "superglue-wic": (17, 10), "superglue-multirc": (19, 14), "mnli": (21, 9),
        "sst2": (1020, 8), "superglue-wsc.fixed": (40, 10)}


def rows_file(task, split):
    return f"rows/{task}/{split}.{'parquet' if ROWS[task][0] > 1000 else 'jsonl'}"


def write_rows(task):
    import datasets

    tables = rows_of(task, *ROWS[task], 1)
    (DATA / "rows" / task).mkdir(parents=True, exist_ok=True)
    for split in {"train", *source_splits(task).values()}:
        path = DATA / rows_file(task, split)
        if path.suffix == ".parquet":
            datasets.Dataset.from_list(tables[split]).to_parquet(path)
        else:
            path.write_text("".join(json.dumps(one) + "\n" for one in tables[split]))
    return tables


def metrics_of(result):
    """Without times, which are of no run."""
    timed = ("_runtime", "_per_second")
    return {part: {key: value for key, value in (metrics or {}).items() if not key.endswith(timed)}
            for part, metrics in result["metrics"].items()}


def log_of(result):
    timed = ("_runtime", "_per_second")
    return [{key: value for key, value in entry.items() if not key.endswith(timed)} for entry in result["log"]]


def without_nan(value):
    """JSON has none: null."""
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    return None if value != value else value


def make_case(name, folder):
    from safetensors.torch import save_file

    one, model = CASES[name], f"models/{CASES[name]['model']}"
    shutil.rmtree(DATA / name, ignore_errors=True)
    (DATA / name).mkdir(parents=True)
    start = f"{name}/start"
    if one["start"]:
        start = f"{folder}/{one['start']}/single"
        for file in ("adapter_config.json", "adapter_model.bin"):
            (DATA / name / "start").mkdir(exist_ok=True)
            shutil.copy(f"{start}/{file}", DATA / name / "start" / file)
    else:
        make_start(start, model, one["m"], one["r"], one["s"], one["seed"], one["kind"], one["submodules"], one["edit"])
    flags = one["flags"].split()
    if "--peft_type" not in flags:
        flags += ["--peft_type", one["kind"]]
    flags += ["--task_name", one["task"], "--model_name_or_path", model, "--max_seq_length", str(one["s"])]
    single, double = run_both(flags + ["--peft_model_id", f"{name}/start"], rows_of(one["task"], *ROWS[one["task"]], 1), f"{folder}/{name}")
    assert single["error"] is None and double["error"] is None, (name, single["error"], double["error"])
    run = {"flags": flags, "files": {split: rows_file(one["task"], source) for split, source in source_splits(one["task"]).items()},
           "losses": single["losses"], "rates": single["rates"], "order": single["order"], "log": log_of(single), "best": single["best"],
           "metrics": metrics_of(single), "answers": single["answers"], "classes": single["classes"], "config": single["config"],
           "noise": noise_of(single, double)}
    lines = (f"{json.dumps(key)}: {json.dumps(without_nan(value))}" for key, value in run.items())
    (DATA / name / "run.json").write_text("{" + ",\n".join(lines) + "}\n")
    save_file({key: value.contiguous() for key, value in single["weights"].items()}, DATA / name / "final.safetensors")
    print(name, "noise", max(run["noise"]["loss"]), run["noise"]["answers_differ"], [round(x, 3) for x in single["losses"]], run["metrics"]["test"],
          (single["answers"] or [[]])[0][:4])


# --- judging, for every task -------------------------------------------------------------------------------------------


def judgement(name, tokenizer, rng):
    """Answers and targets as ids, what the original reads in them, and what its metrics say."""
    import numpy as np
    from src import postprocessors, tasks

    task = tasks.AutoTask.get(name, None)
    answers = task.labels_list or [sentence(rng, 1, 3) for _ in range(5)] + ["it 's , a bird ?", "The bird."]
    targets = [rng.choice(answers) for _ in range(14)]
    predictions = [t if rng.random() < 0.5 else rng.choice([*answers, "", "the", " 1 .", "2 n't"]) for t in targets]
    rows = lambda texts, fill: [(tokenizer(text)["input_ids"] + [fill] * 40)[:40] for text in texts]
    labels, made = np.array(rows(targets, -100)), np.array(rows(predictions, tokenizer.pad_token_id))
    for _ in range(2):
        made[rng.randrange(14), : rng.randint(1, 6)] = rng.randrange(3, len(tokenizer))
    processor = postprocessors.AutoPostProcessor.get(name, tokenizer, True)
    decoded, expected = processor.process(made, labels, data_info=None)
    metrics = {}
    for metric in task.metric:
        metrics.update(metric(list(decoded), list(expected)))
    strip = lambda ids, fill: [[int(i) for i in line if i != fill] for line in ids]
    return {"task": name, "longest_target": task.get_max_target_length(tokenizer, 20), "predicted_ids": strip(made, tokenizer.pad_token_id),
            "target_ids": strip(labels, -100), "predictions": decoded, "targets": expected,
            "metrics": {key: float(value) for key, value in metrics.items()}}


def write_judgements():
    from src import tasks
    from transformers import AutoTokenizer

    rng, all_tasks = random.Random(21), {}
    for model in ("t5", "llama"):
        tokenizer = AutoTokenizer.from_pretrained(f"models/{model}")
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token_id = tokenizer.eos_token_id
        all_tasks[model] = [judgement(name, tokenizer, rng) for name in tasks.TASK_MAPPING]
    text = ",\n".join(f"{json.dumps(model)}: [\n" + ",\n".join(json.dumps(one) for one in each) + "]" for model, each in all_tasks.items())
    (DATA / "judgements.json").write_text("{" + text + "}\n")


def main():
    global CHECKOUT
    CHECKOUT = Path(sys.argv[1]).resolve()
    sys.path.insert(0, str(CHECKOUT))
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import original_models

    names = sys.argv[2:] or list(CASES)
    DATA.mkdir(parents=True, exist_ok=True)
    os.chdir(DATA)
    if not sys.argv[2:]:
        for name, (family, options) in MODELS.items():
            original_models.write_model(f"models/{name}", family, **options)
        for task in ROWS:
            write_rows(task)
        write_judgements()
        make_start("without_delta", "models/t5", 5, 3, 26, 1, with_delta=False)
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            make_case(name, folder)


if __name__ == "__main__":
    main()
