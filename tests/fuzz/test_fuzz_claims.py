"""What the fuzzer is let loose on, in small: real inputs, changed in their structure."""

from __future__ import annotations

from random import Random

import answering
import claims
import heads
import mutations
import pytest
import reading
import seeds
import visible
from hypothesis import given, settings
from hypothesis import strategies as st

HEADS = st.binary(min_size=8, max_size=8)
SLOW = [name for name in claims.TARGETS if name.startswith(("answer", "sse", "splice"))]
QUICK = [name for name in claims.TARGETS if name not in SLOW]


def changed(inputs, name, head, number, changes):
    bodies, words = inputs[name]
    data = head + bodies[number % len(bodies)]
    for seed in changes:
        data = mutations.mutated(data, Random(seed), words)
    return data


@pytest.mark.parametrize("name", SLOW)
@settings(max_examples=80, deadline=None)
@given(HEADS, st.integers(0, 99), st.lists(st.integers(0, 2**32), max_size=4))
def test_all_claims_hold_of_answers_that_were_tampered_with(inputs, name, head, number, changes):
    claims.TARGETS[name](changed(inputs, name, head, number, changes))


@pytest.mark.parametrize("name", QUICK)
@settings(max_examples=200, deadline=None)
@given(HEADS, st.integers(0, 99), st.lists(st.integers(0, 2**32), max_size=4))
def test_all_claims_hold_of_requests_that_were_tampered_with(inputs, name, head, number, changes):
    claims.TARGETS[name](changed(inputs, name, head, number, changes))


@pytest.mark.parametrize("name", claims.TARGETS)
@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
def test_all_claims_hold_of_any_bytes(name, data):
    claims.TARGETS[name](data)


@pytest.mark.parametrize("name", claims.TARGETS)
def test_all_claims_hold_of_real_inputs_under_every_shape(inputs, name):
    for number, body in enumerate(inputs[name][0]):
        for head in seeds.HEADS[number % 2 :: 2]:
            claims.TARGETS[name](head + body)


def test_a_broken_claim_is_noticed(monkeypatch):
    monkeypatch.setattr(reading, "with_data", lambda event, _data: event)
    with pytest.raises(AssertionError):
        claims.TARGETS["sse"](bytes(8) + b"data: a\n\n")
    monkeypatch.setattr(reading, "parse_object", lambda _body: {"a": 1})
    with pytest.raises(AssertionError):
        claims.TARGETS["splice"](bytes(8) + b'{"a":1,"a":1}')


def test_leaks_are_noticed_in_every_dialect(inputs):
    unshaped = heads.NO_SHAPE
    for name in ("openai.chat", "openai.completions", "openai.responses", "anthropic.messages"):
        leaks = 0
        for body in inputs[f"answer.{name}"][0]:
            stream = not body.startswith(b"{")
            media = "text/event-stream" if stream else "application/json"
            facts, rules = heads.facts_of(name, 3), heads.rules_of(1)
            dialect = heads.DIALECTS[name]
            outcome, _ = answering.played(
                dialect, facts, rules, media, unshaped, [body], broken=False
            )
            shown = answering.shown_of(name, outcome.out, stream=stream)
            try:
                visible.within(name, shown, 2, "words")
            except AssertionError:
                leaks += 1
        assert leaks >= 3, name
