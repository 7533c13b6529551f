#!/usr/bin/env python3
"""Text to ids on one thread beside the `tokenizers` library, in turns: medians of the rates (MB of UTF-8 a second
of processor time), and of the load times.

    bench/tokenizer_speed.py FOLDER TEXT [REPEATS]     FOLDER/NAME/tokenizer.json; TEXT a file of lines; needs `pip install tokenizers`

Ours is measured by build/release/bin/bench_tokenizers, the library by encode() of one line after the other in this process.
"""
import json
import os
import statistics
import subprocess
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
from tokenizers import Tokenizer  # noqa: E402

OURS = os.path.join(os.path.dirname(__file__), "..", "build", "release", "bin", "bench_tokenizers")


def theirs(path, lines, size):
    start = time.process_time()
    tokenizer = Tokenizer.from_file(path)
    loaded = time.process_time()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    begin = time.process_time()
    count = sum(len(tokenizer.encode(line).ids) for line in lines)
    return {"load_s": loaded - start, "mb_per_s": size / 1e6 / (time.process_time() - begin), "ids": count}


def ours(path, text):
    return json.loads(subprocess.run([OURS, path, text], check=True, capture_output=True, text=True).stdout)


def main():
    folder, text, repeats = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 5
    with open(text, encoding="utf-8", newline="\n") as file:
        lines = [line.rstrip("\n") for line in file]
    size = sum(len(line.encode()) for line in lines)
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name, "tokenizer.json")
        if not os.path.exists(path):
            continue
        runs = [(ours(path, text), theirs(path, lines, size)) for _ in range(repeats)]
        assert all(a["ids"] == b["ids"] for a, b in runs), name
        median = {key: [statistics.median(run[side][key] for run in runs) for side in (0, 1)] for key in ["mb_per_s", "load_s"]}
        print(json.dumps({"tokenizer": name, "mb_per_s": round(median["mb_per_s"][0], 2), "library_mb_per_s": round(median["mb_per_s"][1], 2),
                          "load_s": round(median["load_s"][0], 3), "library_load_s": round(median["load_s"][1], 3)}))


main()
