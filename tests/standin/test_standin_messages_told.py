import anthropic
import pytest

PATH = "/v1/messages"
HEAD = {"anthropic-version": "2023-06-01"}
TOOL = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
ENABLED = {"type": "enabled", "budget_tokens": 1024}
ADAPTIVE = {"type": "adaptive"}


def asked(content="hello", **more):
    messages = [{"role": "user", "content": content}]
    return {"model": "standin", "max_tokens": 2048, "messages": messages, **more}


def said(*blocks, role="user", **more):
    return asked(max_tokens=1) | {"messages": [{"role": role, "content": list(blocks)}]} | more


def text(words):
    return {"type": "text", "text": words}


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA BB"}}


def document(**source):
    return {"type": "document", "source": source, "title": "not counted"}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (asked("one two\n three"),                                                  3),
        (asked("one", system="be brief"),                                           3),
        (asked("one", system=[text("be"), text("brief now")]),                      4),
        (said(text("a b"), IMAGE),                                                 87),
        (said(document(type="text", media_type="text/plain", data="a b c")),        3),
        (said(document(type="content", content=[text("a b"), IMAGE])),             87),
        (said(document(type="base64", media_type="application/pdf", data="AA BB")), 0),
        (said(document(type="url", url="https://example.org/a b")),                 0),
        (said({"type": "tool_use", "id": "t u", "name": "f", "input": {"a": "b c"}}, role="assistant"), 3),
        (said({"type": "tool_use", "id": "t", "name": "f", "input": {}}, role="assistant"), 2),
        (said({"type": "tool_result", "tool_use_id": "t u", "content": "a b"}),     2),
        (said({"type": "tool_result", "tool_use_id": "t", "content": [text("a b"), IMAGE]}), 87),
        (said({"type": "redacted_thinking", "data": "AA BB"}, role="assistant"),    0),
        (said({"type": "search_result", "source": "s", "title": "a b", "content": [text("c d")]}), 5),
        (said({"type": "new", "id": "a b", "what": ["a b", {"data": "AA BB", "more": "c"}]}), 3),
        (said({"type": "server_tool_use", "id": "a b", "name": "f", "input": {"a": "b c"}}), 3),
        (asked("one", tools=[{**TOOL, "description": "two more"}]),                 3),
        (asked("one", tools=[]),                                                    1),
        (asked("one", output_config={"format": {"type": "json_schema", "schema": {"description": "a b c"}}}), 4),
        (asked("one", output_config={"effort": "low"}),                             1),
    ],
)  # fmt: skip
async def test_the_prompt_costs_its_words(http, body, tokens):
    counted = {name: each for name, each in body.items() if name != "max_tokens"}
    async with http.post(f"{PATH}/count_tokens", json=counted, headers=HEAD) as answer:
        assert await answer.json() == {"input_tokens": tokens}
    async with http.post(PATH, json=body, headers=HEAD) as answer:
        assert (await answer.json())["usage"]["input_tokens"] == tokens


async def test_a_thought_costs_its_words_where_they_are_sent(claude):
    for display, tokens in (("summarized", 5), ("omitted", 0)):
        thinking = {**ADAPTIVE, "display": display}
        body = asked("[[tokens=6 reasoning=5]] a", thinking=thinking)
        made = await claude.messages.create(**body)
        turn = {"role": "assistant", "content": made.content}
        counted = await claude.messages.count_tokens(model="m", messages=[*body["messages"], turn])
        assert counted.input_tokens == 3 + tokens + 6


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({},                                                        "model: Field required"),
        ({"model": "m"},                                            "max_tokens: Field required"),
        (asked(max_tokens="9"),                                     "max_tokens: Input should be a valid integer"),
        (asked(max_tokens=-1),                                      "max_tokens: Input should be greater"),
        ({"model": "m", "max_tokens": 9},                           "messages: Field required"),
        ({"model": "m", "max_tokens": 9, "messages": []},           "at least one message"),
        ({"model": "m", "max_tokens": 9, "messages": "x"},          "valid list"),
        ({"model": "m", "max_tokens": 9, "messages": [7]},          "messages.0: Input should be"),
        ({"model": "m", "max_tokens": 9, "messages": [{"role": "tool", "content": "x"}]}, "Unexpected role"),
        ({"model": "m", "max_tokens": 9, "messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        (asked(thinking=7),                                         "thinking: Input should be"),
        (asked(thinking={"type": "much"}),                          "Input tag 'much'"),
        (asked(thinking={"type": "enabled"}),                       "thinking.enabled.budget_tokens: Field required"),
        (asked(thinking={"type": "enabled", "budget_tokens": 9}),   "greater than or equal to 1024"),
        (asked(thinking={"type": "enabled", "budget_tokens": 2048}), "must be greater than"),
        (asked(thinking=ENABLED, temperature=0.5),                  "may only be set to 1"),
        (asked(thinking=ADAPTIVE, tools=[TOOL], tool_choice={"type": "any"}), "Thinking may not be enabled"),
        (asked(tool_choice={"type": "any"}),                        "no tools"),
        (asked(tools=[TOOL], tool_choice={"type": "tool", "name": "f"}), "not found in provided tools"),
        (asked(output_config=7),                                    "output_config: Input"),
        (asked(output_config={"format": {"type": "xml"}}),          "output_config.format"),
        (said({"type": "thinking", "thinking": "a"}, role="assistant"), "signature: Field required"),
        (said({"type": "thinking", "signature": "a"}, role="assistant"), "thinking: Field required"),
    ],
)  # fmt: skip
async def test_a_mistaken_request_is_told(http, body, sentence):
    async with http.post(PATH, json=body, headers=HEAD) as answer:
        told = await answer.json()
        assert (answer.status, told["request_id"]) == (400, answer.headers["request-id"])
    assert told["type"] == "error"
    assert told["error"]["type"] == "invalid_request_error"
    assert sentence in told["error"]["message"]


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, anthropic.BadRequestError,         "invalid_request_error"),
        (401, anthropic.AuthenticationError,     "authentication_error"),
        (403, anthropic.PermissionDeniedError,   "permission_error"),
        (404, anthropic.NotFoundError,           "not_found_error"),
        (413, anthropic.RequestTooLargeError,    "request_too_large"),
        (429, anthropic.RateLimitError,          "rate_limit_error"),
        (500, anthropic.InternalServerError,     "api_error"),
        (529, anthropic.OverloadedError,         "overloaded_error"),
    ],
)  # fmt: skip
async def test_an_error_is_native(claude, status, error, kind):
    with pytest.raises(error) as caught:
        await claude.messages.create(**asked(f"[[error={status}]]"))
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.request_id == caught.value.body["request_id"]
    assert ("retry-after" in caught.value.response.headers) == (status in {429, 529})


async def test_the_version_is_insisted_on(http):
    async with http.post(PATH, json=asked()) as answer:
        assert answer.status == 400
        assert "anthropic-version" in (await answer.json())["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET",  PATH,                  405, "invalid_request_error"),
        ("POST", f"{PATH}/batches",     404, "not_found_error"),
        ("GET",  "/v1/files",           404, "not_found_error"),
    ],
)  # fmt: skip
async def test_what_is_not_served_is_refused_natively(http, method, path, status, kind):
    async with http.request(method, path, headers=HEAD) as answer:
        told = await answer.json()
    assert (answer.status, told["error"]["type"]) == (status, kind)


async def test_models_are_listed_in_either_shape(claude, client):
    names = ["standin", "standin-mini", "standin-reasoner"]
    assert [model.id async for model in claude.models.list()] == names
    assert [model.id async for model in client.models.list()] == names
    made = await claude.models.retrieve("any-name")
    assert (made.id, made.type, made.lifecycle) == ("any-name", "model", "active")


async def test_every_answer_carries_the_operators_own_limits(claude, http):
    raw = await claude.messages.with_raw_response.create(**asked())
    listed = await claude.models.with_raw_response.list()
    async with http.post(PATH, json=asked("[[error=529]]"), headers=HEAD) as answer:
        for headers in (raw.headers, listed.headers, answer.headers):
            assert headers["anthropic-ratelimit-requests-limit"] == "4000"
            assert headers["anthropic-ratelimit-output-tokens-remaining"] == "399000"
            assert headers["anthropic-organization-id"]
            assert headers["request-id"].startswith("req_")
            assert not any(name.startswith("x-ratelimit") for name in headers)
