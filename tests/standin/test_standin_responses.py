import asyncio
import json

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

EVENT = TypeAdapter(ResponseStreamEvent)
PATH = "/v1/responses"
TOOL = {
    "type": "function",
    "name": "get_weather",
    "strict": True,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
}
INCLUDE = ["reasoning.encrypted_content", "message.output_text.logprobs"]


class Place(BaseModel):
    city: str
    people: int


def asked(content="hello", **more):
    return {"model": "standin", "input": content, **more}


ALL = {
    "prose": asked("[[tokens=6]] a"),
    "no words": asked("[[tokens=0]] a"),
    "reasoning": asked("[[tokens=6 reasoning=5]] a", reasoning={"effort": "high"}),
    "summary": asked(
        "[[tokens=6 reasoning=5]] a",
        reasoning={"summary": "auto"},
        include=INCLUDE,
        top_logprobs=2,
        metadata={"a": "b"},
        instructions="be brief",
    ),
    "raw": asked("[[tokens=6 reasoning=5 show_reasoning]] a"),
    "cut in its thought": asked("[[reasoning=50]] a", max_output_tokens=16),
    "cut in its text": asked("[[tokens=60 reasoning=5]] a", max_output_tokens=16),
    "refusal": asked("[[refusal=cyber]] a"),
    "tool": asked("[[tool=get_weather reasoning=3]] a", tools=[TOOL]),
    "cut in its call": asked(tools=[TOOL], tool_choice="required", max_output_tokens=3),
    "structured": asked(
        text={"format": {"type": "json_schema", "name": "x", "schema": Place.model_json_schema()}}
    ),
    "object": asked("[[tokens=9]]", text={"format": {"type": "json_object"}, "verbosity": "low"}),
    "background": asked("[[tokens=6]]", background=True),
}
EVERY = pytest.mark.parametrize("body", ALL.values(), ids=ALL)


def events_of(came):
    """Return name and data of each event of a body."""
    found = []
    for event in came.decode().removesuffix("\n\n").split("\n\n"):
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def streamed(http, body):
    async with http.post(PATH, json={**body, "stream": True}) as answer:
        assert answer.status == 200
        return events_of(await answer.read())


@EVERY
async def test_a_document_and_each_event_fit_the_officials_types_strictly(http, body):
    async with http.post(PATH, json=body) as answer:
        Response.model_validate_json(await answer.read(), strict=True)
    for name, data in await streamed(http, body):
        event = EVENT.validate_json(json.dumps(data), strict=True)
        assert event.type == data["type"] == name
        assert not event.model_extra
        # The real thing tells `store` too, though the types do not know it.
        extra = event.response.model_extra if hasattr(event, "response") else {"store": True}
        assert extra.keys() == {"store"}


@EVERY
async def test_a_stream_tells_what_the_document_tells_in_every_copy(http, body):
    found = await streamed(http, body)
    assert [data["sequence_number"] for _, data in found] == list(range(len(found)))
    kinds = [name for name, _ in found]
    first = 3 if body.get("background") else 2
    assert kinds[0] == "response.created"
    assert kinds[first - 1] == "response.in_progress"
    last = found[-1][1]["response"]
    if not body.get("background"):
        async with http.post(PATH, json=body) as answer:
            assert await answer.json() == last
    assert kinds[-1] == f"response.{last['status']}"
    assert [data["item"] for name, data in found if name == "response.output_item.done"] == last[
        "output"
    ]
    for name, data in found:
        if name.endswith(".delta"):
            continue
        copies = {
            "response.output_text.done": "text",
            "response.refusal.done": "refusal",
            "response.function_call_arguments.done": "arguments",
            "response.reasoning_summary_text.done": "text",
            "response.reasoning_text.done": "text",
        }
        if name in copies:
            kind = name.replace(".done", ".delta")
            said = [each["delta"] for each_name, each in found if each_name == kind]
            assert "".join(said) == data[copies[name]]


@pytest.mark.parametrize(
    ("name", "generated", "written"),
    [
        ("prose",                6,  6),
        ("no words",             0,  0),
        ("reasoning",           11,  6),
        ("summary",             11, 11),
        ("raw",                 11, 11),
        ("cut in its thought",  16,  0),
        ("cut in its text",     16, 11),
        ("refusal",              8,  8),
        ("cut in its call",      3,  3),
        ("object",               9,  9),
    ],
)  # fmt: skip
async def test_what_is_told_is_counted_once_in_both_forms(http, ended, name, generated, written):
    async with http.post(PATH, json=ALL[name]) as answer:
        usage = (await answer.json())["usage"]
    found = await streamed(http, ALL[name])
    assert found[-1][1]["response"]["usage"] == usage
    last = await ended()
    assert (last["generated"], last["written"], last["path"]) == (generated, written, PATH)
    assert usage["output_tokens"] == generated
    assert usage["output_tokens_details"]["reasoning_tokens"] == last["reasoning"]
    assert usage["input_tokens"] == last["prompt_tokens"]


async def test_words_counted_one_by_one_are_the_usage(http):
    for name in ("prose", "summary", "raw", "refusal"):
        found = await streamed(http, ALL[name])
        said = "".join(data["delta"] + "\n" for kind, data in found if kind.endswith(".delta"))
        assert len(said.split()) == found[-1][1]["response"]["usage"]["output_tokens"]


async def test_the_same_request_has_the_same_answer_and_another_has_another(client):
    first, second, other = [
        await client.responses.create(**asked(content)) for content in ("a", "a", "b")
    ]
    assert first == second
    assert first.output_text != other.output_text
    assert 20 <= len(first.output_text.split()) <= 200


async def test_the_response_repeats_what_was_asked(client):
    made = await client.responses.create(
        **asked(),
        instructions="be brief",
        metadata={"a": "b"},
        temperature=0.5,
        top_p=0.25,
        max_output_tokens=33,
        parallel_tool_calls=False,
        tools=[TOOL],
        tool_choice="none",
        truncation="auto",
        user="u",
        safety_identifier="s",
        reasoning={"effort": "low", "summary": "concise"},
    )
    assert (made.instructions, made.metadata, made.temperature, made.top_p) == (
        "be brief",
        {"a": "b"},
        0.5,
        0.25,
    )
    assert (made.max_output_tokens, made.parallel_tool_calls, made.tool_choice) == (
        33,
        False,
        "none",
    )
    assert (made.truncation, made.user, made.safety_identifier) == ("auto", "u", "s")
    assert made.tools[0].name == "get_weather"
    assert (made.reasoning.effort, made.reasoning.summary) == ("low", "concise")


async def test_only_what_thinks_thinks(client):
    for more, thinks in (
        ({}, False),
        ({"model": "standin-reasoner"}, True),
        ({"reasoning": {"effort": "low"}}, True),
        ({"model": "standin-reasoner", "reasoning": {"effort": "none"}}, False),
    ):
        made = await client.responses.create(**{**asked(), **more})
        assert (made.output[0].type == "reasoning") == thinks
        assert (made.usage.output_tokens_details.reasoning_tokens > 0) == thinks
        assert all(item.summary == [] for item in made.output if item.type == "reasoning")


async def test_log_probabilities_come_as_asked(client):
    made = await client.responses.create(**ALL["summary"])
    entries = made.output[1].content[0].logprobs
    assert "".join(entry.token for entry in entries) == made.output_text
    assert [len(entry.top_logprobs) for entry in entries] == [2] * 6
    made = await client.responses.create(**ALL["prose"], top_logprobs=2)
    assert made.output[0].content[0].logprobs == []


async def test_the_officials_stream_helper_accumulates_it(client):
    async with client.responses.stream(**ALL["summary"]) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[-1] == "response.completed"
    assert final.output_text == (await client.responses.create(**ALL["summary"])).output_text


async def test_structured_answers_parse_in_both_forms(client):
    made = await client.responses.parse(**asked(), text_format=Place)
    assert isinstance(made.output_parsed, Place)
    async with client.responses.stream(**asked(), text_format=Place) as stream:
        async for _ in stream:
            pass
        assert (await stream.get_final_response()).output_parsed == made.output_parsed


async def test_the_synchronous_client_is_served_too(standin):
    def ask():
        with openai.OpenAI(base_url=f"{standin.url}/v1", api_key="x", max_retries=0) as client:
            plain = client.responses.create(**ALL["prose"])
            with client.responses.stream(**ALL["prose"]) as stream:
                stream.until_done()
                return plain.output_text, stream.get_final_response().output_text

    plain, told = await asyncio.to_thread(ask)
    assert plain == told
    assert len(plain.split()) == 6


async def test_a_loop_of_tools_ends_by_hand_and_by_the_one_before(client):
    first = await client.responses.create(**ALL["tool"], include=INCLUDE)
    thought, call = first.output
    assert json.loads(call.arguments).keys() == {"city", "days"}
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain all day"}
    said = {"role": "user", "content": ALL["tool"]["input"]}
    for more in (
        {"input": [said, thought.to_dict(), call.to_dict(), result]},
        {"input": [result], "previous_response_id": first.id},
    ):
        second = await client.responses.create(model="standin", tools=[TOOL], **more)
        assert second.output[-1].type == "message"


async def test_sealed_reasoning_must_come_back_unharmed(client):
    first = await client.responses.create(**ALL["summary"])
    thought = first.output[0].to_dict()
    for summary in (thought["summary"], []):
        items = [{**thought, "summary": summary}, {"role": "user", "content": "go on"}]
        assert (await client.responses.create(model="m", input=items)).output_text
    harmed = thought["encrypted_content"].replace("=", "")[:-1] + "x="
    for sealed in (harmed, "", "gAAAA", 7):
        with pytest.raises(openai.BadRequestError, match="could not be verified"):
            await client.responses.create(
                model="m", input=[{**thought, "encrypted_content": sealed}]
            )


IMAGE = {"type": "input_image", "image_url": "https://example.org/a b.png", "detail": "low"}
FILE = {"type": "input_file", "file_data": "AAAA BBBB", "filename": "a b.pdf"}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (asked("one two\n three"),                                                      3),
        (asked("a\u2003b\u00a0c"),                                                      3),
        (asked("one", instructions="be brief"),                                         3),
        (asked([{"role": "user", "content": "one two"}]),                               2),
        (asked([{"role": "user", "content": [{"type": "input_text", "text": "a b"}, IMAGE, FILE]}]), 87),
        (asked([{"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "no way"}]}]), 2),
        (asked([{"type": "function_call", "call_id": "c d", "name": "f", "arguments": '{"a": 1}'}]), 3),
        (asked([{"type": "function_call_output", "call_id": "c d", "output": "a b c"}]),        3),
        (asked([{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "a b"}, IMAGE]}]), 87),
        (asked([{"type": "custom_tool_call", "call_id": "c d", "name": "f", "input": "a b"}]),  3),
        (asked([{"type": "reasoning", "id": "r s", "summary": [{"type": "summary_text", "text": "a b"}], "content": [{"type": "reasoning_text", "text": "c"}]}]), 3),
        (asked([{"type": "shell_call", "id": "x y", "status": "a b", "action": {"commands": ["ls -l", "pwd"], "type": "x y"}}]), 3),
        (asked("one", tools=[{"type": "function", "name": "f", "description": "two more"}]),    3),
        (asked("one", tools=[]),                                                        1),
        (asked("one", text={"format": {"type": "json_schema", "name": "x", "schema": {"description": "a b c"}}}), 4),
    ],
)  # fmt: skip
async def test_the_prompt_costs_its_words(http, body, tokens):
    async with http.post(f"{PATH}/input_tokens", json=body) as answer:
        counted = await answer.json()
    assert counted == {"object": "response.input_tokens", "input_tokens": tokens}
    async with http.post(PATH, json=body) as answer:
        assert (await answer.json())["usage"]["input_tokens"] == tokens


async def test_tokens_can_be_told_as_read_from_a_cache(client):
    made = await client.responses.create(**asked("[[cached=2]] one two"))
    assert (made.usage.input_tokens, made.usage.input_tokens_details.cached_tokens) == (3, 2)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"input": "a"},                                           "Missing required parameter: 'model'"),
        ({"model": "m"},                                           "Missing required parameter: 'input'"),
        (asked(7),                                                 "Invalid type for 'input'"),
        (asked([7]),                                               "Invalid type for 'input[0]'"),
        (asked(["a"]),                                             "Invalid type for 'input[0]'"),
        (asked(max_output_tokens=0),                               "Invalid 'max_output_tokens'"),
        (asked(top_logprobs=21),                                   "Invalid 'top_logprobs'"),
        (asked(include="x"),                                       "Invalid type for 'include'"),
        (asked(reasoning="high"),                                  "Invalid type for 'reasoning'"),
        (asked(text={"format": {"type": "xml"}}),                  "text.format"),
        (asked(background=True, store=False),                      "Background mode requires"),
        (asked(stream_options={}),                                 "only allowed when 'stream'"),
        (asked(tool_choice={"type": "function", "name": "f"}),     "no such function"),
        (asked("[[pcae=1ms tokens=3]] [[tokens=3 pcae=1ms]]"),     "has no directive 'pcae'"),
    ],
)  # fmt: skip
async def test_a_mistaken_request_is_told(http, body, sentence):
    for path in (PATH, f"{PATH}/input_tokens"):
        async with http.post(path, json=body) as answer:
            assert answer.status == 400
            assert sentence in (await answer.json())["error"]["message"]
