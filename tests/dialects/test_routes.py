"""What is not listed is refused."""

from __future__ import annotations

import pytest

from proxy.core.errors import MethodUnknownError, RequestError, RouteUnknownError
from proxy.dialects import openai_models
from proxy.dialects.routes import allowed, route
from proxy.dialects.tokens import TokenRules


@pytest.mark.parametrize(
    ("method", "target", "dialect", "tail"),
    [
        ("POST", "/v1/chat/completions", "openai.chat", "/chat/completions"),
        ("GET", "/v1/models", "openai.models", "/models"),
        ("GET", "/v1/models?limit=3", "openai.models", "/models"),
        ("GET", "/v1/models/gpt-4o-mini", "openai.models", "/models/gpt-4o-mini"),
        ("GET", "/v1/models/ft:gpt-4o:acme::7", "openai.models", "/models/ft:gpt-4o:acme::7"),
    ],
)
def test_listed_doors_lead_to_their_dialect(method, target, dialect, tail):
    found = route(method, target)
    assert (found.dialect.NAME, found.tail, found.path) == (dialect, tail, "/v1" + tail)


@pytest.mark.parametrize(
    "target",
    [
        "/", "", "*", "/v1", "/v1/", "/v1/completions", "/v1/responses", "/v1/embeddings", "/v1/chat/completions/", "/v1//chat/completions",
        "//v1/chat/completions", "/v1/./chat/completions", "/v1/x/../chat/completions", "/v1/chat%2Fcompletions", "/v1/chat/completion%73",
        "/v1/chat/completions?x=1", "/v1/chat/completions?", "/v1/chat/completions;a", "/v1/chat/completions#a", "/V1/chat/completions",
        "/v1/models/", "/v1/models/a/b", "/v1/models/..", "/v1/models/.", "/v1/models/a%2Fb", "/v1/models/a b", "/v1/models/é", "/v1/models/a\n",
        "/v1/models/" + "a" * 257, "http://weir.test/v1/models", "/v1/chat/completions/chatcmpl-1", "\\v1\\models", "/v1/models\x00",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_is_not_listed_is_refused(method, target):
    with pytest.raises(RouteUnknownError):
        route(method, target)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/chat/completions"),
        ("POST", "/v1/models"),
        ("DELETE", "/v1/models/x"),
        ("post", "/v1/chat/completions"),
        ("OPTIONS", "/v1/models"),
        ("HEAD", "/v1/models"),
    ],
)
def test_a_listed_door_has_its_own_methods(method, target):
    with pytest.raises(MethodUnknownError):
        route(method, target)
    assert allowed(target) in [("POST",), ("GET",)]
    assert allowed("/v2") == ()


def test_the_model_list_is_not_metered_and_takes_no_body():
    (facts,) = openai_models.read(b"", lambda _: TokenRules())
    assert (facts.metered, facts.dialect) == (False, "openai.models")
    assert openai_models.forward(b"", facts) == b""
    with pytest.raises(RequestError):
        openai_models.read(b"{}", lambda _: TokenRules())
    reader = openai_models.answer(facts, TokenRules(), "application/json", 404)
    assert (reader.feed(b"{}"), reader.errored) == (b"{}", True)
