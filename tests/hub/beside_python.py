#!/usr/bin/env python3
"""The program beside Python's huggingface_hub and datasets on one cache folder, both ways, against hub_server.py.

    beside_python.py PROGRAM      with a Python that has huggingface_hub and datasets
"""
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = sys.argv[1]


def dept(*arguments, offline=False, wait=True):
    environment = dict(os.environ, HF_HUB_OFFLINE="1" if offline else "0")
    child = subprocess.Popen([PROGRAM, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if not wait:
        return child
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def start_hub(root):
    subprocess.run([sys.executable, HERE / "make_hub.py", root], check=True)
    server = subprocess.Popen([sys.executable, HERE / "hub_server.py", root, "300"])
    while not (root / "hub.json").exists():
        time.sleep(0.02)
    return server, json.loads((root / "hub.json").read_text())["endpoint"]


def requests(root, method, path=""):
    lines = map(json.loads, (root / "requests.jsonl").read_text().splitlines())
    return [line for line in lines if line["method"] == method and path in line["path"]]


def large_gets(root):
    return sum(line["on"] == "content" for line in requests(root, "GET", "model.safetensors"))


def use_cache(folder):
    """Both read it from here on."""
    from huggingface_hub import constants
    os.environ["HF_HUB_CACHE"] = constants.HF_HUB_CACHE = str(folder)


def ours_first(root, work):
    from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download, try_to_load_from_cache
    from huggingface_hub.file_download import _CACHED_NO_EXIST
    use_cache(work / "ours-first")
    model = dept("model", "fetch", "t5-base")[0]
    gets = len(requests(root, "GET", "/resolve/"))
    assert snapshot_download("t5-base", local_files_only=True, cache_dir=os.environ["HF_HUB_CACHE"]) == model["path"]
    for name in model["files"]:
        assert hf_hub_download("t5-base", name, cache_dir=os.environ["HF_HUB_CACHE"]) == f"{model['path']}/{name}"
    assert len(requests(root, "GET", "/resolve/")) == gets, "Python fetched what was there"
    assert try_to_load_from_cache("t5-base", "spiece.model", cache_dir=os.environ["HF_HUB_CACHE"]) is _CACHED_NO_EXIST
    split = dept("data", "fetch", "nyu-mll/glue", "--config", "rte", "--split", "train")[0]
    name = "rte/train/0000.parquet"
    gets = len(requests(root, "GET", name))
    assert hf_hub_download("nyu-mll/glue", name, repo_type="dataset", revision="refs/convert/parquet",
                           cache_dir=os.environ["HF_HUB_CACHE"]) == split["files"][0]
    assert len(requests(root, "GET", name)) == gets
    scan = scan_cache_dir(os.environ["HF_HUB_CACHE"])
    assert not scan.warnings, scan.warnings
    assert sorted(repo.repo_id for repo in scan.repos) == ["nyu-mll/glue", "t5-base"]
    assert {repo.repo_id: set(repo.refs) for repo in scan.repos} == {"t5-base": {"main"}, "nyu-mll/glue": {"refs/convert/parquet"}}


def python_first(root, work):
    from huggingface_hub import snapshot_download
    use_cache(work / "python-first")
    folder = snapshot_download("t5-base", cache_dir=os.environ["HF_HUB_CACHE"])
    snapshot_download("nyu-mll/glue", repo_type="dataset", revision="refs/convert/parquet", allow_patterns="rte/*",
                      cache_dir=os.environ["HF_HUB_CACHE"])
    asked = len((root / "requests.jsonl").read_text().splitlines())
    assert dept("model", "fetch", "t5-base", offline=True)[0]["path"] == folder
    files = dept("data", "fetch", "nyu-mll/glue", "--config", "rte", "--split", "validation", offline=True)[0]["files"]
    assert [Path(file).name for file in files] == ["0000.parquet"] and Path(files[0]).exists()
    assert len((root / "requests.jsonl").read_text().splitlines()) == asked, "offline asked the hub"
    gets = len(requests(root, "GET", "/resolve/"))
    assert dept("model", "fetch", "t5-base")[0]["path"] == folder
    assert len(requests(root, "GET", "/resolve/")) == gets, "the program fetched what was there"


def through_datasets(root, work):
    """The rows that `datasets` reads of the hub are those of the files that we fetched."""
    from datasets import load_dataset
    use_cache(work / "datasets")
    files = dept("data", "fetch", "nyu-mll/glue", "--config", "rte", "--split", "train")[0]["files"]
    ours = load_dataset("parquet", data_files=files, split="train")
    theirs = load_dataset("nyu-mll/glue", data_dir="rte", revision="refs/convert/parquet", split="train")
    assert ours.to_list() == theirs.to_list() and len(ours) == 32
    assert ours.features == theirs.features
    shown = dept("data", "show", "rte", "--json")
    assert [line["source"] for line in shown] == [f"sentence1: {row['sentence1']} sentence2: {row['sentence2']}" for row in theirs]


def locks_exclude(root, work):
    from filelock import FileLock, Timeout
    from huggingface_hub import snapshot_download
    use_cache(work / "locks")
    dept("model", "fetch", "t5-base")
    cache = Path(os.environ["HF_HUB_CACHE"])
    blob = next(path for path in (cache / "models--t5-base/blobs").iterdir() if len(path.name) == 64)
    lock = cache / ".locks/models--t5-base" / f"{blob.name}.lock"
    subprocess.run(["rm", "-rf", cache / "models--t5-base"], check=True)
    with FileLock(lock):
        child = dept("model", "fetch", "t5-base", wait=False)
        time.sleep(1)
        assert child.poll() is None and not blob.exists(), "it did not wait for Python's lock"
    assert child.wait(20) == 0 and blob.exists()
    subprocess.run(["rm", "-rf", cache / "models--t5-base"], check=True)
    (root / "faults.json").write_text(json.dumps([{"on": "content", "drip": 5000}]))
    before = large_gets(root)
    child = dept("model", "fetch", "t5-base", wait=False)
    while not blob.with_name(blob.name + ".incomplete").exists():
        time.sleep(0.01)
    try:
        with FileLock(lock, timeout=0):
            raise AssertionError("Python got the lock of a download that goes on")
    except Timeout:
        pass
    # Both at once: Python waits for ours, and fetches nothing large.
    thread = threading.Thread(target=snapshot_download, args=("t5-base",), kwargs={"cache_dir": cache})
    thread.start()
    assert child.wait(30) == 0
    thread.join(30)
    assert large_gets(root) == before + 1
    (root / "faults.json").write_text("[]")


def main():
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        root = work / "hub"
        root.mkdir()
        server, endpoint = start_hub(root)
        for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            os.environ.pop(name, None)
        os.environ.update(HF_ENDPOINT=endpoint, HF_HOME=str(work / "home"), HF_HUB_DISABLE_PROGRESS_BARS="1",
                          HF_HUB_ETAG_TIMEOUT="20", HF_HUB_DOWNLOAD_TIMEOUT="20",
                          HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_XET="1")
        try:
            for check in (ours_first, python_first, through_datasets, locks_exclude):
                check(root, work)
                print(f"{check.__name__}: ok", flush=True)
        finally:
            server.kill()
            server.wait()


main()
