"""What `dept serve` answers, for serve.py: every route and format of docs/serving.md, and what each says of a wrong request."""
import json
import math

from client import LABELS, REVIEWS, TEXTS, WORK, Server, dept


def generate(prompts, *flags, model="llama"):
    lines = "".join(json.dumps(p) + "\n" for p in prompts)
    return [json.loads(line) for line in dept(["generate", "--model_name_or_path", WORK / model, "--threads", "1", *flags], text=lines).stdout.splitlines()]


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
