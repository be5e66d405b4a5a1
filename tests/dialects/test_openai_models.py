"""Model lists are authenticated and passed on, and nothing of them is metered."""

from __future__ import annotations

import pytest

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.core.shape import NO_SHAPE, Shape
from proxy.dialects import openai_models
from proxy.dialects.base import Call, Forwarded
from proxy.dialects.tokens import TokenRules


def test_a_list_is_read_without_being_metered():
    (facts,) = openai_models.read(b"", lambda _: TokenRules(), Call("GET", "/v1/models"))
    assert facts == RequestFacts("openai.models", metered=False)
    assert openai_models.forward(b"", facts, Shape(n=1)) == Forwarded(b"")


def test_a_body_is_refused():
    with pytest.raises(RequestError, match="no body"):
        openai_models.read(b"{}", lambda _: TokenRules(), Call())


@pytest.mark.parametrize(("status", "errored"), [(200, False), (404, True), (301, True)])
def test_the_answer_passes_unread(status, errored):
    facts = RequestFacts("openai.models", metered=False)
    reader = openai_models.answer(facts, TokenRules(), "application/json", status, NO_SHAPE)
    assert (reader.feed(b"x"), reader.end(), reader.errored) == (b"x", b"", errored)
