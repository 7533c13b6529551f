#!/usr/bin/env python3
"""`dept serve` on tiny models, through every line of docs/serving.md. Python's standard library alone; each case starts its own server.

    serve.py PROGRAM [CASE...]
"""
import json
import math
import resource
import shutil
import socket
import struct
import sys
import threading
import time
import traceback

from client import LABELS, WORK, Server, basic, copy_adapter, dept, free_port, make_adapters, make_models, wait_for

KEY = "sesame-open-7"
TEXTS = ["A warm score.", "A dull film with a score.", "One more cold cast.", "A fine scene with a warm cast."]
REVIEWS = ["--adapter", f"reviews={WORK}/reviews"]


def generate(prompts, *flags, model="llama"):
    lines = "".join(json.dumps(p) + "\n" for p in prompts)
    return [json.loads(line) for line in dept(["generate", "--model_name_or_path", WORK / model, "--threads", "1", *flags], text=lines).stdout.splitlines()]


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


def models_and_errors():
    with Server("llama", *REVIEWS) as s:
        listed = s.get("/v1/models").json
        assert listed["object"] == "list"
        base, reviews = listed["data"]
        assert base["id"] == "llama" and base["parent"] is None and base["object"] == "model" and base["created"] > 0
        assert reviews["id"] == "reviews" and reviews["parent"] == "llama" and reviews["root"]
        assert s.get("/v1/models/reviews").json == reviews
        assert "nobody" in s.get("/v1/models/nobody").error(404, code="model_not_found")
        assert "nobody" in s.complete(model="nobody").error(404, "model", "model_not_found")
        s.post("/v1/chat/completions", {"model": "nobody", "messages": []}).error(404, "model", "model_not_found")
        assert "template" in s.post("/v1/chat/completions", {"model": "llama", "messages": [{"role": "user", "content": "Hello"}]}).error(400)
        s.get("/nothing").error(404)
        s.get("//health").error(404)
        s.get("/v1/completions").error(405)
        s.post("/health", {}).error(405)
        for path in ("/v1/load_lora_adapter", "/v1/unload_lora_adapter"):
            s.post(path, {"lora_name": "x", "lora_path": "x"}).error((403, 404))
        assert s.get("/health").status == s.get("/ready").status == 200
        assert s.get("/openapi.json").json["paths"]["/v1/completions"]
        page = s.get("/")
        assert page.headers["Content-Type"].startswith("text/html") and b"<script src" not in page.body
        s.end()


def wrong_fields():
    with Server("llama", *REVIEWS) as s:
        for field, value in [("model", 1), ("prompt", 3), ("prompt", []), ("prompt", ["a", 1]), ("prompt", [1.5]), ("prompt", [[1], "a"]), ("prompt", None),
                             ("prompt", {}), ("max_tokens", "4"), ("max_tokens", 1.0), ("max_tokens", -1), ("max_tokens", 0), ("max_tokens", True),
                             ("temperature", "hot"), ("temperature", -1), ("top_p", 2), ("top_k", -3), ("n", 0), ("n", 100000), ("stop", 5), ("stop", [1]),
                             ("stop", ""), ("seed", 0.5), ("echo", "yes"), ("logprobs", True), ("logprobs", 1000000), ("stream", 1),
                             ("num_beams", 1000000), ("repetition_penalty", 0), ("prompt", [10 ** 6]), ("prompt", [-1])]:
            assert field in s.complete(**{field: value}).error(400, field), field
        s.complete(stream_options=3).error(400, "stream_options")
        s.complete(stream=True, stream_options={"include_usage": 1}).error(400, "stream_options.include_usage")
        s.post("/v1/completions", {"prompt": "a"}).error(400, "model")
        assert s.complete(max_tokens=2, user="me", best_of=1).status == 200
        assert "best_of" in s.text() and "user" in s.text()
        for body in (b"", b"[]", b"3", b"{", b'{"model": NaN}', b'{"x": 1e999}', b'{"x": "\xff"}', b'{"\xc3\x28": 1}', b'{} {}', b'{"model": "llama"} x',
                     b'{"x": ' + b"[" * 100000 + b"]" * 100000 + b"}", b'{"x": "\\ud800"}', b'{"x": Infinity}'):
            s.post("/v1/completions", body).error(400)
            s.post("/v1/classify", body).error(400)
        s.complete(model="reviews", prompt=list(range(1, 60))).error(400)
        s.complete(max_tokens=200).error(400, code="context_length_exceeded")
        s.end()


def completions():
    with Server("llama", "--adapter", f"plain={WORK}/plain", *REVIEWS) as s:
        answer = s.complete(max_tokens=6, temperature=0).json
        told = generate(TEXTS[:1], "--max_new_tokens", "6")[0]
        choice = answer["choices"][0]
        assert answer["object"] == "text_completion" and answer["model"] == "llama"
        assert choice["text"] == told["text"] and choice["finish_reason"] == told["finish_reason"] and choice["logprobs"] is None
        assert answer["usage"]["completion_tokens"] == len(told["ids"]) and answer["usage"]["prompt_tokens_details"]["soft_prompt"] == 0
        assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] + len(told["ids"])
        assert sum(c["text"] != d["text"] for c, d in zip(s.choices(temperature=1, n=8), s.choices(temperature=1, n=8))) > 0, "the same draws"

        short = [TEXTS[0], "A dull film."]  # plain has 20 rows
        adapted = s.complete(model="plain", prompt=short, max_tokens=5, temperature=0).json
        alone = generate(short, "--max_new_tokens", "5", "--peft_model_id", WORK / "plain")
        assert [c["text"] for c in adapted["choices"]] == [line["text"] for line in alone]
        assert adapted["usage"]["prompt_tokens_details"]["soft_prompt"] == 2 * 3

        drawn = s.choices(prompt=TEXTS[:2], max_tokens=5, n=2, seed=5, temperature=0.8, top_k=20)
        lines = generate(TEXTS[:2], "--max_new_tokens", "5", "--do_sample", "--num_return_sequences", "2", "--seed", "5", "--temperature", "0.8", "--top_k", "20")
        assert [c["index"] for c in drawn] == [0, 1, 2, 3]
        assert [c["text"] for c in drawn] == [c["text"] for line in lines for c in line["choices"]]

        beams = s.choices(max_tokens=5, num_beams=3, n=2, temperature=0)
        lines = generate(TEXTS[:1], "--max_new_tokens", "5", "--num_beams", "3", "--num_return_sequences", "2")
        assert [c["text"] for c in beams] == [c["text"] for c in lines[0]["choices"]]

        ids = [json.loads(line) for line in dept(["tokenize", "--model_name_or_path", WORK / "llama"], text=json.dumps(TEXTS[0]) + "\n").stdout.splitlines()]
        assert s.choices(prompt=ids[0], max_tokens=6, temperature=0)[0]["text"] == told["text"]
        assert s.choices(prompt=ids * 2, max_tokens=6, temperature=0)[1]["text"] == told["text"]
        whole = s.choices(max_tokens=12, temperature=0)[0]["text"]
        if len(whole) > 3:
            cut = s.choices(max_tokens=12, temperature=0, stop=["nowhere", whole[2:4]])[0]
            assert cut["text"] == whole[:whole.index(whole[2:4])] and cut["finish_reason"] == "stop"
        s.end()


def logprobs():
    with Server("llama", *REVIEWS) as s:
        for echo in (False, True):
            answer = s.complete(max_tokens=4, temperature=0, logprobs=3, echo=echo).json
            choice, usage = answer["choices"][0], answer["usage"]
            told = choice["logprobs"]
            count = usage["completion_tokens"] + (usage["prompt_tokens"] if echo else 0)
            assert all(len(told[name]) == count for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset")), told
            assert (told["token_logprobs"][0] is None) == (told["top_logprobs"][0] is None) == echo
            assert choice["text"].startswith(TEXTS[0]) == echo
            for token, value, top in zip(told["tokens"], told["token_logprobs"], told["top_logprobs"]):
                if value is None:
                    continue
                assert 1 <= len(top) <= 4 and top[token] == value and value <= 0, (token, value, top)
            new = list(zip(told["token_logprobs"], told["top_logprobs"]))[count - usage["completion_tokens"]:]
            assert all(value == max(top.values()) for value, top in new), "greedy tokens are the likeliest"
        only = s.choices(max_tokens=0, echo=True, logprobs=1, temperature=0)[0]
        assert only["text"] == TEXTS[0] and only["logprobs"]["tokens"]
        # lm-evaluation-harness's form
        ids = [3, 17, 40, 22, 9]
        scored = s.choices(prompt=[ids, ids[:3]], max_tokens=1, temperature=0, logprobs=1, echo=True, seed=1234)
        assert [len(c["logprobs"]["token_logprobs"]) for c in scored] == [6, 4]
        score = json.loads(dept(["score", "--model_name_or_path", WORK / "llama", "--threads", "1"], text=json.dumps({"input_ids": ids, "labels": [-100] + ids[1:]})).stdout)
        ours = scored[0]["logprobs"]["token_logprobs"][1:5]
        assert all(math.isclose(-a, b, abs_tol=1e-5) for a, b in zip(ours, score["nll"])), (ours, score)
        s.end()


def t5():
    with Server("t5", "--adapter", f"t5s={WORK}/t5s") as s:
        told = generate(TEXTS[:2], "--max_new_tokens", "6", model="t5")
        got = s.choices(model="t5", prompt=TEXTS[:2], max_tokens=6, temperature=0)
        assert [c["text"] for c in got] == [line["text"] for line in told]
        s.complete(model="t5", echo=True).error(400, "echo")
        s.end()


def streams():
    with Server("llama", *REVIEWS) as s:
        fields = {"prompt": TEXTS[:2], "max_tokens": 8, "n": 2, "seed": 3, "temperature": 0.7, "logprobs": 1}
        whole = s.complete(**fields).json
        chunks = s.stream(**fields, stream_options={"include_usage": True})
        assert chunks[-1]["choices"] == [] and chunks[-1]["usage"] == whole["usage"]
        assert len({chunk["id"] for chunk in chunks}) == 1 and all(chunk["object"] == "text_completion" for chunk in chunks)
        for choice in whole["choices"]:
            mine = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
            assert "".join(c["text"] for c in mine) == choice["text"]
            assert [c["finish_reason"] for c in mine if c["finish_reason"]] == [choice["finish_reason"]]
            values = [v for c in mine if c["logprobs"] for v in c["logprobs"]["token_logprobs"]]
            assert all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(values, choice["logprobs"]["token_logprobs"], strict=True))
        assert not any("usage" in chunk for chunk in s.stream(max_tokens=3))
        s.complete(stream=True, model="nobody").error(404)
        # HTTP/1.0 has no chunks: the end of the connection ends the stream.
        body = json.dumps({"model": "llama", "prompt": "A", "max_tokens": 3, "stream": True}).encode()
        old = s.raw(b"POST /v1/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert b"chunked" not in old.lower() and old.endswith(b"data: [DONE]\n\n"), old
        s.end()


def chat():
    talk = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": TEXTS[0]}]
    path, fields = "/v1/chat/completions", {"model": "talker", "messages": talk, "max_tokens": 7, "temperature": 0}
    with Server("talker", "--adapter", f"free={WORK}/free") as s:
        for model, flags in [("talker", []), ("free", ["--peft_model_id", WORK / "free"])]:
            told = generate([{"messages": talk}], "--max_new_tokens", "7", *flags, model="talker")[0]
            answer = s.post(path, fields | {"model": model}).json
            choice, usage = answer["choices"][0], answer["usage"]
            assert answer["object"] == "chat.completion" and answer["model"] == model
            assert choice["message"] == {"role": "assistant", "content": told["text"]} and choice["finish_reason"] == told["finish_reason"], (choice, told)
            assert usage["completion_tokens"] == len(told["ids"]) and usage["prompt_tokens_details"]["soft_prompt"] == (3 if flags else 0)
        drawn = fields | {"n": 2, "seed": 3, "temperature": 0.8, "logprobs": True, "top_logprobs": 2}
        whole = s.post(path, drawn).json
        for choice in whole["choices"]:
            for token in choice["logprobs"]["content"]:
                assert token["logprob"] <= 0 and len(token["top_logprobs"]) == 2 and bytes(token["bytes"]).decode() == token["token"], token
        chunks = s.stream(path, **drawn, stream_options={"include_usage": True})
        assert chunks[-1]["choices"] == [] and chunks[-1]["usage"] == whole["usage"]
        assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
        for choice in whole["choices"]:
            mine = [c for chunk in chunks for c in chunk["choices"] if c["index"] == choice["index"]]
            assert mine[0]["delta"] == {"role": "assistant", "content": ""} and not any("role" in c["delta"] for c in mine[1:])
            assert "".join(c["delta"].get("content", "") for c in mine) == choice["message"]["content"]
            assert [c["finish_reason"] for c in mine if c["finish_reason"]] == [choice["finish_reason"]]
        for field, value in [("messages", []), ("messages", [{"role": "robot", "content": "a"}]), ("messages", None), ("top_logprobs", 1), ("max_tokens", 0)]:
            assert field in s.post(path, fields | {field: value}).error(400, field)
        s.end()


def classify():
    with Server("llama", *REVIEWS, "--adapter", f"short={WORK}/short", "--adapter", f"plain={WORK}/plain") as s:
        for name in ("reviews", "short"):
            lines = "".join(json.dumps(t) + "\n" for t in TEXTS)
            told = [json.loads(line) for line in dept(["predict", "--peft_model_id", WORK / name, "--predict_by", "score", "--scores", "--threads", "1"], text=lines).stdout.splitlines()]
            got = s.post("/v1/classify", {"model": name, "input": TEXTS}).json["data"]
            assert [d["label"] for d in got] == [line["prediction"] for line in told]
            for one, other in zip(got, told):
                assert list(one["scores"]) == LABELS
                assert all(math.isclose(one["scores"][k], other["scores"][k], abs_tol=1e-5) for k in LABELS), (one, other)
            assert len(s.post("/v1/classify", {"model": name, "input": TEXTS[0]}).json["data"]) == 1
        for body in ({"model": "llama", "input": "a"}, {"model": "plain", "input": "a"}, {"model": "reviews", "input": []}, {"model": "reviews", "input": [1]},
                     {"model": "reviews"}, {"input": "a"}):
            s.post("/v1/classify", body).error(400)
        s.post("/v1/classify", {"model": "nobody", "input": "a"}).error(404, code="model_not_found")
        s.end()


def keys():
    (WORK / "key").write_text(KEY + "\nnot this\n")
    with Server("llama", "--api_key_file", WORK / "key", key=KEY) as s:
        for path in ("/v1/models", "/metrics", "/", "/openapi.json", "/nothing", "//health", "/health/"):
            for value in ("", "Bearer", "Bearer wrong", f"Bearer {KEY}x", KEY, basic("wrong"), "Basic !!!"):
                answer = s.get(path, headers={"Authorization": value})
                answer.error(401, code="invalid_api_key")
                assert answer.headers["WWW-Authenticate"].startswith("Basic")
        for value in (f"Bearer {KEY}", f"bearer {KEY}", f"BEARER  {KEY}", basic(KEY)):
            assert s.get("/v1/models", headers={"Authorization": value}).status == 200, value
        assert s.get("/health", headers={"Authorization": ""}).status == s.get("/ready", headers={"Authorization": ""}).status == 200
        assert s.complete(max_tokens=2).status == 200
        assert KEY not in s.text()
        s.end()


def wire():
    with Server("llama", "--max_body", "3000") as s:
        def said(data, status):
            received = s.raw(data)
            head, _, body = received.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d " % status), received
            assert set(json.loads(body)["error"]) == {"message", "type", "param", "code"}, body

        post = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
        said(post + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411)
        said(b"GET /health HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", 411)
        said(post + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 411)
        said(post + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400)
        said(post + b"Content-Length: 5, 5\r\n\r\nhello", 400)
        said(post + b"Content-Length: -5\r\n\r\n", 400)
        said(post + b"\r\n", 411)
        said(post + b"Content-Length: 3001\r\n\r\n", 413)
        said(post + b"Content-Length: 3001\r\n\r\n" + b"x" * 3001, 413)
        said(post + b"Expect: 100-continue\r\nContent-Length: 3001\r\n\r\n", 413)
        said(b"GET /health HTTP/1.1\r\nX: " + b"y" * 17000 + b"\r\n\r\n", 431)
        said(b"GET /health HTTP/1.1\r\nX: " + b"y" * 17000, 431)
        said(b"nonsense\r\n\r\n", 400)
        said(b"GET /v1/models/%ff HTTP/1.1\r\nConnection: close\r\n\r\n", 400)
        said(b"GET /\xff HTTP/1.1\r\nConnection: close\r\n\r\n", 400)
        assert b"HTTP/1.1 200" in s.raw(b"GET /health HTTP/1.1\r\nConnection: close\r\nX: " + b"y" * 15000 + b"\r\n\r\n")

        body = json.dumps({"model": "llama", "prompt": "A", "max_tokens": 2}).encode()
        with socket.create_connection(("127.0.0.1", s.port), timeout=20) as c:
            c.sendall(post + b"Expect: 100-continue\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body))
            assert c.recv(1000).startswith(b"HTTP/1.1 100 ")
            c.sendall(body)
            assert s.rest(c).startswith(b"HTTP/1.1 200 ")
        two = b"GET /health HTTP/1.1\r\n\r\n" + post + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body
        assert s.raw(two).count(b"HTTP/1.1 200 ") == 2, "two requests in one piece"
        head = s.raw(b"HEAD /health HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ") and head.endswith(b"\r\n\r\n")
        connection = s.connect()
        for _ in range(3):
            assert s.get("/health", connection=connection).status == 200
        s.end()


def slow_clients():
    with Server("llama", "--header_timeout", "0.5", "--body_timeout", "0.5", "--idle_timeout", "1") as s:
        late = [socket.create_connection(("127.0.0.1", s.port), timeout=20) for _ in range(3)]
        late[0].sendall(b"GET /health HT")
        late[1].sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
        assert s.get("/health").status == 200
        assert s.rest(late[0]).startswith(b"HTTP/1.1 408 ") and s.rest(late[1]).startswith(b"HTTP/1.1 408 ")
        assert s.rest(late[2]) == b"", "an idle connection is closed without a word"
        drip = socket.create_connection(("127.0.0.1", s.port), timeout=20)
        try:
            for _ in range(100):
                drip.sendall(b"X")
                time.sleep(0.05)
            raise AssertionError("a client that sends a byte now and then keeps its connection")
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.end()


def idle_connections():
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with Server("llama") as s:
        held = [socket.create_connection(("127.0.0.1", s.port), timeout=20) for _ in range(count)]
        assert s.complete(max_tokens=2).status == 200 and s.get("/health").status == 200
        held[0].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert held[0].recv(1000).startswith(b"HTTP/1.1 200 "), "the first that came is still served"
        for c in held:
            c.close()
        s.end()


def clients_that_leave():
    with Server("endless", "--max_running", "4", "--max_queue", "2") as s:
        long = {"model": "endless", "prompt": "A", "max_tokens": 60000}
        for stream in (False, True):
            body = json.dumps(long | {"stream": stream}).encode()
            c = socket.create_connection(("127.0.0.1", s.port), timeout=20)
            c.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            if stream:
                assert c.recv(1000).startswith(b"HTTP/1.1 200 ")
            wait_for(lambda: s.metrics()["dept_running_requests"] == 1)
            c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", int(stream), 0))
            c.close()
            wait_for(s.is_quiet, 5)
        assert s.metrics()["dept_completion_tokens_total"] > 0, "what was written for those that left counts"
        assert s.metrics()["dept_request_seconds_count"] == 0
        s.end()


def queue():
    with Server("endless", "--max_running", "1", "--max_queue", "1") as s:
        body = json.dumps({"model": "endless", "prompt": "A", "max_tokens": 60000}).encode()
        held = []
        for running, waiting in [(1, 0), (1, 1)]:
            c = socket.create_connection(("127.0.0.1", s.port), timeout=20)
            c.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            held.append(c)
            wait_for(lambda: (s.metrics()["dept_running_requests"], s.metrics()["dept_queue_requests"]) == (running, waiting))
        answer = s.complete(model="endless", max_tokens=1)
        answer.error(429)
        assert answer.headers["Retry-After"].isdigit()
        for c in held:
            c.close()
        wait_for(s.is_quiet, 5)
        assert s.complete(model="endless", max_tokens=1).status == 200
        s.end()


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
