"""dept on several ranks: the same results as one process, and its ends when a rank goes.

ranks.py PROGRAM             2 ranks by --ranks and by variables: results, sweeps, refusals, interrupts, a rank that is killed
ranks.py PROGRAM long        4 ranks; a random rank killed at 10 random moments, one stopped, the starting process killed
ranks.py PROGRAM launchers   torchrun of this Python, with its restart and its summary, and mpirun where it is installed
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from rank_runs import (CLEAN, ENDLESS, FLAGS, PROGRAM, WORK, apart, by_hand, end, free_port, gone, no_leftovers, one_line, one_process, ranks_of,
                       run, same, set_up, start, started, trained, wait_for)
from sweep_results import fingerprint


def equal_to_one(size):
    one, threads = one_process(2 * size)
    same(one, trained(f"ranks-{size}", size, 2), threads)
    port = free_port()
    words = [*FLAGS, "--max_steps", 20, "--per_device_train_batch_size", 2, "--output_dir", WORK / f"hand-{size}"]
    # in any order, with moments between
    processes = {}
    for rank in random.sample(range(size), size):
        processes[rank] = by_hand(rank, size, port, words)
        time.sleep(0.2)
    for rank, process in sorted(processes.items()):
        code, out, err = end(process)
        assert code == 0, err
        assert rank == 0 or (out == "" and all(line.startswith(f"dept: rank {rank}: ") for line in err.splitlines())), (out, err)
    same(one, WORK / f"hand-{size}", threads)
    print(f"{size} ranks: the same as one process (threads alone: {apart(one, threads):.1e})")


def families():
    """A T5, whose dropout masks are those of one process, and a classification head; also with one example a rank."""
    for kind, more in [("t5", ["--model_name_or_path", WORK / "t5"]),
                       ("head", ["--model_name_or_path", WORK / "bert", "--max_seq_length", 32])]:
        one, threads = one_process(4, kind=kind, extra=more)
        for size in (2, 4):
            difference = same(one, trained(f"{kind}-ranks-{size}", size, 4 // size, extra=more), threads)
            print(f"{kind} on {size} ranks: {difference:.1e} from one process (threads alone: {apart(one, threads):.1e})")


def swept(name, text, *words):
    """The folder of a sweep, and its command."""
    path = WORK / f"{name}.yaml"
    path.write_text("sweep:\n" + "".join(f"  {line}\n" for line in text.strip().splitlines()))
    axis = FLAGS.index("--learning_rate")
    flags = [*FLAGS[1:axis], *FLAGS[axis + 2:], "--max_steps", 12, "--per_device_train_batch_size", 4]
    return WORK / name, ["sweep", path, *flags, "--output_dir", WORK / name, *words]


GRID = """
stack: 1
parameters:
  learning_rate: {values: [0.05, 0.2]}
  seed: {values: [1, 2, 3]}
repeat: [seed]
"""
HALVING = """
method: halving
stack: 1
metric: {name: eval_loss}
early_terminate: {min_iter: 2, eta: 2}
parameters:
  learning_rate: {values: [0.01, 0.05, 0.2, 1e39]}
  seed: {values: [1, 2]}
"""


def sweeps():
    for kind, text in [("grid", GRID), ("halving", HALVING)]:
        one, words = swept(f"{kind}-one", text)
        alone = run(words)
        two, words = swept(f"{kind}-two", text, "--ranks", 2)
        shared = run(words)
        for a, b in zip(fingerprint(one), fingerprint(two), strict=True):
            assert a == b, (a, b)
        said = lambda result: sorted(line for line in result.stderr.splitlines() if ", 12 steps, " in line or line.startswith("rung "))
        assert said(alone) == said(shared) != [], (alone.stderr, shared.stderr)
        assert shared.stdout == (two / "results.csv").read_text() and (two / "report.html").exists()
        assert "\nranks:" not in (two / "best.yaml").read_text()
        no_leftovers(two)
        assert "nothing to do" in run(words).stderr
        assert "nothing to do" in run(words[:-2]).stderr, "how many ranks there are is no part of what a sweep is"
    _, words = swept("budget", GRID + "budget: {steps: 30}\n", "--ranks", 2)
    one_line(run(words, 2).stderr, "[sweep.budget]")
    assert not (WORK / "budget").exists(), "a folder is left"
    print("2 ranks: sweeps as in one process")


def killed_sweeps(moments):
    one, words = swept("sweep-unbroken", HALVING)
    run(words)
    begin = time.time()
    run(swept("sweep-shared", HALVING, "--ranks", 2)[1])
    length = time.time() - begin
    for moment in range(moments):
        out, words = swept(f"sweep-killed-{moment}", HALVING, "--ranks", 2)
        process = start(words)
        pids = wait_for(lambda: len(ranks_of(process.pid)) == 2 and ranks_of(process.pid))
        time.sleep(random.uniform(0, length))
        victim = random.randrange(2)
        try:
            os.kill(pids[victim], signal.SIGKILL)
        except ProcessLookupError:
            pass
        code, _, err = end(process, 30)
        gone(pids, 1)
        if code != 0:  # else it was over
            assert code == 4, (code, err)
            one_line(err, f"rank {victim}")
        run(words)
        for a, b in zip(fingerprint(one), fingerprint(out), strict=True):
            assert a == b, (a, b)
        no_leftovers(out)
    out, words = swept("sweep-interrupted", HALVING, "--ranks", 2, "--max_steps", 400)
    process = start(words)
    wait_for(lambda: (out / "runs").exists() and len(list((out / "runs").iterdir())) > 1)
    os.kill(ranks_of(process.pid)[1], signal.SIGTERM)
    code, _, err = end(process, 30)
    assert code == 143 and "the same command goes on" in err, (code, err)
    no_leftovers(out)
    print(f"a sweep's rank killed at {moments} moments, an interrupt: the same command goes on")


def other_commands():
    adapter = trained("adapter", 1, 4)
    more = ["--peft_model_id", adapter, "--threads", 1]
    test = (WORK / "test.csv").read_text().splitlines()[1:]
    prompts = "".join(json.dumps(" ".join(row.split(",")[0].split()[:n % 7 + 1])) + "\n" for n, row in enumerate(test * 3))
    pairs = "".join(json.dumps({"source": row.split(",")[0], "target": " yes"}) + "\n" for row in test * 3)
    for words, text in [(["eval", "--test_file", WORK / "test.csv", "--predict_by", "score"], None),
                        (["predict", "--input", WORK / "test.csv", "--predict_by", "score", "--scores"], None),
                        (["predict", "--input", "-"], prompts),
                        (["generate", "--max_new_tokens", 6], prompts),
                        (["generate", "--max_new_tokens", 6, "--do_sample", "true", "--seed", 3], prompts),
                        (["score"], pairs)]:
        one, two = (run([*words, *more, *flags], text=text) for flags in ([], ["--ranks", 2]))
        a, b = ([json.loads(line) for line in result.stdout.splitlines()] for result in (one, two))
        assert alike(a, b), f"{words}:\n{one.stdout[:500]}\n{two.stdout[:500]}"
    bad = prompts + "{\n"
    result = run(["generate", *more, "--max_new_tokens", 2, "--ranks", 2], code=3, text=bad)
    assert len(result.stdout.splitlines()) == len(prompts.splitlines()), "the lines before the bad one"
    one_line(result.stderr, "line")
    print("eval, predict, generate, score: 2 ranks say what one process says")


def alike(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return abs(a - b) <= 1e-5 * max(1, abs(a))
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
    return a == b


def refusals():
    words = [*FLAGS, "--max_steps", 3, "--output_dir", WORK / "refused"]
    for env, part in [({"RANK": "0"}, "[WORLD_SIZE]"), ({"RANK": "2", "WORLD_SIZE": "2"}, "[RANK]"),
                      ({"RANK": "0", "WORLD_SIZE": "two"}, "[WORLD_SIZE]"), ({"RANK": "0", "WORLD_SIZE": "2"}, "[MASTER_ADDR]"),
                      ({"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"}, "[MASTER_ADDR]")]:
        err = run(words, 2, env=CLEAN | env).stderr
        assert err.startswith("dept: ") and err.count("\n") == 1 and part in err, err
    err = run([*words, "--ranks", 2], 2, env=CLEAN | {"RANK": "0", "WORLD_SIZE": "1"}).stderr
    assert "[--ranks]" in err and err.count("\n") == 1, err
    # Ranks that differ: in an option, in the data, in the model.
    other = WORK / "other"
    shutil.copytree(WORK / "model", other / "model")
    shutil.copy(WORK / "train.csv", other)
    (other / "train.csv").write_text((other / "train.csv").read_text() + "one more row,yes\n")
    for change, part in [(["--learning_rate", "0.06"], "learning_rate"), (["--train_file", other / "train.csv"], "train_file"),
                         (["--model_name_or_path", other / "model"], "model_name_or_path")]:
        port = free_port()
        processes = [by_hand(rank, 2, port, [*words, *(change if rank == 1 else [])]) for rank in (0, 1)]
        for process in processes:
            code, _, err = end(process)
            assert code == 2, (code, err)
            one_line(err, "rank 1", part)
    assert not (WORK / "refused").exists(), "a folder is left"
    # One that never comes.
    begin = time.time()
    code, _, err = end(by_hand(0, 2, free_port(), [*words, "--rank_timeout", 2]))
    assert code == 4 and time.time() - begin < 12, err
    one_line(err, "rank 1")
    # The same name of an input, with other rows.
    adapter = trained("for-inputs", 1, 4, steps=1)
    for folder, rows in (("here", "text\none\ntwo\n"), ("there", "text\none\nthree\n")):
        (WORK / folder).mkdir()
        (WORK / folder / "rows.csv").write_text(rows)
    port = free_port()
    words = ["predict", "--peft_model_id", adapter, "--text_column", "text", "--input", "rows.csv"]
    for process in [by_hand(rank, 2, port, words, WORK / folder) for rank, folder in enumerate(("here", "there"))]:
        code, _, err = end(process)
        assert code == 2, (code, err)
        one_line(err, "rank 1", "input", "rows.csv")
    print("half a set of variables, other options, data and models, a rank that never comes: one line each")


def interrupts():
    for to, sent, code in [("command", signal.SIGINT, 130), ("rank 1", signal.SIGINT, 130), ("rank 0", signal.SIGTERM, 143)]:
        name = f"interrupt-{to}".replace(" ", "-")
        process, pids = started(name, 2)
        os.kill(process.pid if to == "command" else pids[int(to[-1])], sent)
        got, _, err = end(process, 30)
        assert got == code, (got, err)
        one_line("dept: " + err.replace("\n", "\ndept: "), "interrupted: saved at step")
        gone(pids, 1)
        no_leftovers(WORK / name)
    print("an interrupt of any rank: all save and leave")


def killed(ranks, moments):
    one, threads = one_process(4 * ranks, 40)
    words = [*FLAGS, "--max_steps", 40, "--per_device_train_batch_size", 4, "--ranks", ranks]
    begin = time.time()
    run([*words, "--output_dir", WORK / "unbroken"])
    length = time.time() - begin
    for moment in range(moments):
        out = WORK / f"killed-{moment}"
        process = start([*words, "--output_dir", out])
        pids = wait_for(lambda: len(ranks_of(process.pid)) == ranks and ranks_of(process.pid))
        time.sleep(random.uniform(0, length))
        victim = random.randrange(ranks)
        try:
            os.kill(pids[victim], signal.SIGKILL)
        except ProcessLookupError:
            pass
        at = time.time()
        code, _, err = end(process, 30)
        assert time.time() - at < 10, f"moment {moment}: {time.time() - at} s after rank {victim} was killed, {code}\n{err}"
        gone(pids, 1)
        if code != 0:  # else it was over
            assert code == 4, (code, err)
            one_line(err, f"rank {victim}")
        run([*words, "--output_dir", out])
        same(one, out, threads)
        no_leftovers(out)
    print(f"{ranks} ranks, one killed at {moments} moments: all end, and the same command goes on")


def killed_by_hand():
    """Without a process that minds them: the others hear it from each other, with the step."""
    for victim in (0, 1, 2):
        port, out = free_port(), WORK / f"by-hand-{victim}"
        processes = [by_hand(rank, 3, port, [*FLAGS, *ENDLESS, "--output_dir", out]) for rank in range(3)]
        wait_for(lambda: (out / "checkpoint-5").exists())
        processes[victim].kill()
        at = time.time()
        for rank, process in enumerate(processes):
            code, _, err = end(process, 30)
            if rank == victim:
                continue
            assert code == 4 and time.time() - at < 10, (code, time.time() - at, err)
            one_line(err, f"rank {victim} gone at step ")
    print("a killed rank of three: the two others name it and the step")


def stopped():
    process, pids = started("stopped", 2, "--rank_timeout", 5)
    os.kill(pids[1], signal.SIGSTOP)
    at = time.time()
    code, _, err = end(process, 40)
    assert code == 4 and 4 < time.time() - at < 15, (code, time.time() - at, err)
    one_line(err, "rank 1", "step ")
    gone(pids, 1)
    process, pids = started("paused", 2, "--rank_timeout", 20)
    os.kill(pids[1], signal.SIGSTOP)
    time.sleep(6)
    os.kill(pids[1], signal.SIGCONT)
    time.sleep(2)
    assert process.poll() is None, "a pause that is shorter than the timeout ended it"
    process.kill()
    gone(pids, 15)
    no_leftovers(WORK / "paused")
    print("a rank that stops ends the others in time, and the ranks end with the command")


def torchrun():
    launcher = [sys.executable, "-m", "torch.distributed.run", "--no-python", "--standalone"]
    one, threads = one_process(4, 40)
    for size in (2, 4):
        whole, apart_by_threads = one_process(2 * size)
        same(whole, trained(f"torchrun-{size}", size, 2, launcher=[*launcher, "--nproc-per-node", str(size), "--"], own=False), apart_by_threads)
    # Its restart goes on by itself.
    out = WORK / "restart"
    words = [*FLAGS, "--max_steps", 40, "--per_device_train_batch_size", 2, "--output_dir", out]
    process = subprocess.Popen([*launcher, "--nproc-per-node", "2", "--max-restarts", "2", "--", PROGRAM, *map(str, words)], env=CLEAN,
                               text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: (out / "checkpoint-5").exists())
    os.kill(random.choice(ranks_of(process.pid)), signal.SIGKILL)
    code, _, err = end(process)
    assert code == 0, err
    assert "going on from" in err, err
    same(one, out, threads)
    # Its summary has our line.
    result = subprocess.run([*launcher, "--nproc-per-node", "2", "--", PROGRAM, *map(str, words), "--train_file", str(WORK / "none.csv")],
                            env=CLEAN, text=True, capture_output=True, timeout=120)
    assert result.returncode != 0
    summary = result.stderr[result.stderr.index("Root Cause"):]
    assert "none.csv" in summary, result.stderr
    print("torchrun: 2 and 4 ranks, a restart, the summary")


def mpirun():
    if shutil.which("mpirun") is None:
        print("no mpirun here (Debian's openmpi-bin): left out")
        return
    launcher = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n"]
    for size in (2, 4):
        one, threads = one_process(2 * size)
        same(one, trained(f"mpirun-{size}", size, 2, launcher=[*launcher, str(size)], own=False), threads)
    print("mpirun: 2 and 4 ranks")


def main():
    set_up()
    part = sys.argv[2] if len(sys.argv) > 2 else "short"
    if part == "short":
        equal_to_one(2)
        families()
        sweeps()
        killed_sweeps(1)
        other_commands()
        refusals()
        interrupts()
        killed(2, 1)
    elif part == "long":
        equal_to_one(4)
        killed_by_hand()
        killed(2, 10)
        killed_sweeps(10)
        stopped()
    elif part == "launchers":
        torchrun()
        mpirun()
    else:
        sys.exit(__doc__)


try:
    main()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
