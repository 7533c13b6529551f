"""Captions and answers about images, and what COCO's scorers and VQA's formula make of them: tests/parity/data/tasks/captions.json,
caption_words.json and vqa.json.

    python tests/parity/make/captions.py            # with pycocoevalcap; caption_words.json also needs java, else it stays as it is
"""
import json
import random
import re
import shutil
import subprocess
import tempfile
from itertools import combinations
from pathlib import Path

import pycocoevalcap.tokenizer.ptbtokenizer as ptb
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider

OUT = Path(__file__).resolve().parents[1] / "data" / "tasks"
WORDS = "a a a the the man woman dog cat red blue big on in with and of is standing sitting riding horse bus street table".split()


def sentence(draw):
    return [draw.choice(WORDS) for _ in range(draw.choice([0, 1, 1, 2, 3, 5, 8, 9, 10, 10, 11, 12, 20]))]


def near(draw, words):
    """The words with a few changed, left out or said twice."""
    out = []
    for word in words:
        kind = draw.random()
        out += [] if kind < 0.1 else [draw.choice(WORDS)] if kind < 0.25 else [word, word] if kind < 0.3 else [word]
    return out


def write_scores():
    """220 captions, judged together; CIDEr-D of each and BLEU of all, and both of the first ten and of one alone."""
    draw = random.Random(7)
    references = [[sentence(draw) for _ in range(draw.randint(1, 5))] for _ in range(220)]
    candidates = [near(draw, refs[0]) if draw.random() < 0.8 else sentence(draw) for refs in references]
    golden = []
    for count in (220, 10, 1):
        hypotheses = {i: [" ".join(candidates[i])] for i in range(count)}
        truths = {i: [" ".join(r) for r in references[i]] for i in range(count)}
        _, cider = Cider().compute_score(truths, hypotheses)
        bleu, _ = Bleu(4).compute_score(truths, hypotheses, verbose=0)
        golden.append({"count": count, "cider": [float(x) for x in cider], "bleu": bleu})
    cases = {"candidates": [" ".join(c) for c in candidates], "references": [[" ".join(r) for r in refs] for refs in references],
             "golden": golden}
    (OUT / "captions.json").write_text(json.dumps(cases, indent=0) + "\n")


PLAIN = """A man isn't riding his dog's skateboard, is he?
Two dogs, a cat and 3 birds sit on a bench.
It's 5 o'clock; the train doesn't leave until 6:30 p.m.
She said "hello" to the man in the blue shirt.
They'll be there, won't they? I can't say.
The players' bats (all wooden) lean on the wall.
A close-up of a well-lit living room - very tidy.
A sign reads "STOP!" in big, red letters...
Mr. Smith and Mrs. Jones wait at the U.S. embassy.
You've got to see this; we're gonna go, I'm sure.
A man cannot find his keys at 10:45am.
Fish & chips on a plate, $5.99 only.
An old-fashioned car from the 1950's parked on Main St.
There are 1,000 people watching #1 at 50% off
Half of a pizza 1/2 eaten and a 3-year-old boy
Men's and women's room 's signs.
The cat who'd slept all day woke up!!! Why??
A t-shirt, jeans/trousers & a hat
Don't. I'd rather not. Let's go. That's it. D'you know?
the dog 'Rex' sits; the 'best' dog.
A plane, flying over the city -- at night.
Gimme that, lemme see: gotta run, wanna come.
Rock 'n' roll band playing on stage with lights.
A bowl of fruit: apples,bananas and oranges.
A man in a suit and tie.  He looks at his watch.
The U.S.A. team vs. the U.K. team
A person(s) on skis
A "no parking" sign by the road.
A black-and-white photo of N.Y. in the 90s
He's 6'2" tall and she's not.
C'mon, it's only 3p.m. or 10 o'clock!
She's 5'11" and wears '80s clothes, y'all.
A rock'n'roll singer isn't here 'cause he couldn't've come.
Cooks 'em at 350°F for £5 or ½ hour -- it’s “hot”…
A cat/dog/bird sign at 12/25/2010, 24/7, w/o a frame.
Ain't that the dogs' (or cats') toy? [No]
A man's hat-wearing, 20-ft. tall statue, approx. 5-10 ft. wide."""


def made_up_captions(draw):
    subjects = ["A man", "Two women", "The boy's dog", "A cat", "Someone's car", "An old lady", "Three zebras", "A baseball player"]
    verbs = ["is riding", "isn't holding", "sits next to", "doesn't see", "are looking at", "has eaten", "can't reach", "stands by"]
    objects = ["a red bus", "the kids' toys", "a half-eaten sandwich", "some fruits and vegetables", "a 20-foot wave", "two giraffes",
               "a laptop computer", "an orange frisbee"]
    places = ["on a city street", "in the park", "near the water's edge", "at night", "in front of a building", "under a tree",
              "while it's raining", "on top of a table"]
    ends = [".", "", "!", " .", "...", "?", ", smiling.", "; it is sunny.", " (outdoors)."]
    return [" ".join([draw.choice(subjects), draw.choice(verbs), draw.choice(objects), draw.choice(places)]) + draw.choice(ends)
            for _ in range(200)]


def write_words():
    """What the Java program makes of plain captions, line by line, and what is left without its punctuation marks."""
    captions = PLAIN.splitlines() + made_up_captions(random.Random(11))
    folder = Path(ptb.__file__).parent
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(captions) + "\n")
        file.flush()
        done = subprocess.run(["java", "-cp", ptb.STANFORD_CORENLP_3_4_1_JAR, "edu.stanford.nlp.process.PTBTokenizer",
                               "-preserveLines", "-lowerCase", file.name], cwd=folder, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == len(captions)
    cases = [{"caption": caption, "words": [w for w in line.split() if w not in ptb.PUNCTUATIONS]}
             for caption, line in zip(captions, lines)]
    (OUT / "caption_words.json").write_text(json.dumps(cases, indent=0) + "\n")


# --- VQA's accuracy, from the formula on visualqa.org and the normal form that its evaluation describes ---------------

NUMBERS = dict(zip("none zero one two three four five six seven eight nine ten".split(), "0 0 1 2 3 4 5 6 7 8 9 10".split()))
# A few of its contractions, in full
CONTRACTIONS = {"dont": "don't", "isnt": "isn't", "cant": "can't", "whats": "what's", "theyre": "they're", "couldnt've": "couldn't've",
                "couldn'tve": "couldn't've", "yall": "y'all", "oclock": "o'clock", "somebody'd": "somebodyd", "wed've": "we'd've",
                "twas": "'twas", "'ows'at": "'ow's'at"}


def normal(answer):
    text = re.sub(r"[\n\t]", " ", answer).strip()
    comma_in_number = re.search(r"\d,\d", text)
    out = text
    for mark in ';/[]"{}()=+\\_-><@`,?!':
        beside_blank = mark + " " in text or " " + mark in text
        out = out.replace(mark, "" if beside_blank or comma_in_number else " ")
    out = re.sub(r"\.(?!\d)", "", out)
    words = [NUMBERS.get(word, word) for word in out.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in ("a", "an", "the"))


def accuracy(answer, people):
    answer, people = normal(answer), [normal(p) for p in people]
    sets = list(combinations(people, len(people) - 1))
    return sum(min(1, sum(p == answer for p in s) / 3) for s in sets) / len(sets)


ANSWERS = ["yes", "no", "Yes.", "two", "2", "a dog", "the dog", "Dog", "dog, cat", "dog,cat", "t-shirt", "t - shirt", "1,000", "3.5", "3.",
           "isnt", "isn't", "dont know", "don't know", "none", "0", "5 o'clock", "5 oclock", "red/white", "red / white", "Mr. Smith",
           "$5", "50%", "whats up?", "what's up", "couldnt've", "couldn'tve", "yall", "an apple", "The  Apple!", "tom & jerry",
           "\"stop\"", "stop", "(maybe)", "ten", "10", "black\tand white", "black and white\n", "somebody'd", "wed've", "'ows'at",
           "9:30 am", "he said: no", "", "twas", "N.Y.", "1.5.2", "Café", "CAFÉ", "don't; won't"]


def write_vqa():
    draw = random.Random(3)
    cases = []
    for i in range(240):
        few = draw.sample(ANSWERS, draw.choice([1, 2, 2, 3, 5]))
        people = [draw.choice(few) for _ in range(10)]
        answer = draw.choice(few) if draw.random() < 0.85 else draw.choice(ANSWERS)
        cases.append({"answer": answer, "people": people, "accuracy": accuracy(answer, people)})
    golden = {"normal": {answer: normal(answer) for answer in ANSWERS}, "cases": cases}
    (OUT / "vqa.json").write_text(json.dumps(golden, indent=0) + "\n")


if __name__ == "__main__":
    write_scores()
    if shutil.which("java"):
        write_words()
    write_vqa()
