"""What a sweep left, for the tests that compare sweeps."""
import csv
import json

TIMES = ("_runtime", "_per_second")


def loads(path):
    return json.loads(path.read_text())


def lines(out):
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def rows(out):
    with open(out / "results.csv", newline="") as file:
        return list(csv.DictReader(file))


def timeless(json_object):
    return {k: v for k, v in json_object.items() if not any(part in k for part in TIMES)}


def timeless_log(folder):
    return [timeless(entry) for entry in loads(folder / "trainer_state.json")["log_history"]]


def fingerprint(out):
    """Files, results.csv and results.jsonl without times."""
    files = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.suffix == ".safetensors" or path.name in ("adapter_config.json", "generated_predictions.jsonl", "README.md"):
            files[name] = path.read_bytes()
        elif path.name == "trainer_state.json":
            files[name] = timeless_log(path.parent)
    table = [{k: v for k, v in row.items() if k != "seconds"} for row in rows(out)]
    return files, table, [{k: v for k, v in line.items() if k != "seconds"} for line in lines(out)]
