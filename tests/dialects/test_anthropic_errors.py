"""Refusals, errors and rate-limit headers in Anthropic's own shape, as its SDK understands them."""

from __future__ import annotations

import json

import anthropic
import httpx2
import pytest

from proxy.core import errors
from proxy.core.decision import Decision, Effect, Reason
from proxy.core.facts import RequestFacts
from proxy.dialects.anthropic_errors import error, refuse
from proxy.dialects.anthropic_limits import headers
from proxy.dialects.ratelimit_headers import LimitView, ietf

SECOND = 1_000_000
FACTS = RequestFacts("anthropic.messages", "claude-x")
RPM = Reason("limit.exceeded", "free", "rpm", "key", "requests", "rate", 60, 1, 0, 1_200_000)
TPM = Reason("limit.exceeded", "free", "tpm", "key", "tokens", "rate", 1_000, 300, 100, 20 * SECOND)
SPEND = Reason(
    "limit.exceeded", "free", "spend", "org", "usd", "budget", 5_000_000, 20_000, 1, 7_200 * SECOND
)
LARGE = Reason("limit.never_fits", "free", "tpm", "key", "tokens", "rate", 1_000, 5_000, 400, None)
BLIND = Reason(
    "store.unavailable", "free", "rpm", "key", "requests", "rate", 60, 1, retry_after=SECOND
)
FORBIDDEN = Reason(
    "capability.forbidden", "free", "forbid logit_bias+logprobs", because="They leak the head."
)
REQUIRED = Reason("capability.required", "free", "require verified")
CONTAINED = Reason("standing.contained", "free", says="ask_us")
FULL = Reason("delay.full", "free", "slow", retry_after=2 * SECOND)
VIEWS = [
    LimitView("free/rpm", "requests", "rate", 60, 60 * SECOND, 7, 60 * SECOND),
    LimitView("free/rpd", "requests", "budget", 900, 86_400 * SECOND, 2, 3_600 * SECOND),
    LimitView("free/itpm", "input_tokens", "rate", 3_000, 60 * SECOND, 900, 30 * SECOND + 1),
    LimitView("free/otpm", "output_tokens", "rate", 800, 60 * SECOND, 100, 0),
    LimitView("free/shadow", "tokens", "rate", 5, 60 * SECOND, 0, SECOND, binding=False),
    LimitView("free/usd", "usd", "budget", 5_000_000, 86_400 * SECOND, 1, SECOND),
]
NOW = 1_772_049_721_000_000  # 2026-02-25T20:02:01Z


def refused(*reasons):
    waits = [reason.retry_after for reason in reasons]
    wait = None if None in waits else max(waits)
    decision = Decision(Effect.REFUSE, reasons, retry_after=wait)
    return refuse(decision, FACTS, "acme", "dec_1", VIEWS)


def told_by(answer):
    body = json.loads(answer.body)
    assert body["type"] == "error"
    return answer.status, dict(answer.headers), body["error"], body.get("request_id")


def test_a_rate_limit_is_told_natively():
    status, told_headers, told, request_id = told_by(refused(RPM))
    assert status == 429
    assert told == {
        "type": "rate_limit_error",
        "message": "Rate limit reached for claude-x in organization acme on requests per min (RPM): "
        "Limit 60, Used 60, Requested 1. Please try again in 1.2s. (limit free/rpm, decision dec_1)",
        "code": "rate_limit_exceeded",
        "details": {"error_code": "rate_limit_exceeded"},
    }
    assert request_id == "dec_1"
    assert told_headers == {
        "content-type": "application/json",
        "retry-after": "2",
        "x-should-retry": "true",
    }


@pytest.mark.parametrize(
    ("reasons", "status", "kind", "code", "retry", "wait"),
    [
        ([RPM], 429, "rate_limit_error", "rate_limit_exceeded", "true", "2"),
        ([RPM, TPM], 429, "rate_limit_error", "rate_limit_exceeded", "true", "20"),
        ([SPEND], 429, "rate_limit_error", "insufficient_quota", "false", "60"),
        ([LARGE], 429, "rate_limit_error", "request_too_large_for_limit", "false", None),
        ([BLIND], 503, "overloaded_error", "store.unavailable", "true", "1"),
        ([FORBIDDEN], 403, "permission_error", "capability.forbidden", "false", None),
        ([REQUIRED], 403, "permission_error", "capability.required", "false", None),
        ([CONTAINED], 403, "permission_error", "ask_us", "false", None),
        ([Reason("standing.contained")], 403, "permission_error", "account_under_review", "false", None),
        ([FULL], 429, "rate_limit_error", "delay.full", "true", "2"),
    ],
)  # fmt: skip
def test_every_refusal_has_its_status_type_code_and_wait(reasons, status, kind, code, retry, wait):
    found, told_headers, told, request_id = told_by(refused(*reasons))
    assert (found, told["type"], told["code"]) == (status, kind, code)
    assert told_headers["x-should-retry"] == retry
    assert told_headers.get("retry-after") == wait
    assert "decision dec_1" in told["message"]
    assert request_id == "dec_1"


def test_a_capability_tells_the_operator_s_sentence():
    _, _, told, _ = told_by(refused(FORBIDDEN))
    assert told["message"].startswith("They leak the head. ")
    assert "forbid logit_bias+logprobs" in told["message"]


def test_a_long_wait_is_told_whole_in_the_sentence():
    _, _, told, _ = told_by(refused(SPEND))
    assert "2h0m0s" in told["message"]
    assert "$5.0000" in told["message"]


ERRORS = [
    (errors.RequestError("max_tokens: Field required"), anthropic.BadRequestError, "invalid_request_error", "request.malformed"),
    (errors.CredentialsMissingError(), anthropic.AuthenticationError, "authentication_error", "credentials.missing"),
    (errors.CredentialsError(), anthropic.AuthenticationError, "authentication_error", "credentials.invalid"),
    (errors.CredentialsExpiredError(), anthropic.AuthenticationError, "authentication_error", "credentials.expired"),
    (errors.CredentialsRevokedError(), anthropic.AuthenticationError, "authentication_error", "credentials.revoked"),
    (errors.RouteClosedError("No batches.", "batches.unmetered"), anthropic.PermissionDeniedError, "permission_error", "batches.unmetered"),
    (errors.RouteUnknownError("x"), anthropic.NotFoundError, "not_found_error", "route.unknown"),
    (errors.ModelUnknownError("model: nope"), anthropic.NotFoundError, "not_found_error", "model.unknown"),
    (errors.MethodUnknownError("x"), anthropic.APIStatusError, "invalid_request_error", "route.method_unknown"),
    (errors.RequestTimeoutError("x"), anthropic.APIStatusError, "timeout_error", "request.timed_out"),
    (errors.RequestTooLargeError("x"), anthropic.APIStatusError, "request_too_large", "request.too_large"),
    (errors.StoreUnavailableError(), anthropic.InternalServerError, "overloaded_error", "store.unavailable"),
    (errors.AuthUnavailableError(), anthropic.InternalServerError, "overloaded_error", "auth.unavailable"),
    (errors.UpstreamUnreachableError(), anthropic.InternalServerError, "api_error", "upstream.unreachable"),
    (errors.UpstreamTimeoutError(), anthropic.InternalServerError, "timeout_error", "upstream.timed_out"),
    (errors.UpstreamGarbageError(), anthropic.InternalServerError, "api_error", "upstream.garbage"),
    (errors.WeirError(), anthropic.InternalServerError, "api_error", "weir.failed"),
]  # fmt: skip


def raised(answer, retries=0):
    seen = []

    def serve(request):
        seen.append(request)
        return httpx2.Response(answer.status, headers=list(answer.headers), content=answer.body)

    with (
        anthropic.Anthropic(
            api_key="k",
            base_url="http://weir.test",
            max_retries=retries,
            http_client=httpx2.Client(transport=httpx2.MockTransport(serve)),
        ) as client,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        client.messages.create(model="m", max_tokens=1, messages=[])
    return caught.value, len(seen)


@pytest.mark.parametrize(("err", "kind", "type_", "code"), ERRORS)
def test_the_official_sdk_raises_the_right_class_with_our_code(err, kind, type_, code):
    found, _ = raised(error(err, "POST", "/v1/messages?secret=1", ("POST",)))
    assert isinstance(found, kind)
    assert (found.status_code, found.type, found.error_code) == (err.status, type_, code)
    assert found.body["error"]["code"] == code
    assert "secret" not in str(found.body)


@pytest.mark.parametrize("reason", [FORBIDDEN, CONTAINED, SPEND, LARGE])
def test_the_official_sdk_does_not_retry_what_is_permanent_or_long(reason):
    found, tries = raised(refused(reason), retries=2)
    assert tries == 1
    assert found.error_code
    assert found.api_message


def test_a_closed_route_is_not_retried_and_a_wrong_method_tells_the_right_one():
    closed = error(errors.RouteClosedError("No.", "files.shared"), "POST", "/v1/files")
    assert ("x-should-retry", "false") in closed.headers
    wrong = error(errors.MethodUnknownError("x"), "GET", "/v1/messages", ("POST",))
    assert ("allow", "POST") in wrong.headers
    assert wrong.status == 405


def test_what_is_left_is_told_in_anthropic_s_headers_and_the_ietf_s():
    told = dict(headers(VIEWS, NOW))
    prefix = "anthropic-ratelimit-"
    assert {name.removeprefix(prefix): value for name, value in told.items() if prefix in name} == {
        "requests-limit": "60",
        "requests-remaining": "7",
        "requests-reset": "2026-02-25T20:03:01Z",
        "input-tokens-limit": "3000",
        "input-tokens-remaining": "900",
        "input-tokens-reset": "2026-02-25T20:02:32Z",
        "output-tokens-limit": "800",
        "output-tokens-remaining": "100",
        "output-tokens-reset": "2026-02-25T20:02:01Z",
        "tokens-limit": "800",
        "tokens-remaining": "100",
        "tokens-reset": "2026-02-25T20:02:01Z",
    }
    assert dict(ietf(VIEWS)).items() <= told.items()
    assert "shadow" not in str(told)
    assert not any(name.startswith("x-ratelimit") for name in told)


def test_without_enforced_limits_nothing_is_told():
    assert headers([VIEWS[4]], NOW) == ()


def test_a_reset_beyond_all_years_is_still_a_moment():
    far = LimitView("p/l", "requests", "exposure", 1, SECOND, 0, 10**20)
    assert dict(headers([far], NOW))["anthropic-ratelimit-requests-reset"] == "9999-12-31T23:59:59Z"
