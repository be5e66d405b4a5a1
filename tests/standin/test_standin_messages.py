import asyncio
import json

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import BaseModel, TypeAdapter

EVENT = TypeAdapter(RawMessageStreamEvent)
PATH = "/v1/messages"
HEAD = {"anthropic-version": "2023-06-01"}
TOOL = {
    "name": "get_weather",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
ENABLED = {"type": "enabled", "budget_tokens": 1024}
ADAPTIVE = {"type": "adaptive"}
OMITTED = {"type": "adaptive", "display": "omitted"}


class Place(BaseModel):
    city: str
    people: int


def asked(content="hello", **more):
    messages = [{"role": "user", "content": content}]
    return {"model": "standin", "max_tokens": 2048, "messages": messages, **more}


FORM = {"format": {"type": "json_schema", "schema": Place.model_json_schema()}}
ALL = {
    "prose": asked("[[tokens=6]] a"),
    "no words": asked("[[tokens=0]] a"),
    "warm-up": asked("[[tokens=6]] a", max_tokens=0),
    "cut": asked("[[tokens=6]] a", max_tokens=4),
    "thinking": asked("[[tokens=6 reasoning=5]] a", thinking=ENABLED),
    "omitted": asked("[[tokens=6 reasoning=5]] a", thinking=OMITTED),
    "cut in its thought": asked("[[tokens=6 reasoning=50]] a", thinking=ADAPTIVE, max_tokens=9),
    "unasked thought": asked("[[tokens=6 reasoning=5]] a"),
    "tool": asked("[[tool=get_weather reasoning=3]] a", tools=[TOOL], thinking=ADAPTIVE),
    "forced tool": asked(tools=[TOOL], tool_choice={"type": "any"}),
    "cut in its call": asked(tools=[TOOL], tool_choice={"type": "any"}, max_tokens=2),
    "structured": asked(output_config=FORM),
    "refusal": asked("[[refusal=reasoning_extraction tokens=3]] a"),
    "cached": asked("[[tokens=6 cached=1]] a b c"),
}
EVERY = pytest.mark.parametrize("body", ALL.values(), ids=ALL)


def events_of(came):
    found = []
    for event in came.decode().removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def whole(http, body):
    async with http.post(PATH, json=body, headers=HEAD) as answer:
        assert answer.status == 200
        return await answer.json()


async def streamed(http, body):
    async with http.post(PATH, json={**body, "stream": True}, headers=HEAD) as answer:
        assert answer.status == 200
        return events_of(await answer.read())


@EVERY
async def test_a_document_and_each_event_fit_the_officials_types_strictly(http, body):
    Message.model_validate_json(json.dumps(await whole(http, body)), strict=True)
    for name, data in await streamed(http, body):
        assert name == data["type"]
        if name != "ping":
            event = EVENT.validate_json(json.dumps(data), strict=True)
            assert event.type == name
            assert not event.model_extra


@EVERY
async def test_a_stream_accumulates_to_the_document(claude, http, body):
    document = Message.model_validate(await whole(http, body))
    async with claude.messages.stream(**body) as stream:
        final = await stream.get_final_message()
    told, summed = document.to_dict(), final.to_dict()
    for each in (*told["content"], *summed["content"]):
        each.pop("parsed_output", None)
    if body is ALL["cut in its call"]:
        # Half of a call's input is something to a stream, and nothing to a document.
        told.pop("content")
        summed.pop("content")
    assert summed == told


async def test_events_come_in_their_order(http):
    kinds = [name for name, _ in await streamed(http, ALL["thinking"])]
    block = ["content_block_start", "content_block_stop"]
    assert kinds == [
        "message_start",
        block[0], "ping", *["content_block_delta"] * 6, block[1],
        block[0], *["content_block_delta"] * 6, block[1],
        "message_delta",
        "message_stop",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "generated", "thought", "written", "reason"),
    [
        ("prose",               6,  0,  6, "end_turn"),
        ("no words",            0,  0,  0, "end_turn"),
        ("warm-up",             0,  0,  0, "max_tokens"),
        ("cut",                 4,  0,  4, "max_tokens"),
        ("thinking",           11,  5, 11, "end_turn"),
        ("omitted",            11,  5,  6, "end_turn"),
        ("cut in its thought",  9,  9,  9, "max_tokens"),
        ("unasked thought",    11,  5,  6, "end_turn"),
        ("cut in its call",     2,  0,  2, "max_tokens"),
        ("refusal",             3,  0,  3, "refusal"),
    ],
)  # fmt: skip
async def test_what_is_told_is_counted_once_in_both_forms(
    http, ended, name, generated, thought, written, reason
):
    document = await whole(http, ALL[name])
    if name != "cut in its call":
        assert (await ended())["written"] == written
    found = await streamed(http, ALL[name])
    last = await ended()
    assert (last["generated"], last["written"], last["reasoning"]) == (generated, written, thought)
    usage = next(data["usage"] for kind, data in found if kind == "message_delta")
    for told in (usage, document["usage"]):
        assert told["output_tokens"] == generated
        assert told["output_tokens_details"] == {"thinking_tokens": thought}
        assert told["input_tokens"] == last["prompt_tokens"]
    assert document["stop_reason"] == reason


async def test_a_call_costs_its_name_and_its_input(claude):
    made = await claude.messages.create(**ALL["forced tool"])
    (call,) = made.content
    assert (call.name, call.input.keys()) == ("get_weather", {"city", "days"})
    words = json.dumps(call.input, separators=(",", ":")).split()
    assert made.usage.output_tokens == 1 + len(words)
    assert made.stop_reason == "tool_use"


async def test_a_refusal_says_its_category(claude):
    made = await claude.messages.create(**ALL["refusal"])
    assert made.stop_details.category == "reasoning_extraction"
    made = await claude.messages.create(**asked("[[refusal=none]]"))
    assert (made.stop_reason, made.stop_details.category) == ("refusal", None)


async def test_tokens_read_from_a_cache_are_told_apart(claude):
    usage = (await claude.messages.create(**ALL["cached"])).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (4, 1)


async def test_the_same_request_has_the_same_answer_and_another_has_another(claude):
    first, second, other = [await claude.messages.create(**asked(each)) for each in ("a", "a", "b")]
    assert first == second
    assert first.content != other.content
    assert 20 <= len(first.content[0].text.split()) <= 200


async def test_the_synchronous_client_is_served_too(standin):
    def ask():
        with anthropic.Anthropic(base_url=standin.url, api_key="x", max_retries=0) as client:
            plain = client.messages.create(**ALL["thinking"])
            with client.messages.stream(**ALL["thinking"]) as stream:
                return plain.content[1].text, stream.get_final_text()

    plain, told = await asyncio.to_thread(ask)
    assert plain == told
    assert len(plain.split()) == 6


async def test_the_beta_routes_are_the_same(claude):
    made = await claude.beta.messages.create(**ALL["thinking"])
    plain = await claude.messages.create(**ALL["thinking"])
    assert made.content[1].text == plain.content[1].text


async def test_structured_answers_parse_in_both_forms(claude):
    made = await claude.messages.parse(**asked(), output_format=Place)
    assert isinstance(made.parsed_output, Place)
    async with claude.messages.stream(**asked(), output_format=Place) as stream:
        assert (await stream.get_final_message()).parsed_output == made.parsed_output


RESULT = "rain all day"


def next_turn(body, made, content, **more):
    said = [*body["messages"], {"role": "assistant", "content": content}]
    call = next(block for block in made.content if block.type == "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": RESULT}
    return {**body, "messages": [*said, {"role": "user", "content": [result]}], **more}


@pytest.mark.parametrize(
    "thinking", [ENABLED, ADAPTIVE, OMITTED], ids=["on", "adaptive", "omitted"]
)
async def test_a_loop_of_tools_keeps_its_thinking(claude, thinking):
    body = {**ALL["tool"], "thinking": thinking}
    made = await claude.messages.create(**body)
    assert [block.type for block in made.content] == ["thinking", "tool_use"]
    ended = await claude.messages.create(**next_turn(body, made, made.content))
    assert ended.content[-1].type == "text"
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.1\.content\.0\.type: Expected"):
        await claude.messages.create(**next_turn(body, made, made.content[1:]))
    off = {"thinking": {"type": "disabled"}}
    assert (await claude.messages.create(**next_turn(body, made, made.content[1:], **off))).content


async def test_only_the_turn_that_calls_tools_must_keep_its_thinking(claude):
    body = ALL["tool"]
    first = await claude.messages.create(**body)
    second = next_turn(body, first, first.content)
    call = {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_2", "content": "sun"}
    more = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    going_on = {**second, "messages": [*second["messages"], *more]}
    assert (await claude.messages.create(**going_on)).content
    done = [{"role": "assistant", "content": "done"}, {"role": "user", "content": "and now"}]
    lost = next_turn(body, first, first.content[1:])
    assert (
        await claude.messages.create(**{**lost, "messages": [*lost["messages"], *done]})
    ).content
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.1\.content\.0\.type"):
        await claude.messages.create(**{**lost, "messages": [*lost["messages"], *more]})


async def test_the_officials_tool_runner_ends(claude):
    @anthropic.beta_async_tool
    async def get_weather(city: str, days: int) -> str:
        """Tell the weather."""
        return f"rain in {city} for {days} days"

    runner = claude.beta.messages.tool_runner(
        **asked("[[tool=get_weather tokens=4 reasoning=3]] a", thinking=ADAPTIVE),
        tools=[get_weather],
    )
    turns = [message async for message in runner]
    assert [turn.stop_reason for turn in turns] == ["tool_use", "end_turn"]


async def test_a_thought_must_come_back_unharmed(claude):
    made = await claude.messages.create(**ALL["thinking"])
    thought = made.content[0].to_dict()

    def after(**changed):
        turn = {"role": "assistant", "content": [{**thought, **changed}, made.content[1]]}
        said = [*ALL["thinking"]["messages"], turn, {"role": "user", "content": "and now"}]
        return {**ALL["thinking"], "messages": said}

    for changed in ({}, {"thinking": ""}):
        assert (await claude.messages.create(**after(**changed))).content
    other = await claude.messages.create(**asked("[[reasoning=5]] other", thinking=ENABLED))
    for changed in (
        {"thinking": thought["thinking"] + "."},
        {"signature": "A" + thought["signature"][1:]},
        {"signature": thought["signature"] + "="},
        {"signature": other.content[0].signature},
        {"signature": ""},
        {"signature": "no base64 é"},
    ):
        with pytest.raises(anthropic.BadRequestError) as caught:
            await claude.messages.create(**after(**changed))
        assert caught.value.body["error"] == {
            "type": "invalid_request_error",
            "message": "messages.1.content.0: Invalid `signature` in `thinking` block",
        }
