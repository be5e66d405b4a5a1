"""Refusals and errors in OpenAI's own shape, as its SDK understands them."""

from __future__ import annotations

import json
from dataclasses import replace

import httpx2
import openai
import pytest

from proxy.core import errors
from proxy.core.decision import Decision, Effect, Reason
from proxy.core.facts import RequestFacts
from proxy.dialects.openai_errors import error, refuse
from proxy.dialects.ratelimit_headers import LimitView

SECOND = 1_000_000
FACTS = RequestFacts("openai.chat", "gpt-x")
RPM = Reason("limit.exceeded", "free", "rpm", "key", "requests", "rate", 60, 1, 0, 1_200_000)
TPM = Reason("limit.exceeded", "free", "tpm", "key", "tokens", "rate", 1_000, 300, 100, 20 * SECOND)
SPEND = Reason(
    "limit.exceeded", "free", "spend", "org", "usd", "budget", 5_000_000, 20_000, 1, 7_200 * SECOND
)
LARGE = Reason("limit.never_fits", "free", "tpm", "key", "tokens", "rate", 1_000, 5_000, 400, None)
BLIND = Reason(
    "store.unavailable", "free", "rpm", "key", "requests", "rate", 60, 1, retry_after=SECOND
)
VIEWS = [
    LimitView("free/rpm", "requests", "rate", 60, 60 * SECOND, 0, 60 * SECOND),
    LimitView("free/tpm", "tokens", "rate", 1_000, 60 * SECOND, 100, 60 * SECOND, largest=400),
    LimitView("free/spend", "usd", "budget", 5_000_000, 30 * 86_400 * SECOND, 1, 7_200 * SECOND),
]


def refused(*reasons, views=VIEWS):
    waits = [reason.retry_after for reason in reasons]
    wait = None if None in waits else max(waits)
    decision = Decision(Effect.REFUSE, reasons, retry_after=wait)
    answer = refuse(decision, FACTS, "acme", "dec_1", views)
    return answer.status, dict(answer.headers), json.loads(answer.body)["error"]


def test_a_rate_limit_says_what_openai_says():
    status, headers, told = refused(RPM)
    assert status == 429
    assert told == {
        "message": "Rate limit reached for gpt-x in organization acme on requests per min (RPM): Limit 60, Used 60, Requested 1. Please try again in 1.2s. (limit free/rpm, decision dec_1)",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert headers == {
        "content-type": "application/json",
        "retry-after-ms": "1200",
        "retry-after": "2",
        "x-should-retry": "true",
        "x-ratelimit-reset": "1.2s",
    }


def test_the_longest_wait_is_the_one_that_is_told():
    _, headers, told = refused(RPM, TPM)
    assert (told["type"], headers["retry-after"]) == ("tokens", "20")
    assert (
        "on tokens per min (TPM): Limit 1000, Used 900, Requested 300. Please try again in 20s."
        in told["message"]
    )


@pytest.mark.parametrize(
    # wait              retry-after  ms        retry    reset
    ("wait", "seconds", "milliseconds", "retry", "reset"),
    [
        (1, "1", "1", "true", "1ms"),
        (1_000_001, "2", "1001", "true", "1.001s"),
        (60 * SECOND, "60", "60000", "true", "1m0s"),
        (60 * SECOND + 1, "60", None, "false", "1m0.001s"),
        (90_000 * SECOND, "60", None, "false", "25h0m0s"),
    ],
)
def test_a_wait_is_rounded_up_and_capped_at_a_minute(wait, seconds, milliseconds, retry, reset):
    reason = Reason("limit.exceeded", "free", "rpm", "key", "requests", "rolling", 60, 1, 0, wait)
    _, headers, told = refused(reason)
    assert (headers["retry-after"], headers.get("retry-after-ms")) == (seconds, milliseconds)
    assert (headers["x-should-retry"], headers["x-ratelimit-reset"]) == (retry, reset)
    assert f"try again in {reset}." in told["message"]


def test_money_is_a_quota():
    status, headers, told = refused(SPEND)
    assert (status, told["type"], told["code"]) == (429, "insufficient_quota", "insufficient_quota")
    assert headers["x-should-retry"] == "false"
    assert (
        "dollars per month: Limit $5.0000, Used $5.0000, Requested $0.0200. Please try again in 2h0m0s."
        in told["message"]
    )


def test_what_never_fits_is_refused_for_good_and_told_what_would():
    status, headers, told = refused(RPM, LARGE)
    assert (status, told["code"], told["type"]) == (429, "request_too_large_for_limit", "tokens")
    assert headers == {"content-type": "application/json", "x-should-retry": "false"}
    assert "Requested 5000. The largest request that fits is 400." in told["message"]


def test_counters_that_do_not_answer_are_our_fault():
    status, headers, told = refused(BLIND, views=[])
    assert (status, told["type"], told["code"]) == (503, "server_error", "store.unavailable")
    assert (headers["retry-after"], headers["x-should-retry"]) == ("1", "true")


def test_a_limit_that_was_exceeded_outweighs_counters_that_are_away():
    assert refused(BLIND, RPM)[2]["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("unit", "kind", "period", "words"),
    [
        ("requests", "rolling", 86_400, "on requests per day (RPD):"),
        ("output_tokens", "rate", 3_600, "on output tokens per hour:"),
        ("input_tokens", "rate", 30, "on input tokens per 30s:"),
        ("requests", "budget", 7 * 86_400, "on requests per week:"),
        ("tokens", "exposure", 86_400, "on tokens (halving every 24h0m0s):"),
        ("concurrent", "lease", 0, "on concurrent requests:"),
        ("distinct prompts", "distinct", 86_400, "on distinct prompts per day:"),
    ],
)
def test_the_limit_is_named_in_plain_words(unit, kind, period, words):
    reason = Reason("limit.exceeded", "p", "l", "key", unit, kind, 9, 1, 0, SECOND)
    view = LimitView("p/l", unit, kind, 9, period * SECOND, 0, SECOND)
    assert words in refused(reason, views=[view])[2]["message"]


def test_without_views_the_sentence_does_without_the_period():
    assert "on requests: Limit 60" in refused(RPM, views=[])[2]["message"]
    assert "The largest request that fits is 1000." in refused(LARGE, views=[])[2]["message"]


def test_a_reason_that_is_new_is_refused_all_the_same():
    status, _, told = refused(Reason("account.contained"))
    assert (status, told["code"]) == (429, "account.contained")


@pytest.mark.parametrize(
    ("err", "status", "kind", "code", "words"),
    [
        (
            errors.CredentialsError("x"),
            401,
            "invalid_request_error",
            "invalid_api_key",
            "Incorrect API key provided.",
        ),
        (
            errors.CredentialsMissingError("x"),
            401,
            "invalid_request_error",
            None,
            "didn't provide an API key",
        ),
        (
            errors.CredentialsExpiredError("x"),
            401,
            "invalid_request_error",
            "invalid_api_key",
            "has expired",
        ),
        (
            errors.CredentialsRevokedError("x"),
            401,
            "invalid_request_error",
            "invalid_api_key",
            "has been revoked",
        ),
        (
            errors.RouteUnknownError("x"),
            404,
            "invalid_request_error",
            "unknown_url",
            "Unknown request URL: POST /v1/x. Please",
        ),
        (
            errors.MethodUnknownError("x"),
            405,
            "invalid_request_error",
            "method_not_supported",
            "Not allowed to POST on /v1/x.",
        ),
        (
            errors.ModelUnknownError("The model `m` does not exist."),
            404,
            "invalid_request_error",
            "model_not_found",
            "`m`",
        ),
        (
            errors.RequestError("bad n", param="n"),
            400,
            "invalid_request_error",
            "request.malformed",
            "bad n",
        ),
        (
            errors.RequestTooLargeError("big"),
            413,
            "invalid_request_error",
            "request.too_large",
            "big",
        ),
        (
            errors.RequestTimeoutError("slow"),
            408,
            "invalid_request_error",
            "request.timed_out",
            "slow",
        ),
        (
            errors.AuthUnavailableError("x"),
            503,
            "server_error",
            "auth.unavailable",
            "cannot be verified",
        ),
        (
            errors.StoreUnavailableError("x"),
            503,
            "server_error",
            "store.unavailable",
            "cannot be checked",
        ),
        (
            errors.UpstreamUnreachableError("x"),
            502,
            "server_error",
            "upstream.unreachable",
            "cannot be reached",
        ),
        (errors.UpstreamTimeoutError("x"), 504, "server_error", "upstream.timed_out", "in time"),
        (errors.UpstreamResetError("x"), 502, "server_error", "upstream.reset", "closed"),
        (
            errors.UpstreamGarbageError("x"),
            502,
            "server_error",
            "upstream.garbage",
            "could not be read",
        ),
        (errors.UpstreamError("x"), 502, "server_error", "upstream.failed", "had an error"),
        (errors.WeirError("canary"), 500, "server_error", "weir.failed", "had an error"),
    ],
)
def test_each_error_has_its_native_form(err, status, kind, code, words):
    answer = error(err, "POST", "/v1/x?api_key=canary")
    told = json.loads(answer.body)["error"]
    assert (answer.status, told["type"], told["code"]) == (status, kind, code)
    assert words in told["message"]
    assert told["param"] == getattr(err, "param", None)
    assert b"canary" not in answer.body


def test_only_what_did_nothing_yet_is_said_to_be_worth_a_retry():
    tried = [
        errors.AuthUnavailableError,
        errors.StoreUnavailableError,
        errors.UpstreamUnreachableError,
    ]
    for kind in [*tried, errors.UpstreamTimeoutError, errors.UpstreamResetError]:
        headers = dict(error(kind("x"), "POST", "/").headers)
        assert headers.get("x-should-retry") == ("true" if kind in tried else None)


def test_a_wrong_method_is_told_the_right_ones():
    assert ("allow", "GET, POST") in error(
        errors.MethodUnknownError("x"), "PUT", "/", ["GET", "POST"]
    ).headers


def test_a_path_is_repeated_in_part_and_in_print():
    body = error(errors.RouteUnknownError("x"), "GET", "/\r\n\x00é" + "a" * 5_000).body
    assert b"/????aaa" in body
    assert len(body) < 500


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refuse(Decision(Effect.REFUSE, (LARGE,)), FACTS, "acme", "d"), openai.RateLimitError),
        (
            refuse(
                Decision(Effect.REFUSE, (SPEND,), retry_after=SPEND.retry_after), FACTS, "acme", "d"
            ),
            openai.RateLimitError,
        ),
        (error(errors.CredentialsError("x"), "POST", "/"), openai.AuthenticationError),
        (error(errors.RouteUnknownError("x"), "POST", "/"), openai.NotFoundError),
        (error(errors.RequestError("x", param="n"), "POST", "/"), openai.BadRequestError),
        (error(errors.RequestTooLargeError("x"), "POST", "/"), openai.APIStatusError),
    ],
)
def test_the_official_sdk_raises_its_own_class_without_retrying(answer, kind):
    seen = []

    def serve(request):
        seen.append(request)
        return httpx2.Response(answer.status, headers=list(answer.headers), content=answer.body)

    with (
        openai.OpenAI(
            api_key="k",
            base_url="http://weir.test/v1",
            http_client=httpx2.Client(transport=httpx2.MockTransport(serve)),
        ) as client,
        pytest.raises(kind) as caught,
    ):
        client.chat.completions.create(model="m", messages=[])
    told = json.loads(answer.body)["error"]
    assert (caught.value.code, caught.value.type, caught.value.param) == (
        told["code"],
        told["type"],
        told["param"],
    )
    assert len(seen) == 1


FORBIDDEN = Reason("capability.forbidden", "free", "no-logprobs", because="Not on the free plan")
REQUIRED = Reason("capability.required", "free", "capped")


@pytest.mark.parametrize(
    ("reasons", "code", "words"),
    [
        ((FORBIDDEN,), "capability.forbidden", "Not on the free plan. (rule free/no-logprobs, decision dec_1)"),
        ((REQUIRED,), "capability.required", "lacks what is required here. (rule free/capped, decision dec_1)"),
        ((RPM, FORBIDDEN), "capability.forbidden", "Not on the free plan."),
        ((Reason("standing.contained", says="account_under_review"),), "account_under_review", "under review"),
        ((Reason("standing.contained"),), "account_under_review", "ask the operator"),
        ((FORBIDDEN, Reason("standing.restricted", "free", says="ask_us")), "ask_us", "(decision dec_1)"),
    ],
)  # fmt: skip
def test_what_waiting_cannot_mend_is_forbidden_for_good(reasons, code, words):
    status, headers, told = refused(*reasons)
    assert (status, told["type"], told["code"], told["param"]) == (
        403,
        "permission_error",
        code,
        None,
    )
    assert words in told["message"]
    assert headers == {"content-type": "application/json", "x-should-retry": "false"}


def test_a_full_waiting_room_says_when_to_come_again():
    status, headers, told = refused(Reason("delay.full", retry_after=2 * SECOND))
    assert (status, told["type"], told["code"]) == (429, "requests", "delay.full")
    assert (headers["retry-after"], headers["x-should-retry"]) == ("2", "true")
    assert "try again in 2s" in told["message"]


@pytest.mark.parametrize(
    ("reason", "usual"),
    [
        (RPM, "rate_limit_exceeded"),
        (SPEND, "insufficient_quota"),
        (LARGE, "request_too_large_for_limit"),
    ],
)
def test_a_limit_s_own_code_is_told_where_it_has_one(reason, usual):
    assert refused(reason)[2]["code"] == usual
    assert refused(replace(reason, says="slow_down"))[2]["code"] == "slow_down"


def test_a_closed_door_says_why_and_is_not_tried_again():
    answer = error(errors.RouteClosedError("Batches are not served.", "batches.unmetered"), "POST", "/v1/batches")  # fmt: skip
    told = json.loads(answer.body)["error"]
    assert (answer.status, told["code"], told["message"]) == (403, "batches.unmetered", "Batches are not served.")  # fmt: skip
    assert ("x-should-retry", "false") in answer.headers


def test_an_object_that_is_not_there_is_told_as_openai_tells_it():
    gone = errors.ObjectUnknownError("Previous response with id 'resp_1' not found.", "resp_1", param="previous_response_id")  # fmt: skip
    answer = error(gone, "POST", "/v1/responses")
    assert answer.status == 404
    assert json.loads(answer.body)["error"] == {
        "message": "Previous response with id 'resp_1' not found.",
        "type": "invalid_request_error",
        "param": "previous_response_id",
        "code": None,
    }
