#!/usr/bin/env python3
"""docs/serving.md as it stands: its curl lines, and nginx in front of two replicas, one of which ends meanwhile.

    page.py PROGRAM      without curl or nginx their part is left out
"""
import http.client
import json
import pathlib
import re
import shutil
import signal
import subprocess
import threading

from client import HERE, WORK, Server, free_port, make_adapters, make_models, wait_for

PAGE = (HERE.parent.parent / "docs/serving.md").read_text()


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)


def curl_lines():
    if not shutil.which("curl"):
        print("no curl here: left out")
        return
    with Server("llama", "--adapter", f"reviews={WORK}/reviews") as s, Server("talker", "--adapter", f"tickets={WORK}/free") as talker:
        lines = blocks("sh")
        assert len(lines) == 6
        for line in lines:
            done = subprocess.run(line.replace("localhost:8000", f"127.0.0.1:{(talker if '/chat/' in line else s).port}"), shell=True, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            if "stream" in line:
                assert done.stdout.endswith("data: [DONE]\n\n"), done.stdout
            else:
                answer = json.loads(done.stdout)
                assert "error" not in answer and (answer.get("choices") or answer.get("data")), answer
        talker.end()
        s.end()


def nginx():
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if not program:
        print("no nginx here: left out")
        return
    (block,) = blocks("nginx")
    port, folder = free_port(), WORK / "nginx"
    folder.mkdir()
    with Server("endless") as one, Server("endless") as two:
        for before, after in [("127.0.0.1:8001 ", f"127.0.0.1:{one.port} "), ("127.0.0.1:8002 ", f"127.0.0.1:{two.port} "),
                              ("listen 8000;", f"listen 127.0.0.1:{port};")]:
            block = block.replace(before, after)
        paths = "".join(f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(f"daemon off; pid {folder}/pid; error_log {folder}/errors;\nevents {{}}\nhttp {{ access_log off;\n{paths}{block}}}\n")
        front = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "errors")])
        try:
            through_nginx(port, one, two)
        finally:
            front.terminate()
            front.wait(20)


def through_nginx(port, one, two):
    def ask(tokens, stream=False):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", "/v1/completions", json.dumps({"model": "endless", "prompt": "A", "max_tokens": tokens, "stream": stream}))
        response = connection.getresponse()
        return response.status, response.read()

    def is_up():
        try:
            return ask(1)[0] == 200
        except OSError:
            return False
    wait_for(is_up)
    assert ask(5, stream=True)[1].endswith(b"data: [DONE]\n\n")
    results, going = [], threading.Event()

    def keep_asking():
        while not going.is_set():
            results.append(ask(20)[0])
    askers = [threading.Thread(target=keep_asking) for _ in range(4)]
    for asker in askers:
        asker.start()
    wait_for(lambda: len(results) > 20)
    one.process.send_signal(signal.SIGTERM)
    assert one.process.wait(40) == 0
    behind = len(results)
    wait_for(lambda: len(results) > behind + 20)
    going.set()
    for asker in askers:
        asker.join()
    assert set(results) == {200}, {status: results.count(status) for status in set(results)}
    two.end()


if __name__ == "__main__":
    pathlib.Path(WORK).mkdir(exist_ok=True)
    make_models()
    make_adapters()
    curl_lines()
    nginx()
    shutil.rmtree(WORK)
