#!/usr/bin/env python3
"""Measures `dept serve` with one adapter and with 64, beside a server over transformers that computes a batch per adapter.

    serve.py PROGRAM MODEL.gguf [ROUNDS]

Each round sends every server 64 requests at once (16 new tokens behind a short text) and waits for the last answer: ours for 64 adapters,
ours for one, the peer's for 64. The medians of ROUNDS (5) are compared. PEER_PYTHON is a Python with torch, transformers, safetensors and
gguf, PEERS the folder of peer_serve.py; where they are not, dept is measured alone. THREADS (2) and DTYPE (bf16) may be set.
"""
import array
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PROGRAM, MODEL = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
ROUNDS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
THREADS, DTYPE = os.environ.get("THREADS", "2"), os.environ.get("DTYPE", "bf16")
ROOT = pathlib.Path(__file__).resolve().parent.parent
PEERS = pathlib.Path(os.environ.get("PEERS", ROOT / "../shared/peers"))
COUNT, NEW_TOKENS = 64, 16
TEXTS = ["A warm score and a fine cast.", "The plot is thin, but the actors carry it to the end.", "Two hours that feel like four.",
         "An old story, told with care and wit."]


def moved(source, target, seed):
    """A copy of an adapter with every number of its tensors moved a little."""
    target.mkdir(parents=True)
    shutil.copy(source / "adapter_config.json", target)
    data = (source / "adapter_model.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    numbers = array.array("f", data[start:])
    draw = random.Random(seed)
    (target / "adapter_model.safetensors").write_bytes(data[:start] + array.array("f", [x * draw.uniform(0.9, 1.1) for x in numbers]).tobytes())


def make_adapters(folder):
    shapes = [(8, 4), (4, 8), (12, 2), (6, 3)]
    for index, (m, r) in enumerate(shapes):
        subprocess.run([PROGRAM, "train", "--model_name_or_path", MODEL, "--output_dir", folder / f"trained{index}", "--train_file",
                        ROOT / "tests/recipe/tiny/train.csv", "--labels", "no,yes", "--max_seq_length", "64", "--do_train", "--max_steps", "1",
                        "--save_strategy", "no", "--prefix_length", str(m), "--r", str(r)], check=True, capture_output=True)
    for index in range(COUNT):
        moved(folder / f"trained{index % len(shapes)}", folder / "adapters" / f"a{index}", index)


class Server:
    def __init__(self, words, log):
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            self.port = listening.getsockname()[1]
        self.process = subprocess.Popen([*map(str, words), "--port", str(self.port)], stdout=log, stderr=log)
        for _ in range(1200):
            assert self.process.poll() is None, f"{words[:2]} ended: see {log.name}"
            try:
                if self.ask("GET", "/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise SystemExit(f"{words[:2]} is not ready within two minutes")

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()

    def complete(self, model, text):
        body = {"model": model, "prompt": text, "max_tokens": NEW_TOKENS, "temperature": 0}
        status, answer = self.ask("POST", "/v1/completions", json.dumps(body))
        assert status == 200, answer
        return json.loads(answer)["usage"]["completion_tokens"]

    def burst(self, adapters):
        """Requests a second, and tokens a second, of COUNT requests at once."""
        with concurrent.futures.ThreadPoolExecutor(COUNT) as pool:
            start = time.monotonic()
            tokens = sum(pool.map(lambda i: self.complete(adapters[i % len(adapters)], TEXTS[i % len(TEXTS)]), range(COUNT)))
            seconds = time.monotonic() - start
        return COUNT / seconds, tokens / seconds

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def main():
    folder = pathlib.Path(tempfile.mkdtemp())
    make_adapters(folder)
    log = (folder / "log").open("w")
    names = [f"a{index}" for index in range(COUNT)]
    servers = {"dept": Server([PROGRAM, "serve", "--model_name_or_path", MODEL, "--adapters_dir", folder / "adapters", "--threads", THREADS, "--dtype", DTYPE], log)}
    python = os.environ.get("PEER_PYTHON")
    if python and (PEERS / "peer_serve.py").exists():
        servers["peer"] = Server([python, PEERS / "peer_serve.py", "--model", MODEL, "--adapters_dir", folder / "adapters", "--threads", THREADS], log)
    else:
        print("no PEER_PYTHON or no peer_serve.py: dept alone", file=sys.stderr)
    cases = {"dept, 64 adapters": ("dept", names), "dept, one adapter": ("dept", names[:1]), "peer, 64 adapters": ("peer", names)}
    cases = {title: case for title, case in cases.items() if case[0] in servers}
    found = {title: [] for title in cases}
    for turn in range(ROUNDS + 1):  # the first warms up
        for title, (server, adapters) in cases.items():
            speed = servers[server].burst(adapters)
            if turn > 0:
                found[title].append(speed)
                print(json.dumps({"case": title, "requests_per_s": speed[0], "tokens_per_s": speed[1]}), flush=True)
    for server in servers.values():
        server.end()
    median = {title: statistics.median(speed for speed, _ in speeds) for title, speeds in found.items()}
    for title, speed in median.items():
        print(f"{title}: {speed:.2f} requests/s, {statistics.median(t for _, t in found[title]):.0f} new tokens/s")
    print(f"64 adapters beside one: {median['dept, 64 adapters'] / median['dept, one adapter']:.2f}")
    if "peer, 64 adapters" in median:
        print(f"64 adapters beside the peer: {median['dept, 64 adapters'] / median['peer, 64 adapters']:.1f} times")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
