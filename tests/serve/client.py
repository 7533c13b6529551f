"""What the tests of `dept serve` share: tiny models and adapters, a server on a free port, requests. Python's standard library alone."""
import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAM = sys.argv[1]
HERE = pathlib.Path(__file__).resolve().parent
TESTS = HERE.parent
WORK = pathlib.Path(tempfile.mkdtemp())
ENV = os.environ | {"HF_HUB_OFFLINE": "1"}
LABELS = ["no", "yes"]
TEXTS = ["A warm score.", "A dull film with a score.", "One more cold cast.", "A fine scene with a warm cast."]
REVIEWS = ["--adapter", f"reviews={WORK}/reviews"]
CHATML = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
          "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def dept(words, code=0, text=None):
    result = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, env=ENV, input=text, timeout=120)
    assert result.returncode == code, f"{words}: {result.returncode} in the place of {code}\n{result.stderr}"
    return result


def make_models():
    """llama: 128 positions and an end token. endless: 65,536 positions and none. talker: as endless, with a chat template. t5."""
    for name, folder in [("llama-gqa-tied", "llama"), ("llama-gqa-tied", "endless"), ("llama-gqa-tied", "talker"), ("t5-v1.0", "t5")]:
        shutil.copytree(TESTS / "parity/data/models" / name, WORK / folder)
        for file in (TESTS / "recipe/tiny").glob("tokenizer*.json"):
            shutil.copy(file, WORK / folder)
    config = json.loads((WORK / "endless/config.json").read_text())
    for folder in ("endless", "talker"):
        (WORK / folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 65536}))
        (WORK / folder / "generation_config.json").write_text(json.dumps({"eos_token_id": None}))
    (WORK / "talker/chat_template.jinja").write_text(CHATML)


def train(model, folder, *flags):
    data = TESTS / "recipe/tiny"
    dept(["train", "--model_name_or_path", WORK / model, "--output_dir", WORK / folder, "--train_file", data / "train.csv",
          "--labels", *LABELS, "--causal_suffix", " :", "--max_seq_length", "48", "--do_train", "--max_steps", "4", "--threads", "1",
          "--learning_rate", "0.3", "--lora_embedding_lr", "0.05", "--save_strategy", "no", *flags])


def make_adapters():
    """reviews and short classify on llama, plain is without labels; t5s is for the T5. All differ in m and r. free is a prompt alone, which
    takes texts of any length."""
    train("llama", "reviews", "--prefix_length", "4", "--r", "2")
    train("llama", "short", "--prefix_length", "2", "--r", "3", "--seed", "7")
    train("t5", "t5s", "--prefix_length", "3", "--r", "2")
    train("talker", "free", "--prefix_length", "3", "--peft_type", "PROMPT_TUNING")
    shutil.copytree(TESTS / "parity/data/cli/adapter-llama-gqa-tied", WORK / "plain")


def copy_adapter(name, target):
    """As a careful program does it: whole under another name, then renamed."""
    hidden = target.parent / ("." + target.name)
    hidden.mkdir(parents=True)
    for file in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(WORK / name / file, hidden)
    if target.exists():
        shutil.rmtree(target)
    hidden.rename(target)


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def wait_for(what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (found := what()):
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        return json.loads(self.body, parse_constant=lambda text: 1 / 0)

    def error(self, status, param=..., code=...):
        """OpenAI's shape, all four keys."""
        assert self.status in ((status,) if isinstance(status, int) else status), (self.status, self.body)
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}, error
        assert isinstance(error["type"], str) and error["message"], error
        assert param is ... or error["param"] == param, error
        assert code is ... or error["code"] == code, error
        return error["message"]


class Server:
    def __init__(self, model, *flags, key=None, ready=True):
        self.model, self.flags, self.key = model, flags, key
        self.start()
        if ready:
            wait_for(self.is_ready, 60)

    def start(self):
        self.port = free_port()
        self.log = WORK / f"server-{self.port}.log"
        self.process = subprocess.Popen([PROGRAM, "serve", "--model_name_or_path", str(WORK / self.model), "--port", str(self.port), "--threads", "1",
                                         *map(str, self.flags)], env=ENV, stdout=subprocess.DEVNULL, stderr=self.log.open("w"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def is_ready(self):
        if self.process.poll() is not None and "Address already in use" in self.text():  # by another test, since it was free
            self.start()
        assert self.process.poll() is None, self.text()
        try:
            return self.get("/ready").status == 200
        except OSError:
            return False

    def text(self):
        return self.log.read_text()

    def connect(self, timeout=60):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def send(self, method, path, body=None, headers=None, connection=None):
        headers = dict(headers or {})
        if self.key and "Authorization" not in headers:
            headers["Authorization"] = "Bearer " + self.key
        connection = connection or self.connect()
        connection.request(method, path, body, headers)
        return Answer(connection.getresponse())

    def get(self, path, **more):
        return self.send("GET", path, **more)

    def post(self, path, body, **more):
        return self.send("POST", path, body if isinstance(body, (bytes, str)) else json.dumps(body), **more)

    def complete(self, **fields):
        return self.post("/v1/completions", {"model": "llama", "prompt": "A warm score."} | fields)

    def choices(self, **fields):
        answer = self.complete(**fields)
        assert answer.status == 200, answer.body
        return answer.json["choices"]

    def stream(self, path="/v1/completions", **fields):
        """The chunks, the last of which was [DONE]."""
        answer = self.post(path, {"model": "llama", "prompt": "A warm score.", "stream": True} | fields)
        assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/event-stream"), (answer.status, answer.body)
        parts = answer.body.decode().split("\n\n")
        assert parts[-2:] == ["data: [DONE]", ""], parts[-2:]
        return [json.loads(part.removeprefix("data: ")) for part in parts[:-2]]

    def raw(self, data, timeout=20):
        """All that comes back for these bytes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            s.sendall(data)
            return self.rest(s)

    @staticmethod
    def rest(s):
        received = b""
        try:
            while piece := s.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
        return received

    def models(self):
        return [entry["id"] for entry in self.get("/v1/models").json["data"]]

    def metrics(self):
        lines = self.get("/metrics").body.decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}

    def is_quiet(self):
        now = self.metrics()
        return now["dept_running_requests"] == 0 and now["dept_queue_requests"] == 0

    def end(self, seconds=30, code=0):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(seconds) == code, (self.process.returncode, self.text())


def basic(password):
    return "Basic " + base64.b64encode(("anybody:" + password).encode()).decode()
