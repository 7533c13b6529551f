#!/usr/bin/env python3
"""Writes src/text/unicode_tables.cpp: the character classes that the `tokenizers` library sees.

Its parts follow different Unicode versions, so each class is read off the library itself, one code point at a time;
only the classes of grapheme clusters (UAX #29) come from the `regex` module. Needs: pip install tokenizers==0.23.* regex
"""
import sys
import unicodedata

import regex
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
    for index, name in enumerate(CLUSTERS, 1):
        put(unicode_property("GCB=" + name) - ({"\r", "\n"} if name == "Control" else set()), index << 16)
    put(unicode_property("ExtPict") - unicode_property("GCB=Extend"), (len(CLUSTERS) + 1) << 16)
    for index, name in enumerate(CONJUNCTS, 1):
        put(unicode_property("InCB=" + name), index << 24)
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
    out += ["};", "const size_t newer_range_count = sizeof(newer_ranges) / sizeof(newer_ranges[0]);", "// clang-format on", "",
            "}  // namespace dept::unicode", ""]
    with open(sys.argv[1] if len(sys.argv) > 1 else "src/text/unicode_tables.cpp", "w") as file:
        file.write("\n".join(out))


main()
