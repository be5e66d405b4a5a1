"""A text is known again wherever it stands, by those who have the key."""

from __future__ import annotations

import json
import pathlib
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.watch.marks import END, EVERY, MOST, MOST_ASKED, marks, windows

KEY = 0x0123456789ABCDEF
SAMPLE = pathlib.Path(__file__).parents[1] / "population" / "sample"
TEXTS = sorted(
    json.loads(line)["prompt"]
    for file in SAMPLE.glob("*.jsonl")
    for line in file.read_text("utf-8").splitlines()
)


def prose(dice: random.Random, length: int, texts: list[str] = TEXTS) -> str:
    said = ""
    while len(said) < length:
        said += dice.choice(texts) + " "
    return said[:length]


def shared(served: str, asked: str, key: int = KEY) -> int:
    return len(set(marks(served, KEY)) & set(marks(asked, key, MOST_ASKED)))


@pytest.mark.parametrize("length", [400, 1_000])
def test_a_passage_of_400_characters_that_comes_back_nearly_always_shares_a_mark(length):
    dice = random.Random(1)
    met = 0
    for _ in range(200):
        served = prose(dice, length, TEXTS[0::2])
        start = dice.randrange(length - 400 + 1)
        around = prose(dice, 600, TEXTS[1::2])
        met += shared(served, around[:300] + served[start : start + 400] + around[300:]) > 0
    assert met >= 190


def test_a_whole_answer_that_comes_back_shares_two_marks_at_least():
    dice = random.Random(2)
    for length in (1_000, 2_000, 4_000):
        for _ in range(30):
            served = prose(dice, length)
            assert shared(served, f"Clean up this text:\n{served}\nThank you.") >= 2


def test_other_texts_share_none():
    dice = random.Random(3)
    pairs = [(prose(dice, 1_500, TEXTS[0::2]), prose(dice, 1_500, TEXTS[1::2])) for _ in range(200)]
    assert sum(shared(one, other) for one, other in pairs) == 0


def test_another_layout_is_the_same_text():
    text = prose(random.Random(4), 1_200)
    quoted = "\n".join(f"> **{line}**" for line in text.upper().replace(". ", ".\n").splitlines())
    for copy in (text.upper(), text.replace(" ", "\n  "), quoted, json.dumps(text)):
        assert shared(text, copy) == len(marks(text, KEY))


def test_another_key_gives_other_marks():
    text = prose(random.Random(5), 3_000)
    assert marks(text, KEY)
    assert shared(text, text, KEY + 1) == 0


def test_marks_are_few_ascending_and_of_64_bits():
    many = marks(prose(random.Random(6), 8_000), KEY, 10_000)
    assert len(many) > MOST_ASKED
    assert list(many) == sorted(set(many))
    assert 2**63 < many[-1] < 2**64  # the choosing leaves nothing in them
    assert marks(prose(random.Random(6), 8_000), KEY) == many[:MOST]


def test_of_long_texts_both_ends_are_read():
    begun, ended = prose(random.Random(7), END), prose(random.Random(8), END)
    assert marks(begun + "x" * 100_000 + ended, KEY, 999) == marks(begun + ended, KEY, 999)


def test_short_texts_have_none():
    assert marks("", KEY) == marks("Thank you very much, that is it.", KEY) == ()
    assert not len(windows("*" * 1_000))


def test_one_window_of_eight_is_hashed_and_one_of_those_is_a_mark():
    text = prose(random.Random(9), 8_000)
    hashes, places = windows(text), len(text.replace(" ", "")) - 31
    assert places / EVERY / 1.5 < len(hashes) < places / EVERY * 1.5
    spread = np.bincount((hashes >> np.uint64(61)).astype(int), minlength=8)
    assert spread.min() > 0


@settings(max_examples=50)
@given(st.text(st.characters(), max_size=300), st.integers(0, 2**64 - 1))
def test_any_text_has_marks_or_none(text, key):
    assert len(marks(text + "\ud800" + text, key)) <= MOST
