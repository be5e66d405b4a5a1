"""Every operation of both official SDKs, sync and async: through Weir as without it."""

from __future__ import annotations

import asyncio
import inspect
import socket

import anthropic
import openai
import pydantic
import pytest

from proxy.core.sealing import bare

TOOL = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
ASK = [{"role": "user", "content": "[[tokens=9]] Why is the sky blue?"}]


def completion(**more):
    return lambda client: client.completions.create(
        **{"model": "standin", "prompt": "[[tokens=7]] Once upon", **more}
    )


def response(**more):
    return lambda client: client.responses.create(
        **{"model": "standin", "input": "[[tokens=9]] Tell me of the sea.", **more}
    )


def message(**more):
    return lambda client: client.messages.create(
        **{"model": "standin", "max_tokens": 300, "messages": ASK, **more}
    )


def embedding(**more):
    return lambda client: client.embeddings.create(
        **{"model": "standin", "input": "the sea", **more}
    )


FUNCTION = {"type": "function", **TOOL, "strict": False}
CLAUDE_TOOL = {"name": "get_weather", "input_schema": SCHEMA}
THINKING = {"type": "enabled", "budget_tokens": 1024}

OPENAI = {
    "completion": completion(),
    "completion of several": completion(prompt=["one two", "three"], n=2),
    "completion, the best of three": completion(best_of=3, n=2, max_tokens=5),
    "completion of tokens": completion(prompt=[1, 2, 3, 4]),
    "completion with echo and logprobs": completion(echo=True, logprobs=2, max_tokens=6),
    "completion streamed": completion(stream=True),
    "completion streamed with usage": completion(stream=True, n=2, stream_options={"include_usage": True}),
    "embedding": embedding(),
    "embedding of several": embedding(input=["the sea", "a ship", ""]),
    "embedding of tokens": embedding(input=[[1, 2], [3]]),
    "embedding as floats": embedding(encoding_format="float", dimensions=4),
    "response": response(),
    "response streamed": response(stream=True),
    "response that is not kept": response(store=False, instructions="Be brief.", metadata={"a": "b"}),
    "response to a conversation": response(input=[
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "what is"}, {"type": "input_image", "detail": "low", "image_url": f"data:image/png;base64,{PIXEL}"}]},
        {"role": "assistant", "content": "A pixel."},
        {"role": "user", "content": "[[tokens=5]] sure?"},
    ]),
    "response with a tool": response(tools=[FUNCTION], tool_choice={"type": "function", "name": "get_weather"}),
    "response with a tool streamed": response(stream=True, tools=[FUNCTION], tool_choice="required"),
    "response of a schema": response(text={"format": {"type": "json_schema", "name": "place", "schema": SCHEMA}}),
    "response with reasoning": response(model="standin-reasoner", reasoning={"effort": "low", "summary": "auto"}),
    "response with reasoning streamed": response(stream=True, model="standin-reasoner", reasoning={"effort": "low", "summary": "auto"}, include=["reasoning.encrypted_content"]),
    "response with logprobs": response(include=["message.output_text.logprobs"], top_logprobs=2),
    "response with logprobs streamed": response(stream=True, include=["message.output_text.logprobs"], top_logprobs=2),
    "response at its cap": response(max_output_tokens=4, input="[[tokens=40]] and so on"),
    "response at its cap streamed": response(stream=True, max_output_tokens=4, input="[[tokens=40]] and so on"),
    "response, beta": lambda client: client.beta.responses.create(model="standin", input="[[tokens=5]] beta"),
    "input tokens": lambda client: client.responses.input_tokens.count(model="standin", input="how many are these"),
    "models": lambda client: client.models.retrieve("standin"),
}  # fmt: skip
ANTHROPIC = {
    "message": message(),
    "message streamed": message(stream=True),
    "message at its cap": message(max_tokens=4),
    "message with system and stops": message(system=[{"type": "text", "text": "Be brief."}], stop_sequences=["zzz"], extra_body={"temperature": 0.2, "top_k": 5}),
    "message with an image": message(messages=[{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "text", "text": "[[tokens=5]] what is this"},
    ]}]),
    "message with a tool": message(tools=[CLAUDE_TOOL], tool_choice={"type": "tool", "name": "get_weather"}),
    "message with a tool streamed": message(stream=True, tools=[CLAUDE_TOOL], tool_choice={"type": "any"}),
    "message with thinking": message(max_tokens=2000, thinking=THINKING),
    "message with thinking streamed": message(stream=True, max_tokens=2000, thinking=THINKING),
    "message with thinking left out": message(max_tokens=2000, thinking={**THINKING, "display": "omitted"}),
    "message of a schema": message(output_config={"format": {"type": "json_schema", "schema": SCHEMA}}),
    "message refused by the model": message(messages=[{"role": "user", "content": "[[refusal=cyber]] no"}]),
    "message, beta": lambda client: client.beta.messages.create(model="standin", max_tokens=20, messages=ASK, betas=["some-beta-2026-01-01"]),
    "count of tokens": lambda client: client.messages.count_tokens(model="standin", messages=ASK, system="Be brief."),
    "models": lambda client: client.models.list(),
    "model": lambda client: client.models.retrieve("standin"),
}  # fmt: skip


def plain(value):
    """Return an answer as plain values; which members were sent is part of it."""
    if isinstance(value, pydantic.BaseModel):
        return unsealed(value.model_dump(exclude_unset=True))
    return [plain(each) for each in value]


def unsealed(value):
    """Return a value whose sealed reasoning is without our wrapping."""
    if isinstance(value, dict):
        return {name: unsealed(each) for name, each in value.items()}
    if isinstance(value, list):
        return [unsealed(each) for each in value]
    return bare(value) if isinstance(value, str) else value


async def plain_async(made):
    value = await made if inspect.isawaitable(made) else made
    if hasattr(value, "__aiter__") and not isinstance(value, pydantic.BaseModel):
        return [plain(each) async for each in value]
    return plain(value)


@pytest.mark.parametrize("name", OPENAI)
def test_an_openai_operation_is_the_same_with_and_without_us(weir, secret, standin, loop, name):
    async def asked(url, key):
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
            return await plain_async(OPENAI[name](client))

    with weir.client(secret) as through, standin.client() as direct:
        expected = plain(OPENAI[name](direct))
        assert expected
        assert plain(OPENAI[name](through)) == expected
    assert loop.run(asked(weir.url, secret)) == expected


@pytest.mark.parametrize("name", ANTHROPIC)
def test_an_anthropic_operation_is_the_same_with_and_without_us(weir, secret, standin, loop, name):
    async def asked(url, key):
        async with anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as client:
            return await plain_async(ANTHROPIC[name](client))

    with weir.claude(secret) as through, standin.claude() as direct:
        expected = plain(ANTHROPIC[name](direct))
        assert expected
        assert plain(ANTHROPIC[name](through)) == expected
    assert loop.run(asked(weir.url, secret)) == expected


def test_a_stored_response_lives_its_life(weir, secret, standin):
    """Made, read, streamed again, built upon, listed, deleted; each step as without us."""

    def life(client):
        made = client.responses.create(model="standin", input="[[tokens=6]] a long life")
        steps = [made, client.responses.retrieve(made.id)]
        steps.append(list(client.responses.retrieve(made.id, stream=True)))
        steps.append(list(client.responses.retrieve(made.id, stream=True, starting_after=4)))
        steps.append(client.responses.input_items.list(made.id).data)
        steps.append(
            client.responses.create(
                model="standin", input="[[tokens=3]] go on", previous_response_id=made.id
            )
        )
        client.responses.delete(made.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made.id)
        return [plain(step) for step in steps]

    with weir.client(secret) as through, standin.client() as direct:
        assert life(through) == life(direct)


def test_a_background_response_is_waited_for_and_charged_what_it_took(weir, standin):
    account_key = weir.issue("patient")[1]
    with weir.client(account_key) as client:
        raw = client.responses.with_raw_response.create(
            model="standin", input="[[tokens=7 pace=20ms]] in your own time", background=True
        )
        made = raw.parse()
        assert made.status in {"queued", "in_progress"}
        kept = weir.record(raw.headers["x-weir-decision"])
        # Until somebody has read the result, what was reserved stays charged: all that the model
        # can make of it, since nobody watches.
        assert kept["usage"]["charged_output"] == kept["usage"]["estimated_output"] == 4096
        assert weir.used(account_key, "open/streams") == 1
        while made.status in {"queued", "in_progress"}:
            made = client.responses.retrieve(made.id)
        assert (made.status, made.usage.output_tokens) == ("completed", 7)
        left = made.usage.total_tokens
        assert weir.eventually(lambda: weir.used(account_key, "open/tokens") == left)
        assert weir.used(account_key, "open/streams") == 0
        client.responses.retrieve(made.id)
        assert weir.used(account_key, "open/tokens") == left


def test_a_background_response_can_be_cancelled_and_streamed(weir, secret):
    with weir.client(secret) as client:
        made = client.responses.create(
            model="standin", input="[[tokens=400 pace=20ms]] for ever", background=True
        )
        assert client.responses.cancel(made.id).status == "cancelled"
        events = client.responses.create(
            model="standin", input="[[tokens=5 pace=1ms]] soon", background=True, stream=True
        )
        assert [event.type for event in events][-1] == "response.completed"


def test_what_one_account_made_no_other_can_read_or_build_on(weir, secret):
    stranger = weir.issue("stranger")[1]
    with weir.client(secret) as mine, weir.client(stranger) as theirs:
        made = mine.responses.create(model="standin", input="[[tokens=5]] my secret plan")
        for attempt in (
            lambda: theirs.responses.retrieve(made.id),
            lambda: list(theirs.responses.retrieve(made.id, stream=True)),
            lambda: theirs.responses.cancel(made.id),
            lambda: theirs.responses.delete(made.id),
            lambda: theirs.responses.input_items.list(made.id),
            lambda: theirs.responses.create(model="standin", input="x", previous_response_id=made.id),
            lambda: theirs.responses.create(model="standin", input=[{"type": "item_reference", "id": made.output[0].id}]),
            lambda: theirs.responses.retrieve("resp_nobody_made_this"),
        ):  # fmt: skip
            with pytest.raises(openai.NotFoundError):
                attempt()
        assert mine.responses.retrieve(made.id).id == made.id
        again = mine.responses.create(
            model="standin", input=[{"type": "item_reference", "id": made.output[0].id}]
        )
        assert again.status == "completed"


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.batches.list(),
        lambda client: client.files.list(),
        lambda client: client.files.create(file=b"{}", purpose="batch"),
        lambda client: client.fine_tuning.jobs.list(),
        lambda client: client.chat.completions.list(),
        lambda client: client.images.generate(prompt="a pixel"),
        lambda client: client.vector_stores.list(),
        lambda client: client.realtime.client_secrets.create(),
    ],
)
def test_a_door_that_is_kept_shut_is_a_permission_error_with_a_code(weir, secret, ask):
    with weir.client(secret) as client, pytest.raises(openai.PermissionDeniedError) as caught:
        ask(client)
    assert caught.value.code.partition(".")[2] in {"unmetered", "shared", "closed"}
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "gateway" in caught.value.body["message"]


def test_anthropics_batches_are_kept_shut_in_its_own_words(weir, secret):
    with weir.claude(secret) as client, pytest.raises(anthropic.PermissionDeniedError) as caught:
        client.messages.batches.list()
    assert caught.value.body["error"]["type"] == "permission_error"


def test_the_time_to_the_models_first_byte_is_in_the_metrics(weir, secret):
    def count() -> float:
        (line,) = (
            line
            for line in weir.get("/metrics")[1].splitlines()
            if line.startswith("weir_upstream_first_byte_seconds_count")
        )
        return float(line.split()[-1])

    with weir.client(secret) as client:
        client.embeddings.create(model="standin", input="once")
        before = count()
        client.embeddings.create(model="standin", input="again")
    assert weir.eventually(lambda: count() == before + 1)


def test_helpers_of_the_openai_sdk_work(weir, secret):
    class Place(pydantic.BaseModel):
        city: str

    asked = [{"role": "user", "content": "[[tokens=8]] a place"}]
    with weir.client(secret) as client:
        with client.responses.stream(model="standin", input="[[tokens=8]] a place") as stream:
            kinds = [event.type for event in stream]
            final = stream.get_final_response()
        assert kinds[-1] == "response.completed"
        assert len(final.output_text.split()) == 8
        parsed = client.responses.parse(model="standin", input=asked, text_format=Place)
        assert isinstance(parsed.output_parsed, Place)
        with client.chat.completions.stream(model="standin", messages=asked) as chat:
            said = chat.get_final_completion().choices[0].message.content
        assert len(said.split()) == 8
        typed = client.chat.completions.parse(
            model="standin", messages=asked, response_format=Place
        )
        assert isinstance(typed.choices[0].message.parsed, Place)


def test_helpers_of_the_anthropic_sdk_work(weir, secret):
    with weir.claude(secret) as client:
        with client.messages.stream(model="standin", max_tokens=99, messages=ASK) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        assert (len(text.split()), final.stop_reason) == (9, "end_turn")


def test_a_tool_loop_with_thinking_keeps_its_blocks(weir, secret):
    """Turns with tools need the signed thinking block back exactly as it was served."""
    asked = {"model": "standin", "max_tokens": 2000, "tools": [CLAUDE_TOOL], "thinking": THINKING}
    turns = [{"role": "user", "content": "[[tool=get_weather]] What is the weather?"}]
    with weir.claude(secret) as client:
        first = client.messages.create(messages=turns, **asked)
        assert [block.type for block in first.content] == ["thinking", "tool_use"]
        turns += [
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "sunny"},
                {"type": "text", "text": "[[tokens=6]] so?"},
            ]},
        ]  # fmt: skip
        with client.messages.stream(messages=turns, **asked) as stream:
            last = stream.get_final_message()
    assert last.stop_reason == "end_turn"


def test_fifty_operations_of_all_kinds_at_once_are_fifty_records(weir, loop):
    key = weir.issue("busy")[1]

    async def all_of_them():
        async with (
            weir.async_client(key) as client,
            anthropic.AsyncAnthropic(base_url=weir.url, api_key=key, max_retries=0) as claude,
        ):
            work = []
            for index in range(10):
                text = f"[[tokens=5 pace=1ms]] {index}"
                asked = [{"role": "user", "content": text}]
                work += [
                    client.chat.completions.create(model="standin", messages=asked),
                    client.completions.create(model="standin", prompt=text),
                    client.responses.create(model="standin", input=text),
                    client.embeddings.create(model="standin", input=text),
                    claude.messages.create(model="standin", max_tokens=50, messages=asked),
                ]
            return await asyncio.gather(*work)

    assert len(loop.run(all_of_them())) == 50
    found = weir.eventual_records("busy", 50)
    assert {record["end"] for record in found} == {"complete"}
    assert all(
        record["usage"]["charged_output"] == (0 if "embeddings" in record["dialect"] else 5)
        for record in found
    )


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/realtime?model=standin"])
def test_a_websocket_is_refused_with_the_reason_and_the_connection_closed(weir, secret, path):
    head = (
        f"GET {path} HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {secret}\r\n"
        "connection: Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", weir.port), 10) as line:
        line.sendall(head.encode())
        came = b""
        while piece := line.recv(4096):
            came += piece
    assert came.startswith(b"HTTP/1.1 403 ")
    assert b'"websocket.unmetered"' in came
    assert b"x-should-retry: false" in came.lower()
