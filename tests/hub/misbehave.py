#!/usr/bin/env python3
"""The program against a hub that misbehaves: each case has a server and a cache of its own. Python's standard library alone.

    misbehave.py PROGRAM [CASE...]
"""
import concurrent.futures
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAM = sys.argv[1]
BYTES = bytes((i * 2654435761 >> 13) & 255 for i in range(300000))
CONFIG_TAG = "9e26dfeeb6e641a33dae4961196235bdb965b21b"  # git hash-object of {}
COMMIT = "6ee821a657dd138a431517ff8b269616d8130dc2"      # of tiny's main


class Outcome:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def path(self):
        assert self.code == 0, self.err
        return Path(json.loads(self.out)["path"])

    def weights(self):
        return (self.path() / "model.safetensors").read_bytes()

    def refused(self, *parts, code=4):
        """One line, at the end, that says all of it."""
        assert self.code == code and not self.out, (self.code, self.out, self.err)
        last = self.err.splitlines()[-1]
        assert last.startswith("dept: [") and ", received " in last, last
        for part in parts:
            assert part in last, f"{part!r} is not in {last!r}"


class Hub:
    def __init__(self, root):
        self.root = Path(root) / "hub"
        self.cache = Path(root) / "cache"
        self.root.mkdir()
        self.server = subprocess.Popen([sys.executable, HERE / "hub_server.py", self.root, "300"])
        while not (self.root / "hub.json").exists():
            time.sleep(0.02)
        addresses = json.loads((self.root / "hub.json").read_text())
        self.endpoint, self.content = addresses["endpoint"], addresses["content"]

    def put(self, path, content):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    def put_model(self, name="tiny", weights=b"weights"):
        self.put(f"models/{name}/config.json", "{}")
        self.put(f"models/{name}/tokenizer.json", '{"tokens": []}')
        self.put(f"models/{name}/model.safetensors", weights)

    def put_split(self, files):
        for i in range(files):
            self.put(f"datasets/org/data/plain/train/000{i}.parquet", f"rows {i}")

    def faults(self, *faults):
        (self.root / "faults.json").write_text(json.dumps(faults))

    def rule(self, name, content):
        (self.root / name).write_text(json.dumps(content))

    def requests(self, **wanted):
        file = self.root / "requests.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        path = wanted.pop("path", "")
        return [line for line in lines if path in line["path"] and all(line[key] == value for key, value in wanted.items())]

    def forget(self):
        subprocess.run(["rm", "-rf", self.cache], check=True)
        (self.root / "requests.jsonl").unlink(missing_ok=True)

    def start(self, *arguments, **environment):
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))}
        variables.update(HF_ENDPOINT=self.endpoint, HF_HUB_CACHE=str(self.cache), HF_HOME=str(self.root), HF_HUB_ETAG_TIMEOUT="20",
                         HF_HUB_DOWNLOAD_TIMEOUT="5")
        variables.update(environment)
        return subprocess.Popen([PROGRAM, *arguments], env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *arguments, **environment):
        child = self.start(*arguments, **environment)
        out, err = child.communicate(timeout=120)
        return Outcome(child.returncode, out, err)

    def fetch(self, name="tiny", *more, **environment):
        return self.run("model", "fetch", name, *more, **environment)

    def fetch_split(self, split="train", config="plain", repository="org/data", **environment):
        return self.run("data", "fetch", repository, "--config", config, "--split", split, **environment)

    def blobs(self):
        return sorted(path.name for path in (self.cache / "models--tiny" / "blobs").glob("*"))


def lands_in_the_layout_of_the_cache(hub):
    hub.put_model()
    folder = hub.fetch().path()
    repository = hub.cache / "models--tiny"
    assert folder == repository / "snapshots" / COMMIT
    assert (repository / "refs/main").read_text() == COMMIT
    assert os.readlink(folder / "config.json") == f"../../blobs/{CONFIG_TAG}"
    assert len(os.readlink(folder / "model.safetensors")) == len("../../blobs/") + 64
    assert (repository / ".no_exist" / COMMIT / "spiece.model").exists()
    assert (hub.cache / ".locks/models--tiny" / f"{CONFIG_TAG}.lock").exists()
    assert all(request["encoding"] == "identity" for request in hub.requests())
    before = len(hub.requests())
    assert hub.fetch().path() == folder
    assert [request["method"] for request in hub.requests()[before:]] == ["HEAD"], "where the branch stands now, and no more"
    assert hub.fetch("tiny", "--revision", COMMIT).path() == folder and len(hub.requests()) == before + 1


def revisions_share_blobs(hub):
    hub.put_model()
    hub.put("models/tiny/.old/model.safetensors", "older")
    main, old = hub.fetch().path(), hub.fetch("tiny", "--revision", "old").path()
    assert main != old and (old / "model.safetensors").read_bytes() == b"older"
    assert len(hub.requests(method="GET", path="/config.json")) == 1
    hub.fetch("tiny", "--revision", "none").refused("no such branch, tag or commit")
    hub.fetch("tiny", "--revision", "../../x").refused("a branch, a tag or a commit", code=2)


def shards_and_pytorch_files(hub):
    hub.put("models/tiny/config.json", "{}")
    hub.fetch().refused("model.safetensors or pytorch_model.bin")
    hub.put("models/tiny/pytorch_model.bin", "pickle")
    hub.forget()
    assert (hub.fetch().path() / "pytorch_model.bin").read_bytes() == b"pickle"
    hub.put("models/tiny/model.safetensors.index.json", json.dumps({"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}))
    hub.put("models/tiny/m-1.safetensors", "one")
    hub.put("models/tiny/m-2.safetensors", "two")
    hub.forget()
    folder = hub.fetch().path()
    assert [(folder / f"m-{i}.safetensors").read_bytes() for i in (1, 2)] == [b"one", b"two"]
    assert not (folder / "pytorch_model.bin").exists()


def shard_names_never_escape(hub):
    hub.put("models/tiny/config.json", "{}")
    for name in ("../../../../evil", "/etc/passwd", "a/b", ".."):
        hub.put("models/tiny/model.safetensors.index.json", json.dumps({"weight_map": {"a": name}}))
        hub.forget()
        hub.fetch().refused("names of files beside the index", code=3)


def nothing_the_server_says_is_a_path(hub):
    hub.put_model()
    for name, value in (("X-Repo-Commit", "../../../evil"), ("X-Repo-Commit", ""), ("X-Repo-Commit", "main"),
                        ("ETag", '"../../evil"'), ("ETag", '"/etc/x"'), ("ETag", '""')):
        hub.forget()
        hub.faults({"headers": {name: value}})
        hub.fetch().refused(name)
        assert not (hub.cache / "models--tiny/snapshots").exists()


def goes_on_after_broken_connections(hub):
    hub.put_model(weights=BYTES)
    hub.faults({"on": "content", "method": "GET", "drop": 100000, "times": 2})
    assert hub.fetch().weights() == BYTES
    assert [request["range"] for request in hub.requests(on="content")] == [None, "bytes=100000-", "bytes=200000-"]


def goes_on_in_another_process(hub):
    hub.put_model(weights=BYTES)
    hub.faults({"on": "content", "drop": 100000, "times": 1}, {"on": "content", "status": 404, "skip": 1})
    hub.fetch().refused("404")
    assert [name for name in hub.blobs() if name.endswith(".incomplete")], hub.blobs()
    assert not (hub.cache / "models--tiny/refs").exists()
    hub.faults()
    assert hub.fetch().weights() == BYTES
    assert hub.requests()[-1]["range"] == "bytes=100000-"
    assert not [name for name in hub.blobs() if name.endswith(".incomplete")]


def a_killed_fetch_goes_on(hub):
    hub.put_model(weights=BYTES)
    hub.faults({"on": "content", "drip": 10000})
    child = hub.start("model", "fetch", "tiny")
    while not [path for path in hub.cache.rglob("*.incomplete") if path.stat().st_size > 50000]:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    hub.faults()
    assert hub.fetch().weights() == BYTES
    assert hub.requests()[-1]["range"].startswith("bytes=")


def a_wrong_beginning_is_fetched_anew(hub):
    hub.put_model(weights=BYTES)
    hub.faults({"on": "content", "drop": 100000, "times": 1}, {"on": "content", "status": 404, "skip": 1})
    hub.fetch().refused("404")
    part = next(hub.cache.rglob("*.incomplete"))
    with open(part, "r+b") as file:
        file.write(b"something else")
    hub.faults()
    assert hub.fetch().weights() == BYTES


def ranges_that_are_not_kept(hub):
    hub.put_model(weights=BYTES)
    for fault in ({"ignore_range": True}, {"headers": {"Content-Range": "bytes 5-299999/300000"}, "skip": 1, "times": 1}):
        hub.forget()
        hub.faults({"on": "content", "drop": 100000, "times": 1, "path": "safetensors"}, {"on": "content", **fault})
        assert hub.fetch().weights() == BYTES


def corrupted_bytes_are_never_used(hub):
    hub.put_model(weights=BYTES)
    hub.faults({"on": "content", "corrupt": 1234, "times": 1})
    assert hub.fetch().weights() == BYTES
    hub.forget()
    hub.faults({"on": "content", "corrupt": 1235})
    hub.fetch().refused("bytes whose sha256 is", "twice")
    assert not list(hub.cache.rglob("*.incomplete")) and not list(hub.cache.rglob("model.safetensors"))
    hub.forget()
    hub.faults({"path": "/config.json", "corrupt": 0})
    hub.fetch().refused(f"bytes whose git sha1 is {CONFIG_TAG}")
    assert not (hub.cache / "models--tiny/snapshots").exists()


def wrong_sizes_are_never_used(hub):
    hub.put_model(weights=BYTES[:5000])
    hub.faults({"on": "content", "append": "more"})
    hub.fetch().refused("5000 bytes", "more")
    hub.forget()
    hub.faults({"on": "hub", "path": "model.safetensors", "headers": {"X-Linked-Size": "6000"}})
    hub.fetch().refused("6000 bytes")
    assert not list(hub.cache.rglob("model.safetensors"))


def sizes_that_lie_end(hub):
    """The size that HEAD tells is more than the file has: at its end a 416, from the start again, and so on."""
    for name, size in (("size", 4 << 20), ("range", 4 << 20)):
        hub.put_model(weights=BYTES * 11)  # more than a MiB, so that each time seems to get further
        hub.forget()
        ends = [{"on": "content", "status": 416, "skip": 1}] if name == "range" else []
        hub.faults({"on": "hub", "path": "model.safetensors", "headers": {"X-Linked-Size": str(size)}}, *ends)
        hub.fetch().refused()
        assert len(hub.requests(on="content", method="GET")) <= 6, hub.requests(on="content")
        assert not list(hub.cache.rglob("model.safetensors"))


def attempts_at_a_file_are_counted(hub):
    """Each brings more than a MiB of it: 20 in all, and the next command goes on behind them."""
    hub.put_model(weights=BYTES * 100)
    hub.faults({"on": "content", "drop": 1100000})
    hub.fetch().refused("an answer")
    assert len(hub.requests(on="content")) == 20
    hub.faults()
    assert hub.fetch().weights() == BYTES * 100
    assert hub.requests(on="content")[-1]["range"] == "bytes=22000000-"


def a_first_contact_is_tried_twice(hub):
    """Refused or dropped once it is no answer yet, whether the cache is whole or empty, of a model and of data."""
    hub.put_model()
    hub.put_split(1)
    for fetch in (hub.fetch, hub.fetch, hub.fetch_split, hub.fetch_split):
        before = len(hub.requests())
        hub.faults({"method": "HEAD", "reset": True, "times": 1, "path": "/resolve/", "nonce": before})
        outcome = fetch()
        assert outcome.code == 0, outcome.err
        first, second = hub.requests()[before:before + 2]
        assert first["path"] == second["path"] and "in the cache" not in outcome.err, outcome.err
    hub.forget()
    hub.faults({"method": "HEAD", "reset": True})
    hub.fetch().refused("hub: tiny", "--model_name_or_path FOLDER")
    assert len(hub.requests()) == 2


def a_first_contact_waits_for_its_time(hub):
    """A 429 is waited out as Retry-After says, in seconds or as a date, also where the cache could serve; too long is not waited."""
    hub.put_model()
    hub.put("models/tiny/.old/config.json", "{}")
    for i, (fetch, waits) in enumerate(((hub.fetch, "1"), (hub.fetch, "1"), (hub.fetch, None))):
        before = len(hub.requests())
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2.5))
        hub.faults({"method": "HEAD", "path": "/config.json", "status": 429, "times": 1, "nonce": i,
                    "headers": {"Retry-After": waits or date}})
        outcome = fetch()
        assert outcome.code == 0 and "in the cache" not in outcome.err, outcome.err
        first, second = [request["time"] for request in hub.requests()[before:before + 2]]
        assert 0.9 <= second - first <= 30, second - first
    hub.faults({"path": "/config.json", "status": 429, "headers": {"Retry-After": "3600"}})
    outcome = hub.fetch()
    assert outcome.code == 0 and "going on with the one in the cache" in outcome.err, outcome.err
    hub.forget()
    hub.fetch().refused("too many requests", "3600")


def passing_trouble_is_waited_for(hub):
    hub.put_model()
    hub.faults({"path": "/config.json", "status": 503, "times": 2},
               {"path": "/tokenizer.json", "status": 429, "headers": {"Retry-After": "1"}, "times": 1},
               {"on": "content", "status": 500, "times": 2})
    assert hub.fetch().weights() == b"weights"
    first, second = [request["time"] for request in hub.requests(path="/tokenizer.json")[:2]]
    assert second - first >= 0.95, "Retry-After was not kept to"


def lasting_trouble_ends(hub):
    hub.put_model()
    hub.faults({"path": "/tokenizer.json", "status": 429, "headers": {"Retry-After": "3600"}})
    hub.fetch().refused("too many requests", "3600", "HF_TOKEN")
    hub.faults({"path": "/tokenizer.json", "status": 502})
    hub.forget()
    hub.fetch().refused("502", "try later")
    assert len(hub.requests(method="HEAD", path="/tokenizer.json")) == 5


def a_slow_drip_ends(hub):
    hub.put_model(weights=BYTES)
    hub.faults({"on": "content", "drip": 10})
    hub.fetch(HF_HUB_DOWNLOAD_TIMEOUT="1").refused("too slow")
    assert len(hub.requests(on="content")) == 5


def errors_name_the_remedy(hub):
    hub.put_model()
    hub.fetch("nowhere").refused("none of that name, or a private one (401", "--model_name_or_path FOLDER")
    hub.rule("access.json", {"tiny": {"token": "hf_right", "gated": True}})
    hub.fetch().refused("gated", f"accept its terms at {hub.endpoint}/tiny", "HF_TOKEN")
    hub.fetch(HF_TOKEN="hf_wrong").refused("gated", "with the account of your token")
    hub.rule("access.json", {"tiny": {"token": "hf_right"}})
    hub.fetch(HF_TOKEN="hf_wrong").refused("a valid token")
    assert hub.fetch(HF_TOKEN="hf_right").weights() == b"weights"
    hub.forget()
    hub.put("token", "hf_right\n")  # in HF_HOME
    assert hub.fetch().weights() == b"weights"
    hub.forget()
    hub.faults({"status": 403, "headers": {"X-Error-Message": "no\x1b[31m"}})
    outcome = hub.fetch()
    outcome.refused("403", "your token lacks it")
    assert "\x1b" not in outcome.err
    hub.faults({"status": 200, "headers": {"ETag": '"a"'}})
    hub.fetch().refused("X-Repo-Commit")


def the_token_stays_at_the_endpoint(hub):
    hub.put_model()
    # Large files go to another host anyway; here the GET of a small one and the HEAD of another do too.
    hub.faults({"on": "hub", "path": "/config.json", "method": "GET", "redirect": "CONTENT/models/tiny/config.json"},
               {"on": "hub", "path": "/vocab.txt", "redirect": "CONTENT/models/tiny/config.json", "headers": {"X-Repo-Commit": COMMIT}})
    assert hub.fetch(HF_TOKEN="hf_secret").weights() == b"weights"
    assert all(request["authorization"] == "Bearer hf_secret" for request in hub.requests(on="hub"))
    elsewhere = hub.requests(on="content")
    assert {request["method"] for request in elsewhere} == {"GET", "HEAD"}
    assert all(request["authorization"] is None for request in elsewhere)


def a_renamed_repository_is_followed(hub):
    hub.put_model("new/name")
    hub.rule("renamed.json", {"tiny": "new/name"})
    assert hub.fetch(HF_TOKEN="hf_secret").weights() == b"weights"
    assert (hub.cache / "models--tiny").exists()
    assert all((request["authorization"] is None) == (request["on"] == "content") for request in hub.requests())


def redirects_are_bounded(hub):
    hub.put_model()
    hub.faults({"redirect": "/tiny/resolve/main/config.json"})
    hub.fetch().refused("more")
    assert len(hub.requests()) < 20
    hub.faults({"redirect": "file:///etc/passwd"})
    hub.fetch().refused("file:///etc/passwd")


def without_an_answer_the_cache_serves(hub):
    hub.put_model()
    folder = hub.fetch().path()
    hub.faults({"status": 503})
    assert hub.fetch().path() == folder
    asked = len(hub.requests())
    assert hub.fetch(HF_ENDPOINT="http://127.0.0.1:9").path() == folder
    assert hub.fetch(HF_HUB_OFFLINE="1").path() == folder
    assert hub.fetch(TRANSFORMERS_OFFLINE="1").path() == folder
    assert len(hub.requests()) == asked


def without_answer_and_cache_it_says_so(hub):
    hub.fetch(HF_ENDPOINT="http://127.0.0.1:9").refused("http://127.0.0.1:9", str(hub.cache), "--model_name_or_path FOLDER")
    hub.fetch(HF_HUB_OFFLINE="1").refused("HF_HUB_OFFLINE", "--model_name_or_path FOLDER")
    hub.fetch_split(HF_HUB_OFFLINE="1").refused("HF_HUB_OFFLINE", "--train_file")
    assert not hub.cache.exists() and not hub.requests()
    (hub.root / "file").write_text("no folder")
    hub.put_model()
    hub.fetch(HF_HUB_CACHE=str(hub.root / "file/cache")).refused("file/cache", "HF_HUB_CACHE")
    assert not hub.requests()


def several_processes_fetch_the_same(hub):
    hub.put_model(weights=BYTES)
    hub.faults({"on": "content", "drip": 30000})
    children = [hub.start("model", "fetch", "tiny") for _ in range(3)]
    for child in children:
        out, err = child.communicate(timeout=120)
        assert Outcome(child.returncode, out, err).weights() == BYTES
    assert len(hub.requests(method="GET", on="content")) == 1


def waits_for_a_flock(hub):
    hub.put_model()
    hub.fetch().path()
    subprocess.run(["rm", "-rf", hub.cache / "models--tiny"], check=True)
    with open(hub.cache / ".locks/models--tiny" / f"{CONFIG_TAG}.lock", "r+", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        child = hub.start("model", "fetch", "tiny")
        time.sleep(1)
        assert child.poll() is None and not (hub.cache / "models--tiny/blobs" / CONFIG_TAG).exists()
    child.communicate(timeout=60)
    assert child.returncode == 0


def splits_come_in_order_and_whole(hub):
    hub.put_split(3)
    hub.faults({"on": "content", "path": "0001.parquet", "status": 404})
    hub.fetch_split().refused("404")
    hub.fetch_split(HF_HUB_OFFLINE="1").refused("org/data")
    hub.faults()
    files = json.loads(hub.fetch_split().out)["files"]
    assert [Path(file).read_text() for file in files] == ["rows 0", "rows 1", "rows 2"]
    assert len(hub.requests(method="GET", on="content", path="0000.parquet")) == 1
    repository = hub.cache / "datasets--org--data"
    commit = (repository / "refs/refs/convert/parquet").read_text()
    assert files[0] == str(repository / "snapshots" / commit / "plain/train/0000.parquet")
    assert (repository / ".no_exist" / commit / "plain/train/0003.parquet").exists()
    asked = len(hub.requests())
    assert json.loads(hub.fetch_split(HF_HUB_OFFLINE="1").out)["files"] == files
    assert len(hub.requests()) == asked


def lists_of_splits(hub):
    hub.put_split(3)
    hub.fetch_split("trian").refused('the nearest is "train"', code=2)
    hub.fetch_split(config="plian").refused('the nearest is "plain"', code=2)
    hub.fetch_split(repository="org/none").refused("none of that name", "--train_file")
    hub.fetch_split("../..").refused("names of a configuration and a split", code=2)
    hub.faults({"path": "0002.parquet", "status": 404, "headers": {"X-Error-Code": "EntryNotFound"}})
    hub.fetch_split().refused("3 files", "received 2")
    hub.faults({"path": "/api/", "status": 404})
    assert len(json.loads(hub.fetch_split().out)["files"]) == 3
    hub.faults({"path": "/api/", "status": 200})
    hub.run("data", "fetch", "org/data").refused("/api/datasets/org/data/parquet", code=3)


CASES = [value for name, value in list(globals().items()) if callable(value) and getattr(value, "__code__", None) and
         value.__code__.co_varnames[:1] == ("hub",)]


def run_case(case):
    with tempfile.TemporaryDirectory() as root:
        hub = Hub(root)
        try:
            case(hub)
            return ""
        except Exception:  # pylint: disable=broad-except
            return traceback.format_exc()
        finally:
            hub.server.kill()
            hub.server.wait()


def main():
    cases = [case for case in CASES if not sys.argv[2:] or case.__name__ in sys.argv[2:]]
    threading.Timer(590, lambda: os._exit(1)).start()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for case, trouble in zip(cases, pool.map(run_case, cases)):
            print(f"{case.__name__}: {trouble or 'ok'}", flush=True)
            failed += bool(trouble)
    print(f"{len(cases) - failed} of {len(cases)} cases ok", flush=True)
    os._exit(failed > 0 or not cases)


main()
