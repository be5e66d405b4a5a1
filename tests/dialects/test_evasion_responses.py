"""Ways around a shape, a capability or an owner in the Responses API, each of them shut."""

from __future__ import annotations

import json

import orjson
import pytest

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.core.shape import Shape
from proxy.dialects import openai_responses, openai_stored
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words", 1_000, 200)
SECRET = "xylophone"
LONG = f"one two three four {SECRET}"
AT = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
RESPONSE = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}


def read(**fields):
    body = orjson.dumps({"model": "m", "input": "hello there"} | fields)
    (facts,) = openai_responses.read(body, lambda _: WORDS, Call())
    return facts


def sent(shape, **fields):
    body = orjson.dumps({"model": "m", "input": "hello there"} | fields)
    forwarded = openai_responses.forward(body, read(**fields), shape)
    return orjson.loads(forwarded.body), {change.code for change in forwarded.changes}


def message(text, status="completed", **more):
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [part] if text else []} | more  # fmt: skip


def streamed(shape, *events):
    facts = RequestFacts("openai.responses", "m", stream=True)
    reader = openai_responses.answer(facts, WORDS, "text/event-stream", 200, shape)
    out = b""
    for number, told in enumerate(events):
        data = json.dumps({"sequence_number": number} | told).encode()
        out += reader.feed(b"event: %b\ndata: %b\n\n" % (told["type"].encode(), data))
    return (out + reader.end()).decode(), reader


def whole(shape, body):
    facts = RequestFacts("openai.responses", "m")
    reader = openai_responses.answer(facts, WORDS, "application/json", 200, shape)
    return (reader.feed(json.dumps(body).encode()) + reader.end()).decode(), reader


def script(*, response=(), item=(), delta=()):
    """A stream that says more than two tokens, with members of one's own wherever one likes."""
    made = RESPONSE | dict(response)
    ended = made | {"status": "completed", "output": [message(LONG) | dict(item)]}
    return (
        {"type": "response.created", "response": made},
        {"type": "response.output_item.added", "output_index": 0, "item": message("", "in_progress") | dict(item)},
        {"type": "response.content_part.added", **AT, "part": {"type": "output_text", "text": "", "annotations": []}},
        {"type": "response.output_text.delta", **AT, "delta": "one ", "logprobs": [], **dict(delta)},
        {"type": "response.output_text.delta", **AT, "delta": LONG, "logprobs": [], **dict(delta)},
        {"type": "response.output_item.done", "output_index": 0, "item": message(LONG) | dict(item)},
        {"type": "response.completed", "response": ended},
    )  # fmt: skip


AGAIN = {
    "messages of vLLM": {"response": {"output_messages": [{"content": LONG}]}},
    "a member of the response": {"response": {"said": LONG}},
    "a member of the item": {"item": {"text": LONG}},
    "a member of the delta": {"delta": {"snapshot": LONG}},
    "the whole in a delta": {"delta": {"text": LONG}},
}


@pytest.mark.parametrize("name", AGAIN)
def test_a_truncated_stream_does_not_say_its_text_again_under_another_name(name):
    out, reader = streamed(Shape(truncate=2), *script(**AGAIN[name]))
    assert SECRET not in out
    assert (reader.cut, reader.usage.relayed) == (True, 2)


@pytest.mark.parametrize("name", [name for name, more in AGAIN.items() if "delta" not in more])
def test_a_truncated_body_does_not_say_its_text_again_under_another_name(name):
    out, reader = whole(Shape(truncate=2), script(**AGAIN[name])[-1]["response"])
    assert SECRET not in out
    assert (reader.cut, reader.usage.relayed) == (True, 2)


def test_what_every_response_has_beside_its_output_stays_in_a_truncated_one():
    frame = {"metadata": {"mine": "a b c"}, "instructions": "be long winded here", "tools": [{"type": "function", "name": "f", "description": "x y z"}],
             "text": {"format": {"type": "text"}}, "reasoning": {"effort": "low", "summary": None}, "user": "u", "tool_choice": "auto"}  # fmt: skip
    body = RESPONSE | frame | {"status": "completed", "output": [message("one two")]}
    out, reader = whole(Shape(truncate=2), body)
    assert json.loads(out) == body
    assert not reader.cut


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_hidden_reasoning_is_not_beside_its_summary(stream):
    item = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "sealed", "text": SECRET, "reasoning_content": SECRET}  # fmt: skip
    made = RESPONSE | {"status": "completed", "output": [item], "output_messages": [{"content": SECRET}]}  # fmt: skip
    if stream:
        out, _ = streamed(
            Shape(hide_reasoning=True),
            {"type": "response.created", "response": RESPONSE},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": made},
        )
    else:
        out, _ = whole(Shape(hide_reasoning=True), made)
    assert SECRET not in out
    assert "sealed" in out


@pytest.mark.parametrize(
    ("asked", "feature"),
    [
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"allowed_token_ids": [5]}, "logit_bias"),
        ({"seed": 0}, "seed"),
        ({"prompt_logprobs": 0}, "prompt_logprobs"),
        ({"stop": ["x"]}, "stop"),
        ({"structured_outputs": {"choice": ["a"]}}, "structured"),
        ({"input": [{"type": "additional_tools", "role": "developer", "tools": [{"type": "web_search"}]}]}, "server_tools"),
        ({"input": [{"type": "tool_search_output", "tools": [{"type": "function", "name": "f"}]}]}, "tools"),
    ],
    ids=str,
)  # fmt: skip
def test_a_knob_is_seen_wherever_it_stands(asked, feature):
    assert feature in read(**asked).features


def test_what_is_stripped_goes_by_all_of_its_names():
    strip = frozenset({"logit_bias", "seed", "logprobs"})
    told, codes = sent(Shape(strip=strip), seed=4, logit_bias={"5": 1}, n_probs=3)
    assert told == {"model": "m", "input": "hello there"}
    assert codes == {"strip.seed", "strip.logit_bias", "strip.logprobs"}


@pytest.mark.parametrize(
    "asked",
    [
        {"input": [{"type": "additional_tools", "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}]},
        {"input": [{"type": "tool_search_output", "tools": [{"type": "code_interpreter", "container": "cntr_1"}]}]},
        {"input": [{"type": "new_thing", "deep": [{"file_id": "file-1"}]}]},
        {"input": [{"role": "user", "content": [{"type": "new_part", "file_id": "file-1"}]}]},
        {"tools": [{"type": "mcp", "server_label": "x", "tunnel_id": "tun_1"}]},
    ],
    ids=lambda asked: str(asked)[:60],
)  # fmt: skip
def test_an_object_of_all_is_not_had_by_another_way(asked):
    with pytest.raises(RequestError, match="stored at the provider"):
        read(**asked)


def test_a_schema_may_still_speak_of_files():
    tool = {"type": "function", "name": "f", "parameters": {"properties": {"file_id": {"type": "string"}}}}  # fmt: skip
    assert "tools" in read(input=[{"type": "additional_tools", "tools": [tool]}]).features


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
        {"type": "image_generation_call", "id": "ig_1"},
    ],
)
def test_an_item_that_only_its_id_speaks_for_must_be_the_callers_own(item):
    """The provider looks it up: it would be somebody else's reasoning, or image."""
    assert read(input=[item]).references == (item["id"],)


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "image_generation_call", "id": "ig_1", "result": "AAAA"},
        {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "hm"}]},
    ],
)  # fmt: skip
def test_an_item_that_brings_its_content_is_nobodys(item):
    assert read(input=[item]).references == ()


def test_what_nobody_watches_is_reserved_as_long_as_it_may_become():
    """Who hangs up on a background answer pays what was reserved: that must be enough."""
    assert read(background=True).output_tokens == 1_000
    assert read(background=True, max_output_tokens=50).output_tokens == 50
    assert read().output_tokens == 200


@pytest.mark.parametrize("name", ["models", "fallbacks"])
def test_a_list_of_other_models_is_refused(name):
    with pytest.raises(RequestError):
        read(**{name: ["other"]})


@pytest.mark.parametrize("name", ["include", "include[]"])
@pytest.mark.parametrize(
    ("included", "feature"),
    [
        ("message.output_text.logprobs", "logprobs"),
        ("reasoning.encrypted_content", "encrypted_reasoning"),
    ],
)
@pytest.mark.parametrize("action", ["", "input_items"])
def test_reading_later_asks_for_no_more_than_making_may(name, included, feature, action):
    query = ((name, "file_search_call.results"), (name, included))
    call = Call("GET", "/v1/responses/resp_1", "resp_1", action, query)
    (facts,) = openai_stored.read(b"", lambda _: WORDS, call)
    assert facts.features == {feature}


def test_a_mode_that_thinks_more_goes_with_the_effort():
    told, codes = sent(Shape(effort="low"), reasoning={"effort": "high", "mode": "pro", "summary": "auto"})  # fmt: skip
    assert told["reasoning"] == {"effort": "low", "summary": "auto"}
    assert codes == {"clamp.effort"}
    told, codes = sent(Shape(effort="low"), reasoning={"effort": "low", "mode": "standard"})
    assert (told["reasoning"]["mode"], codes) == ("standard", set())
