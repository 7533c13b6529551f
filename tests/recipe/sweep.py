"""dept sweep on tiny models: its results against single runs of dept train and against sums of its own here, its ends, its refusals.

sweep.py PROGRAM            every part
sweep.py PROGRAM kill N     kill -9 at N random moments of a sweep of 12 runs: the same bytes in the end
sweep.py PROGRAM kill-stacked N   the same where runs share passes: the same numbers
"""
import array
import json
import math
import os
import pathlib
import random
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from sweep_results import fingerprint, lines, loads, rows, timeless, timeless_log

PROGRAM = sys.argv[1]
HERE = pathlib.Path(__file__).resolve().parent
WORK = pathlib.Path(tempfile.mkdtemp())

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
T5 = BASE.replace(f"{WORK}/model", f"{WORK}/t5")
HEAD = BASE.replace(f"{WORK}/model", f"{WORK}/bert").replace("max_seq_length: 48", "max_seq_length: 32")


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


def is_close(a, b):
    return math.isclose(float(a), float(b), rel_tol=1e-12, abs_tol=1e-12)


def leaves_what_train_leaves(out, r):
    """The run of a sweep, and `dept train` by itself."""
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


def gives_the_best_again(out, best):
    """best/ is the best run's adapter, and best.yaml gives it again."""
    adapter = (out / "runs" / best["name"] / "adapter_model.safetensors").read_bytes()
    assert (out / "best" / "adapter_model.safetensors").read_bytes() == adapter
    page = out / "runs" / best["name"] / "report.html"
    bytes_of_the_sweep = page.read_bytes()
    run("report", page.parent)
    assert page.read_bytes() == bytes_of_the_sweep, "tried on the test data after its end"
    run("train", out / "best.yaml")
    assert (out / "best-again" / "adapter_model.safetensors").read_bytes() == adapter
    answers = run("eval", "--peft_model_id", out / "best", "--validation_file", HERE / "tiny/validation.csv")
    assert json.loads(answers.stdout)["accuracy"] == best["eval_accuracy"]


def is_done_once(out):
    """Given again: nothing to do. Another command, or other data, in the folder: refused."""
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again, result = sweep("grid", (WORK / "grid.yaml").read_text().split("sweep:\n")[1].replace("\n  ", "\n").strip(), "--do_predict")
    assert "nothing to do" in result.stderr
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    _, result = sweep("grid", "parameters:\n  learning_rate: {values: [0.05, 0.3]}\n", code=2)
    assert "sweep.parameters.learning_rate" in result.stderr and "received others" in result.stderr, result.stderr
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def grid_over_seeds():
    out, result = sweep("grid", """
method: grid
stack: 1
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

    for r in (runs[best], runs[(best + 3) % 6]):
        leaves_what_train_leaves(out, r)
    gives_the_best_again(out, chosen[0])
    is_done_once(out)


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


HALVING = "stack: 1\n" + halving_by(3, "learning_rate: {values: [0.01, 0.05, 0.2]}", "lora_embedding_lr: {values: [1e-4, 1e-2, 0.1]}")


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


def weights_of(folder):
    """Each tensor of its adapter as floats."""
    data = (folder / "adapter_model.safetensors").read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, tensor in json.loads(data[8:8 + length]).items():
        if name != "__metadata__":
            begin, end = tensor["data_offsets"]
            tensors[name] = array.array("f", data[8 + length + begin:8 + length + end])
    return tensors


def losses_of(folder):
    return [entry["loss_exact"] for entry in loads(folder / "trainer_state.json")["log_history"] if "loss_exact" in entry]


def relative(a, b):
    """The largest difference of two lists by the largest value."""
    assert len(a) == len(b) > 0
    return max(abs(x - y) for x, y in zip(a, b)) / max(map(abs, b))


def six_in_one_pass():
    for kind, base in (("llama", BASE), ("t5", T5), ("head", HEAD)):
        text = "parameters:\n  learning_rate: {values: [0.05, 0.1, 0.2]}\n  seed: {values: [1, 2]}\nstack: %d\n"
        flags = ("--logging_steps", 1, "--eval_strategy", "steps", "--eval_steps", 4)
        alone, _ = sweep(f"{kind}-alone", text % 1, *flags, base=base)
        threads, _ = sweep(f"{kind}-threads", text % 1, *flags, "--threads", 2, base=base)
        together, _ = sweep(f"{kind}-together", text % 6, *flags, base=base)
        assert [r["stack"] for r in lines(together)] == [6] * 6 and [r["stack"] for r in lines(alone)] == [1] * 6
        assert [r["best"] for r in lines(together)] == [r["best"] for r in lines(alone)]
        worst = 0
        for r in lines(alone):
            one, two, six = (out / "runs" / r["name"] for out in (alone, threads, together))
            assert {path.name for path in one.iterdir()} == {path.name for path in six.iterdir()}
            a, b, c = losses_of(one), losses_of(two), losses_of(six)
            bound = max([1e-6] + [4 * abs(y - x) / abs(x) for x, y in zip(a, b)])
            assert len(a) == len(c) == 12
            for x, y in zip(a, c):
                worst = max(worst, abs(y - x) / abs(x))
                assert abs(y - x) <= bound * abs(x), (kind, r["name"], x, y, bound)
            for name, values in weights_of(six).items():
                difference = relative(values, weights_of(one)[name])
                assert difference <= 10 * bound, (kind, r["name"], name, difference, bound)
            assert is_near(timeless_log(one), timeless_log(six)), (timeless_log(one), timeless_log(six))
        print(f"  {kind}: losses differ by {worst:.1e} at most")


def is_near(a, b, bound=1e-5):
    """Equal but for numbers, which may differ by that much; a loss that is rounded stands beside the exact one."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_near(a[key], b[key], bound) for key in a if key != "loss" or "loss_exact" not in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(is_near(x, y, bound) for x, y in zip(a, b))
    if isinstance(a, float) or isinstance(b, float):
        return math.isclose(a, b, rel_tol=bound, abs_tol=bound)
    return a == b


def table_of(out):
    return [{k: v for k, v in line.items() if k not in ("seconds", "stack")} for line in lines(out)]


def rungs_in_one_pass():
    turns, _ = sweep("rungs-in-turns", HALVING)
    together, _ = sweep("rungs-together", HALVING.replace("stack: 1", "stack: 9"))
    assert is_near(table_of(turns), table_of(together)), (table_of(turns), table_of(together))
    assert max(r["stack"] for r in lines(together)) == 9
    # In the same pass one fails, one stops early, and the others go on.
    text = "parameters:\n  learning_rate: {values: [1e39, 1e-30, 0.1, 0.2]}\n"
    flags = ("--eval_strategy", "steps", "--eval_steps", 2, "--save_strategy", "steps", "--save_steps", 2, "--early_stopping_patience",
             2, "--metric_for_best_model", "loss", "--load_best_model_at_end", "--lora_embedding_lr", "1e-30", "--save_total_limit", 1)
    alone, _ = sweep("ends-in-turns", text + "stack: 1\n", *flags)
    together, _ = sweep("ends-together", text + "stack: 4\n", *flags)
    assert is_near(table_of(alone), table_of(together)), (table_of(alone), table_of(together))
    runs = lines(together)
    assert runs[0]["end"].startswith("failed: ") and runs[1]["steps"] < 12 and runs[3]["end"] == "finished", runs


def what_auto_chooses():
    out, _ = sweep("auto", "parameters:\n  seed: {values: [1, 2, 3, 4, 5, 6]}\nrepeat: [seed]\n", "--max_steps", 30)
    turns, _ = sweep("auto-turns", "parameters:\n  seed: {values: [1, 2, 3, 4, 5, 6]}\nrepeat: [seed]\nstack: 1\n", "--max_steps", 30)
    assert is_near(table_of(turns), table_of(out))
    assert max(r["stack"] for r in lines(out)) >= 2, "at least a pass of two was tried"
    # Runs of other shapes keep to their own kind, and data that the seed draws are each run's own.
    text = "parameters:\n  r: {values: [1, 2]}\n  seed: {values: [1, 2]}\nstack: 4\n"
    flags = ("--k_shot_examples", 8)
    out, _ = sweep("shapes", text, *flags)
    turns, _ = sweep("shapes-in-turns", text.replace("stack: 4", "stack: 1"), *flags)
    assert [r["stack"] for r in lines(out)] == [2] * 4
    assert is_near(table_of(turns), table_of(out))


def what_is_not_finite():
    out, result = sweep("infinite", "parameters:\n  learning_rate: {values: [1e39, 0.1]}\n", "--adam_epsilon", "1e-6")
    runs = lines(out)
    assert runs[0]["end"].startswith("failed: ") and "finite" in runs[0]["end"], runs
    assert loads(out / "runs" / runs[0]["name"] / "trainer_state.json")["global_step"] == runs[0]["steps"]
    assert runs[1]["end"] == "finished" and runs[1]["best"]
    # Rates beyond floats, too, and weights that are lost with the last step, or at a rung.
    out, result = sweep("beyond", "parameters:\n  learning_rate: {values: [1e60, 1e39, 1e-30]}\n", "--max_steps", 1)
    runs = lines(out)
    assert runs[2]["best"] and not any(math.isfinite(r["eval_loss"] or math.nan) for r in runs[:2]), runs
    out, result = sweep("lost-at-a-rung", "method: halving\nearly_terminate: {min_iter: 1, eta: 2}\n"
                        "parameters:\n  learning_rate: {values: [1e39, 1e60, 0.01, 0.05]}\n", "--max_steps", 3)
    assert [r["end"] for r in lines(out)][:2] == ["rung 1"] * 2 and sum(r["best"] for r in lines(out)[2:]) == 1, lines(out)


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
    refused("metric-too", axis + "metric: {name: f1_macro}\nbudget: {steps: 0}\n", "sweep.metric.name]", "sweep.budget.steps]")
    refused("values-of-all-kinds", "parameters:\n  optim: {values: [adamw_hf, foo]}\n  max_steps: {values: [4, 0]}\n"
            "  validation_file: {values: [none-1.csv, none-2.csv]}\n  seed: {values: [x]}\nrepeat: seed\n",
            "adamw_hf or adamw_torch", "[--max_steps]", "none-1.csv", "none-2.csv", "sweep.parameters.seed.values]")
    missing = run("sweep", recipe("missing", "parameters:\n  train_file: {values: [none-1.csv, none-2.csv]}\n"), "--output_dir",
                  WORK / "none", code=4).stderr
    assert "none-1.csv" in missing and "none-2.csv" in missing and not (WORK / "none").exists(), missing
    refused("value", "parameters:\n  r: {values: [2, -1]}\n", "from 0 to 65536")
    refused("contradiction", "parameters:\n  early_stopping_patience: {values: [1]}\n", "--early_stopping_patience]")
    refused("test", axis, "--test_file]", base=BASE.replace("test_file", "# test_file"), flags=("--do_predict",))
    result = run("sweep", recipe("plain", axis).with_name("grid-train.yaml"), "--output_dir", WORK / "none", code=2)
    assert "the key sweep" in result.stderr and not (WORK / "none").exists()
    result = run("train", recipe("plain", axis), "--output_dir", WORK / "none", "--do_train", code=2)
    assert "dept sweep takes such a recipe" in result.stderr
    run("sweep", "--output_dir", WORK / "none", code=2)


def kill(moments, stack):
    text = f"stack: {stack}\n" + halving_by(2, "learning_rate: {values: [0.05, 0.2, 1e39]}", "seed: {values: [1, 2, 3, 4]}")
    base = BASE + "do_predict: true\n"
    start = time.time()
    unbroken, _ = sweep("unbroken", text, base=base)
    length = time.time() - start

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
        if stack > 1:
            assert is_near(table_of(unbroken), table_of(out)), (table_of(unbroken), table_of(out))
            for files in (expected[0], received[0]):
                for path in [path for path in files if path.endswith((".safetensors", ".jsonl", "README.md"))]:
                    del files[path]
            assert is_near(expected[0], received[0]), (expected[0], received[0])
        for what, a, b in () if stack > 1 else zip(("files", "results.csv", "results.jsonl"), expected, received):
            assert a == b, (f"moment {moment} ({delay:.2f} s): other {what}",
                            [k for k in a if a[k] != b.get(k)] if isinstance(a, dict) else (a, b))
        leftovers = [path for path in out.rglob(".*")]
        assert not leftovers, leftovers
        shutil.rmtree(out)
    print(f"killed at {moments} moments of {length:.1f} s, twice each: the same {'numbers' if stack > 1 else 'bytes'} every time")


def main():
    shutil.copytree(HERE / "../parity/data/models/llama-gqa-tied", WORK / "model")
    shutil.copytree(HERE / "../parity/data/models/t5-v1.0", WORK / "t5")
    shutil.copytree(HERE / "../parity/data/models/bert", WORK / "bert")
    for file in (HERE / "tiny").glob("tokenizer*.json"):
        for model in ("model", "t5", "bert"):
            shutil.copy(file, WORK / model)
    (WORK / "grid-train.yaml").write_text(BASE)
    os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_CACHE=str(WORK / "hub"))
    if sys.argv[2:3] in (["kill"], ["kill-stacked"]):
        return kill(int(sys.argv[3]), 4 if sys.argv[2] == "kill-stacked" else 1)
    for part in (grid_over_seeds, tasks_of_their_own, halving, six_in_one_pass, rungs_in_one_pass, what_auto_chooses, draws, budgets,
                 what_is_not_finite, refusals):
        start = time.time()
        part()
        print(f"{part.__name__}: ok, {time.time() - start:.1f} s")


try:
    main()
finally:
    shutil.rmtree(WORK)
