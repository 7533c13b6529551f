#!/usr/bin/env python3
"""`dept serve` beside PyPI's openai client and, over its own description, schemathesis.

    beside_python.py PROGRAM
"""
import importlib.util
import pathlib
import shutil
import subprocess
import sys

from client import WORK, Server, copy_adapter, make_adapters, make_models

TEXT = "A warm score."


def with_openai(server, key):
    import openai
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=key, max_retries=0)
    assert [model.id for model in client.models.list()] == ["llama", "reviews"]
    assert client.models.retrieve("reviews").id == "reviews"
    fields = {"model": "reviews", "prompt": TEXT, "max_tokens": 6, "temperature": 0}
    whole = client.completions.create(**fields, logprobs=2)
    assert whole.choices[0].finish_reason in ("stop", "length") and len(whole.choices[0].logprobs.tokens) == whole.usage.completion_tokens
    chunks = list(client.completions.create(**fields, stream=True, stream_options={"include_usage": True}))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    assert chunks[-1].usage == whole.usage
    for wrong, error in [({"model": "nobody"}, openai.NotFoundError), ({"temperature": -1}, openai.BadRequestError)]:
        try:
            client.completions.create(**fields | wrong)
        except error as raised:
            assert set(raised.body) == {"message", "type", "param", "code"}, raised.body
        else:
            raise AssertionError(f"{wrong} is taken")
    try:
        openai.OpenAI(base_url=client.base_url, api_key="wrong", max_retries=0).models.list()
    except openai.AuthenticationError as raised:
        assert raised.code == "invalid_api_key"
    else:
        raise AssertionError("a wrong key is taken")
    print("openai: ok")


def chat_with_openai(server):
    import openai
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0)
    fields = {"model": "talker", "messages": [{"role": "user", "content": TEXT}], "max_tokens": 6, "temperature": 0}
    whole = client.chat.completions.create(**fields, logprobs=True, top_logprobs=2)
    choice = whole.choices[0]
    assert choice.message.role == "assistant" and len(choice.logprobs.content) == whole.usage.completion_tokens
    chunks = list(client.chat.completions.create(**fields, stream=True, stream_options={"include_usage": True}))
    deltas = [each.delta for chunk in chunks for each in chunk.choices]
    assert deltas[0].role == "assistant" and "".join(delta.content or "" for delta in deltas) == choice.message.content
    assert chunks[-1].usage == whole.usage
    print("openai, chat: ok")


def with_schemathesis(server, key):
    program = shutil.which("schemathesis", path=str(pathlib.Path(sys.executable).parent))
    subprocess.run([program, "run", f"http://127.0.0.1:{server.port}/openapi.json", "--header", f"Authorization: Bearer {key}",
                    "--checks", "not_a_server_error", "--max-examples", "60", "--seed", "1"], check=True, timeout=900, cwd=WORK)
    assert server.get("/ready").status == 200
    print("schemathesis: ok")


def main():
    make_models()
    make_adapters()
    key = "sesame-open-7"
    (WORK / "key").write_text(key)
    flags = ["--adapter", f"reviews={WORK}/reviews", "--api_key_file", WORK / "key"]
    with Server("llama", *flags, key=key) as server:
        with_openai(server, key)
        server.end()
    with Server("talker") as server:
        chat_with_openai(server)
        server.end()
    if importlib.util.find_spec("schemathesis") is None:
        print("no schemathesis here: left out")
    else:
        copy_adapter("reviews", WORK / "adapters/first")
        with Server("llama", *flags, "--adapters_dir", WORK / "adapters", "--allow_adapter_updates", key=key) as server:
            with_schemathesis(server, key)
            server.end()
    shutil.rmtree(WORK)


if __name__ == "__main__":
    main()
