"""The strings of the tokenizer tests, made the same way by tests/parity/text/strings.h: fragments put together by SplitMix64."""

MASK = (1 << 64) - 1

FRAGMENTS = [
    # marks, joiners, selectors, and clusters of them
    "\u0301", "\u0308", "\u0344", "\u200d", "\ufe0f", "\u20e3", "e\u0301", "n\u0303", "a\u20dd", "\u2139\u0301", "\u00a9\u200d\u00a9",
    "1\ufe0f\u20e3", "#\ufe0f", "\U0001f469\u200d\U0001f4bb", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f3f3\ufe0f\u200d\U0001f308",
    "\U0001f1fa\U0001f1f8", "\U0001f1e6", "\U000e0061", "\u1e9b\u0323", "\u304b\u3099", "\uff76\uff9e", "\uff9e",
    # blanks and controls
    " ", "  ", "      ", "\t", "\n", "\r", "\r\n", "\n\n", "\x0b", "\x0c", "\u0085", "\u00a0", "\u1680", "\u180e", "\u200b", "\u200c", "\u2028",
    "\u202e", "\u205f", "\u2060", "\u3000", "\ufeff", "\ufffd", "\x00", "\x01", "\x07", "\x1b", "\x7f", "\u00ad", "\u034f",
    # scripts and digits
    "\uac00", "\u1100", "\u1161", "\u11a8", "\u1100\u1161\u11a8", "\u115f", "\u0627\u0644\u0639\u0631\u0628\u064a\u0629", "\u05e9\u05dc\u05d5\u05dd",
    "\u0600", "\u06dd", "\u0661\u0662\u0663", "\u096a\u096b", "\u2167", "\u00bd", "\u00b2", "\u2460", "\U0001d7d8", "\u09ea", "\u0915\u094d\u0937\u093f",
    "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0ba4\u0bcd", "\u0903", "\u0e44\u0e17\u0e22", "\u0e01\u0e33", "\u0e33", "\u0eb3", "\u0bbe", "\u0d57",
    "\u4e2d\u6587", "\u6f22\u5b57", "\u65e5\u672c\u8a9e\u30c6\u30b9\u30c8", "\ud55c\uad6d\uc5b4", "\u0440\u0443\u0441\u0441\u043a\u0438\u0439",
    # compatibility characters and case
    "\ufb01", "\ufb00", "\u2122", "\u2103", "\u338f", "\uff71", "\uff21", "\ufdfa", "\u337f", "\u00df", "\u1e9e", "\u0130", "\u0131", "\u017f",
    "\u212b", "\u00c5", "\u2126", "\u212a", "\u00e9", "\u00f1", "\U0001d54f", "\u00a9", "\u00ae", "\u01c5", "\u1c89", "\ua7cb", "\U00010d50",
    "\ue000", "\U0010ffff", "\U0001fae9", "\u0378",
    # what tokenizers give a meaning
    "</s>", "<s>", "<pad>", "<unk>", "<mask>", "<extra_id_0>", "<|endoftext|>", "<|im_start|>", "[MASK]", "[CLS]", "[UNK]", "new word", "\u2581",
    "\u2581\u2581", "\u0120", "\u010a", "##", "<0x41>", "@@", "</w>",
    # English
    "'s", "'S", "'ll", "'re", "''", "don't", "I'M", "'ve", "...", "--", "\u2014", "\u201c", "\u201d", "\u2019s", "a", "the", "Hello", "world",
    "1", "12", "123456", "3.14", "1,000", "$5", "50%", "C++", "a_b", "x@y.z", "https://a.b/c?d=e&f", "(", ")", "[", "]", "{", "}", "\\", "\"", "/",
]
WORDS = ("it is not often that a film so slight manages to be this warm funny and quietly sad at once the plot however makes no sense "
         "whatsoever and its second half drags on for what feels like hours although two fine performances nearly save the whole thing "
         "Director's cut unlikely remarkable tokenization preposterously understanding 1984 2001 internationalisation Antidisestablishmentarianism").split()
BLOCKS = [0x20, 0xA0, 0x300, 0x370, 0x400, 0x590, 0x600, 0x900, 0x980, 0xB80, 0xE00, 0x1100, 0x1E00, 0x2000, 0x2100, 0x2460, 0x3000, 0x3300,
          0xAC00, 0xF900, 0xFB00, 0xFE00, 0xFF00, 0x1D400, 0x1F300, 0x1F1E6, 0x1F900, 0xE0000, 0x10A00, 0x11000, 0x1E900, 0x16D40]


class SplitMix64:
    def __init__(self, seed):
        self.state = seed & MASK

    def below(self, limit):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return (z ^ (z >> 31)) % limit


def part(random):
    kind = random.below(16)
    if kind < 7:
        return FRAGMENTS[random.below(len(FRAGMENTS))]
    if kind < 12:
        return WORDS[random.below(len(WORDS))]
    point = random.below(0x110000) if kind == 15 else BLOCKS[random.below(len(BLOCKS))] + random.below(0x80)
    return chr(point) if not 0xD800 <= point < 0xE000 else "\ufffd"


def string(index):
    random = SplitMix64(index * 0x2545F4914F6CDD1D)
    count, blanks = 1 + random.below(16), random.below(3)
    parts = [part(random) * (1 + random.below(200) if random.below(100) == 0 else 1) for _ in range(count)]
    return ("" if blanks == 0 else " ").join(parts)


def fnv(text):
    hash = 0xCBF29CE484222325
    for byte in text.encode():
        hash = ((hash ^ byte) * 0x100000001B3) & MASK
    return hash


def digest_text(text):
    """32 bits."""
    hash = fnv(text)
    return (hash >> 32) ^ (hash & 0xFFFFFFFF)


def digest(ids):
    """32 bits for one list of ids."""
    return digest_text(",".join(map(str, ids)))
