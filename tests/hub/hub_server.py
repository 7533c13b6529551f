#!/usr/bin/env python3
"""A hub on the loopback, for tests, that can misbehave. Python's standard library alone.

    hub_server.py ROOT [SECONDS]

ROOT/models/NAME/... and ROOT/datasets/NAME/... are served as revision main of that model and refs/convert/parquet of that data set.
A folder ROOT/models/NAME/.old holds what the revision "old" has in the place of the files of the same names. Large kinds of files
(LARGE) are redirected to a second port, under another host's name, as the hub sends them to its content network.

ROOT/hub.json is written when it serves: {"endpoint", "content"}. ROOT/requests.jsonl gets one line a request.
ROOT/faults.json, read anew at each request, is a list of faults. One applies where all of "method", "path" (a part of it) and "on"
("hub" or "content") that it names agree, to the first "times" such requests (default: all) after "skip" of them:
    {"status": 503, "headers": {...}}   an answer without a body
    {"drop": N}                         the connection breaks after N bytes of the body
    {"drip": N}                         N bytes of the body a tenth of a second
    {"corrupt": N}                      one wrong byte at place N, if the body goes so far
    {"append": "text"}                  more bytes than the file has
    {"ignore_range": true}              a 200 with the whole file, whatever was asked for
    {"headers": {"name": "value"}}      in the place of those it would send; null sends none
    {"redirect": "address"}             a 307; "CONTENT" in it is the second port's address
    {"hang": seconds}                   no answer for so long
    {"reset": true}                     the connection breaks without an answer
ROOT/access.json: {"NAME": {"token": "..", "gated": true}} asks for a token. ROOT/renamed.json: {"NAME": "NEW NAME"} redirects.
It ends after SECONDS (60), or when the process that started it has ended.
"""
import hashlib
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse

LARGE = (".safetensors", ".bin", ".gguf", ".parquet")


def commit_of(name, revision):
    return hashlib.sha1(f"{name}@{revision}".encode()).hexdigest()


class Hub:
    def __init__(self, root):
        self.root = root
        self.lock = threading.Lock()
        self.seen = {}  # how often each fault has applied
        self.etags = {}
        self.endpoint = self.content = ""

    def read(self, name, default):
        try:
            with open(os.path.join(self.root, name), encoding="utf-8") as file:
                return json.load(file)
        except FileNotFoundError:
            return default

    def log(self, entry):
        with self.lock, open(os.path.join(self.root, "requests.jsonl"), "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def faults(self, method, path, where):
        found = {}
        for fault in self.read("faults.json", []):
            if fault.get("method", method) != method or fault.get("path", "") not in path or fault.get("on", where) != where:
                continue
            key = json.dumps(fault, sort_keys=True)
            with self.lock:
                count = self.seen[key] = self.seen.get(key, 0) + 1
            skip = fault.get("skip", 0)
            if skip < count <= skip + fault.get("times", 1 << 30):
                found.update(fault)
        return found

    def etag(self, path):
        """git's name of a small file, the sha256 of a large one."""
        key = (path, os.stat(path).st_mtime_ns)
        if key not in self.etags:
            with open(path, "rb") as file:
                data = file.read()
            self.etags[key] = (hashlib.sha256(data) if path.endswith(LARGE)
                                else hashlib.sha1(b"blob %d\0" % len(data) + data)).hexdigest()
        return self.etags[key]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    @property
    def hub(self):
        return self.server.hub

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        where = self.server.where
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        self.hub.log({"method": self.command, "on": where, "host": self.headers.get("Host"), "path": path,
                      "authorization": self.headers.get("Authorization"), "range": self.headers.get("Range"),
                      "encoding": self.headers.get("Accept-Encoding"), "time": time.time()})
        fault = self.hub.faults(self.command, path, where)
        time.sleep(fault.get("hang", 0))
        if "reset" in fault:
            self.close_connection = True
            return self.connection.shutdown(2)
        if "redirect" in fault:
            address = fault["redirect"].replace("CONTENT", self.hub.content)
            return self.reply(fault.get("status", 307), {"Location": address}, b"", fault)
        if "status" in fault:
            return self.reply(fault["status"], {}, b"", fault)
        if where == "content":
            if not os.path.isfile(os.path.join(self.hub.root, path.lstrip("/"))):
                return self.reply(404, {}, b"", fault)
            return self.file(path, os.path.join(self.hub.root, path.lstrip("/")), {}, fault)
        return self.route(path, fault)

    def route(self, path, fault):
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "datasets"] and "parquet" in parts and not {"revision", "tree", "paths-info"} & set(parts):
            at = parts.index("parquet")
            return self.listing("/".join(parts[2:at]), parts[at + 1:], fault)
        if parts[0] == "api" and len(parts) > 2 and parts[1] in ("models", "datasets"):
            return self.api(parts[1], parts[2:], fault)
        kind = "datasets" if parts[0] == "datasets" else "models"
        if "resolve" not in parts:
            return self.error(404, "RepoNotFound", "Repository not found", fault)
        at = parts.index("resolve")
        name = "/".join(parts[1:at] if kind == "datasets" else parts[:at])
        return self.resolve(kind, name, parts[at + 1:], fault)

    def resolve(self, kind, name, rest, fault):
        new_name = self.hub.read("renamed.json", {}).get(name)
        if new_name:
            rest = [urllib.parse.quote(part, safe="") for part in rest]
            return self.reply(307, {"Location": "/" + "/".join([new_name, "resolve", *rest])}, b"", fault)
        folder = os.path.join(self.hub.root, kind, name)
        if not self.may_read(name, fault):
            return None
        if not os.path.isdir(folder):
            return self.error(401, "RepoNotFound", "Repository not found", fault)
        revisions = {"main": "main", commit_of(name, "main"): "main"}
        if kind == "datasets":
            revisions = {"refs/convert/parquet": "parquet", commit_of(name, "parquet"): "parquet"}
        elif os.path.isdir(os.path.join(folder, ".old")):
            revisions.update({"old": "old", commit_of(name, "old"): "old"})
        path = "/".join(rest)
        revision = next((r for r in revisions if path.startswith(r + "/")), None)
        if revision is None:
            return self.error(404, "RevisionNotFound", f"Invalid rev id: {rest[0]}", fault)
        headers = {"X-Repo-Commit": commit_of(name, revisions[revision])}
        relative = path[len(revision) + 1:]
        file = os.path.join(folder, relative)
        if revisions[revision] == "old" and os.path.isfile(os.path.join(folder, ".old", relative)):
            file = os.path.join(folder, ".old", relative)
        if ".." in relative or not os.path.isfile(file):
            return self.error(404, "EntryNotFound", "Entry not found", fault, headers)
        return self.file(path, file, headers, fault)

    def may_read(self, name, fault):
        rule = self.hub.read("access.json", {}).get(name)
        if rule is None or self.headers.get("Authorization") == "Bearer " + rule["token"]:
            return True
        if rule.get("gated"):
            self.error(403 if self.headers.get("Authorization") else 401, "GatedRepo", "Access to this repo is restricted", fault)
        elif self.headers.get("Authorization"):
            self.error(401, None, "Invalid credentials in Authorization header", fault)
        else:
            self.error(401, "RepoNotFound", "Repository not found", fault)
        return False

    def listing(self, name, rest, fault):
        folder = os.path.join(self.hub.root, "datasets", name)
        if not os.path.isdir(folder):
            return self.error(401, "RepoNotFound", "Repository not found", fault)
        if not self.may_read(name, fault):
            return None
        splits = {}
        for config in sorted(os.listdir(folder)):
            for split in sorted(os.listdir(os.path.join(folder, config))):
                count = len([f for f in os.listdir(os.path.join(folder, config, split)) if f.endswith(".parquet")])
                splits.setdefault(config, {})[split] = [
                    f"{self.hub.endpoint}/api/datasets/{name}/parquet/{config}/{split}/{i}.parquet" for i in range(count)]
        for key in rest:
            if key not in splits:
                return self.error(404, "EntryNotFound", "Entry not found", fault)
            splits = splits[key]
        return self.reply(200, {"Content-Type": "application/json"}, json.dumps(splits).encode(), fault)

    def api(self, kind, rest, fault):
        """What Python's huggingface_hub and datasets ask beside files: /revision/R, /tree/R/FOLDER, /paths-info/R."""
        action = next((a for a in ("revision", "tree", "paths-info") if a in rest), None)
        name = "/".join(rest[:rest.index(action)] if action else rest)
        folder = os.path.join(self.hub.root, kind, name)
        if not os.path.isdir(folder):
            return self.error(401, "RepoNotFound", "Repository not found", fault)
        files = []
        for at, _, names in os.walk(folder):
            relative = os.path.relpath(at, folder)
            files += [os.path.normpath(os.path.join(relative, name)) for name in names if ".old" not in relative]
        if action in ("tree", "paths-info"):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            asked = json.loads(body)["paths"] if body.startswith("{") else urllib.parse.parse_qs(body).get("paths", [])
            under = "/".join(rest[rest.index(action) + 1:])
            for revision in ("refs/convert/parquet", "main", commit_of(name, "parquet"), commit_of(name, "main")):
                if under.startswith(revision):
                    under = under[len(revision):].strip("/")
            reply = self.entries(folder, sorted(files), under if action == "tree" else None, asked)
        else:
            reply = {"id": name, "modelId": name, "sha": commit_of(name, "main" if kind == "models" else "parquet"), "private": False,
                     "gated": False, "disabled": False, "downloads": 0, "likes": 0, "tags": [], "cardData": {},
                     "siblings": [{"rfilename": file} for file in sorted(files)]}
        return self.reply(200, {"Content-Type": "application/json"}, json.dumps(reply).encode(), fault)

    def entries(self, folder, files, under, asked):
        """Files and folders below `under` (all levels), or those of the paths asked for."""
        folders = {"/".join(file.split("/")[:depth]) for file in files for depth in range(1, file.count("/") + 1)}
        found = []
        for path in sorted(folders) + files:
            wanted = path in asked if under is None else not under or path.startswith(under + "/")
            if not wanted:
                continue
            if path in folders:
                found.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
                continue
            file = os.path.join(folder, path)
            entry = {"type": "file", "oid": "0" * 40, "size": os.path.getsize(file), "path": path}
            if path.endswith(LARGE):
                entry["lfs"] = {"oid": self.hub.etag(file), "size": entry["size"], "pointerSize": 130}
            found.append(entry)
        return found

    def error(self, status, code, message, fault, headers=None):
        headers = dict(headers or {})
        headers.update({"X-Error-Code": code, "X-Error-Message": message})
        return self.reply(status, headers, message.encode(), fault)

    def file(self, path, file, headers, fault):
        if self.server.where == "hub" and file.endswith(LARGE):
            headers.update({"X-Linked-Etag": f'"{self.hub.etag(file)}"', "X-Linked-Size": str(os.path.getsize(file)),
                            "Location": self.hub.content + "/" + urllib.parse.quote(os.path.relpath(file, self.hub.root))})
            return self.reply(302, headers, b"Found. Redirecting", fault)
        with open(file, "rb") as source:
            body = source.read()
        headers.update({"ETag": f'"{self.hub.etag(file)}"', "Accept-Ranges": "bytes"})
        asked = self.headers.get("Range")
        if asked and not fault.get("ignore_range"):
            begin = int(asked.split("=")[1].split("-")[0])
            if begin >= len(body):
                return self.reply(416, {"Content-Range": f"bytes */{len(body)}"}, b"", fault)
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
            return self.reply(206, headers, body[begin:], fault, begin)
        return self.reply(200, headers, body, fault)

    def reply(self, status, headers, body, fault, begin=0):
        if "corrupt" in fault and begin <= fault["corrupt"] < begin + len(body):
            place = fault["corrupt"] - begin
            body = body[:place] + bytes([body[place] ^ 1]) + body[place + 1:]
        body += fault.get("append", "").encode()
        headers = {"Content-Length": str(len(body)), **headers, **fault.get("headers", {})}
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            if "drop" in fault:
                self.wfile.write(body[:fault["drop"]])
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(2)
            elif "drip" in fault:
                for place in range(0, len(body), fault["drip"]):
                    self.wfile.write(body[place:place + fault["drip"]])
                    self.wfile.flush()
                    time.sleep(0.1)
            else:
                self.wfile.write(body)
        except OSError:
            self.close_connection = True


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub, where):
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub, self.where = hub, where
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


def main():
    root, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60
    hub, parent = Hub(root), os.getppid()
    servers = [Server(hub, "hub"), Server(hub, "content")]
    hub.endpoint = f"http://127.0.0.1:{servers[0].server_port}"
    hub.content = f"http://localhost:{servers[1].server_port}"
    ready = os.path.join(root, "hub.json")
    with open(ready + ".tmp", "w", encoding="utf-8") as file:
        json.dump({"endpoint": hub.endpoint, "content": hub.content}, file)
    os.rename(ready + ".tmp", ready)
    end = time.monotonic() + seconds
    while time.monotonic() < end and os.getppid() == parent:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
