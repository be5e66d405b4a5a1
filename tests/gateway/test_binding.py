"""Both official SDKs carry bound reasoning as it is; nobody else gets anything from it."""

from __future__ import annotations

import anthropic
import openai
import pytest

from proxy.core.sealing import MARK, bare

TOOLS = [{"name": "look", "description": "Look.", "input_schema": {
    "type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}]  # fmt: skip
FUNCTIONS = [
    {"type": "function", "name": "look", "parameters": TOOLS[0]["input_schema"], "strict": False}
]
THINKING = {"type": "enabled", "budget_tokens": 1024}
CALLING = "[[tool=look reasoning=9 tokens=6]] Look at it."
SAYING = "[[reasoning=7 tokens=5]] And what is it?"
SEALED = ["reasoning.encrypted_content"]
STRICT = """\
policy: strict
reasoning: {foreign: refuse}
limits:
  - {limit: requests, allow: 1_000_000 requests, per: 1m, by: [key]}
"""
TRUSTING = STRICT.replace("refuse", "pass").replace("strict", "trusting")


# Claude: thinking, tools, streams.


def think(client, messages, *, stream=False, **more):
    asked = {"model": "standin", "max_tokens": 4096, "thinking": THINKING, "tools": TOOLS, **more}
    if not stream:
        return client.messages.create(messages=messages, **asked)
    with client.messages.stream(messages=messages, **asked) as events:
        return events.get_final_message()


def back(message) -> dict:
    """Return an answer as the SDK's users send it back."""
    return {
        "role": "assistant",
        "content": [block.model_dump(exclude_none=True) for block in message.content],
    }


def seals(message) -> list[str]:
    return [block.signature for block in message.content if block.type == "thinking"]


def result(message, text="It is blue.") -> dict:
    (use,) = [block for block in message.content if block.type == "tool_use"]
    return {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": use.id, "content": text}],
    }


def asks(text: str) -> dict:
    return {"role": "user", "content": text}


def converse(client, *, stream: bool):
    """Hold a conversation with two calls of a tool; return what was sent last, and the answers."""
    messages = [asks(CALLING)]
    answers = [think(client, messages, stream=stream)]
    messages += [back(answers[-1]), result(answers[-1])]
    answers.append(think(client, messages, stream=stream))
    messages += [back(answers[-1]), asks(CALLING + " Again.")]
    answers.append(think(client, messages, stream=stream))
    messages += [back(answers[-1]), result(answers[-1], "It is green.")]
    answers.append(think(client, messages, stream=stream))
    messages += [back(answers[-1]), asks(SAYING)]
    answers.append(think(client, messages, stream=stream))
    return messages, answers


def told(message) -> dict:
    """Return an answer without our wrapping, to be compared."""
    plain = message.model_dump(exclude={"_request_id"})
    for block in plain["content"]:
        if block["type"] == "thinking":
            block["signature"] = bare(block["signature"])
    return plain


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_conversation_with_thinking_and_tools_is_the_same_as_without_weir(
    weir, secret, standin, stream
):
    with weir.claude(secret) as through, standin.claude() as direct:
        _, ours = converse(through, stream=stream)
        _, theirs = converse(direct, stream=stream)
    # The stand-in's ids and texts hang on every byte of what it was asked.
    assert [told(each) for each in ours] == [told(each) for each in theirs]
    found = [seal for each in ours for seal in seals(each)]
    assert len(found) >= 3
    assert all(seal.startswith(MARK) for seal in found)


def test_forks_edits_retries_and_left_out_turns_are_served(weir, secret):
    with weir.claude(secret) as client:
        messages, _ = converse(client, stream=True)
        once, again = think(client, messages), think(client, messages)
        assert once.content == again.content
        think(client, [*messages[:3], asks("[[reasoning=3]] Something else.")])
        think(client, messages[4:])
        edited = [*messages[:-1], asks("[[reasoning=3]] No: and before?")]
        raw = client.messages.with_raw_response.create(
            model="standin", max_tokens=4096, messages=edited, thinking=THINKING, tools=TOOLS
        )
    assert "codes" not in raw.headers["x-weir-decision"]
    assert client_counts(weir, raw) == 0


def client_counts(weir, raw) -> int:
    return sum(weir.record(raw.headers["x-weir-decision"])["foreign"].values())


def test_another_key_of_the_account_goes_on_with_the_conversation(weir):
    first, second = weir.issue("rotating")[1], weir.issue("rotating")[1]
    with weir.claude(first) as client:
        messages, _ = converse(client, stream=False)
    with weir.claude(second) as client:
        raw = client.messages.with_raw_response.create(
            model="standin", max_tokens=4096, messages=messages, thinking=THINKING, tools=TOOLS
        )
    assert client_counts(weir, raw) == 0


def test_counting_a_conversation_with_thinking_works(weir, secret, standin):
    with weir.claude(secret) as through, standin.claude() as direct:
        messages, _ = converse(through, stream=False)
        plain, _ = converse(direct, stream=False)
        count = through.messages.count_tokens(model="standin", messages=messages)
        assert count == direct.messages.count_tokens(model="standin", messages=plain)


@pytest.mark.parametrize("thief", ["thief", "self"])
def test_thinking_that_is_replayed_is_dropped_and_told(weir, secret, thief):
    with weir.claude(secret) as client:
        victim = think(client, [asks(SAYING)])
    key = secret if thief == "self" else weir.issue(thief)[1]
    question = "[[reasoning=3]] Write down what you thought." if thief == "self" else SAYING
    replayed = [asks(question), back(victim), asks("Write it down.")]
    with weir.claude(key) as client:
        raw = client.messages.with_raw_response.create(
            model="standin", max_tokens=4096, messages=replayed, thinking=THINKING
        )
    assert raw.status_code == 200
    assert 'codes="drop.reasoning"' in raw.headers["x-weir-decision"]
    assert raw.headers["x-weir-shape"] == 'drop;of=reasoning;asked="1"'
    record = weir.record(raw.headers["x-weir-decision"])
    kind = "conversation" if thief == "self" else "account"
    assert {name: count for name, count in record["foreign"].items() if count} == {kind: 1}


def test_a_loop_of_tools_that_is_taken_over_goes_on_without_thinking(weir, secret):
    with weir.claude(secret) as client:
        called = think(client, [asks(CALLING)])
    with weir.claude(weir.issue("thief")[1]) as client:
        raw = client.messages.with_raw_response.create(
            model="standin", max_tokens=4096, thinking=THINKING, tools=TOOLS,
            messages=[asks(CALLING), back(called), result(called)],
        )  # fmt: skip
    assert 'codes="drop.reasoning clamp.thinking"' in raw.headers["x-weir-decision"]


# GPT: encrypted reasoning, functions, streams, stored responses.


def respond(client, items, *, stream=False, **more):
    asked = {"model": "standin", "include": SEALED, "store": False, "tools": FUNCTIONS,
             "reasoning": {"effort": "low"}, **more}  # fmt: skip
    if not stream:
        return client.responses.create(input=items, **asked)
    with client.responses.stream(input=items, **asked) as events:
        return events.get_final_response()


def items_of(response) -> list[dict]:
    return [
        item.model_dump(exclude_none=True, exclude={"parsed", "parsed_arguments"})
        for item in response.output
    ]


def output(response, text="It is blue.") -> dict:
    (call,) = [item for item in response.output if item.type == "function_call"]
    return {"type": "function_call_output", "call_id": call.call_id, "output": text}


def encrypted(response) -> list[str]:
    return [item.encrypted_content for item in response.output if item.type == "reasoning"]


def discuss(client, *, stream: bool):
    items = [asks(CALLING)]
    answers = [respond(client, items, stream=stream)]
    items += [*items_of(answers[-1]), output(answers[-1])]
    answers.append(respond(client, items, stream=stream))
    items += [*items_of(answers[-1]), asks(SAYING)]
    answers.append(respond(client, items, stream=stream))
    return [*items, *items_of(answers[-1]), asks("[[reasoning=2]] Thanks.")], answers


def said(response) -> list[dict]:
    told = [item.model_dump(exclude={"parsed", "parsed_arguments"}) for item in response.output]
    for item in told:
        if item.get("encrypted_content"):
            item["encrypted_content"] = bare(item["encrypted_content"])
    return [{"id": response.id}, *told]


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_conversation_with_encrypted_reasoning_is_the_same_as_without_weir(
    weir, secret, standin, stream
):
    with weir.client(secret) as through, standin.client() as direct:
        items, ours = discuss(through, stream=stream)
        _, theirs = discuss(direct, stream=stream)
        respond(through, items)
    assert [said(each) for each in ours] == [said(each) for each in theirs]
    found = [seal for each in ours for seal in encrypted(each)]
    assert len(found) >= 2
    assert all(seal.startswith(MARK) for seal in found)


def test_every_event_of_a_stream_tells_the_same_wrapping(weir, secret):
    with weir.client(secret) as client:
        asked = {"model": "standin", "input": SAYING, "include": SEALED, "stream": True}
        events = list(client.responses.create(**asked, reasoning={"effort": "low"}))
    texts = [each.model_dump_json() for each in events]
    (reasoning,) = [item for item in events[-1].response.output if item.type == "reasoning"]
    assert reasoning.encrypted_content.startswith(MARK)
    sealed = [text for text in texts if bare(reasoning.encrypted_content) in text]
    assert len(sealed) >= 2
    assert all(reasoning.encrypted_content in text for text in sealed)


def test_a_stored_response_that_is_read_later_serves_its_own_conversation_alone(weir, secret):
    with weir.client(secret) as client:
        made = respond(client, [asks(SAYING)], store=True)
        read = client.responses.retrieve(made.id, include=SEALED)
        assert encrypted(read) == encrypted(made)
        raw = client.responses.with_raw_response.create(
            model="standin", store=False, input=[asks(SAYING), *items_of(read), asks("And?")]
        )
        assert client_counts(weir, raw) == 0
        raw = client.responses.with_raw_response.create(
            model="standin", store=False, input=[asks("Write down:"), *items_of(read), asks("And?")]
        )
        assert client_counts(weir, raw) == 1
        going_on = respond(client, [asks(SAYING)], previous_response_id=made.id, store=True)
        respond(client, [asks(SAYING), *items_of(going_on), asks("And?")])


def test_encrypted_reasoning_that_is_replayed_is_dropped(weir, secret):
    with weir.client(secret) as client:
        called = respond(client, [asks(CALLING)])
    with weir.client(weir.issue("thief")[1]) as client:
        raw = client.responses.with_raw_response.create(
            model="standin", store=False, tools=FUNCTIONS,
            input=[asks(CALLING), *items_of(called), output(called)],
        )  # fmt: skip
    assert 'codes="drop.reasoning"' in raw.headers["x-weir-decision"]
    assert client_counts(weir, raw) == 1


# Policies.


@pytest.fixture(scope="module")
def strict(started_once):
    with started_once(strict=STRICT) as gateway:
        yield gateway


def test_where_a_policy_refuses_foreign_reasoning_both_sdks_are_told_what_to_do(strict):
    victim, thief = strict.issue("victim")[1], strict.issue("thief")[1]
    with strict.claude(victim) as client:
        thought = think(client, [asks(SAYING)])
        think(client, [asks(SAYING), back(thought), asks(SAYING)])
    with (
        strict.claude(thief, max_retries=2) as client,
        pytest.raises(anthropic.BadRequestError) as refused,
    ):
        think(client, [asks(SAYING), back(thought), asks("Write it down.")])
    assert refused.value.body["error"]["code"] == "reasoning.foreign"
    assert "without its thinking blocks" in refused.value.message
    assert refused.value.response.headers["x-should-retry"] == "false"
    with strict.client(victim) as client:
        sealed = respond(client, [asks(SAYING)])
    with (
        strict.client(thief, max_retries=2) as client,
        pytest.raises(openai.BadRequestError) as refused,
    ):
        respond(client, [asks(SAYING), *items_of(sealed), asks("Write it down.")])
    assert refused.value.code == "reasoning.foreign"
    records = strict.eventual_records("thief", 2)
    assert [(one["status"], one["code"], one["foreign"]["account"]) for one in records] == [
        (400, "reasoning.foreign", 1), (400, "reasoning.foreign", 1),
    ]  # fmt: skip


def test_gateways_that_share_a_pepper_go_on_with_each_other_s_conversations(
    tmp_path, start_gateway, monkeypatch
):
    monkeypatch.setenv("WEIR_PEPPER", 40 * "p")
    one, two = start_gateway(tmp_path / "a", {}, STRICT), start_gateway(tmp_path / "b", {}, STRICT)
    first, second = one.issue()[1], two.issue()[1]
    with one.claude(first) as client:
        messages, _ = converse(client, stream=True)
    with two.claude(second) as client:
        assert think(client, messages).content


def test_where_a_policy_lets_it_pass_the_model_gets_what_it_has_made(started_once):
    with started_once(trusting=TRUSTING) as gateway:
        victim, other = gateway.issue("victim")[1], gateway.issue("other")[1]
        with gateway.claude(victim) as client:
            messages, _ = converse(client, stream=False)
        with gateway.claude(other) as client:
            assert think(client, messages).content
