"""Counts do not depend on how text was cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.tokens import Tally, count, twelfths

TEXTS = st.text(alphabet="ab \n\u00a0\u3000é你か한😀\ud83d", max_size=40)


@given(TEXTS, st.lists(st.integers(0, 40), max_size=10), st.sampled_from(["words", "chars"]))
def test_a_text_in_pieces_counts_as_in_one(text, cuts, counter):
    tally = Tally(counter)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for start, end in pairwise(edges):
        tally.add(0, text[start:end])
    assert tally.tokens == count(text, counter)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 0),
        ("abcd", 12),
        ("éa", 9),
        ("приве", 30),
        ("你好", 16),
        ("한か", 16),
        ("😀", 24),
        ("a你é😀", 41),
    ],
)
def test_each_script_has_its_ratio(text, parts):
    assert twelfths(text) == parts


def test_threads_do_not_run_into_each_other():
    tally = Tally("words")
    for thread, text in [
        (0, "one tw"),
        (1, "eins zw"),
        (0, "o"),
        (1, "ei dr"),
        (0, " three "),
        (0, " four"),
        (1, ""),
    ]:
        tally.add(thread, text)
    assert tally.tokens == 7
