"""What is not listed is refused; what is known and kept shut is refused with the reason."""

from __future__ import annotations

import orjson
import pytest

from proxy.core.errors import (
    MethodUnknownError,
    RequestError,
    RouteClosedError,
    RouteUnknownError,
)
from proxy.core.shape import NO_SHAPE
from proxy.dialects import openai_models
from proxy.dialects.base import Call
from proxy.dialects.routes import allowed, error, route
from proxy.dialects.tokens import TokenRules

CLAUDE = {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    ("method", "target", "headers", "dialect", "call"),
    [
        ("POST", "/v1/chat/completions", {}, "openai.chat", ("", "", ())),
        ("POST", "/v1/completions", {}, "openai.completions", ("", "", ())),
        ("POST", "/v1/embeddings", {}, "openai.embeddings", ("", "", ())),
        ("POST", "/v1/responses", {}, "openai.responses", ("", "", ())),
        ("POST", "/v1/responses?beta=true", {}, "openai.responses", ("", "", (("beta", "true"),))),
        ("POST", "/v1/responses/input_tokens", {}, "openai.input_tokens", ("", "", ())),
        ("GET", "/v1/responses/resp_1", {}, "openai.stored", ("resp_1", "", ())),
        ("GET", "/v1/responses/resp_1?stream=true&starting_after=3&include[]=a&include%5B%5D=b", {}, "openai.stored",
         ("resp_1", "", (("stream", "true"), ("starting_after", "3"), ("include[]", "a"), ("include[]", "b")))),
        ("DELETE", "/v1/responses/resp_1", {}, "openai.stored", ("resp_1", "", ())),
        ("POST", "/v1/responses/resp_1/cancel", {}, "openai.stored", ("resp_1", "cancel", ())),
        ("GET", "/v1/responses/resp_1/input_items?limit=2&x=3", {}, "openai.stored", ("resp_1", "input_items", (("limit", "2"),))),
        ("POST", "/v1/messages", CLAUDE, "anthropic.messages", ("", "", ())),
        ("POST", "/v1/messages?beta=true", CLAUDE, "anthropic.messages", ("", "", (("beta", "true"),))),
        ("POST", "/v1/messages/count_tokens", CLAUDE, "anthropic.count_tokens", ("", "", ())),
        ("GET", "/v1/models", {}, "openai.models", ("", "", ())),
        ("GET", "/v1/models", CLAUDE, "anthropic.models", ("", "", ())),
        ("GET", "/v1/models?limit=3", {}, "openai.models", ("", "", (("limit", "3"),))),
        ("GET", "/v1/models/gpt-4o-mini", {}, "openai.models", ("", "", ())),
        ("GET", "/v1/models/claude-x?beta=true", CLAUDE, "anthropic.models", ("", "", (("beta", "true"),))),
        ("GET", "/v1/models/ft:gpt-4o:acme::7", {}, "openai.models", ("", "", ())),
    ],
)  # fmt: skip
def test_listed_doors_lead_to_their_dialect(method, target, headers, dialect, call):
    found = route(method, target, headers)
    assert dialect == found.dialect.NAME
    assert (found.call.object, found.call.action, found.call.query) == call
    assert (found.call.method, found.call.path) == (method, target.partition("?")[0])


@pytest.mark.parametrize(
    ("method", "target", "why"),
    [
        ("POST", "/v1/batches", "batches.unmetered"),
        ("GET", "/v1/batches/batch_1", "batches.unmetered"),
        ("POST", "/v1/messages/batches", "batches.unmetered"),
        ("GET", "/v1/messages/batches/msgbatch_1/results", "batches.unmetered"),
        ("POST", "/v1/files", "files.shared"),
        ("POST", "/v1/fine_tuning/jobs", "fine_tuning.unmetered"),
        ("POST", "/v1/realtime/client_secrets", "realtime.unmetered"),
        ("GET", "/v1/chat/completions", "stored_completions.shared"),
        ("GET", "/v1/chat/completions/chatcmpl-1/messages", "stored_completions.shared"),
        ("POST", "/v1/chat/completions/chatcmpl-1", "stored_completions.shared"),
        ("POST", "/v1/responses/compact", "compaction.unmetered"),
        ("POST", "/v1/conversations", "conversations.shared"),
        ("DELETE", "/v1/organization/users/u", "administration.closed"),
    ],
)
def test_a_door_that_is_kept_shut_says_why(method, target, why):
    with pytest.raises(RouteClosedError) as caught:
        route(method, target, {})
    assert (caught.value.why, caught.value.status) == (why, 403)


@pytest.mark.parametrize("target", ["/v1/responses", "/v1/realtime?model=x", "/v1/models", "/x"])
def test_no_connection_becomes_a_websocket(target):
    with pytest.raises(RouteClosedError) as caught:
        route("GET", target, {"upgrade": "WebSocket"})
    assert caught.value.why == "websocket.unmetered"


def test_an_error_is_told_in_the_words_of_the_provider_that_was_meant():
    missing = RouteUnknownError("no")
    for target, headers, anthropic in (
        ("/v1/nowhere", {}, False),
        ("/v1/nowhere", CLAUDE, True),
        ("/v1/messages/x", {}, True),
    ):
        told = orjson.loads(error(missing, "GET", target, headers).body)
        assert (told.get("type") == "error") is anthropic
        assert isinstance(told["error"]["message"], str)


@pytest.mark.parametrize(
    "target",
    [
        "/", "", "*", "/v1", "/v1/", "/v1/completions/", "/v1/responses/", "/v1/responses/resp_1/", "/v1/responses/resp_1/output", "/v1/responses/..", "/v1/responses/a%2Fb", "/v1/embeddings/x", "/v1/chat/completions/", "/v1//chat/completions",
        "//v1/chat/completions", "/v1/./chat/completions", "/v1/x/../chat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completion%73",
        "/v1/chat/completions?x=1", "/v1/chat/completions?", "/v1/chat/completions;a", "/v1/chat/completions#a", "/V1/chat/completions",
        "/v1/models/", "/v1/models/a/b", "/v1/models/..", "/v1/models/.", "/v1/models/a%2Fb", "/v1/models/a b", "/v1/models/é", "/v1/models/a\n",
        "/v1/models/" + "a" * 257, "http://weir.test/v1/models", "/v2/batches", "/batches", "/v1/responses?x=1", "/v1/responses?beta=true&x=1", "/v1/messages?x=1", "\\v1\\models", "/v1/models\x00",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST"])
def test_what_is_not_listed_is_refused(method, target):
    with pytest.raises(RouteUnknownError):
        route(method, target, {})


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("DELETE", "/v1/chat/completions"),
        ("GET", "/v1/messages"),
        ("GET", "/v1/responses"),
        ("POST", "/v1/models"),
        ("DELETE", "/v1/models/x"),
        ("post", "/v1/chat/completions"),
        ("OPTIONS", "/v1/models"),
        ("HEAD", "/v1/models"),
    ],
)
def test_a_listed_door_has_its_own_methods(method, target):
    with pytest.raises(MethodUnknownError):
        route(method, target, {})
    assert allowed(target) in [("POST",), ("GET",)]
    assert allowed("/v2") == ()


def test_the_model_list_is_not_metered_and_takes_no_body():
    (facts,) = openai_models.read(b"", lambda _: TokenRules(), Call())
    assert (facts.metered, facts.dialect) == (False, "openai.models")
    assert openai_models.forward(b"", facts, NO_SHAPE).body == b""
    with pytest.raises(RequestError):
        openai_models.read(b"{}", lambda _: TokenRules(), Call())
    reader = openai_models.answer(facts, TokenRules(), "application/json", 404, NO_SHAPE)
    assert (reader.feed(b"{}"), reader.errored) == (b"{}", True)
