#!/usr/bin/env python3
"""`dept serve` on tiny models, through every line of docs/serving.md. Python's standard library alone; each case starts its own server.
Here stand the cases of its start, its adapters, its figures and its end.

    serve.py PROGRAM [CASE...]
"""
import json
import math
import shutil
import socket
import sys
import threading
import time
import traceback

from answers import chat, classify, completions, logprobs, models_and_errors, streams, t5, wrong_fields
from client import REVIEWS, TEXTS, WORK, Server, copy_adapter, dept, free_port, make_adapters, make_models, wait_for
from connections import clients_that_leave, idle_connections, keys, queue, slow_clients, wire


def refused_starts():
    model = ["serve", "--model_name_or_path", WORK / "llama", "--port", free_port()]
    for code, words in [((2,), ["--adapter", "reviews"]), ((2,), ["--adapter", f"={WORK}/reviews"]), ((2,), ["--port", "70000"]),
                        ((2,), REVIEWS + REVIEWS), ((2,), ["--host", "0.0.0.0"]), ((4,), ["--adapter", "x=/nowhere"]),
                        ((4,), ["--adapters_dir", "/nowhere"]), ((4,), ["--api_key_file", "/nowhere"]), ((2,), ["--adapter", f"llama={WORK}/reviews"])]:
        result = dept([*model, *words], code=code[0])
        assert result.stderr.splitlines()[-1].startswith("dept: ["), result.stderr
    empty = WORK / "empty-key"
    empty.write_text("\n")
    dept([*model, "--api_key_file", empty], code=3)
    broken = WORK / "broken"
    shutil.copytree(WORK / "reviews", broken)
    (broken / "adapter_model.safetensors").write_bytes(b"\x01")
    assert "broken" in dept([*model, "--adapter", f"b={broken}"], code=3).stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        dept(["serve", "--model_name_or_path", WORK / "llama", "--port", taken.getsockname()[1]], code=4)
    assert dept(["serve", "--model_name_or_path", "/nowhere/at/all"], code=4)


def adapter_is_replaced(s, folder, scores):
    """A folder of the watched ones gets another adapter while it is asked, a broken one, and goes."""
    copy_adapter("short", folder / "second")
    wait_for(lambda: "second" in s.models(), 15)
    answers, going = [], threading.Event()

    def keep_asking():
        while not going.is_set():
            answers.append(scores("first"))
    asker = threading.Thread(target=keep_asking)
    asker.start()
    copy_adapter("short", folder / "first")
    wait_for(lambda: math.isclose(scores("first"), scores("second"), abs_tol=1e-5), 15)
    going.set()
    asker.join()
    assert None not in answers, "no request fails while a folder is replaced"
    either = scores("reviews"), scores("second")
    assert all(min(abs(answer - value) for value in either) < 1e-5 for answer in answers), (either, set(answers))
    (folder / "first/adapter_model.safetensors").write_bytes(b"none")
    wait_for(lambda: "first] is left out" in s.text(), 15)
    assert math.isclose(scores("first"), scores("second"), abs_tol=1e-5), "what is broken does not take the place of what is there"
    shutil.rmtree(folder / "first")
    wait_for(lambda: "first" not in s.models(), 15)


def adapters_by_request(s, folder, scores):
    load = lambda name, path: s.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
    unload = lambda name: s.post("/v1/unload_lora_adapter", {"lora_name": name})
    assert load("again", "second").status == 200 and scores("again") == scores("second")
    for taken in ("again", "llama", "reviews"):
        load(taken, "second").error((400, 409))
    for path in ("..", ".", "../adapters/second", "/etc", "link", "a b", "sec\u00f6nd", ""):
        load("x", path).error((400, 404))
    assert "nowhere" in load("x", "nowhere").error((400, 404))
    assert "broken" in load("x", "broken").error(400)
    (folder / "pickle").mkdir()
    shutil.copy(WORK / "reviews/adapter_config.json", folder / "pickle")
    (folder / "pickle/adapter_model.bin").write_bytes(b"x")
    assert "pickle" in load("x", "pickle").error(400)
    s.post("/v1/load_lora_adapter", {"lora_name": 3, "lora_path": "second"}).error(400, "lora_name")
    unload("nobody").error(404)
    unload("llama").error((400, 404))
    assert unload("second").status == 200 and unload("again").status == 200
    s.complete(model="second").error(404, "model", "model_not_found")
    time.sleep(5)
    assert "second" not in s.models(), "an unloaded folder stays away"
    assert load("second", "second").status == 200 and unload("second").status == 200


def adapters_come_and_go():
    folder = WORK / "adapters"
    folder.mkdir()
    copy_adapter("reviews", folder / "first")
    (folder / "broken").mkdir()
    (folder / "broken/adapter_config.json").write_text("{}")
    (folder / "broken/adapter_model.safetensors").write_text("none")
    (folder / "link").symlink_to(WORK / "short")
    with Server("llama", "--adapters_dir", folder, "--allow_adapter_updates", *REVIEWS) as s:
        assert s.models() == ["llama", "first", "reviews"], s.models()
        assert "broken" in s.text()

        def scores(name):
            answer = s.post("/v1/classify", {"model": name, "input": TEXTS[0]})
            return answer.json["data"][0]["scores"]["yes"] if answer.status == 200 else None
        assert scores("first") == scores("reviews")
        adapter_is_replaced(s, folder, scores)
        adapters_by_request(s, folder, scores)
        copy_adapter("reviews", folder / "second")
        wait_for(lambda: "second" in s.models(), 15)
        s.end()


def figures():
    with Server("llama", *REVIEWS) as s:
        one = s.complete(model="reviews", prompt=TEXTS, max_tokens=3).json["usage"]
        s.complete(model="nobody")
        s.get("/nothing")
        s.get("/elsewhere")
        wait_for(s.is_quiet)
        now = s.metrics()
        assert now["dept_prompt_tokens_total"] == one["prompt_tokens"] and now["dept_completion_tokens_total"] == one["completion_tokens"]
        assert now['dept_adapter_requests_total{adapter="reviews"}'] == 1 and not any("nobody" in name for name in now)
        responses = {name: value for name, value in now.items() if name.startswith("dept_http_requests_total")}
        assert responses['dept_http_requests_total{code="200",route="/v1/completions"}'] == 1
        assert sum(v for name, v in responses.items() if 'code="404"' in name) == 3
        assert sum(v for name, v in responses.items() if "nothing" in name or "elsewhere" in name) == 0
        for name in ("dept_batch_size", "dept_request_seconds", "dept_first_token_seconds"):
            assert now[name + "_count"] == 1
        assert now["dept_queue_requests"] == now["dept_running_requests"] == 0
        s.end()


def drains():
    def long_request(s, tokens, into):
        thread = threading.Thread(target=lambda: into.append(s.complete(model="endless", prompt="A", max_tokens=tokens)))
        thread.start()
        wait_for(lambda: s.metrics()["dept_running_requests"] == 1)
        return thread

    with Server("endless") as s:  # what runs is ended, what comes is refused
        into = []
        thread = long_request(s, 3000, into)
        s.process.terminate()
        refused = []

        def turned_away():
            try:
                refused.append(s.complete(model="endless", max_tokens=1).status)
            except OSError:
                return True
            return refused[-1] == 503
        wait_for(turned_away, 5)
        assert s.process.wait(60) == 0
        thread.join()
        assert into[0].status == 200 and len(into[0].json["choices"]) == 1
    with Server("endless", "--drain_seconds", "0.5") as s:  # what takes longer is cut
        body = json.dumps({"model": "endless", "prompt": "A", "max_tokens": 60000}).encode()
        c = socket.create_connection(("127.0.0.1", s.port), timeout=20)
        c.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        wait_for(lambda: s.metrics()["dept_running_requests"] == 1)
        s.end(10)
        c.close()


CASES = [refused_starts, models_and_errors, wrong_fields, completions, logprobs, t5, streams, chat, classify, keys, wire, slow_clients, idle_connections,
         clients_that_leave, queue, adapters_come_and_go, figures, drains]


def main():
    wanted = sys.argv[2:]
    make_models()
    make_adapters()
    failed = []
    for case in CASES:
        if wanted and case.__name__ not in wanted:
            continue
        begin = time.monotonic()
        try:
            case()
            print(f"ok {case.__name__} {time.monotonic() - begin:.1f} s", flush=True)
        except Exception:
            traceback.print_exc()
            failed.append(case.__name__)
    shutil.rmtree(WORK)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
