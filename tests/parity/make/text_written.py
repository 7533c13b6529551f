#!/usr/bin/env python3
"""Writes tests/parity/data/text/files/written.json: the tokenizer.json that the Python libraries write of the vocabulary files and GGUF
files of text_files.py. Vocabularies and merges are told by digests.
"""
import json
import os
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
import gguf  # noqa: E402
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors  # noqa: E402
from transformers import (AlbertTokenizer, BertTokenizer, DebertaV2Tokenizer, GPT2Tokenizer, LlamaTokenizer,  # noqa: E402
                          RobertaTokenizer, T5Tokenizer)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX  # noqa: E402

from text import LLAMA3, OUT  # noqa: E402
from text_strings import digest_text  # noqa: E402

FILES = os.path.join(OUT, "files")
FOLDERS = {"t5": T5Tokenizer, "albert": AlbertTokenizer, "llama": LlamaTokenizer, "gpt2": GPT2Tokenizer, "roberta": RobertaTokenizer, "bert": BertTokenizer,
           "deberta": DebertaV2Tokenizer}


def digested(tokenizer):
    state = json.loads(tokenizer.to_str())
    model = state["model"]
    pieces = [piece for piece, _ in model["vocab"]] if isinstance(model["vocab"], list) else sorted(model["vocab"], key=model["vocab"].get)
    model["vocab"] = "%08x" % digest_text("\n".join(pieces))
    if "merges" in model:
        model["merges"] = "%08x" % digest_text("\n".join(" ".join(merge) for merge in model["merges"]))
    return state


def metadata(name):
    reader = gguf.GGUFReader(os.path.join(FILES, name))
    return {key: field.contents() for key, field in reader.fields.items()}


def finished(tokenizer, tokens, types, bos):
    tokenizer.add_tokens([AddedToken(token, normalized=False, special=kind != 4) for token, kind in zip(tokens, types) if kind in (2, 3, 4)])
    if bos is not None:
        frame = {"single": [tokens[bos], "$A"], "pair": [tokens[bos], "$A", tokens[bos], "$B"], "special_tokens": [(tokens[bos], bos)]}
        tokenizer.post_processor = processors.TemplateProcessing(**frame)
    return tokenizer


def byte_level(name, pattern, whole_words=False, composed=False):
    """llama.cpp's "llama-bpe", "qwen2" and "dbrx"; without a pattern "olmo"."""
    data = metadata(name)
    tokens = data["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in data["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges, ignore_merges=whole_words))
    byte_words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"), byte_words]) if pattern else byte_words
    if composed:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.decoder = decoders.ByteLevel()
    return finished(tokenizer, tokens, data["tokenizer.ggml.token_type"], None)


def sentencepiece_level(name):
    """llama.cpp's "llama": merges by falling scores, then from the shortest left half."""
    data = metadata(name)
    tokens, scores = data["tokenizer.ggml.tokens"], data["tokenizer.ggml.scores"]
    ids = {token: i for i, token in enumerate(tokens)}
    merges = [(token[:cut], token[cut:]) for token, _ in sorted(zip(tokens, scores), key=lambda pair: -pair[1])
              for cut in range(1, len(token)) if token[:cut] in ids and token[cut:] in ids]
    tokenizer = Tokenizer(models.BPE(ids, merges, fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return finished(tokenizer, tokens, data["tokenizer.ggml.token_type"], 1)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    out = {name: digested(kind.from_pretrained(os.path.join(FILES, name)).backend_tokenizer) for name, kind in FOLDERS.items()}
    out["llama-bpe.gguf"] = digested(byte_level("llama-bpe.gguf", LLAMA3, whole_words=True))
    out["qwen2.gguf"] = digested(byte_level("qwen2.gguf", PRETOKENIZE_REGEX, composed=True))
    out["dbrx.gguf"] = digested(byte_level("dbrx.gguf", LLAMA3))
    out["olmo.gguf"] = digested(byte_level("olmo.gguf", None, composed=True))
    out["llama-spm.gguf"] = digested(sentencepiece_level("llama-spm.gguf"))
    # The same frame in the two ways of telling it.
    roberta = out["roberta"]["post_processor"]
    cls, sep = roberta["cls"], roberta["sep"]

    def part(token):
        return {"Sequence": {"id": token, "type_id": 0}} if len(token) == 1 else {"SpecialToken": {"id": token, "type_id": 0}}

    out["roberta"]["post_processor"] = {
        "type": "TemplateProcessing", "single": [part(t) for t in (cls[0], "A", sep[0])],
        "pair": [part(t) for t in (cls[0], "A", sep[0], sep[0], "B", sep[0])],
        "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]} for token, id in (cls, sep)}}
    with open(os.path.join(FILES, "written.json"), "w") as file:
        json.dump(out, file, ensure_ascii=False, indent=0)
        file.write("\n")
