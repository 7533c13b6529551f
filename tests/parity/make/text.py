#!/usr/bin/env python3
"""Trains small tokenizers with the Python libraries and writes what they make of many strings to tests/parity/data/text.

NAME/tokenizer.json; NAME.jsonl: one line a string with ids, decoded text, pair and truncation in full; NAME.hash: digests for many more.
normalizers.json: digests of what each normaliser of Unicode makes of every character.
"""
import hashlib
import io
import json
import os
import sys
import tempfile
import unicodedata

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

sys.path[:0] = [os.path.dirname(__file__), os.path.join(os.path.dirname(__file__), "..", "..", "..", "scripts")]
from make_unicode_tables import sentencepiece_charsmap  # noqa: E402
from text_strings import BLOCKS, FRAGMENTS, WORDS, digest, string  # noqa: E402

OUT = os.path.join(os.path.dirname(__file__), "..", "data", "text")
FULL, HASHED = 60, 2000
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def corpus(strings=500):
    """English enough: the docstrings of the standard library, and our own strings."""
    lines = []
    for name in sorted(["argparse", "ast", "asyncio", "collections", "csv", "datetime", "decimal", "difflib", "email", "functools", "inspect",
                        "json", "logging", "os", "pathlib", "random", "re", "statistics", "string", "subprocess", "textwrap", "typing"]):
        module = __import__(name)
        for value in [module, *vars(module).values()]:
            text = getattr(value, "__doc__", None)
            lines += text.splitlines() if isinstance(text, str) and not isinstance(value, (str, int)) else []
    return [line for line in lines if line.isascii()] + [string(10**9 + i) for i in range(strings)] + [" ".join(WORDS)] * 20


def added(*contents, **options):
    return [AddedToken(content, **options) for content in contents]


def train_bpe(tokenizer, vocab_size, **options):
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, show_progress=False, **options)
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def byte_level(pre_tokenizer, specials, vocab_size=700):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    return train_bpe(tokenizer, vocab_size, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def gpt2():
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False), ["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_tokens(added("new word", normalized=True) + added("   ", normalized=True) + added("the", single_word=True))
    return tokenizer


def smollm():
    parts = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    return byte_level(pre_tokenizers.Sequence(parts), ["<|endoftext|>", "<|im_start|>", "<|im_end|>"])


def roberta():
    tokenizer = byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True), ["<s>", "<pad>", "</s>", "<unk>"])
    tokenizer.add_special_tokens(added("<mask>", lstrip=True, normalized=False) + added("[MASK]", rstrip=True, normalized=False))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def llama3():
    parts = [pre_tokenizers.Split(Regex(LLAMA3), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    tokenizer = byte_level(pre_tokenizers.Sequence(parts), ["<s>"])
    state = json.loads(tokenizer.to_str())
    state["model"]["ignore_merges"] = True
    tokenizer = Tokenizer.from_str(json.dumps(state))
    template = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 0)])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    return tokenizer


def charsmap():
    """A character map compiled by SentencePiece: NFKC and a clean-up of blanks and controls for the blocks of our strings."""
    rules = {}
    for start in BLOCKS:
        for point in range(start, start + 0x80):
            if 0xD800 <= point < 0xE000:
                continue
            normal = unicodedata.normalize("NFKC", chr(point))
            if normal != chr(point):
                rules[chr(point)] = normal
    for text in FRAGMENTS:
        normal = unicodedata.normalize("NFKC", text)
        if normal != text and len(text) < 6:
            rules[text] = normal
    for point in [9, 10, 13, 0x85, 0xA0, 0x1680, *range(0x200B, 0x2010), 0x2028, 0x3000, 0xFEFF, 0xFFFD]:
        rules[chr(point)] = " "
    for point in [1, 7, 0x1B, 0x7F]:
        rules[chr(point)] = ""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rules.tsv")
        with open(path, "w") as file:
            for key, value in sorted(rules.items()):
                file.write(" ".join("%X" % ord(c) for c in key) + "\t" + " ".join("%X" % ord(c) for c in value) + "\n")
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(WORDS * 50), model_writer=model, vocab_size=60, hard_vocab_limit=False,
                                                 normalization_rule_tsv=path, minloglevel=2)
    return sentencepiece_charsmap(model.getvalue())


def t5():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Precompiled(charsmap())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=900, show_progress=False, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>")
    tokenizer.train_from_iterator(corpus(strings=10), trainer)  # few, so that many characters stay unknown
    tokenizer.add_special_tokens(added("<extra_id_0>", normalized=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)])
    return tokenizer


def llama2():
    """BPE with byte fallback over whole texts, as SentencePiece's BPE models are told in tokenizer.json."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    words = Tokenizer(models.BPE())
    words.normalizer = tokenizer.normalizer
    words.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<unk>", "<s>", "</s>", *("<0x%02X>" % byte for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=800, show_progress=False, special_tokens=specials)
    words.train_from_iterator(corpus(strings=10), trainer)
    state, trained = json.loads(tokenizer.to_str()), json.loads(words.to_str())
    state["model"].update({key: trained["model"][key] for key in ["vocab", "merges"]})
    state["added_tokens"] = [token for token in trained["added_tokens"] if token["id"] < 3]
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)])
    return tokenizer


def wordpiece(normalizer=None):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=900, show_progress=False, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.train_from_iterator(corpus(strings=100), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def bert():
    tokenizer = wordpiece(normalizers.BertNormalizer())
    tokenizer.add_tokens(added("New Word", normalized=True) + added("\u00c9t\u00e9", normalized=True, single_word=True))
    tokenizer.enable_truncation(16)  # a file's own truncation and padding do not count
    tokenizer.enable_padding(length=16)
    return tokenizer


def albert():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(),
        normalizers.Precompiled(charsmap()), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    specials = ["<pad>", "<unk>", "[CLS]", "[SEP]"]
    trainer = trainers.UnigramTrainer(vocab_size=700, show_progress=False, special_tokens=specials, unk_token="<unk>")
    tokenizer.train_from_iterator(corpus(strings=10), trainer)
    tokenizer.add_special_tokens(added("[MASK]", lstrip=True, normalized=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def mixed():
    """The remaining parts, all in one: stripping, replacing, splitting in every way."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([
        normalizers.Nmt(), normalizers.StripAccents(),
        normalizers.Replace(Regex(r"\s{2,}"), " "), normalizers.Replace("--", "\u2014"), normalizers.Strip()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split("n", "merged_with_previous"), pre_tokenizers.Split(Regex(r"[st]"), "merged_with_next"),
        pre_tokenizers.Split(Regex(r"\w+"), "contiguous", invert=True), pre_tokenizers.Digits(), pre_tokenizers.Punctuation("merged_with_next"),
        pre_tokenizers.CharDelimiterSplit("q"), pre_tokenizers.Whitespace(), pre_tokenizers.Metaspace(split=False)])
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    trainer = trainers.UnigramTrainer(vocab_size=700, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>")
    tokenizer.train_from_iterator(corpus(strings=10), trainer)
    tokenizer.add_tokens(added("Hello", normalized=True) + added("world", normalized=True, single_word=True, lstrip=True))
    tokenizer.post_processor = processors.BertProcessing(("sep", 4), ("cls", 5))
    return tokenizer


NORMALIZERS = [normalizers.NFC(), normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD(), normalizers.Lowercase(), normalizers.StripAccents(),
               normalizers.BertNormalizer(), normalizers.BertNormalizer(strip_accents=False), normalizers.BertNormalizer(lowercase=False),
               normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, lowercase=False, strip_accents=True)]


def write_normalizers():
    """Every character, alone among letters and between marks; the first 32 bits of sha256 for each 4,096 of them."""
    out = []
    for normalizer in NORMALIZERS:
        bare = Tokenizer(models.BPE())
        bare.normalizer = normalizer
        blocks = []
        for start in range(0, 0x110000, 0x1000):
            points = [chr(c) for c in range(start, start + 0x1000) if not 0xD800 <= c < 0xE000]
            texts = "\n".join("a%s\u0301\u0334B%s" % (c, c) for c in points)
            blocks.append(hashlib.sha256(normalizer.normalize_str(texts).encode()).hexdigest()[:8])
        out.append({"normalizer": json.loads(bare.to_str())["normalizer"], "blocks": " ".join(blocks)})
    with open(os.path.join(OUT, "normalizers.json"), "w") as file:
        json.dump(out, file, indent=0)
        file.write("\n")


def encoded(tokenizer, *texts, **options):
    return tokenizer.encode(*texts, **options).ids


def cut(tokenizer, texts, length, strategy):
    tokenizer.enable_truncation(length, strategy=strategy)
    try:
        return encoded(tokenizer, *texts)
    except Exception:
        return None
    finally:
        tokenizer.no_truncation()


def case(tokenizer, index):
    text, pair = string(index), string(index + 1)
    ids, plain = encoded(tokenizer, text), encoded(tokenizer, text, add_special_tokens=False)
    length, strategy = 5 + index % 13, ["longest_first", "only_first", "only_second"][index % 3]
    return {"ids": ids, "plain": plain if plain != ids else 0,
            "text": tokenizer.decode(ids), "all": tokenizer.decode(plain, skip_special_tokens=False),
            "length": length, "how": strategy, "cut": cut(tokenizer, [text], length, "longest_first"),
            "pair": cut(tokenizer, [text, pair], length, strategy)}


def write(name, tokenizer):
    os.makedirs(os.path.join(OUT, name), exist_ok=True)
    state = json.loads(tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    with open(os.path.join(OUT, name, "tokenizer.json"), "w") as file:
        json.dump(state, file, ensure_ascii=False, separators=(",", ":"))
    with open(os.path.join(OUT, name + ".jsonl"), "w") as file:
        for index in range(FULL):
            file.write(json.dumps(case(tokenizer, index), ensure_ascii=False, separators=(",", ":")) + "\n")
    with open(os.path.join(OUT, name + ".hash"), "w") as file:
        for index in range(FULL, HASHED):
            file.write("%08x\n" % digest(encoded(tokenizer, string(index))))
    print(name, tokenizer.get_vocab_size())


def write_strings():
    with open(os.path.join(OUT, "strings.json"), "w") as file:
        json.dump({"fragments": FRAGMENTS, "words": WORDS, "blocks": BLOCKS}, file, separators=(",", ":"))


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    write_strings()
    write_normalizers()
    makers = {"gpt2": gpt2, "smollm": smollm, "roberta": roberta, "llama3": llama3, "t5": t5, "llama2": llama2, "wordpiece": wordpiece,
              "bert": bert, "albert": albert, "mixed": mixed}
    for name in sys.argv[1:] or makers:
        write(name, makers[name]())
