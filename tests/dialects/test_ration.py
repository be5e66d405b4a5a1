"""A ration cuts text where its tokens run out, and never gives more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.ration import Ration
from proxy.dialects.tokens import Tally

PIECES = st.lists(
    st.tuples(st.sampled_from("ab"), st.text("ab 你\n", max_size=6)), min_size=1, max_size=8
)


@pytest.mark.parametrize("counter", ["words", "chars"])
@given(pieces=PIECES, most=st.integers(0, 8))
def test_what_is_given_is_a_beginning_and_costs_no_more_than_the_ration(counter, pieces, most):
    ration, given_tally, asked_tally = Ration(most, counter), Tally(counter), Tally(counter)
    for thread, text in pieces:
        part = ration.take(thread, text)
        assert text.startswith(part)
        given_tally.add(thread, part)
        asked_tally.add(thread, text)
    assert ration.tokens == given_tally.tokens <= most
    assert ration.spent == (asked_tally.tokens > most)


@pytest.mark.parametrize("counter", ["words", "chars"])
@given(text=st.text("ab 你\n", max_size=20), most=st.integers(0, 8), size=st.integers(1, 4))
def test_how_a_text_was_cut_into_pieces_does_not_change_what_is_given(counter, text, most, size):
    whole, parts = Ration(most, counter), Ration(most, counter)
    joined = "".join(
        parts.take("a", text[start : start + size]) for start in range(0, len(text), size)
    )
    given_at_once = whole.take("a", text)
    # Blanks before a word that is not given any more may have left already.
    assert (joined.rstrip(), parts.spent) == (given_at_once.rstrip(), whole.spent)


def test_an_answer_of_exactly_the_ration_is_not_cut():
    # most, counter, pieces
    rows = [
        (3, "words", ["to b", "e o", "r ", "\n"]),
        (3, "chars", list("abcdefghijkl")),
        (0, "words", [" ", ""]),
    ]
    for most, counter, pieces in rows:
        ration = Ration(most, counter)
        assert "".join(ration.take("a", piece) for piece in pieces) == "".join(pieces)
        assert (ration.spent, ration.tokens) == (False, most)


@pytest.mark.parametrize("counter", ["words", "chars"])
def test_what_goes_together_is_given_whole_or_ends_the_ration(counter):
    ration = Ration(4, counter)
    assert ration.take_whole([("a", "abcd"), ("b", "abcd")])
    assert ration.would_fit(2)
    assert not ration.would_fit(3)
    assert not ration.take_whole(iter([("c", "abcd abcd abcd")]))
    assert (ration.tokens, ration.spent) == (2, True)
    assert not ration.take_whole([])
    assert ration.take("a", "x") == ""
    assert not ration.would_fit(0)


def test_without_an_end_everything_is_given_and_counted():
    ration = Ration(None, "words")
    assert ration.take("a", "to be") == "to be"
    assert ration.take_whole([("b", "or not")])
    assert (ration.tokens, ration.spent, ration.threads, ration.would_fit(10**9)) == (
        4,
        False,
        2,
        True,
    )


def test_a_ration_can_be_ended_by_hand():
    ration = Ration(9, "words")
    ration.spend()
    assert (ration.take("a", "x"), ration.spent, ration.tokens) == ("", True, 0)
