"""Answers in one body are passed on as they come, and read at their end."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import UpstreamGarbageError
from proxy.core.facts import Usage
from proxy.dialects import arriving
from proxy.dialects.openai_answer import JsonReader
from proxy.dialects.passing import OpaqueReader

BODY = {
    "id": "c",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "to be or not", "refusal": None},
            "logprobs": {"content": [{"token": "to"}]},
            "finish_reason": "stop",
        },
        {
            "index": 1,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": '{"a": 1}'}}],
            },
            "finish_reason": "tool_calls",
        },
    ],
    "usage": {
        "prompt_tokens": 5,
        "completion_tokens": 8,
        "prompt_tokens_details": {"cached_tokens": 99},
    },
}


@given(st.lists(st.integers(0, 600), max_size=8))
def test_bytes_pass_unchanged_and_usage_is_read_at_the_end(cuts):
    body = json.dumps(BODY).encode()
    reader = JsonReader("words")
    edges = [0, *sorted(cut % len(body) for cut in cuts), len(body)]
    out = b"".join(reader.feed(body[start:end]) for start, end in pairwise(edges)) + reader.end()
    assert (out, reader.complete, reader.errored) == (body, True, False)
    # More cached tokens than the prompt has are no more than the prompt.
    assert reader.usage == Usage(5, 8, None, 5, relayed=4 + 1 + 2)
    assert reader.finish_reasons == ("stop", "tool_calls")


def test_half_a_body_is_counted_by_the_text_that_was_passed_on():
    body = json.dumps(BODY).encode()
    reader = JsonReader("words")
    reader.feed(body[: body.index(b"or not") + 2])
    assert (reader.complete, reader.usage) == (False, Usage(relayed=3))
    assert reader.broken("gone", "upstream.reset") == b""


def test_a_choice_without_a_message_or_an_end_says_nothing():
    reader = JsonReader("words")
    reader.feed(b'{"choices":[{"message":null,"finish_reason":null}]}')
    reader.end()
    assert (reader.usage, reader.finish_reasons) == (Usage(), ())


def test_an_error_under_a_good_status_is_noticed():
    reader = JsonReader("words")
    reader.feed(b'{"error":{"message":"busy"}}')
    assert reader.end() + reader.end() == b""
    assert (reader.errored, reader.complete) == (True, True)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[1]",
        b'{"choices":[1]}',
        b'{"choices":[{"index":"a"}]}',
        b'{"choices":[{"message":"x"}]}',
        b"[" * 100_000,
        b'{"a":"\xff"}',
    ],
)
def test_a_body_that_is_no_completion_is_garbage(body):
    reader = JsonReader("chars")
    reader.feed(body)
    with pytest.raises(UpstreamGarbageError):
        reader.end()
    assert reader.complete is False


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "choices",
                        "message",
                        "index",
                        "content",
                        "tool_calls",
                        "function",
                        "name",
                        "usage",
                        "prompt_tokens",
                    ]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=10,
    )
)
def test_only_garbage_is_raised_from_any_json(value):
    reader = JsonReader("words")
    reader.feed(json.dumps(value).encode())
    try:
        reader.end()
    except UpstreamGarbageError:
        assert reader.complete is False
    else:
        assert reader.usage.relayed >= 0


def test_a_body_larger_than_can_be_kept_is_garbage(monkeypatch):
    monkeypatch.setattr(arriving, "MAX_JSON", 10)
    reader = JsonReader("words")
    reader.feed(b"x" * 10)
    with pytest.raises(UpstreamGarbageError, match="too large"):
        reader.feed(b"x")


def test_an_error_s_body_passes_unread():
    reader = OpaqueReader(errored=True)
    assert reader.feed(b"\xff<html>") == b"\xff<html>"
    assert (reader.complete, reader.end(), reader.complete) == (False, b"", True)
    assert (reader.usage, reader.errored, reader.finish_reasons) == (Usage(), True, ())
    assert reader.broken("x", "y") == b""
