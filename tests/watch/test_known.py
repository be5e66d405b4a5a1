"""Items of public sets are known inside any frame, and nothing else is."""

from __future__ import annotations

import json
import pathlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.watch.known import KNOWN, MAGIC, KnownSets
from proxy.watch.marks import windows

SAMPLE = pathlib.Path(__file__).parents[1] / "population" / "sample"
HUMANEVAL = '''from typing import List


def has_close_elements(numbers: List[float], threshold: float) -> bool:
    """ Check if in given list of numbers, are any two numbers closer to each other than
    given threshold.
    >>> has_close_elements([1.0, 2.0, 3.0], 0.5)
    False
    """
'''
GSM8K = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in"
    " May. How many clips did Natalia sell altogether in April and May?"
)
FRAMES = {
    "alone": "{}",
    "asked": "Solve this problem. Think step by step.\n\n### Problem\n{}\n\n### Solution\n",
    "quoted": 'Rate the question "{}" from 1 to 5.',
    "long": "You write data to train on. " * 40 + "{}" + " Answer as JSON." * 40,
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize("item", [HUMANEVAL, GSM8K], ids=["humaneval", "gsm8k"])
def test_an_item_is_known_in_any_frame(item, frame):
    assert KNOWN.holds(frame.replace("{}", item))
    assert not KNOWN.holds(frame.replace("{}", "How do I get grass stains out of a shirt?"))


def test_an_item_is_known_in_another_layout():
    assert KNOWN.holds(GSM8K.upper().replace(" ", "\n"))
    assert KNOWN.holds(json.dumps(HUMANEVAL))


def test_what_others_ask_is_none():
    asked = [
        json.loads(line)["prompt"]
        for file in sorted(SAMPLE.glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]
    assert len(asked) > 100
    assert not [text for text in asked if KNOWN.holds(text)]


def test_the_shipped_file_is_small_and_what_it_says_it_is():
    assert len(KNOWN.anchors) > 10_000
    assert len(KNOWN.to_bytes()) <= 600_000
    assert KnownSets.from_bytes(KNOWN.to_bytes()).to_bytes() == KNOWN.to_bytes()


def test_the_text_of_an_item_is_not_in_the_file():
    assert b"natalia" not in KNOWN.to_bytes().lower()


def test_only_what_is_an_anchor_is_known():
    hashes = [int(each) for each in windows(GSM8K)]
    assert KnownSets.from_hashes(hashes[:1]).holds(GSM8K)
    assert not KnownSets.from_hashes([]).holds(GSM8K)
    near = [each ^ 1 << 32 for each in hashes] + [each ^ 1 << 24 for each in hashes]
    assert not KnownSets.from_hashes(near).holds(GSM8K)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MAGIC[:-1],
        MAGIC + b"1234",
        MAGIC + b"\2\0\0\0\1\0\0\0ab",
        MAGIC + b"\1\0\0\0" * 2 + b"ab",
    ],
    ids=["empty", "cut", "half", "order", "twice"],
)
def test_another_file_is_refused(data):
    with pytest.raises(ValueError, match="no file of known sets"):
        KnownSets.from_bytes(data)


@settings(max_examples=50)
@given(st.text(st.characters(), max_size=300))
def test_any_text_can_be_asked_about(text):
    assert KNOWN.holds(text) in {True, False}
