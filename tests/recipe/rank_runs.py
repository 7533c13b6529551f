"""Runs of dept on several ranks, for ranks.py: started by --ranks or by variables, watched, and compared with those of one process."""
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]
HERE = pathlib.Path(__file__).resolve().parent
WORK = pathlib.Path(tempfile.mkdtemp())
LAUNCHER_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "TORCHELASTIC_", "PMI", "OMPI_", "MV2_", "SLURM_", "DEPT_", "OMP_")
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHER_NAMES)} | {"HF_HUB_OFFLINE": "1"}
EXACT = 1e-5  # of the final adapter, and
EXACT_LOSS = 1e-6  # of losses, relative: or four times what one process with 1 and with 2 threads differs by

FLAGS = ["train", "--model_name_or_path", f"{WORK}/model", "--train_file", f"{WORK}/train.csv", "--validation_file",
         f"{WORK}/validation.csv", "--test_file", f"{WORK}/test.csv", "--labels", "no", "yes", "--causal_suffix", " :",
         "--prefix_length", "4", "--r", "2", "--max_seq_length", "48", "--learning_rate", "0.05", "--lora_embedding_lr", "0.01",
         "--do_train", "--do_eval", "--do_predict", "--predict_by", "score", "--eval_strategy", "steps",
         "--eval_steps", "10", "--save_steps", "5", "--logging_steps", "5", "--threads", "1"]


def set_up():
    for name, folder in [("llama-gqa-tied", "model"), ("t5-v1.0", "t5"), ("bert", "bert")]:
        shutil.copytree(HERE.parent / "parity/data/models" / name, WORK / folder)
        for file in (HERE / "tiny").glob("tokenizer*.json"):
            shutil.copy(file, WORK / folder)
    for file in (HERE / "tiny").glob("*.csv"):
        shutil.copy(file, WORK)


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def by_hand(rank, size, port, words, folder=None):
    env = CLEAN | {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return subprocess.Popen([PROGRAM, *map(str, words)], env=env, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, cwd=folder)


def start(words, env=CLEAN, **more):
    return subprocess.Popen([PROGRAM, *map(str, words)], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def end(process, seconds=120):
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def run(words, code=0, env=CLEAN, text=None, launcher=()):
    result = subprocess.run([*launcher, PROGRAM, *map(str, words)], capture_output=True, text=True, env=env, input=text, timeout=300)
    assert result.returncode == code, f"{words}: {result.returncode} in the place of {code}\n{result.stderr}"
    return result


def tensors(folder):
    data = (folder / "adapter_model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: struct.unpack(f"<{(t['data_offsets'][1] - t['data_offsets'][0]) // 4}f",
                                data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]])
            for name, t in header.items()}


def apart(one, other):
    a, b = tensors(one), tensors(other)
    assert a.keys() == b.keys()
    return max(abs(x - y) for name in a for x, y in zip(a[name], b[name], strict=True))


def losses(folder):
    log = json.loads((folder / "trainer_state.json").read_text())["log_history"]
    return [entry[key] for entry in log for key in ("loss_exact", "eval_loss", "train_loss") if key in entry]


def same(one, other, threaded):
    """Whether `other` is the same as `one`, of which `threaded` differs by its threads alone."""
    difference, allowed = apart(one, other), max(EXACT, 4 * apart(one, threaded))
    assert difference <= allowed, f"adapters are {difference} apart, allowed is {allowed}"
    for a, b, c in zip(losses(one), losses(other), losses(threaded), strict=True):
        assert abs(a - b) <= max(EXACT_LOSS * abs(a), 4 * abs(a - c)), f"losses {a} and {b}; on two threads {c}"
    read = lambda folder: [json.loads(line)["prediction"] for line in (folder / "generated_predictions.jsonl").open()]
    assert read(one) == read(other), "other predictions"
    files = lambda folder: sorted(p.name for p in folder.rglob("*") if p.is_file() and "tfevents" not in p.name)
    assert files(one) == files(other), f"{files(one)} and {files(other)}"
    return difference


def trained(name, ranks, batch, steps=20, code=0, extra=(), launcher=(), own=True):
    words = [*FLAGS, "--max_steps", steps, "--per_device_train_batch_size", batch, "--output_dir", WORK / name, *extra]
    if own and ranks > 1:
        words += ["--ranks", ranks]
    run(words, code, launcher=launcher)
    return WORK / name


def one_process(batch, steps=20, kind="one", extra=()):
    """A run of one process, and the same on two threads."""
    name = f"{kind}-{batch}-{steps}"
    one = trained(name, 1, batch, steps, extra=extra)
    return one, trained(name + "-threads", 1, batch, steps, extra=[*extra, "--threads", 2])


def ranks_of(pid):
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children")
    pids = [int(child) for child in children.read_text().split()] if children.exists() else []
    return [pid for pid in pids if trains(pid)]


def trains(pid):
    """A launcher may have helpers."""
    try:
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b"train" in words or b"sweep" in words
    except OSError:
        return False


def wait_for(what, seconds=60):
    until = time.time() + seconds
    while time.time() < until:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")


def gone(pids, seconds):
    until = time.time() + seconds
    alive = lambda pid: pathlib.Path(f"/proc/{pid}").exists() and "\nState:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    while time.time() < until:
        if not any(alive(pid) for pid in pids):
            return
        time.sleep(0.05)
    raise AssertionError(f"still there after {seconds} s: {[pid for pid in pids if alive(pid)]}")


def no_leftovers(folder):
    left = [str(p) for p in folder.rglob(".*")] if folder.exists() else []
    assert not left, left


def one_line(err, *parts):
    """Every line of an end is the program's, and one has all the parts."""
    lines = [line for line in err.splitlines() if line.startswith("dept: ")]
    assert any(all(part in line for part in parts) for line in lines), f"no line with {parts}:\n{err}"


ENDLESS = ["--max_steps", 1_000_000, "--per_device_train_batch_size", 4, "--eval_strategy", "no", "--disable_tqdm", "true"]


def started(name, ranks, *more):
    """A long run by --ranks behind its first checkpoint, and the process ids of its ranks."""
    process = start([*FLAGS, *ENDLESS, "--output_dir", WORK / name, "--ranks", ranks, *more])
    wait_for(lambda: (WORK / name / "checkpoint-5").exists() or process.poll() is not None)
    pids = ranks_of(process.pid)
    assert len(pids) == ranks, process.communicate()[1]
    return process, pids
