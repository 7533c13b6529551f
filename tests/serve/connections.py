"""Connections to `dept serve`, for serve.py: whom it lets in, bytes as they come, clients that are slow, idle, gone or too many."""
import json
import resource
import socket
import struct
import time

from client import WORK, Server, basic, wait_for

KEY = "sesame-open-7"


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
