#!/usr/bin/env python3
"""Writes tests/parity/data/text/files: vocabulary files of each family without a tokenizer.json, two GGUF files, and NAME.json beside each:
special ids, and what transformers (sentencepiece for its models in GGUF, tokenizers for the other) makes of our strings.
"""
import io
import json
import os
import tempfile
import warnings

import gguf
import sentencepiece
from tokenizers import Tokenizer
from transformers import AlbertTokenizer, BertTokenizer, DebertaV2Tokenizer, GPT2Tokenizer, LlamaTokenizer, RobertaTokenizer, T5Tokenizer
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from text import OUT, corpus
from text_strings import digest, string

FILES = os.path.join(OUT, "files")
STRINGS = 400
RULES = {"\ufb01": "fi", "\u00c9": "E\u0301", "\uff21": "A", "\u3000": " ", "\t": " ", "\n": " ", "\u200b": " ", "\u2122": "TM", "\x07": ""}


def train(**options):
    """A SentencePiece model of a few hundred pieces."""
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rules.tsv")
        with open(path, "w") as file:
            file.writelines("%X\t%s\n" % (ord(key), " ".join("%X" % ord(c) for c in value)) for key, value in sorted(RULES.items()))
        if options["model_type"] == "unigram":
            options["normalization_rule_tsv"] = path
        lines = [line for line in corpus(10) if line.strip()][:3000]
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(lines), model_writer=model, minloglevel=2, hard_vocab_limit=False, **options)
    return model.getvalue()


def put(name, file, data):
    os.makedirs(os.path.join(FILES, name), exist_ok=True)
    with open(os.path.join(FILES, name, file), "wb") as out:
        out.write(data if isinstance(data, bytes) else data.encode() if isinstance(data, str) else json.dumps(data, ensure_ascii=False).encode())


def family(name):
    with open(os.path.join(OUT, name, "tokenizer.json")) as file:
        state = json.load(file)
    vocab = state["model"]["vocab"]
    for token in state["added_tokens"]:
        if token["special"]:
            vocab.setdefault(token["content"], token["id"])
    tokens = sorted(vocab, key=vocab.get)
    return {token: i for i, token in enumerate(tokens)}, [" ".join(merge) for merge in state["model"].get("merges", [])]


def write(name, encode, decode, specials):
    texts = [string(2000 + i) for i in range(STRINGS)]
    ids = [encode(text) for text in texts]
    with open(os.path.join(FILES, name + ".json"), "w") as file:
        json.dump({"first": 2000, "specials": specials, "digests": ["%08x" % digest(i) for i in ids], "decoded": [decode(i) for i in ids[:20]]}, file)
    print(name)


def write_folder(name, kind):
    tokenizer = kind.from_pretrained(os.path.join(FILES, name))
    specials = [getattr(tokenizer, key + "_token_id") for key in ["bos", "eos", "pad", "unk"]]
    backend = tokenizer.backend_tokenizer
    write(name, lambda text: backend.encode(text).ids, lambda ids: backend.decode(ids, skip_special_tokens=True), specials)


def bpe_files(name, base):
    vocab, merges = family(base)
    put(name, "vocab.json", vocab)
    put(name, "merges.txt", "#version: 0.2\n" + "\n".join(merges) + "\n")


def write_gguf(name, kind, fill):
    writer = gguf.GGUFWriter(os.path.join(FILES, name + ".gguf"), "llama")
    writer.add_tokenizer_model(kind)
    fill(writer)
    writer.add_bos_token_id(1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def sentencepiece_gguf(model):
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    pieces = range(processor.get_piece_size())

    def kind(i):
        return 3 if processor.is_control(i) else 2 if processor.is_unknown(i) else 6 if processor.is_byte(i) else 1

    def fill(writer):
        writer.add_token_list([processor.id_to_piece(i) for i in pieces])
        writer.add_token_scores([processor.get_score(i) for i in pieces])
        writer.add_token_types([kind(i) for i in pieces])

    write_gguf("llama-spm", "llama", fill)
    # Special tokens inside a text are text to sentencepiece, which also ends at a zero byte.
    texts = [string(2000 + i) for i in range(STRINGS)]
    plain = [not any(mark in text for mark in ["<s>", "</s>", "<unk>", "\0", "\u2581"]) for text in texts]
    ids = [[1] + processor.encode(text) if ok else None for text, ok in zip(texts, plain)]
    with open(os.path.join(FILES, "llama-spm.json"), "w") as file:
        json.dump({"first": 2000, "specials": [1, None, None, None], "digests": ["%08x" % digest(i) if i else "" for i in ids],
                   "decoded": [processor.decode(i) if i else None for i in ids[:20]]}, file)
    print("llama-spm")


QWEN2 = {"normalizer": {"type": "NFC"}, "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Split", "pattern": {"Regex": PRETOKENIZE_REGEX}, "behavior": "Isolated", "invert": False},
    {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}}


NEOX = {"normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}}


def byte_gguf(name, changes):
    """Llama 3's vocabulary with the words of llama.cpp's pre-tokenizer `name`."""
    with open(os.path.join(OUT, "llama3", "tokenizer.json")) as file:
        state = json.load(file)
    state.update(changes)
    if changes:
        state["model"]["ignore_merges"] = False
    tokenizer, vocab = Tokenizer.from_str(json.dumps(state)), state["model"]["vocab"]

    def fill(writer):
        writer.add_tokenizer_pre(name)
        writer.add_token_list(sorted(vocab, key=vocab.get))
        writer.add_token_types([3 if i == 0 else 1 for i in range(len(vocab))])
        writer.add_token_merges([" ".join(merge) for merge in state["model"]["merges"]])
        writer.add_add_bos_token(False)

    write_gguf(name, "gpt2", fill)
    write(name, lambda text: tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.decode, [1, None, None, None])


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    unigram = dict(model_type="unigram", vocab_size=500)
    put("t5", "spiece.model", train(**unigram, pad_id=0, eos_id=1, unk_id=2, bos_id=-1))
    write_folder("t5", T5Tokenizer)
    put("albert", "spiece.model", train(**unigram, pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, control_symbols=["[CLS]", "[SEP]", "[MASK]"]))
    put("albert", "config.json", {"model_type": "albert"})
    write_folder("albert", AlbertTokenizer)
    put("deberta", "spm.model", train(**unigram, pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="[PAD]", bos_piece="[CLS]", eos_piece="[SEP]",
                                      unk_piece="[UNK]"))
    put("deberta", "config.json", {"model_type": "deberta-v2"})
    write_folder("deberta", DebertaV2Tokenizer)
    bpe = dict(model_type="bpe", vocab_size=600, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)
    put("llama", "tokenizer.model", train(**bpe, user_defined_symbols=["new word"]))
    put("llama", "tokenizer_config.json", {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": True, "pad_token": "<pad>",
                                           "bos_token": {"__type": "AddedToken", "content": "<s>", "lstrip": False, "normalized": False,
                                                         "rstrip": False, "single_word": False}})
    write_folder("llama", LlamaTokenizer)
    bpe_files("gpt2", "gpt2")
    put("gpt2", "tokenizer_config.json", {"add_prefix_space": True})
    write_folder("gpt2", GPT2Tokenizer)
    bpe_files("roberta", "roberta")
    put("roberta", "tokenizer_config.json", {"tokenizer_class": "RobertaTokenizerFast", "mask_token": {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": True}})
    put("roberta", "special_tokens_map.json", {"bos_token": "<s>"})
    write_folder("roberta", RobertaTokenizer)
    put("bert", "vocab.txt", "".join(token + "\n" for token in family("bert")[0]))
    put("bert", "tokenizer_config.json", {"do_lower_case": False, "strip_accents": True})
    write_folder("bert", BertTokenizer)
    sentencepiece_gguf(train(**bpe))
    byte_gguf("llama-bpe", {})
    byte_gguf("qwen2", QWEN2)
    byte_gguf("dbrx", {"normalizer": None})
    byte_gguf("olmo", NEOX)
