"""Whatever is asked is answered or refused; nothing else comes out."""

import contextlib

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import RequestError
from proxy.standin.fields import RefusedError
from proxy.standin.reply import Call, Reply
from proxy.standin.responses_stored import Store
from proxy.standin.routes import OPENAI, route_of
from proxy.standin.sealed import opened, sealed

WORD = st.sampled_from(
    ["a", "text", "message", "reasoning", "thinking", "function_call", "tool_use", "tool_result", "document", "user", "assistant", "enabled", "adaptive", "json_schema", "json_object", "function", "required", "any", "auto", "input_text"]
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 3000), st.floats(allow_nan=False), WORD),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "role",
                    "content",
                    "text",
                    "id",
                    "name",
                    "input",
                    "output",
                    "arguments",
                    "format",
                    "schema",
                    "summary",
                    "thinking",
                    "signature",
                    "encrypted_content",
                    "source",
                    "data",
                    "tool_choice",
                    "function",
                    "parameters",
                    "input_schema",
                    "budget_tokens",
                    "display",
                    "effort",
                    "tools",
                    "mode",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
SHARED = ["tools", "tool_choice", "stream", "stream_options", "temperature"]
MEMBERS = {
    "/v1/chat/completions": [
        "messages", "n", "logprobs", "top_logprobs", "max_tokens", "response_format", "prediction",
    ],
    "/v1/completions": [
        "prompt", "n", "best_of", "echo", "logprobs", "suffix", "max_tokens",
    ],
    "/v1/embeddings": ["input", "dimensions", "encoding_format"],
    "/v1/responses": [
        "input", "instructions", "reasoning", "text", "include", "top_logprobs",
        "max_output_tokens", "background", "store", "previous_response_id", "metadata",
    ],
    "/v1/messages": [
        "messages", "max_tokens", "system", "thinking", "output_config",
    ],
}  # fmt: skip


def asked_at(path):
    members = dict.fromkeys([*MEMBERS[path], *SHARED], JSON)
    items = st.lists(
        st.dictionaries(st.sampled_from(["role", "type", "content", "id"]), JSON), max_size=3
    )
    members |= {name: st.one_of(JSON, items) for name in ("messages", "input") if name in members}
    return st.fixed_dictionaries({"model": st.just("standin-reasoner")}, optional=members)


@pytest.mark.parametrize("path", MEMBERS)
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_any_request_is_answered_or_refused(path, data):
    body = orjson.dumps(data.draw(asked_at(path)))
    maker = route_of(path, OPENAI).makers["POST"]
    with contextlib.suppress(RequestError, RefusedError):
        made = maker(Call("req_1", body, "", "", {}, Store(), 0))
        if isinstance(made, Reply):
            assert orjson.loads(made.whole())
            assert sum(tokens for tokens, _ in made.events()) <= made.tokens
        else:
            assert orjson.dumps(made.body)


@given(st.text(max_size=40))
def test_what_is_sealed_can_be_opened_and_is_not_seen(text):
    seal = sealed(text)
    assert opened(seal) == text
    assert seal == sealed(text)


@given(st.text(min_size=1, max_size=40), st.data())
def test_a_seal_that_was_touched_is_no_seal(text, data):
    seal = sealed(text)
    at = data.draw(st.integers(0, len(seal) - 1))
    other = data.draw(st.sampled_from("ABCxyz019-_=é").filter(lambda each: each != seal[at]))
    assert opened(seal[:at] + other + seal[at + 1 :]) is None
    assert opened(seal[:at]) is None
