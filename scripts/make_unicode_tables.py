#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cpp: the character classes that the `tokenizers` library sees.

Its parts follow different Unicode versions, so each class is read off the library itself, one code point at a time. For the
classes of grapheme clusters (UAX #29) the `regex` module gives the candidates, which the library then confirms.
Needs: pip install tokenizers==0.23.* regex sentencepiece
"""
import io
import os
import sys
import tempfile
import unicodedata

import regex
import sentencepiece
from tokenizers import Regex, normalizers, pre_tokenizers

POINTS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def matched(pattern):
    """Code points that the library's regex engine (Oniguruma) puts in a class."""
    normalizer, found = normalizers.Replace(Regex(pattern), ""), set()
    for i in range(0, len(POINTS), 4096):
        block = POINTS[i : i + 4096]
        found |= set(block) - set(normalizer.normalize_str("".join(block)))
    return found


def isolated(pre_tokenizer, frame="a"):
    """Code points that a pre-tokenizer cuts off from the letters around them."""
    text = "".join(frame + c for c in POINTS) + frame
    return {piece for piece, _ in pre_tokenizer.pre_tokenize_str(text) if len(piece) == 1 and piece != frame}


def removed(normalizer):
    return {c for c in POINTS if normalizer.normalize_str("a" + c + "a") == "aa"}


def word_characters():
    text = "".join("-" + c for c in POINTS)
    pieces = {piece for piece, _ in pre_tokenizers.Whitespace().pre_tokenize_str(text)}
    return {c for c in POINTS if c in pieces and c != "-"}


def unicode_property(name):
    pattern = regex.compile(r"\p{%s}" % name)
    return {c for c in POINTS if pattern.match(c)}


def bert(**options):
    base = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return normalizers.BertNormalizer(**{**base, **options})


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if byte < 0x80:
            return value, at


def fields(data):
    """(number, bytes) of the length-delimited fields of a protobuf message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 2:
            size, at = varint(data, at)
            yield tag >> 3, data[at : at + size]
            at += size
        elif tag & 7 == 0:
            _, at = varint(data, at)
        else:
            at += 4 if tag & 7 == 5 else 8


def sentencepiece_charsmap(model):
    """ModelProto.normalizer_spec (3) .precompiled_charsmap (2)."""
    return dict(fields(dict(fields(model))[3]))[2]


def charsmap_normalizer(rules):
    """The library's normaliser of a SentencePiece model with these replacements of single characters."""
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rules.tsv")
        with open(path, "w") as file:
            file.writelines("%X\t%X\n" % (ord(key), ord(value)) for key, value in sorted(rules.items()))
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(["a b"] * 9), model_writer=model, vocab_size=9, minloglevel=2,
                                                 hard_vocab_limit=False, normalization_rule_tsv=path)
    return normalizers.Precompiled(sentencepiece_charsmap(model.getvalue()))


def cluster_classes():
    """Candidates that the library confirms: a short cluster whose first character has a replacement becomes it as a whole."""
    found = {name: unicode_property("GCB=" + name) for name in CLUSTERS}
    found["Control"] -= {"\r", "\n"}
    conjuncts = {name: unicode_property("InCB=" + name) for name in CONJUNCTS}
    names = (found["Control"] - {"\0"}) | found["Prepend"] | conjuncts["Consonant"] | {"a"}
    normalize = charsmap_normalizer({c: "X" for c in names}).normalize_str
    attached = {c for c in POINTS if normalize("a" + c) == "X"}
    marks = found["Extend"] | found["SpacingMark"] | found["ZWJ"]
    print("marks not confirmed", len(marks - attached), "added", len(attached - marks), file=sys.stderr)
    for name in ["Extend", "SpacingMark"]:
        found[name] &= attached
    found["Extend"] |= attached - marks
    found["Prepend"] = {c for c in found["Prepend"] if normalize(c + "-") == "X"}
    found["Control"] = {c for c in found["Control"] if normalize(c + "\u0301") != "X"}
    virama, consonant = "\u094d", "\u0915"
    conjuncts["Consonant"] = {c for c in conjuncts["Consonant"] if len(c.encode()) > 3 or normalize(consonant + virama + c + "\u0301")[-1] == "\u0301"}
    conjuncts["Linker"] = {c for c in conjuncts["Linker"] if normalize(consonant + c + consonant + "\u0301")[-1] == "\u0301"}
    conjuncts["Extend"] &= attached
    return found, conjuncts


FLAGS = {
    "letter": lambda: matched(r"\p{L}"),
    "number": lambda: matched(r"\p{N}"),
    "numeric": lambda: isolated(pre_tokenizers.Digits(individual_digits=True)),
    "space": lambda: matched(r"\s"),
    "word": word_characters,
    "punctuation": lambda: isolated(pre_tokenizers.Punctuation()),
    "other": lambda: removed(bert(clean_text=True)),
    "nonspacing": lambda: removed(bert(strip_accents=True)),
    "combining": lambda: removed(normalizers.StripAccents()),
}
CLUSTERS = ["Control", "Extend", "ZWJ", "Prepend", "SpacingMark", "L", "V", "T", "LV", "LVT", "Regional_Indicator"]
CONJUNCTS = ["Consonant", "Linker", "Extend"]


def ranges(values):
    """(first, last, value) for runs of one non-zero value."""
    runs = []
    for point, value in sorted(values.items()):
        if runs and runs[-1][1] == point - 1 and runs[-1][2] == value:
            runs[-1][1] = point
        else:
            runs.append([point, point, value])
    return runs


def character_classes():
    values = {}

    def put(characters, bits):
        for c in characters:
            values[ord(c)] = values.get(ord(c), 0) | bits

    for bit, (name, members) in enumerate(FLAGS.items()):
        found = members()
        print(name, len(found), file=sys.stderr)
        put(found, 1 << bit)
    clusters, conjuncts = cluster_classes()
    clusters["Pictographic"] = unicode_property("ExtPict") - set().union(*clusters.values())
    for shift, classes in [(16, clusters), (24, conjuncts)]:
        for index, (name, members) in enumerate(classes.items(), 1):
            print(name, len(members), file=sys.stderr)
            put(members, index << shift)
    return ranges(values)


def newer_categories():
    """General categories of the characters that Oniguruma knows and Unicode 14 (the oldest PCRE2 we meet) does not."""
    assert unicodedata.unidata_version == "14.0.0"
    values = {}
    for name in ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
                 "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cf"]:
        for c in matched(r"\p{%s}" % name):
            if unicodedata.category(c) == "Cn":
                values[ord(c)] = name
    return ranges(values)


def newer_lower():
    """(first, last, distance) to the lower case of characters that have none in Unicode 14 (the oldest ICU we meet)."""
    lower, runs = normalizers.Lowercase().normalize_str, []
    for c in POINTS:
        made = lower(c)
        if made == c.lower():
            continue
        distance = ord(made) - ord(c)
        if runs and runs[-1][1] == ord(c) - 1 and runs[-1][2] == distance:
            runs[-1][1] = ord(c)
        else:
            runs.append([ord(c), ord(c), distance])
    return runs


def rows(items, width=126):
    line = "   "
    for item in items:
        if len(line) + len(item) + 1 > width:
            yield line
            line = "   "
        line += " " + item
    yield line


def main():
    out = ["// Written by scripts/make_unicode_tables.py; do not edit.", '#include "text/unicode.h"', "",
           "namespace dept::unicode {", "", "// clang-format off", "const ClassRange class_ranges[] = {"]
    out += rows("{0x%X,0x%X,0x%X}," % (a, b, v) for a, b, v in character_classes())
    out += ["};", "const size_t class_range_count = sizeof(class_ranges) / sizeof(class_ranges[0]);", "",
            "const CategoryRange newer_ranges[] = {"]
    out += rows('{0x%X,0x%X,"%s"},' % (a, b, v) for a, b, v in newer_categories())
    out += ["};", "const size_t newer_range_count = sizeof(newer_ranges) / sizeof(newer_ranges[0]);", "", "const LowerRange newer_lower[] = {"]
    out += rows("{0x%X,0x%X,%d}," % tuple(run) for run in newer_lower())
    out += ["};", "const size_t newer_lower_count = sizeof(newer_lower) / sizeof(newer_lower[0]);", "// clang-format on", "",
            "}  // namespace dept::unicode", ""]
    with open(sys.argv[1] if len(sys.argv) > 1 else "src/text/unicode_tables.cpp", "w") as file:
        file.write("\n".join(out))


if __name__ == "__main__":
    main()
