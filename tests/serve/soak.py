#!/usr/bin/env python3
"""Traffic at 80 % of what a server can do, while adapters come and go and bad clients knock: no failed request, and memory that stays.

    soak.py PROGRAM       for DEPT_SOAK_SECONDS (20)
"""
import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import threading
import time

from client import PROGRAM, WORK, Server, copy_adapter, make_adapters, make_models, wait_for

SECONDS = float(os.environ.get("DEPT_SOAK_SECONDS", "20"))
LONG = 300  # seconds from which on memory is checked: what a server keeps has to be there first
NAMES = ["reviews", "short", "llama"]


def rss(server):
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024


def bench(server, rate, seconds):
    words = ["bench", "serve", "--url", f"http://127.0.0.1:{server.port}", "--rate", rate, "--seconds", seconds, "--adapters", ",".join(NAMES),
             "--max_tokens", "8", "--json"]
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=SECONDS + 300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def capacity(server):
    """Requests a second with as many askers as keep it busy."""
    done, seconds = [], min(5.0, SECONDS / 4)
    end = time.monotonic() + seconds

    def ask():
        while time.monotonic() < end:
            assert server.complete(model=random.choice(NAMES), max_tokens=8).status == 200
            done.append(1)
    askers = [threading.Thread(target=ask) for _ in range(8)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    return len(done) / seconds


def churn(server, folder, ending):
    """Adapters that come and go, by folder and by request."""
    turn = 0
    while not ending.is_set():
        turn += 1
        copy_adapter(random.choice(["reviews", "short"]), folder / "moving")
        for action, body in [("load", {"lora_name": f"again-{turn}", "lora_path": "still"}), ("unload", {"lora_name": f"again-{turn}"})]:
            answer = server.post(f"/v1/{action}_lora_adapter", body)
            assert answer.status == 200, answer.body
            ending.wait(0.3)
        if turn % 10 == 0:
            shutil.rmtree(folder / "moving")
        ending.wait(1)


def knock(server, ending):
    """Clients that leave, send nonsense, or nothing."""
    long = json.dumps({"model": "llama", "prompt": "A", "max_tokens": 100, "stream": True}).encode()
    pieces = [b"GET / HT", b"\xff\xff\r\n\r\n", b"POST /v1/completions HTTP/1.1\r\nContent-Length: 9999999999\r\n\r\n",
              b"POST /v1/completions HTTP/1.1\r\nContent-Length: 3\r\n\r\n{\xff}", b"",
              b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(long) + long]
    while not ending.is_set():
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
            s.sendall(random.choice(pieces))
            ending.wait(0.05)


def main():
    make_models()
    make_adapters()
    folder = WORK / "adapters"
    copy_adapter("reviews", folder / "still")
    flags = [word for name in ("reviews", "short") for word in ("--adapter", f"{name}={WORK}/{name}")]
    with Server("llama", *flags, "--adapters_dir", folder, "--allow_adapter_updates") as server:
        rate, ending, failures = 0.8 * capacity(server), threading.Event(), []

        def guarded(work, *arguments):
            try:
                work(*arguments)
            except Exception as error:
                failures.append(error)
        threads = [threading.Thread(target=guarded, args=(churn, server, folder, ending)), threading.Thread(target=guarded, args=(knock, server, ending))]
        for thread in threads:
            thread.start()
        sizes = []
        for _ in range(10):
            told = bench(server, rate, SECONDS / 10)
            assert told["failed"] == {} and told["completed"] == told["requests"], told
            sizes.append(rss(server))
        ending.set()
        for thread in threads:
            thread.join()
        assert not failures, failures
        print(f"{rate:.0f} requests a second for {SECONDS:.0f} s, none failed; first token p95 {told['first_token_p95_s']:.4f} s, MiB: {[round(s) for s in sizes]}")
        if SECONDS >= LONG:
            assert sizes[-1] <= 1.03 * sizes[2], sizes
        wait_for(server.is_quiet)
        server.end()
    shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
