"""Embeddings cost their input; vectors pass unread, and their usage is found behind them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import RequestError, UpstreamGarbageError
from proxy.core.facts import RequestFacts, Usage
from proxy.core.shape import NO_SHAPE, Shape
from proxy.dialects import openai_embeddings
from proxy.dialects.base import Call
from proxy.dialects.openai_embeddings import KEPT, EmbeddingsReader
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words", 1_000, 200)
FACTS = RequestFacts("openai.embeddings", "m")


def read(**fields):
    body = json.dumps({"model": "m", "input": "to be"} | fields).encode()
    return openai_embeddings.read(body, lambda _: WORDS, Call())[0]


@pytest.mark.parametrize(
    ("value", "tokens", "text"),
    [
        ("to be", 2, "to be"),
        (["to be", "or"], 3, "to be\nor"),
        ([5, 6], 2, "5 6"),
        ([[5, 6], [7]], 3, "5 6\n7"),
    ],
)
def test_every_kind_of_input_is_counted_and_nothing_comes_out(value, tokens, text):
    facts = read(input=value, user="u")
    assert (facts.dialect, facts.prompt_tokens, facts.prompt, facts.user) == ("openai.embeddings", tokens, text, "u")  # fmt: skip
    assert (facts.output_tokens, facts.choices, facts.stream, facts.features) == (0, 1, False, frozenset())  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": {}}, "input"),
        ({"input": []}, "input"),
        ({"input": ["a", [1]]}, "input[0]"),
        ({"input": [[1], [1.5]]}, "input[1]"),
        ({"model": ""}, "model"),
        ({"user": 5}, "user"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_cannot_be_metered_is_refused_by_name(fields, param):
    with pytest.raises(RequestError) as caught:
        read(**fields)
    assert caught.value.param == param


def test_no_shape_changes_a_request():
    body = b'{ "model" : "m","input":"x", "seed":1}'
    sent = openai_embeddings.forward(body, FACTS, Shape(n=1, truncate=1, strip=frozenset({"seed"})))
    assert (sent.body, sent.changes) == (body, ())


def answer(vectors, **more):
    data = [{"object": "embedding", "index": 0, "embedding": vectors}]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 7, "total_tokens": 7}} | more  # fmt: skip


@given(st.lists(st.integers(0, 400_000), max_size=4), st.sampled_from([1, 100, 30_000]))
def test_vectors_pass_unchanged_however_long_and_however_cut(cuts, length):
    body = json.dumps(answer([0.5] * length)).encode()
    edges = [0, *sorted(cut % len(body) for cut in cuts), len(body)]
    reader = openai_embeddings.answer(FACTS, WORDS, "application/json", 200, Shape(truncate=1))
    out = b"".join(reader.feed(body[start:end]) for start, end in pairwise(edges))
    assert out + reader.end() + reader.end() == body
    assert (reader.usage, reader.complete, reader.errored) == (Usage(7), True, False)
    assert (reader.cut, reader.pending, reader.objects, reader.finish_reasons) == (False, False, (), ())  # fmt: skip


def test_an_error_under_a_good_status_is_noticed():
    reader = EmbeddingsReader()
    reader.feed(b'{"error":{"message":"busy"}}')
    reader.end()
    assert reader.errored is True


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"x" * (KEPT + 1)])
def test_a_body_that_is_no_object_is_garbage(body):
    reader = EmbeddingsReader()
    reader.feed(body)
    with pytest.raises(UpstreamGarbageError):
        reader.end()
    assert (reader.complete, reader.broken("x", "y")) == (False, b"")


def test_a_long_body_without_usage_leaves_it_unknown():
    reader = EmbeddingsReader()
    reader.feed(b'{"data":"' + b"A" * KEPT + b'"}')
    reader.end()
    assert (reader.usage, reader.complete) == (Usage(), True)


def test_the_reader_is_chosen_by_what_the_answer_is():
    for kind, status, name in (
        ("application/json", 200, "EmbeddingsReader"),
        ("", 200, "EmbeddingsReader"),
        ("text/html", 500, "OpaqueReader"),
    ):
        reader = openai_embeddings.answer(FACTS, WORDS, kind, status, NO_SHAPE)
        assert type(reader).__name__ == name
    for kind in ("text/event-stream", "text/html"):
        with pytest.raises(UpstreamGarbageError):
            openai_embeddings.answer(FACTS, WORDS, kind, 200, NO_SHAPE)
