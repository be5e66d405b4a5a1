"""A draft changes the members it must; all other bytes stay, and each change is noted once."""

from __future__ import annotations

import pytest

from proxy.core.shape import Change, Shape
from proxy.dialects.draft import Draft, lower_effort


def told(draft):
    return [(each.code, each.asked, each.given) for each in draft.forwarded().changes]


@pytest.mark.parametrize(
    ("body", "most", "left", "changes"),
    [
        (b'{ "n" : 5 , "x":1.0}', 2, b'{ "n" : 2 , "x":1.0}', [("clamp.n", "5", "2")]),
        (b'{"n":2}', 2, b'{"n":2}', []),
        (b'{"n":true}', 0, b'{"n":true}', []),
        (b'{"n":null}', 2, b'{"n":null}', []),
        (b'{"n":5}', None, b'{"n":5}', []),
        (b"{}", 2, b"{}", []),
    ],
)
def test_a_number_is_lowered_where_it_is_above(body, most, left, changes):
    draft = Draft(body)
    draft.clamp("n", most)
    assert (draft.forwarded().body, told(draft)) == (left, changes)


@pytest.mark.parametrize(
    ("value", "left", "noted"),
    [
        (b"true", b"{}", True),
        (b'{"5":1}', b"{}", True),
        (b"0", b"{}", True),
        (b"false", b"{}", False),
        (b"null", b"{}", False),
        (b"{}", b"{}", False),
    ],
)
def test_what_is_stripped_is_noted_where_it_was_in_use(value, left, noted):
    draft = Draft(b'{"seed":' + value + b"}")
    draft.strip(("seed", "absent"), "seed")
    assert (draft.body, told(draft)) == (left, [("strip.seed", "", "")] if noted else [])


def test_a_cap_is_lowered_by_each_of_its_names_or_added():
    # body, native cap, what is left, changes
    rows = [
        (b'{"a":9,"b":3}', None, b'{"a":5,"b":3}', [("clamp.output_tokens", "9", "5")]),
        (b'{"b":9}', None, b'{"b":5}', [("clamp.output_tokens", "9", "5")]),
        (b'{"a":null}', None, b'{"a":5}', [("clamp.output_tokens", "", "5")]),
        (b'{"x":1}', None, b'{"a":5,"x":1}', [("clamp.output_tokens", "", "5")]),
        (b'{"x":1}', 5, b'{"x":1}', []),
        (b'{"x":1}', 6, b'{"a":5,"x":1}', [("clamp.output_tokens", "", "5")]),
    ]
    for body, native, left, changes in rows:
        draft = Draft(body)
        draft.cap(("a", "b"), 5, "clamp", native)
        assert (draft.body, told(draft)) == (left, changes)


def test_a_temperature_is_brought_into_its_range():
    shape = Shape(temperature_min=0.5, temperature_max=1.0)
    for value, left in ((b"2", b"1.0"), (b"0", b"0.5"), (b"0.7", b"0.7"), (b"null", b"null")):
        draft = Draft(b'{"temperature":' + value + b"}")
        draft.clamp_temperature(shape)
        assert draft.body == b'{"temperature":' + left + b"}"
        assert bool(told(draft)) == (value != left)


def test_a_change_is_noted_once():
    draft = Draft(b"{}")
    draft.note("hide", "reasoning")
    draft.note("hide", "reasoning")
    assert draft.forwarded().changes == (Change("hide", "reasoning"),)


@pytest.mark.parametrize(
    ("asked", "highest", "given"),
    [
        ("xhigh", "medium", "medium"),
        ("low", "medium", None),
        ("minimal", "none", "none"),
        ("", "low", None),
        (None, "low", None),
        (3, "low", None),
        ("high", "", None),
    ],
)
def test_an_effort_above_the_highest_becomes_the_highest(asked, highest, given):
    assert lower_effort(asked, highest) == given


def test_a_range_may_have_one_end_only():
    draft = Draft(b'{"temperature":2}')
    draft.clamp_temperature(Shape(temperature_min=0.5))
    assert (draft.body, told(draft)) == (b'{"temperature":2}', [])
