"""The names of the original's arguments: its three argument classes and transformers' Seq2SeqTrainingArguments.

python tests/parity/make/arguments.py TRAIN.PY TRAINING_ARGS.PY...  ->  tests/parity/data/train/arguments.json
TRAIN.PY: the original's; TRAINING_ARGS.PY: training_args.py and training_args_seq2seq.py of transformers 4.28 and 5.17. Read as text,
so that no version needs to be installed.
"""
import ast
import json
import sys
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "data" / "train" / "arguments.json"

if __name__ == "__main__":
    names = set()
    for path in sys.argv[1:]:
        for node in ast.walk(ast.parse(Path(path).read_text())):
            if isinstance(node, ast.ClassDef) and "Arguments" in node.name:
                names |= {field.target.id for field in node.body if isinstance(field, ast.AnnAssign)}
    OUT.write_text(json.dumps(sorted(name for name in names if name[0] != "_"), indent=0) + "\n")
