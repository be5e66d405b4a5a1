"""A provider's no is heard in every dialect, and a client's mistake is not taken for one."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.anthropic_usage import finish_of
from proxy.dialects.declined import code_of, declined


@pytest.mark.parametrize(
    ("reasons", "status", "code"),
    [
        (["content_filter"], 200, ""),
        (["stop", "stop", "content_filter"], 200, ""),
        (["refusal"], 200, ""),
        ([finish_of({"stop_reason": "refusal", "stop_details": {"category": "bio"}})], 200, ""),
        (["incomplete:content_filter"], 200, ""),
        ([], 400, "content_policy_violation"),
        ([], 400, "content_filter"),
        ([], 400, "invalid_prompt"),
        ([], 403, "cyber_policy"),
        ([], 400, "ResponsibleAIPolicyViolation"),
        (["failed"], 200, "invalid_prompt"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else str(value),
)
def test_a_provider_that_declines_is_heard(reasons, status, code):
    assert declined(reasons, status, code)


@pytest.mark.parametrize(
    ("reasons", "status", "code"),
    [
        ([], 200, ""),
        (["stop"], 200, ""),
        (["length", "tool_calls"], 200, ""),
        (["end_turn"], 200, ""),
        (["incomplete:max_output_tokens"], 200, ""),
        (["completed"], 200, ""),
        (["failed"], 200, "server_error"),
        ([], 400, ""),
        ([], 400, "invalid_value"),
        ([], 403, "unsupported_country_region_territory"),
        ([], 429, "rate_limit_exceeded"),
        ([], 500, "invalid_prompt"),
        (["stop"], 200, "content_filter"),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, list) else str(value),
)
def test_answers_and_mistakes_are_no_refusals(reasons, status, code):
    assert not declined(reasons, status, code)


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"error": {"code": "content_policy_violation", "message": "no"}}, "content_policy_violation"),
        ({"error": {"code": None, "message": "bad"}}, ""),
        ({"error": {"code": 400}}, ""),
        ({"error": "no"}, ""),
        (
            {"type": "error", "error": {"type": "invalid_request_error",
             "message": "Output blocked by content filtering policy"}},
            "content_filter",
        ),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}, ""),
        ({"status": "failed", "error": {"code": "invalid_prompt"}}, "invalid_prompt"),
        ({"choices": []}, ""),
        ([], ""),
    ],
    ids=["openai", "no-code", "a-number", "a-text", "anthropic-filter", "anthropic", "responses",
         "an-answer", "a-list"],
)  # fmt: skip
def test_the_code_of_an_error_is_read_from_its_body(told, code):
    assert code_of(orjson.dumps(told)) == code


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.failed", "response": {"error": {"code": "invalid_prompt"}}},
        {"type": "error", "code": "invalid_prompt", "message": "no"},
        {"error": {"code": "invalid_prompt"}},
    ],
    ids=["failed", "error", "chat"],
)
def test_the_code_of_an_error_is_read_from_a_stream(event):
    begun = b'event: x\ndata: {"type":"response.created","response":{"error":null}}\n\n'
    assert code_of(begun + b"data: " + orjson.dumps(event) + b"\n\n", stream=True) == (
        "invalid_prompt"
    )


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_make_it_raise(body, stream):
    assert isinstance(code_of(body, stream=stream), str)


def test_half_an_answer_has_no_code():
    assert code_of(b'{"error":{"code":"invalid_pro') == ""
    assert code_of(b'data: {"error":{"code":"invalid_pro', stream=True) == ""
