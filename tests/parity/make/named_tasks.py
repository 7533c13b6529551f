"""Golden texts, splits, draws and metrics of the named tasks, by the original's own modules: tests/parity/data/tasks/named.json and
tests/parity/data/data/splits.json.

Run from the repository's root, with a checkout of github.com/ZhengxiangShi/DePT (never part of this repository):
    python tests/parity/make/named_tasks.py CHECKOUT
The rows are made up, in the schema of the hub's data sets. Texts of the default mode that differ from the original's are written
down here by hand: what the code evidently means.
"""

import json
import random
import sys
import warnings
from pathlib import Path

import datasets
import numpy as np

DATA = Path(__file__).resolve().parent.parent / "data"
warnings.filterwarnings("ignore")
datasets.disable_progress_bars()

PAIR = [("The cat's  here.", "A \"cat\" is here!"), ("Crème brûlée — für 3€?", "Nothing\tto see"), ("", "x_y 2½")]
QA = [
    ("Who wrote it?", "It was F. Scott-Fitzgerald (1925),\nnot\u00a0he.", ["F. Scott-Fitzgerald", "Fitzgerald"]),
    ("What's \u201cthis\u201d?", "Crème_brûlée…  ok हिन्दी", ["the crème's \"brûlée\"", "it's"]),
    ("a\u2028b?", "c\u200bd", ["3.5%\n", "x\\y"]),
]
TEMPLATED = {
    "mrpc": ("sentence1", "sentence2"), "rte": ("sentence1", "sentence2"), "wnli": ("sentence1", "sentence2"),
    "paws": ("sentence1", "sentence2"), "mnli": ("premise", "hypothesis"), "multi_nli": ("premise", "hypothesis"),
    "snli": ("premise", "hypothesis"), "superglue-rte": ("premise", "hypothesis"), "superglue-cb": ("premise", "hypothesis"),
    "qqp": ("question1", "question2"), "qnli": ("question", "sentence"), "superglue-boolq": ("question", "passage"),
    "cola": ("sentence",), "sst2": ("sentence",), "yelp_polarity": ("text",),
}


def squad_rows():
    return [{"id": str(i), "question": q, "context": c, "answers": {"text": a, "answer_start": [i + 1] * len(a)}}
            for i, (q, c, a) in enumerate(QA)]


def span_row(text, noun, at, pronoun, pronoun_at):
    return {"text": text, "span1_text": noun, "span1_index": at, "span2_text": pronoun, "span2_index": pronoun_at, "label": at % 2}


def record_row(passage, answers):
    return {"passage": passage, "query": "A @placeholder is.", "entities": ["penguin", "pota, to"], "answers": answers}


def rows_of(name):
    if name in TEMPLATED:
        return [{**dict(zip(TEMPLATED[name], texts)), "label": i % 2} for i, texts in enumerate(PAIR)]
    if name in ("squad", "triviaqa"):
        return squad_rows()
    if name in ("newsqa", "searchqa", "nq", "hotpotqa"):
        return [{"question": q, "context": c, "answers": a, "key": "k"} for q, c, a in QA]
    if name == "drop":
        return [{"question": q, "passage": c, "answers_spans": {"spans": a, "types": ["span"] * len(a)}} for q, c, a in QA]
    if name == "stsb":
        labels = [1.25, float(np.float32(3.8)), 0.0, 5.0, 2.5, 0.35, float(np.float32(4.75)), float(np.float32(2.45))]
        return [{"sentence1": f"a {i}", "sentence2": f"b {i}", "label": x} for i, x in enumerate(labels)]
    if name == "scitail":
        return [{"sentence1": a, "sentence2": b, "gold_label": x} for (a, b), x in zip(PAIR, ["neutral", "entailment", "neutral"])]
    if name == "amazon_polarity":
        return [{"title": a, "content": b, "label": i % 2} for i, (a, b) in enumerate(PAIR)]
    if name == "piqa":
        return [{"goal": "When?", "sol1": "Ärmel", "sol2": "no b", "label": 1}, {"goal": "g", "sol1": "x", "sol2": "yz", "label": -1}]
    if name == "commonsense_qa":
        return [{"question": "Where?", "choices": {"label": list("ABCDE"), "text": ["u", "v w", "x", "y", f"z{k}"]}, "answerKey": k}
                for k in "AED"]
    if name == "social_i_qa":
        return [{"context": "c d", "question": "Why?", "answerA": "one x", "answerB": "two", "answerC": "ß", "label": k} for k in "312"]
    if name == "winogrande":
        return [{"sentence": "The _ is big.", "option1": "box", "option2": "the ball", "answer": k} for k in "12"]
    if name == "superglue-copa":
        return [{"premise": "p.", "choice1": "c1", "choice2": "c 2", "question": "cause", "label": i} for i in (0, 1)]
    if name == "superglue-wic":
        return [{"word": "place", "sentence1": "a place", "sentence2": "placed", "label": i} for i in (1, 0)]
    if name == "superglue-multirc":
        return [{"paragraph": "<b>S 1: </b>Hm.<br><b>S 2</b>", "question": "q<br>?", "answer": f"a{i}</b>", "label": i % 2,
                 "idx": {"paragraph": 0, "question": i // 2, "answer": i}} for i in range(3)]
    if name == "superglue-wsc.fixed":
        return [span_row("Mark told Pete many lies about himself , which Pete heard .", "Mark", 0, "himself", 6),
                span_row("He said that the man was tall.", "the man", 3, "He", 0),
                span_row("a  b c", "b", 1, "c", 2), span_row("x it's y it", "it", 1, "it", 3), span_row("one", "one", 0, "two", 4)]
    if name == "superglue-record":
        passage = "One.\n@highlight\nTwo\n@highlight\nthree \"four\"\n@highlight\nfive"
        return [record_row(passage, ["penguin", "a bird"]), record_row("plain", []), record_row("\n@highlight\nx", ["one"])]
    raise KeyError(name)


def intended(name, original):
    """(source, target) a row in the default mode, where the original's code errs."""
    if name in ("squad", "triviaqa"):
        first = ["F . Scott - Fitzgerald", "the crème ' s \" brûlée \" ", "3 . 5 % "]
        return [(source, answer) for (source, _), answer in zip(original, first)]
    if name == "winogrande":
        return [(f"sentence: The _ is big. option0: box option1: the ball", target) for _, target in original]
    if name == "piqa":
        return [("question: When? choice1: Ärmel choice2: no b", "1"), ("question: g choice1: x choice2: yz", "-1")]
    if name == "social_i_qa":
        return [("question: Why? context: c d || choice0: one x || choice1: two || choice2: ß", target) for _, target in original]
    if name == "amazon_polarity":
        return [(f"sentence: <title> {a} <context> {b}", str(i % 2)) for i, (a, b) in enumerate(PAIR)]
    return original


def texts(task, rows, add_prefix):
    mapped = task.map_dataset(datasets.Dataset.from_list(rows), add_prefix)
    return list(zip(mapped["source"], mapped["target"]))


def describe(tasks, metrics, name):
    task = tasks.AutoTask.get(name, None)
    rows = rows_of(name)
    try:
        original = texts(task, rows, False)
        prefixed = texts(task, rows, True)[0][0]
    except KeyError:
        original = prefixed = None
    small, large = task.name in task.small_datasets_without_all_splits, task.name in task.large_data_without_all_splits
    return {
        "name": name,
        "rows": rows,
        "original": original,
        "prefixed": prefixed,
        "default": intended(name, original),
        "labels": [str(x) for x in task.labels_list or []],
        "splits": dict(task.split_to_data_split),
        "divide": "validation" if small else "train" if large else "none",
        "metrics": metrics.TASK_TO_METRICS.get(name),
    }


def digest(order):
    if len(order) <= 40:
        return {"order": order}
    return {"count": len(order), "first": order[:6], "last": order[-6:], "sum": sum((i + 1) * x for i, x in enumerate(order))}


def split_cases(tasks):
    cases = []
    for name in ("cola", "sst2", "paws"):
        for n in (13, 1200, 2500):
            rows = [{"sentence": str(i), "sentence1": str(i), "sentence2": "", "label": 0} for i in range(n)]
            for split in ("train", "validation", "test"):
                for n_obs in (None, 5):
                    for divided in (True, False):
                        if name == "sst2" and n == 13:
                            continue
                        task = tasks.AutoTask.get(name, None)
                        task.load_dataset = lambda split: datasets.Dataset.from_list(rows)
                        got = task.get(split, add_prefix=False, n_obs=n_obs, split_validation_test=divided)
                        order = [int(source.split()[1]) for source in got["source"]]
                        cases.append({"task": name, "n": n, "split": split, "max_samples": n_obs, "divided": divided, **digest(order)})
    return cases


def k_shot(targets, classes, k, seed, name, odd_last):
    """The original's loop over the shuffled training data; without odd_last only full classes end it."""
    order = datasets.Dataset.from_dict({"target": targets, "index": list(range(len(targets)))}).shuffle(seed=seed)
    taken, chosen = dict.fromkeys(classes, 0), []
    for row in order:
        if sum(taken.values()) == k:
            break
        label = row["target"]
        if name == "stsb":
            label = "0" if float(label) <= 2.5 else "1"
        if taken[label] < k // len(taken) or (odd_last and sum(taken.values()) == k - 1):
            taken[label] += 1
            chosen.append(row["index"])
    return chosen


def k_shot_cases():
    rng, cases = random.Random(3), []
    for name, values in (("mrpc", ["0", "1"]), ("mnli", ["0", "1", "2"]), ("stsb", ["0.0", "1.2", "2.4", "2.5", "2.6", "5.0"])):
        classes = ["0", "1"] if name == "stsb" else values
        targets = [rng.choice(values) for _ in range(60)]
        for k in (3, 4, 16):
            for seed in (42, 7, 2**33 + 1):
                cases.append({"task": name, "targets": targets, "k": k, "seed": seed,
                              "original": k_shot(targets, classes, k, seed, name, True),
                              "default": k_shot(targets, classes, k, seed, name, False)})
    return cases


def answer_cases(metrics):
    rng, cases = random.Random(11), []
    words = ["The", "cat", "a", "Café", "ÎLE", "it's", "3.5%", "an", "U.S.", "the-end", "", "x_y", "\u00a0", "ΟΔΟΣ", "über", "“a”"]
    phrase = lambda: " ".join(rng.choice(words) for _ in range(rng.randint(0, 5)))
    for n in (1, 6, 40):
        targets = [[phrase() for _ in range(rng.randint(1, 3))] for _ in range(n)]
        predictions = [rng.choice(t) if rng.random() < 0.4 else phrase() for t in targets]
        single = [t[0] for t in targets]
        cases.append({"predictions": predictions, "answers": targets, "expected": metrics.squad(predictions, targets)})
        cases.append({"predictions": predictions, "answers": [[t] for t in single], "expected": metrics.squad(predictions, single)})
    for case in cases:
        case["expected"] = {name: float(value) for name, value in case["expected"].items()}
    return cases


def label_cases(metrics):
    rng, cases = random.Random(12), []
    for labels, invalid in ((["0", "1", "2"], []), (["0", "1", "2"], ["x", ""]), (["0", "1"], ["2", "maybe"])):
        for n in (1, 3, 50):
            targets = [rng.choice(labels) for _ in range(n)]
            predictions = [t if rng.random() < 0.6 else rng.choice(labels + invalid) for t in targets]
            groups = [str(i // 3) for i in range(n)]
            by_group = metrics.mean_group_metric(metrics.exact_match)
            pack = lambda values: [{"group": g, "value": v} for g, v in zip(groups, values)]
            expected = {**metrics.accuracy(predictions, targets), **by_group(pack(targets), pack(predictions))}
            if len(labels) == 3:
                expected.update(metrics.mean_multiclass_f1(num_classes=3)(predictions, targets))
            else:
                expected.update(metrics.f1_score_with_invalid(list(predictions), targets))
            cases.append({"predictions": predictions, "targets": targets, "labels": labels, "groups": groups,
                          "expected": {name: float(value) for name, value in expected.items()}})
    return cases


def clean_up_cases():
    from transformers import PreTrainedTokenizerBase

    texts = ["it 's here , isn 't it ?", "do n't !", "a ' b ' c", " ' . . .", "I 'm we 've they 're . ", "", "x  ,y", "can n't n't"]
    return [{"text": text, "expected": PreTrainedTokenizerBase.clean_up_tokenization(None, text)} for text in texts]


def permutations():
    return [{"n": n, "seed": seed, **digest(np.random.default_rng(seed).permutation(n).tolist())}
            for n in (1, 2, 3, 10, 37, 1000, 70001) for seed in (0, 1, 42, 2**32 + 7, 2**63)]


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    parts = [f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(item, ensure_ascii=False) for item in items) + "]"
             for key, items in value.items()]
    path.write_text("{" + ",\n".join(parts) + "}\n")


def main():
    sys.path.insert(0, sys.argv[1])
    from src import metrics, tasks

    write(DATA / "tasks" / "named.json",
          {"tasks": [describe(tasks, metrics, name) for name in tasks.TASK_MAPPING], "splits": split_cases(tasks),
           "k_shot": k_shot_cases(), "answers": answer_cases(metrics), "labels": label_cases(metrics), "clean_up": clean_up_cases()})
    write(DATA / "data" / "splits.json", {"permutation": permutations()})


if __name__ == "__main__":
    main()
