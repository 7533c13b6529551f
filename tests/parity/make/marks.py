"""Winograd's spans as the original marks them, each a pattern of Python's re: tests/parity/data/tasks/marks.json.

Run from the repository's root with Python 3.11: python tests/parity/make/marks.py
The rule is that of arXiv 2309.05173's code (and T5's before it): a template in which re.sub puts index and span.
"""
import json
import re
from pathlib import Path

OUT = Path(__file__).resolve().parents[1] / "data" / "tasks" / "marks.json"


def mark(text, span, index, sign):
    pattern = re.sub("N", str(index), r"^((?:\S+\s){N})(W)")
    pattern = re.sub("W", span, pattern)
    return re.sub(pattern, r"\1{0} \2 {0}".format(sign), text)


def both(text, span1, index1, span2, index2):
    text = mark(text, span1, index1, "*")
    return mark(text, span2, index2 + 2 * int(index1 < index2), "#")


TEXTS = [
    ("Mark told Pete many lies. He was rude.", "Mark", 0, "He", 5),
    ("Mark (Jr.) told Pete many lies. He was rude.", "Mark (Jr.)", 0, "He", 6),
    ("Mr. Moncrieff visited Chester. He had debts.", "Mr. Moncrieff", 0, "He", 4),
    ("Mrx Moncrieff visited Chester. He had debts.", "Mr. Moncrieff", 0, "He", 4),
    ("It cost $5 at the store? It did.", "$5", 2, "It", 6),
    ("Is it so? It is.", "so?", 2, "It", 3),
    ("Is it s It is.", "so?", 2, "It", 3),
    ("He said [sic] it. It was.", "[sic]", 2, "it", 3),
    ("He said sic it. It was.", "[sic]", 2, "it", 3),
    ("A or B came. He sat.", "A|B", 0, "He", 4),
    ("A or B came. He sat.", "Z|B", 2, "He", 4),
    ("C++ is hard. It is.", "C++", 0, "It", 3),
    ("C is hard. It is.", "C+", 0, "It", 3),
    ("CCC is hard. It is.", "C{2}", 0, "It", 3),
    ("CCC is hard. It is.", "C{,2}", 0, "It", 3),
    ("C{,} is hard. It is.", "C{}", 0, "It", 3),
    ("C{} is hard. It is.", "C{}", 0, "It", 3),
    ("C{1 is hard. It is.", "C{1", 0, "It", 3),
    ("CC is hard. It is.", "C{3,1}", 0, "It", 3),
    ("aaa is hard. It is.", "a{2}{2}", 0, "It", 3),
    ("*star* is hard. It is.", "*star*", 0, "It", 3),
    ("?why is hard. It is.", "?why", 0, "It", 3),
    ("{2} is hard. It is.", "{2}", 0, "It", 3),
    ("{x} is hard. It is.", "{x}", 0, "It", 3),
    ("Mark (Jr is hard. It is.", "Mark (Jr", 0, "It", 4),
    ("Mark Jr) is hard. It is.", "Mark Jr)", 0, "It", 4),
    ("[abc is hard. It is.", "[abc", 0, "It", 3),
    ("[] is hard. It is.", "[]", 0, "It", 3),
    ("]a is hard. It is.", "[]]a", 0, "It", 3),
    ("b is hard. It is.", "[^a-]", 0, "It", 3),
    ("- is hard. It is.", "[a-]", 0, "It", 3),
    ("c is hard. It is.", "[z-a]", 0, "It", 3),
    ("m is hard. It is.", "[a-z]", 0, "It", 3),
    ("ab is hard. It is.", "a)(b", 0, "It", 3),
    ("ab xb is hard. It is.", "a)|(b", 0, "It", 4),
    ("ab is hard. It is.", "(?:a)b", 0, "It", 3),
    ("ab is hard. It is.", "a(?=b)", 0, "It", 3),
    ("ab is hard. It is.", "a(?!b)", 0, "It", 3),
    ("ab is hard. It is.", "a(?#c)b", 0, "It", 3),
    ("aab is hard. It is.", "a*?b", 0, "It", 3),
    ("aab is hard. It is.", "a++b", 0, "It", 3),
    ("aab is hard. It is.", "a**b", 0, "It", 3),
    ("aab is hard. It is.", "^a", 0, "It", 3),
    ("aab is hard. It is.", "^*a", 0, "It", 3),
    ("aab is hard. It is.", "aab$", 0, "is.", 4),
    ("one aab", "aab$", 1, "one", 0),
    ("one aab\n", "aab$", 1, "one", 0),
    ("a.b is hard. It is.", "a\\.b", 0, "It", 3),
    ("axb is hard. It is.", "a\\.b", 0, "It", 3),
    ("a\nb is hard. It is.", "a.b", 0, "It", 3),
    ("a\rb is hard. It is.", "a.b", 0, "It", 3),
    ("a\tb is hard. It is.", "a\\tb", 0, "It", 3),
    ("a\\b is hard. It is.", "a\\\\\\\\b", 0, "It", 3),
    ("a is hard. It is.", "a\\", 0, "It", 3),
    ("a is hard. It is.", "a\\d", 0, "It", 3),
    ("a is hard. It is.", "a\\1", 0, "It", 3),
    ("Zoë's père came. Il dit.", "Zoë's père", 0, "Il", 3),
    ("漢字 is hard. 它 is.", "漢.", 0, "它", 3),
    ("one\u00a0two\u2003three four", "three", 2, "one", 0),
    ("one\x1ctwo\u0085three four", "three", 2, "one", 0),
    ("one two", "two", 1, "two", 7),
    ("one  two", "two", 1, "two", 2),
    ("one two", "", 1, "one", 0),
    ("one {-1}two", "two", -1, "one", 0),
    ("one two three", "two", -1, "one", 0),
    ("W N W", "W", 2, "N", 1),
    (" ".join(f"w{i}" for i in range(900)), "w880", 880, "w3", 3),
]


def main():
    cases = []
    for text, span1, index1, span2, index2 in TEXTS:
        case = {"text": text, "span1_text": span1, "span1_index": index1, "span2_text": span2, "span2_index": index2, "label": 1}
        try:
            expected = both(text, span1, index1, span2, index2)
        except (re.error, IndexError) as error:
            expected, case["error"] = None, str(error)
        cases.append(case | {"marked": expected})
    OUT.write_text(json.dumps(cases, indent=0) + "\n")


if __name__ == "__main__":
    main()
