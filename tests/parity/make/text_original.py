#!/usr/bin/env python3
"""Writes tests/parity/data/text/original.jsonl: what transformers 4.28.1, which the original ran on, makes of folders with a SentencePiece
model alone (files/NAME of text_files.py) and of a tokenizer.json with settings beside it. In an environment of its own:
transformers==4.28.1 tokenizers==0.13.3 'protobuf<3.21' sentencepiece.
"""
import json
import os
import shutil
import tempfile
import unicodedata
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

from text_strings import digest, digest_text, string  # noqa: E402

OUT = os.path.join(os.path.dirname(__file__), "..", "data", "text")
FIRST, STRINGS = 6000, 120
TEXTS = ["a blank at the end ", " two  blanks  ", "a\ttab\n", "", " ", "it is </s> so <extra_id_0> it is", "isn't \u00c9t\u00e9 \ufb01 12,", "new word <pad>"]
CASES = [("t5", "files/t5", "t5", {}), ("mt5", "files/t5", "mt5", {}), ("t5_few", "files/t5", "t5", {"extra_ids": 7}),
         ("t5_extra", "files/t5", "t5", {"extra_ids": 1, "additional_special_tokens": ["<extra_id_0>", "<new>"]}),
         ("albert", "files/albert", "albert", {}), ("albert_cased", "files/albert", "albert", {"do_lower_case": False, "keep_accents": True}),
         ("bert_json", "bert", "bert", {}), ("bert_json_cased", "bert", "bert", {"do_lower_case": False, "tokenize_chinese_chars": False}),
         ("gpt2_json", "gpt2", "gpt2", {}), ("gpt2_json_prefix", "gpt2", "gpt2", {"add_prefix_space": True, "pad_token": "<pad>"}),
         ("roberta_json", "roberta", "roberta", {}), ("smollm_json", "smollm", "gpt2", {"tokenizer_class": "GPT2Tokenizer"}),
         ("llama2_json", "llama2", "llama", {"tokenizer_class": "LlamaTokenizer"})]


def put_tokenizer(path, folder):
    """Its merges in the older way, as text: tokenizers 0.13 reads no other."""
    with open(path) as file:
        state = json.load(file)
    if "merges" in state["model"]:
        state["model"]["merges"] = [" ".join(merge) for merge in state["model"]["merges"]]
    with open(os.path.join(folder, "tokenizer.json"), "w") as file:
        json.dump(state, file)


def written(name, vocabulary, model_type, config):
    model = {"model_type": model_type}
    with tempfile.TemporaryDirectory() as folder:
        if vocabulary.startswith("files/"):
            shutil.copy(os.path.join(OUT, vocabulary, "spiece.model"), folder)
        else:
            put_tokenizer(os.path.join(OUT, vocabulary, "tokenizer.json"), folder)
        for file, content in [("config.json", model), ("tokenizer_config.json", config)]:
            with open(os.path.join(folder, file), "w") as out:
                json.dump(content, out)
        tokenizer = AutoTokenizer.from_pretrained(folder)
    strings = [string(FIRST + i) for i in range(STRINGS)]
    ids = [tokenizer(text).input_ids for text in strings]
    # Its libraries have an older Unicode: nothing is said of characters that are newer.
    known = [all(unicodedata.category(c) != "Cn" for c in text) for text in strings]

    def decoded(ids, skip):
        return tokenizer.backend_tokenizer.decode(ids, skip_special_tokens=skip)

    own = [tokenizer(text).input_ids for text in TEXTS]
    return {"name": name, "vocabulary": vocabulary, "changes": {}, "files": {"config.json": model, "tokenizer_config.json": config}, "size": len(tokenizer),
            "specials": [getattr(tokenizer, key + "_token_id") for key in ["bos", "eos", "pad", "unk"]], "first": FIRST, "texts": TEXTS, "ids": own,
            "text": [decoded(i, True) for i in own], "all": [decoded(i, False) for i in own], "pair": tokenizer(TEXTS[0], TEXTS[1]).input_ids,
            "cut": tokenizer(TEXTS[0], truncation=True, max_length=7).input_ids,
            "cut_pair": tokenizer(TEXTS[0], TEXTS[1], truncation=True, max_length=11).input_ids,
            "special_ids": [1, 2, 3], "special_text": decoded([1, 2, 3], True), "special_all": decoded([1, 2, 3], False),
            "digests": ["%08x" % digest(i) if ok else "" for i, ok in zip(ids, known)], "decoded": ["%08x" % digest_text(decoded(i, True) + "\n" + decoded(i, False)) for i in ids]}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    assert transformers.__version__ == "4.28.1", transformers.__version__
    transformers.logging.set_verbosity_error()
    with open(os.path.join(OUT, "original.jsonl"), "w") as file:
        for case in CASES:
            line = written(*case)
            print(line["name"], line["size"], line["specials"])
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
