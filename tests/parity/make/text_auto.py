#!/usr/bin/env python3
"""Writes tests/parity/data/text/auto.jsonl: what AutoTokenizer makes of a vocabulary and the files beside it, a line for each combination.

A combination is a vocabulary of this folder (NAME/tokenizer.json, or the files of files/NAME), changes to the tokenizer.json by JSON pointer,
and the files beside it: config.json, tokenizer_config.json, special_tokens_map.json, added_tokens.json. "tokens" pads the vocabulary.
"""
import json
import os
import shutil
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
import transformers  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

from text import OUT  # noqa: E402
from text_strings import digest, digest_text, string  # noqa: E402

FIRST, STRINGS = 5000, 40
TEXTS = ["The Caf\u00e9 film <x> was Good", "<s> a</s>b <unk>c", "</s>x", " <new> and<new>", "a [MASK]  b <mask> c", "Hello <image> world ",
         "  two  blanks  ", "\u4e2d\u6587 12345 isn't", "<extra_id_3> <extra_id_0> end", "<|im_start|>user <|endoftext|>", ""]
WORDS = ["HelloWorld aBcD", "a HelloWorld!\n/ aBcD", "The!\nfilm"]
PADDING = ["HelloWorld", "\u0120HelloWorld", "aBcD", "\u0120aBcD", "!\u010a", "!\u010a/"]  # these the texts above have, as a tokenizer of whole words sees them
SPECIALS = ["bos", "eos", "pad", "unk"]


def token(content, marked=True, **options):
    """A token as tokenizer_config.json writes it."""
    return {**({"__type": "AddedToken"} if marked else {}), "content": content, "lstrip": False, "normalized": False, "rstrip": False,
            "single_word": False, **options}


def of(tokenizer_class=None, **config):
    return {"tokenizer_config.json": {**({"tokenizer_class": tokenizer_class} if tokenizer_class else {}), **config}}


def model(model_type, **more):
    return {"config.json": {"model_type": model_type, **more}}


def mapped(**tokens):
    return {"special_tokens_map.json": tokens}


def specials_normalized(count):
    return {"/added_tokens/%d/normalized" % i: True for i in range(count)}


def cases():
    """(name, vocabulary, changes of tokenizer.json, files beside it)"""
    gpt2 = [("plain", {}), ("model", model("gpt2")), ("prefix", of("GPT2Tokenizer", add_prefix_space=True)),
            ("fast_prefix", {**model("gpt2"), **of("GPT2TokenizerFast", add_prefix_space=True)}),
            ("as_it_is", {**model("gpt2"), **of("PreTrainedTokenizerFast", add_prefix_space=True)}),
            ("map", mapped(pad_token="<pad>", eos_token="<|endoftext|>", additional_special_tokens=["<new>", "<image>"])),
            ("map_over_config", {**of("GPT2Tokenizer", eos_token="Hello", pad_token="<x>"), **mapped(eos_token="world")}),
            ("added", {**of("GPT2Tokenizer"), "added_tokens.json": {"<new>": 703, "<x>": 704}}),
            ("decoder", of("GPT2Tokenizer", added_tokens_decoder={"0": token("<|endoftext|>", False, special=True), "700": token("<new>", False, lstrip=True, special=True),
                                                                  "701": token("<image>", False, rstrip=True, normalized=True)})),
            ("decoder_as_it_is", of("PreTrainedTokenizerFast", eos_token="<|endoftext|>", added_tokens_decoder={
                "703": token("<new>", False, lstrip=True, special=True), "704": {"content": "<image>"}, "702": token("the", False, special=True)})),
            ("bos_ignored", of("GPT2Tokenizer", add_bos_token=True, bos_token="<|endoftext|>")),
            ("unknown_class", {**model("gpt2"), **of("OPTTokenizer", add_prefix_space=True)}), ("neox", of("GPTNeoXTokenizer", add_bos_token=True)),
            ("no_unk", of("GPT2Tokenizer", unk_token=None, pad_token="<|endoftext|>"))]
    smollm = [("plain", model("llama")), ("gpt2_class", {**model("llama"), **of("GPT2Tokenizer", bos_token="<|im_start|>", eos_token="<|im_end|>")}),
              ("extra", of("PreTrainedTokenizerFast", additional_special_tokens=["<|im_start|>", "<|im_end|>"], pad_token="<|im_end|>")),
              ("extra_new", of("PreTrainedTokenizerFast", extra_special_tokens=["<new>", token("<x>", lstrip=True, special=True)])),
              ("llama_class", of("LlamaTokenizer")), ("codegen_model", model("codegen"))]
    roberta = [("plain", {}), ("model", model("roberta")), ("prefix", of("RobertaTokenizerFast", add_prefix_space=True)),
               ("as_it_is", {**model("roberta"), **of("PreTrainedTokenizerFast")}), ("bart", of("BartTokenizer")),
               ("mask", of("RobertaTokenizer", mask_token=token("<mask>", lstrip=True, normalized=True))),
               ("frame", of("RobertaTokenizer", cls_token="<unk>", sep_token="<pad>")), ("trim", of("RobertaTokenizer", trim_offsets=False)),
               ("map_dicts", {**model("roberta"), **mapped(mask_token=token("[MASK]", False, rstrip=True), bos_token=token("<s>", False, normalized=True))}),
               ("config_class", model("bert", tokenizer_class="RobertaTokenizer"))]
    llama2 = [("plain", {}), ("model", model("llama")), ("class", {**model("llama"), **of("LlamaTokenizer")}), ("fast_legacy", of("LlamaTokenizerFast", legacy=True)),
              ("legacy_off", of("LlamaTokenizer", legacy=False, use_default_system_prompt=False)), ("no_prefix", of("LlamaTokenizer", add_prefix_space=False)),
              ("legacy_no_prefix", of("LlamaTokenizer", add_prefix_space=False, legacy=True)), ("null_prefix", of("LlamaTokenizer", add_prefix_space=None, legacy=None)),
              ("mistral", {**model("mistral"), **of("LlamaTokenizer", legacy=True)}), ("pad", of("LlamaTokenizer", pad_token="<pad>", legacy=True)),
              ("eos_ignored", of("LlamaTokenizer", add_eos_token=True, add_bos_token=False)),
              ("map_dicts", {**of("LlamaTokenizer"), **mapped(bos_token=token("<s>", False), unk_token=token("<unk>", False), pad_token="</s>")}),
              ("split", of("LlamaTokenizer", split_special_tokens=True)), ("split_as_it_is", of(split_special_tokens=True)),
              ("cut_start", of("LlamaTokenizer", truncation_side="left")), ("named", of(eos_token="</s>", image_token="<image>", pad_token="</s>")), ("unigram_class", of("YiTokenizer")),
              ("gemma", of("GemmaTokenizer", bos_token="<s>", eos_token="</s>")), ("gemma_model", model("gemma3_text"))]
    normalized = [("plain", {}), ("class", of("LlamaTokenizer")), ("named", of("PreTrainedTokenizerFast", bos_token="<s>", eos_token="</s>")),
                  ("mended", of("PreTrainedTokenizerFast", added_tokens_decoder={str(i): token(c, False, special=True) for i, c in enumerate(["<unk>", "<s>", "</s>"])})),
                  ("not_special", of("LlamaTokenizer", added_tokens_decoder={"1": token("<s>", False, special=False, normalized=True)}))]
    llama3 = [("plain", {}), ("as_it_is", {**model("llama"), **of("PreTrainedTokenizerFast", bos_token="<s>", eos_token="<|end|>")}), ("qwen2", of("Qwen2Tokenizer")),
              ("qwen2_model", {**model("qwen2"), **of("PreTrainedTokenizerFast", eos_token="<s>", pad_token="<new>")}), ("qwen3", model("qwen3")),
              ("qwen2_extra", of("Qwen2TokenizerFast", additional_special_tokens=["<image>"], add_prefix_space=True, unk_token=None)),
              ("extra_object", of("PreTrainedTokenizerFast", extra_special_tokens={"image_token": "<image>", "boi_token": "<new>"})),
              ("tokenizers_backend", of("TokenizersBackend", model_specific_special_tokens={"x_token": "<x>"}, mask_token="<mask>"))]
    bert = [("plain", {}), ("model", model("bert")), ("cased", of("BertTokenizer", do_lower_case=False)), ("accents", of("BertTokenizerFast", strip_accents=False)),
            ("chinese", of("BertTokenizer", tokenize_chinese_chars=False)), ("distil", {**model("distilbert"), **of("DistilBertTokenizer", do_lower_case=False)}),
            ("cased_stripped", of("BertTokenizer", do_lower_case=False, strip_accents=True)), ("as_it_is", {**model("bert"), **of("PreTrainedTokenizerFast", do_lower_case=False)}),
            ("cut_start", of("BertTokenizer", truncation_side="left", padding_side="left", model_max_length=12)),
            ("frame", of("BertTokenizer", cls_token="[MASK]", sep_token="[PAD]")), ("electra", {**model("electra"), **of("ElectraTokenizer", do_lower_case=True, strip_accents=None)}),
            ("mask", {**model("bert"), **mapped(mask_token="[MASK]", unk_token="[UNK]", additional_special_tokens=["<new>"])}),
            ("added", {**of("BertTokenizer", do_lower_case=True), "added_tokens.json": {"<New>": 902, "\u00c9x": 903}}),
            ("mpnet", of("MPNetTokenizer")), ("mpnet_model", {**model("mpnet"), **of(cls_token="[CLS]", sep_token="[SEP]", do_lower_case=False)})]
    albert = [("plain", {}), ("model", model("albert")), ("accents", of("AlbertTokenizer", keep_accents=True)), ("cased", of("AlbertTokenizer", do_lower_case=False, keep_accents=True)),
              ("no_prefix", of("AlbertTokenizerFast", add_prefix_space=False)), ("mask", {**model("albert"), **of(mask_token=token("[MASK]", lstrip=True))}),
              ("xlm_roberta", of("XLMRobertaTokenizer")), ("sp_kwargs", of("AlbertTokenizer", sp_model_kwargs={}, remove_space=True))]
    t5 = [("plain", {}), ("model", model("t5")), ("mt5", {**model("mt5"), **of("T5Tokenizer")}), ("mt5_class", {**model("mt5"), **of("MT5Tokenizer")}), ("umt5", {**model("umt5"), **of("T5Tokenizer")}),
          ("few_ids", of("T5Tokenizer", extra_ids=5)), ("no_ids", of("T5TokenizerFast", extra_ids=0)), ("extra", of("T5Tokenizer", additional_special_tokens=["<extra_id_0>", "<new>"])),
          ("no_extra", of("T5Tokenizer", extra_special_tokens=[])), ("map", {**model("t5"), **mapped(additional_special_tokens=["<extra_id_%d>" % i for i in range(100)], eos_token="</s>")}),
          ("map_new", {**model("t5"), **mapped(additional_special_tokens=["<new>"], unk_token={"content": "<unk>"})}), ("eos", of("T5Tokenizer", eos_token="<eos>")),
          ("as_it_is", {**model("t5"), **of("PreTrainedTokenizerFast", eos_token="</s>", pad_token="<pad>")})]
    named = {"gpt2": gpt2, "smollm": smollm, "roberta": roberta, "llama2": llama2, "llama3": llama3, "bert": bert, "albert": albert, "t5": t5,
             "mixed": [("plain", {}), ("map", mapped(eos_token="<eos>", pad_token="<unk>"))]}
    for vocabulary, combinations in named.items():
        for name, files in combinations:
            yield vocabulary + "_" + name, vocabulary, {}, files
    for name, files in normalized:
        yield "llama2_normalized_" + name, "llama2", specials_normalized(3), files
    yield "llama2_no_frame", "llama2", {"/post_processor": None}, of("LlamaTokenizer", add_bos_token=True)
    yield "albert_no_frame", "albert", {"/post_processor": None}, of("AlbertTokenizer")
    yield "bert_no_frame", "bert", {"/post_processor": None, "/normalizer": None}, of("BertTokenizer")
    padding = {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": None, "pad_id": 2, "pad_type_id": 0, "pad_token": "</s>"}
    yield "llama2_padding", "llama2", {"/padding": padding}, of("LlamaTokenizer")
    yield "llama2_padding_as_it_is", "llama2", {"/padding": padding}, of("PreTrainedTokenizerFast", unk_token="<unk>")
    for name, vocabulary, files in files_alone():
        yield "files_" + name, "files/" + vocabulary, {}, files
    for name, *rest in mistral():
        yield "mistral_" + name, *rest
    named = {"unk_token": "<unk>", "pad_token": "<pad>"}
    for name, files in [("plain", of("DebertaV2Tokenizer", **named)), ("model", {**model("deberta-v2"), **of(**named)}),
                        ("lower", of("DebertaV2TokenizerFast", do_lower_case=True, **named)),
                        ("punctuation", of("DebertaV2Tokenizer", split_by_punct=True, **named)),
                        ("no_prefix", of("DebertaV2Tokenizer", add_prefix_space=False, **named)),
                        ("unknown", of("DebertaV2Tokenizer", unk_id=2)),
                        ("mask", {**of("DebertaV2Tokenizer", **named), **mapped(mask_token=token("[MASK]", False, lstrip=True), cls_token="<unk>")})]:
        yield "deberta_" + name, "albert", {}, files
    none = {"tokenizer_config.json": None, "special_tokens_map.json": None, "config.json": None}
    yield "files_deberta", "files/deberta", {}, {**none, **model("deberta-v2")}
    yield "files_deberta_lower", "files/deberta", {}, {**none, **of("DebertaV2Tokenizer", do_lower_case=True)}
    for name, files in [("plain", {**model("t5"), **of("ByT5Tokenizer")}), ("config", model("t5", tokenizer_class="ByT5Tokenizer")),
                        ("few_ids", of("ByT5Tokenizer", extra_ids=3)), ("no_ids", of("ByT5Tokenizer", extra_ids=0)),
                        ("extra", of("ByT5Tokenizer", additional_special_tokens=["<extra_id_%d>" % i for i in range(125)]))]:
        yield "byt5_" + name, "files/byt5", {}, {"tokenizer_config.json": None, **files}
    yield "bert_modernbert", "llama3", {}, {**model("modernbert"), **of("PreTrainedTokenizerFast", eos_token="<s>", pad_token="<new>")}


def mistral():
    """(name, vocabulary, changes, files, tokens): what fix_mistral_regex does, which wants more than 100,000 tokens."""
    def fixed(value=True, tokenizer_class="PreTrainedTokenizerFast"):
        return of(tokenizer_class, fix_mistral_regex=value)

    old, many = model("mistral", transformers_version="4.57.3"), 100001
    bytes_after_split = {"/pre_tokenizer/pretokenizers/1": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}}
    metaspace = {"/pre_tokenizer": {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first", "split": False}}
    none = {"tokenizer_config.json": None, "special_tokens_map.json": None, "config.json": None}
    for name, files in [("fixed", {**old, **fixed()}), ("not_fixed", {**old, **fixed(False)}), ("undecided", {**old, **of("PreTrainedTokenizerFast")}),
                        ("null", {**old, **fixed(None)}), ("no_version", {**model("mistral"), **fixed()}), ("pixtral", {**model("pixtral", transformers_version="4.9"), **fixed()}),
                        ("version_5", {**model("mistral", transformers_version="5.0.0"), **fixed()}), ("before_5", {**model("mistral", transformers_version="5.0.0rc1"), **fixed()}),
                        ("after_5", {**model("mistral", transformers_version="5.0.0.post1"), **fixed()}), ("development", {**model("mistral3", transformers_version="5.0.0.dev0"), **fixed()}),
                        ("other_model", {**model("llama", transformers_version="4.57.3"), **fixed()}), ("other_model_no_version", {**model("llama"), **fixed()}),
                        ("qwen2", {**model("qwen2"), **fixed(True, "Qwen2Tokenizer")}), ("no_config", fixed()),
                        ("saved_config", {"config.json": {"transformers_version": "4.40.0"}, **fixed()})]:
        yield name, "llama3", {}, files, many
    yield "few_tokens", "llama3", {}, {**old, **fixed()}, None
    yield "just_enough", "gpt2", {}, {**old, **of("PreTrainedTokenizerFast", fix_mistral_regex=True, pad_token="<pad>")}, 100000
    yield "just_too_few", "gpt2", {}, {**old, **of("PreTrainedTokenizerFast", fix_mistral_regex=True, eos_token="<|endoftext|>")}, 100000
    yield "second_step", "llama3", bytes_after_split, {**old, **fixed()}, many
    yield "bytes", "gpt2", {}, {**old, **fixed()}, many
    yield "gpt2_class", "gpt2", {}, {**model("gpt2"), **fixed(True, "GPT2Tokenizer")}, many
    yield "roberta_class", "roberta", {}, {**model("roberta"), **fixed(True, "RobertaTokenizer")}, many
    yield "digits", "smollm", {}, {**old, **fixed()}, many
    yield "metaspace", "llama2", metaspace, {**old, **fixed()}, many
    yield "llama_class", "llama2", {}, {**model("llama"), **fixed(True, "LlamaTokenizer")}, many
    yield "no_words", "llama2", {}, {**old, **fixed()}, many
    yield "bert_class", "bert", {}, {**model("bert"), **fixed(True, "BertTokenizer")}, many
    yield "t5_class", "t5", {}, {**model("t5"), **fixed(True, "T5Tokenizer")}, many
    yield "files_alone", "files/gpt2", {}, {**none, **model("gpt2"), **fixed(True, "GPT2Tokenizer")}, many


def files_alone():
    """Without a tokenizer.json."""
    none = {"tokenizer_config.json": None, "special_tokens_map.json": None, "config.json": None}
    gpt2, roberta, bert = {**none, **model("gpt2")}, {**none, **model("roberta")}, {**none, **model("bert")}
    yield "gpt2", "gpt2", gpt2
    yield "gpt2_bos", "gpt2", {**gpt2, **of("GPT2Tokenizer", add_bos_token=True)}
    yield "gpt2_added", "gpt2", {**gpt2, "added_tokens.json": {"<new>": 700, "<x>": 701}, **mapped(pad_token="<x>", additional_special_tokens=["<image>"])}
    yield "gpt2_extra", "gpt2", {**gpt2, **of(additional_special_tokens=["<new>"], add_eos_token=True, pad_token="<pad>")}
    yield "qwen2", "gpt2", {**none, **model("qwen2")}
    yield "neox", "gpt2", {**none, **of("GPTNeoXTokenizer", add_eos_token=True)}
    yield "roberta", "roberta", {**roberta, **of(add_prefix_space=True, mask_token=token("<mask>", lstrip=True))}
    yield "roberta_map", "roberta", {**roberta, **mapped(mask_token=token("<mask>", False, lstrip=True), cls_token="<unk>")}
    yield "bert", "bert", bert
    yield "bert_accents", "bert", {**bert, **of("BertTokenizer", strip_accents=False, tokenize_chinese_chars=False)}
    yield "bert_map", "bert", {**bert, **mapped(unk_token="[UNK]", cls_token="[SEP]", additional_special_tokens=["<new>"])}
    yield "t5", "t5", {**none, **model("t5")}
    yield "t5_few", "t5", {**none, **model("t5"), **of("T5Tokenizer", extra_ids=3)}
    yield "t5_extra", "t5", {**none, **model("t5"), **of("T5Tokenizer", additional_special_tokens=["<new>", "<extra_id_0>"])}
    yield "t5_map", "t5", {**none, **model("mt5"), **mapped(eos_token="</s>", additional_special_tokens=["<new>"])}
    yield "albert_cased", "albert", {**none, **model("albert"), **of(do_lower_case=False)}
    yield "llama", "llama", {**none, **of("LlamaTokenizer", add_bos_token=True)}
    yield "llama_legacy", "llama", {**none, **of("LlamaTokenizer", legacy=True, add_bos_token=True, add_eos_token=True, pad_token="<pad>")}
    yield "llama_no_class", "llama", {**none, **model("llama"), **of(add_bos_token=True)}
    yield "llama_mistral", "llama", {**none, **model("mistral"), **of("LlamaTokenizer")}
    yield "llama_alone", "llama", none
    yield "llama_added", "llama", {**none, **of("LlamaTokenizer"), "added_tokens.json": {"<pad>": 600}}


def pad(folder, tokens):
    """Brings the vocabulary to so many tokens, with the added ones of tokenizer.json behind the others."""
    path = os.path.join(folder, "tokenizer.json")
    whole = os.path.exists(path)
    path = path if whole else os.path.join(folder, "vocab.json")
    with open(path) as file:
        state = json.load(file)
    vocabulary = state["model"]["vocab"] if whole else state
    listed = isinstance(vocabulary, list)
    pieces = {piece for piece, _ in vocabulary} if listed else set(vocabulary)
    added = [token for token in state["added_tokens"] if token["content"] not in pieces] if whole else []
    for i in range(tokens - len(vocabulary) - len(added)):
        token = PADDING[i] if i < len(PADDING) else "\u4dff%d" % i
        if listed:
            vocabulary.append([token, -100.0])
        else:
            vocabulary[token] = len(vocabulary)
    for i, token in enumerate(added):
        token["id"] = len(vocabulary) + i
    with open(path, "w") as file:
        json.dump(state, file)


def put(folder, vocabulary, changes, files, tokens):
    """The folder of a combination."""
    shutil.copytree(os.path.join(OUT, vocabulary), folder)
    if tokens:
        pad(folder, tokens)
    path = os.path.join(folder, "tokenizer.json")
    if changes:
        with open(path) as file:
            state = json.load(file)
        for pointer, value in changes.items():
            *steps, last = [int(step) if step.isdigit() else step for step in pointer[1:].split("/")]
            at = state
            for step in steps:
                at = at[step]
            at[last] = value
        with open(path, "w") as file:
            json.dump(state, file)
    for name, content in files.items():
        path = os.path.join(folder, name)
        if content is not None:
            with open(path, "w") as file:
                json.dump(content, file)
        elif os.path.exists(path):
            os.remove(path)


def written(name, vocabulary, changes, files, tokens=None):
    with tempfile.TemporaryDirectory() as scratch:
        folder = os.path.join(scratch, "model")
        put(folder, vocabulary, changes, files, tokens)
        tokenizer = AutoTokenizer.from_pretrained(folder)

    def decoded(ids, skip):
        return tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)

    ids = [tokenizer(string(FIRST + i)).input_ids for i in range(STRINGS)]
    texts = TEXTS + (WORDS if name.startswith("mistral_") else [])
    own = [tokenizer(text).input_ids for text in texts]
    every = sorted(id for id in {getattr(tokenizer, key + "_token_id") for key in SPECIALS} | set(tokenizer.all_special_ids[:4]) if id is not None)
    line = {"first": FIRST, "texts": texts, "name": name, "class": type(tokenizer).__name__, "vocabulary": vocabulary, "changes": changes, **({"tokens": tokens} if tokens else {}), "files": files, "size": len(tokenizer),
            "specials": [getattr(tokenizer, key + "_token_id") for key in SPECIALS],
            "ids": own, "text": [decoded(i, True) for i in own], "all": [decoded(i, False) for i in own], "pair": tokenizer(TEXTS[0], TEXTS[1]).input_ids,
            "cut": tokenizer(TEXTS[0], truncation=True, max_length=7).input_ids,
            "cut_pair": tokenizer(TEXTS[0], TEXTS[1], truncation=True, max_length=11).input_ids,
            "special_ids": every, "special_text": decoded(every, True), "special_all": decoded(every, False),
            "digests": ["%08x" % digest(i) for i in ids],
            "decoded": ["%08x" % digest_text(decoded(i, True) + "\n" + decoded(i, False)) for i in ids]}
    return line


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    transformers.logging.set_verbosity_error()
    with open(os.path.join(OUT, "auto.jsonl"), "w") as file:
        for case in cases():
            try:
                line = written(*case)
            except Exception as error:
                raise RuntimeError(case[0]) from error
            print(line["name"], line["class"], line["size"])
            file.write(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n")
