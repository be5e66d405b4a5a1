"""Limits in headers: OpenAI's and the IETF's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.ratelimit_headers import LimitView, go_duration, headers

SECOND = 1_000_000
RPM = LimitView("free/rpm", "requests", "rate", 60, 60 * SECOND, 59, SECOND)
TPM = LimitView("free/tpm", "tokens", "rate", 150_000, 60 * SECOND, 149_984, 6_400)


def test_a_request_limit_and_a_token_limit_are_told_as_openai_does():
    assert headers([RPM, TPM], 0) == (
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", "59"),
        ("x-ratelimit-reset-requests", "1s"),
        ("x-ratelimit-limit-tokens", "150000"),
        ("x-ratelimit-remaining-tokens", "149984"),
        ("x-ratelimit-reset-tokens", "7ms"),
        (
            "ratelimit-policy",
            '"free/rpm";q=60;w=60;qu="requests", "free/tpm";q=150000;w=60;qu="weir-tokens"',
        ),
        ("ratelimit", '"free/rpm";r=59;t=1, "free/tpm";r=149984;t=1'),
    )


def test_the_tightest_rate_is_the_one_told():
    tight = LimitView("free/rpm2", "requests", "rate", 600, 3_600 * SECOND, 3, 9 * SECOND)
    day = LimitView("free/rpd", "requests", "budget", 1_000, 86_400 * SECOND, 1, 9 * SECOND)
    told = dict(headers([RPM, day, tight], 0))
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == (
        "600",
        "3",
    )


def test_without_a_rate_another_kind_is_told():
    output = LimitView("free/out", "output_tokens", "budget", 10, 86_400 * SECOND, 1, 90 * SECOND)
    assert dict(headers([output], 0))["x-ratelimit-reset-tokens"] == "1m30s"


def test_shadow_limits_are_not_told():
    shadow = LimitView("free/new", "requests", "rate", 1, SECOND, 0, SECOND, binding=False)
    assert headers([shadow], 0) == ()
    assert headers([RPM, shadow], 0) == headers([RPM], 0)


@pytest.mark.parametrize(
    ("view", "policy"),
    [
        (
            LimitView("p/streams", "concurrent", "lease", 8, 0, 7, 0),
            '"p/streams";q=8;qu="concurrent-requests"',
        ),
        (
            LimitView("p/usd", "usd", "budget", 10**16, 1, 7, 0),
            '"p/usd";q=999999999999999;w=1;qu="weir-microdollars"',
        ),
        (
            LimitView('p/"\\é', "distinct prompts", "distinct", 4, SECOND, 7, 0),
            '"p/\\"\\\\%c3%a9";q=4;w=1;qu="weir-distinct-prompts"',
        ),
    ],
)
def test_every_limit_is_a_structured_field(view, policy):
    assert dict(headers([view], 0))["ratelimit-policy"] == policy


@given(st.text(max_size=20))
def test_no_name_breaks_out_of_its_header(name):
    told = dict(headers([LimitView(name, "requests", "rate", 1, SECOND, 1, 1)], 0))
    assert all(value.isascii() and value.isprintable() for value in told.values())
    inside = told["ratelimit"].removesuffix('";r=1;t=1').removeprefix('"')
    assert '"' not in inside.replace("\\\\", "").replace('\\"', "")


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (-5, "0s"), (0, "0s"), (1, "1ms"), (999_000, "999ms"), (999_001, "1s"), (1_500_000, "1.5s"), (59_999_999, "1m0s"),
        (360_000_000, "6m0s"), (3_600_000_000, "1h0m0s"), (90_061_050_000, "25h1m1.05s"),
    ],
)  # fmt: skip
def test_durations_are_printed_as_go_does(us, text):
    assert go_duration(us) == text
