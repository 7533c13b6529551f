"""dept sweep on tiny models: its results against single runs of dept train and against sums of its own here, its ends, its refusals.

sweep.py PROGRAM            every part
sweep.py PROGRAM kill N     kill -9 at N random moments of a sweep of 12 runs: the same bytes in the end
"""
import csv
import json
import math
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]
HERE = pathlib.Path(__file__).resolve().parent
WORK = pathlib.Path(tempfile.mkdtemp())
TIMES = ("_runtime", "_per_second")

BASE = f"""model_name_or_path: {WORK}/model
train_file: {HERE}/tiny/train.csv
validation_file: {HERE}/tiny/validation.csv
test_file: {HERE}/tiny/test.csv
labels: ["no", "yes"]
causal_suffix: " :"
max_seq_length: 48
prefix_length: 3
r: 2
predict_by: score
per_device_train_batch_size: 4
max_steps: 12
learning_rate: 0.1
logging_steps: 4
save_strategy: "no"
report_to: none
weight_decay: 0.1
threads: 1
"""


def run(*words, code=0):
    result = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    assert result.returncode == code, f"{words}: {result.returncode} in the place of {code}\n{result.stderr}"
    return result


def recipe(name, sweep, base=BASE):
    path = WORK / f"{name}.yaml"
    path.write_text(base + "sweep:\n" + "".join("  " + line + "\n" for line in sweep.strip().splitlines()))
    return path


def sweep(name, text, *flags, code=0, base=BASE):
    out = WORK / name
    result = run("sweep", recipe(name, text, base), "--output_dir", out, *flags, code=code)
    return out, result


def lines(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def rows(out):
    with open(out / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def loads(path):
    return json.loads(path.read_text())


def timeless(json_object):
    return {k: v for k, v in json_object.items() if not any(part in k for part in TIMES)}


def timeless_log(folder):
    return [timeless(entry) for entry in loads(folder / "trainer_state.json")["log_history"]]


def is_close(a, b):
    return math.isclose(float(a), float(b), rel_tol=1e-12, abs_tol=1e-12)


def grid_over_seeds():
    out, result = sweep("grid", """
method: grid
parameters:
  learning_rate: {values: [0.05, 0.2]}
  seed: {values: [1, 2, 3]}
repeat: [seed]
""", "--do_predict")
    runs, table = lines(out), rows(out)
    assert [r["name"] for r in runs] == [f"{lr}_{seed}" for lr in (0.05, 0.2) for seed in (1, 2, 3)], runs
    assert all(r["end"] == "finished" and r["steps"] == 12 and r["stack"] == 1 for r in runs)
    assert result.stdout == (out / "results.csv").read_text()
    assert result.stderr.count("--weight_decay has no effect") == 1, "a warning of all runs is said once"
    assert all("--weight_decay has no effect" in (out / "runs" / r["name"] / "output.log").read_text() for r in runs)
    assert [row["learning_rate"] for row in table] == ["0.05", "0.2"] and "seed" not in table[0]
    for i, row in enumerate(table):
        group = runs[3 * i:3 * i + 3]
        assert (row["runs"], row["steps"], row["end"]) == ("3", "36", "finished")
        for name in ("eval_loss", "eval_accuracy"):
            values = [r[name] for r in group]
            assert is_close(row[name], statistics.mean(values)) and is_close(row[name + "_std"], statistics.stdev(values)), row
    assert not any("runtime" in key or "second" in key and key != "seconds" for key in table[0])

    means = [statistics.mean(r["eval_accuracy"] for r in runs[i:i + 3]) for i in (0, 3)]
    best = 0 if means[0] >= means[1] else 3  # ties go to the earlier
    for i, r in enumerate(runs):
        assert ("test_accuracy" in r) == (best <= i < best + 3), "all seeds of the best row, and no others, see the test data"
    chosen = [r for r in runs if r["best"]]
    assert len(chosen) == 1 and chosen[0]["eval_accuracy"] == max(r["eval_accuracy"] for r in runs[best:best + 3])

    # Each run is what dept train leaves, the best one with the test data.
    for r in (runs[best], runs[(best + 3) % 6]):
        alone = WORK / "alone"
        predicts = ["--do_predict"] if "test_loss" in r else []
        run("train", WORK / "grid-train.yaml", "--learning_rate", r["learning_rate"], "--seed", r["seed"], "--output_dir", alone,
            "--do_train", "--do_eval", *predicts)
        folder = out / "runs" / r["name"]
        for name in ("adapter_model.safetensors", "adapter_config.json", "README.md", "tokenizer.json"):
            assert (folder / name).read_bytes() == (alone / name).read_bytes(), name
        assert timeless_log(folder) == timeless_log(alone)
        assert timeless(loads(folder / "all_results.json")) == timeless(loads(alone / "all_results.json"))
        assert loads(folder / "run.json")["options"] == loads(alone / "run.json")["options"]
        for key, value in r.items():
            if key.startswith(("eval_", "test_")):
                assert loads(alone / "all_results.json")[key] == value, key
        if predicts:
            assert (folder / "generated_predictions.jsonl").read_bytes() == (alone / "generated_predictions.jsonl").read_bytes()
            names = {path.name for path in alone.iterdir()} - {"runs"}
            assert names == {path.name for path in folder.iterdir()} - {"runs"}, names
        shutil.rmtree(alone)

    # best/ is the best run's adapter, and best.yaml gives it again.
    adapter = (out / "runs" / chosen[0]["name"] / "adapter_model.safetensors").read_bytes()
    assert (out / "best" / "adapter_model.safetensors").read_bytes() == adapter
    run("train", out / "best.yaml")
    assert (out / "best-again" / "adapter_model.safetensors").read_bytes() == adapter
    answers = run("eval", "--peft_model_id", out / "best", "--validation_file", HERE / "tiny/validation.csv")
    assert json.loads(answers.stdout)["accuracy"] == chosen[0]["eval_accuracy"]

    # Given again: nothing to do. Another command, or other data, in the folder: refused.
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again, result = sweep("grid", (WORK / "grid.yaml").read_text().split("sweep:\n")[1].replace("\n  ", "\n").strip(), "--do_predict")
    assert "nothing to do" in result.stderr
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    _, result = sweep("grid", "parameters:\n  learning_rate: {values: [0.05, 0.3]}\n", code=2)
    assert "sweep.parameters.learning_rate" in result.stderr and "received others" in result.stderr, result.stderr
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def tasks_of_their_own():
    other = WORK / "other.csv"
    other.write_text((HERE / "tiny/train.csv").read_text())
    out, _ = sweep("tasks", f"""
parameters:
  train_file: {{values: [{HERE}/tiny/train.csv, {other}]}}
  learning_rate: {{values: [0.05, 0.2]}}
""", base=BASE.replace(f"train_file: {HERE}/tiny/train.csv\n", "do_predict: true\n"))
    runs = lines(out)
    assert [r["name"] for r in runs] == ["train_0.05", "train_0.2", "other_0.05", "other_0.2"]
    for task in (runs[:2], runs[2:]):
        assert sum(r["best"] for r in task) == 1 and sum("test_loss" in r for r in task) == 1
    for name in ("best-train", "best-other"):
        assert (out / name / "adapter_config.json").exists() and (out / f"{name}.yaml").exists()
    assert not (out / "best").exists() and not (out / "best.yaml").exists()


def halving_by(eta, *axes):
    parameters = "".join(f"  {axis}\n" for axis in axes)
    return f"method: halving\nmetric: {{name: eval_loss}}\nearly_terminate: {{min_iter: 2, eta: {eta}}}\nparameters:\n{parameters}"


HALVING = halving_by(3, "learning_rate: {values: [0.01, 0.05, 0.2]}", "lora_embedding_lr: {values: [1e-4, 1e-2, 0.1]}")


def halving():
    out, result = sweep("halving", HALVING)
    runs = lines(out)
    # Rungs of 2 and 6 steps below 12: 9, 3 and 1 configurations. Whom they let go is computed here from the logs.
    logs = {r["name"]: {e["step"]: e["eval_loss"] for e in timeless_log(out / "runs" / r["name"]) if "eval_loss" in e} for r in runs}
    alive = [r["name"] for r in runs]
    ends = {}
    for rung, steps in enumerate((2, 6), 1):
        on = sorted(alive, key=lambda name: logs[name][steps])[:math.ceil(len(alive) / 3)]
        ends.update({name: f"rung {rung}" for name in alive if name not in on})
        alive = [name for name in alive if name in on]
    ends.update({name: "finished" for name in alive})
    assert {r["name"]: r["end"] for r in runs} == ends, (ends, runs)
    assert sorted(r["steps"] for r in runs) == [2] * 6 + [6] * 2 + [12]
    for r in runs:
        assert loads(out / "runs" / r["name"] / "trainer_state.json")["global_step"] == r["steps"]
        if r["end"] != "finished":
            assert r["eval_loss"] == logs[r["name"]][r["steps"]]
    assert [r["name"] for r in runs if r["best"]] == alive
    assert "rung 1, 2 steps: 3 of 9 go on" in result.stderr, result.stderr
    # Pauses change nothing: the finished run has the weights of one by itself.
    best = next(r for r in runs if r["best"])
    run("train", WORK / "grid-train.yaml", "--learning_rate", best["learning_rate"], "--lora_embedding_lr", best["lora_embedding_lr"],
        "--output_dir", WORK / "unpaused", "--do_train", "--do_eval")
    weights = "adapter_model.safetensors"
    assert (WORK / "unpaused" / weights).read_bytes() == (out / "runs" / best["name"] / weights).read_bytes()


def draws():
    text = """
method: random
run_cap: 5
seed: 7
parameters:
  learning_rate: {min: 1e-3, max: 0.5, distribution: log_uniform_values}
  r: {min: 1, max: 3}
"""
    first, _ = sweep("random", text, "--max_steps", 2)
    runs = lines(first)
    assert len(runs) == 5 and all(1e-3 <= r["learning_rate"] <= 0.5 and r["r"] in (1, 2, 3) for r in runs)
    second, _ = sweep("random-other", text.replace("seed: 7", "seed: 8"), "--max_steps", 2)
    assert [r["learning_rate"] for r in lines(second)] != [r["learning_rate"] for r in runs]


def budgets():
    text = """
budget: {steps: 30}
parameters:
  seed: {values: [1, 2, 3, 4]}
"""
    out, _ = sweep("budget", text)
    runs = lines(out)
    assert [(r["end"], r["steps"]) for r in runs] == [("finished", 12), ("finished", 12), ("budget", 0), ("budget", 0)]
    assert all((out / "runs" / r["name"] / "trainer_state.json").exists() for r in runs)
    assert sum(r["best"] for r in runs) == 1
    out, _ = sweep("budget-halving", HALVING.replace("method", "budget: {steps: 30}\nmethod", 1))
    runs = lines(out)
    assert sum(r["steps"] for r in runs) <= 30 and any(r["end"] == "budget" for r in runs)
    out, _ = sweep("minutes", "budget: {minutes: 0.0005}\nparameters:\n  seed: {values: [1, 2]}\n", "--max_steps", 100000)
    assert [r["end"] for r in lines(out)] == ["budget", "budget"] and not (out / "best").exists()


def what_is_not_finite():
    out, result = sweep("infinite", "parameters:\n  learning_rate: {values: [1e39, 0.1]}\n", "--adam_epsilon", "1e-6")
    runs = lines(out)
    assert runs[0]["end"].startswith("failed: ") and "finite" in runs[0]["end"], runs
    assert loads(out / "runs" / runs[0]["name"] / "trainer_state.json")["global_step"] == runs[0]["steps"]
    assert runs[1]["end"] == "finished" and runs[1]["best"]


def refusals():
    def refused(name, text, *parts, base=BASE, flags=()):
        out, result = sweep("no-" + name, text, *flags, code=2, base=base)
        assert not out.exists() and result.stdout == ""
        for part in parts:
            assert part in result.stderr, (part, result.stderr)

    axis = "parameters:\n  seed: {values: [1]}\n"
    refused("metric", axis + "metric: {name: f1_macro}\n", "sweep.metric.name] expected loss, accuracy, f1")
    refused("together", "method: gird\nparameters:\n  sed: {values: [1]}\n", "sweep.method]", "sweep.parameters.sed]", "batch_sise",
            base=BASE + "batch_sise: 3\n")
    refused("flag", axis, "--seed] expected no value", flags=("--seed", 3))
    refused("value", "parameters:\n  r: {values: [2, -1]}\n", "from 0 to 65536")
    refused("contradiction", "parameters:\n  early_stopping_patience: {values: [1]}\n", "--early_stopping_patience]")
    refused("test", axis, "--test_file]", base=BASE.replace("test_file", "# test_file"), flags=("--do_predict",))
    result = run("sweep", recipe("plain", axis).with_name("grid-train.yaml"), "--output_dir", WORK / "none", code=2)
    assert "the key sweep" in result.stderr and not (WORK / "none").exists()
    result = run("train", recipe("plain", axis), "--output_dir", WORK / "none", "--do_train", code=2)
    assert "dept sweep takes such a recipe" in result.stderr
    run("sweep", "--output_dir", WORK / "none", code=2)


def kill(moments):
    text = halving_by(2, "learning_rate: {values: [0.05, 0.2, 1e39]}", "seed: {values: [1, 2, 3, 4]}")
    base = BASE + "do_predict: true\n"
    start = time.time()
    unbroken, _ = sweep("unbroken", text, base=base)
    length = time.time() - start

    def fingerprint(out):
        files = {}
        for path in sorted(out.rglob("*")):
            name = str(path.relative_to(out))
            if path.suffix == ".safetensors" or path.name in ("adapter_config.json", "generated_predictions.jsonl", "README.md"):
                files[name] = path.read_bytes()
            elif path.name == "trainer_state.json":
                files[name] = timeless_log(path.parent)
        table = [{k: v for k, v in row.items() if k != "seconds"} for row in rows(out)]
        return files, table, [{k: v for k, v in line.items() if k != "seconds"} for line in lines(out)]

    expected = fingerprint(unbroken)
    for moment in range(moments):
        name = f"killed-{moment}"
        out, path = WORK / name, recipe(name, text, base)
        delay = 0
        for _ in range(2):  # the second one hits the sweep that goes on
            delay = random.uniform(0.02, length)
            child = subprocess.Popen([PROGRAM, "sweep", str(path), "--output_dir", str(out)], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            time.sleep(delay)
            child.kill()
            child.wait()
        sweep(name, text, base=base)
        received = fingerprint(out)
        for what, a, b in zip(("files", "results.csv", "results.jsonl"), expected, received):
            assert a == b, (f"moment {moment} ({delay:.2f} s): other {what}",
                            [k for k in a if a[k] != b.get(k)] if isinstance(a, dict) else (a, b))
        leftovers = [path for path in out.rglob(".*")]
        assert not leftovers, leftovers
        shutil.rmtree(out)
    print(f"killed at {moments} moments of {length:.1f} s, twice each: the same bytes every time")


def main():
    shutil.copytree(HERE / "../parity/data/models/llama-gqa-tied", WORK / "model")
    for file in (HERE / "tiny").glob("tokenizer*.json"):
        shutil.copy(file, WORK / "model")
    (WORK / "grid-train.yaml").write_text(BASE)
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(WORK / "hub"))
    if sys.argv[2:3] == ["kill"]:
        return kill(int(sys.argv[3]))
    for part in (grid_over_seeds, tasks_of_their_own, halving, draws, budgets, what_is_not_finite, refusals):
        start = time.time()
        part()
        print(f"{part.__name__}: ok, {time.time() - start:.1f} s")


try:
    main()
finally:
    shutil.rmtree(WORK)
