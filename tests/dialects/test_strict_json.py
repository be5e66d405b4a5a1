"""A body is read only where all parsers would read the same."""

from __future__ import annotations

import contextlib
import inspect
import json
import sys

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import RequestError
from proxy.dialects.strict_json import has_repeated_keys, parse_object

KEYS = st.sampled_from(
    ['"a"', '"b"', '"\\u0061"', '"\\""', '"\\u0022"', '"\\\\"', '"\\\\u0022"', '"é"', '""']
)
TEXTS = st.recursive(
    st.sampled_from(["1", "null", "1e3", '"x"', '"\\""', '"\\u0022"', '"\\\\u0022"', '"\\\\"']),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]")
        | st.lists(st.tuples(KEYS, inner), max_size=4).map(
            lambda pairs: "{" + ", ".join(f"{key} :{value}" for key, value in pairs) + "}"
        )
    ),
    max_leaves=10,
)


@given(st.lists(st.tuples(KEYS, TEXTS), max_size=4))
def test_the_quick_proof_agrees_with_looking_at_every_key(pairs):
    body = ("{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}").encode()
    if has_repeated_keys(body):
        with pytest.raises(RequestError, match="A key is repeated"):
            parse_object(body)
    else:
        assert parse_object(body) == json.loads(body)


@given(st.binary(max_size=60) | TEXTS.map(str.encode))
def test_only_a_request_error_comes_out(body):
    with contextlib.suppress(RequestError):
        assert isinstance(parse_object(body), dict)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "could not parse"),
        (b"{", "could not parse"),
        (b"[1]", "must be a JSON object"),
        (b'"x"', "must be a JSON object"),
        (b'{"a":NaN}', "could not parse"),
        (b'{"a":Infinity}', "could not parse"),
        (b'{"a":1e999}', "could not parse"),
        (b'{"a":"\xff"}', "could not parse"),
        (b'{"a":"\\ud800"}', "could not parse"),
        (b'\xef\xbb\xbf{"a":1}', "could not parse"),
        (b'{"a":1}{"a":1}', "could not parse"),
        (b'{"a":1,}', "could not parse"),
        (b'{"a":1,"a":2}', "A key is repeated"),
        (b'{"a":1,"\\u0061":2}', "A key is repeated"),
        (b'{"x":[{"a":1,"a":1}]}', "A key is repeated"),
        (b'{"\\u0022":1,"\\"":2}', "A key is repeated"),
        (b"[" * 100_000 + b"]" * 100_000, "could not parse"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "could not parse"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "nested too deeply"),
        (b'{"\\u0022":' + b"[" * 300 + b"]" * 300 + b"}", "nested too deeply"),
    ],
)
def test_a_body_that_could_be_read_in_two_ways_is_refused(body, sentence):
    with pytest.raises(RequestError, match=sentence):
        parse_object(body)


def test_integers_of_any_length_are_harmless():
    digits = b"9" * 5_000
    assert has_repeated_keys(b'{"a":' + digits + b"}") is False
    with contextlib.suppress(RequestError):
        assert parse_object(b'{"\\u0022":' + b"9" * 300 + b"}") == {'"': float("9" * 300)}


def test_quotes_in_strings_are_no_repeated_keys():
    value = {"a": 'say "hi" \\" \\', 'b"': ['"', {"c": '""'}]}
    assert parse_object(orjson.dumps(value)) == value


def test_a_body_too_deep_for_the_stack_at_hand_is_refused():
    body = b'{"\\u0022":' + b"[" * 200 + b"]" * 200 + b"}"
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        with pytest.raises(RequestError, match="nested too deeply"):
            parse_object(body)
    finally:
        sys.setrecursionlimit(before)
    assert parse_object(body)
