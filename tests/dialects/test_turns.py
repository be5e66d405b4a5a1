"""What was said by whom, in every dialect; and that it goes nowhere else."""

from __future__ import annotations

import json

import pytest

from proxy.core.facts import ROLES
from proxy.dialects import (
    anthropic_messages,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules
from proxy.journal.record import Record

RULES = TokenRules("words", 1_000, 200)


def facts(dialect, **asked):
    body = json.dumps({"model": "m"} | asked).encode()
    return dialect.read(body, lambda _: RULES, Call())[0]


def chat(*messages, **more):
    return facts(openai_chat, messages=list(messages), **more).turns


def responses(given, **more):
    return facts(openai_responses, input=given, **more).turns


def messages(*said, **more):
    return facts(anthropic_messages, messages=list(said), max_tokens=9, **more).turns


def test_chats_have_the_roles_of_their_messages():
    assert chat(
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": "What grows here?"},
        {"role": "assistant", "content": "Moss."},
        {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "there?"}]},
    ) == (
        ("system", "Be brief."),
        ("system", "Be kind."),
        ("user", "What grows here?"),
        ("assistant", "Moss."),
        ("user", "And\nthere?"),
    )  # fmt: skip


def test_results_of_tools_are_turns_of_tools():
    called = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    turns = chat(
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c", "content": "Rain."},
    )
    assert turns[0] == ("user", "Look.")
    assert turns[-1] == ("tool", "Rain.")


def test_messages_have_a_system_text_and_roles():
    assert messages(
        {"role": "user", "content": "What grows here?"},
        {"role": "assistant", "content": [{"type": "text", "text": "Moss."}]},
        {"role": "user", "content": "And there?"},
        system=[{"type": "text", "text": "Be brief."}],
    ) == (
        ("system", "Be brief."),
        ("user", "What grows here?"),
        ("assistant", "Moss."),
        ("user", "And there?"),
    )


def test_thinking_is_left_out():
    thought = {"type": "thinking", "thinking": "It is wet.", "signature": "c2lnbmVk"}
    sealed = {"type": "redacted_thinking", "data": "c2VhbGVk"}
    turns = messages(
        {"role": "user", "content": "What grows here?"},
        {"role": "assistant", "content": [thought, sealed, {"type": "text", "text": "Moss."}]},
        {"role": "user", "content": "Why?"},
    )
    assert turns[1] == ("assistant", "Moss.")
    assert not any(word in str(turns) for word in ("It is wet", "c2lnbmVk", "c2VhbGVk"))


def test_results_of_tools_in_messages_are_turns_of_tools():
    used = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "Rain."}
    turns = messages(
        {"role": "user", "content": "Look."},
        {"role": "assistant", "content": [used]},
        {"role": "user", "content": [result, {"type": "text", "text": "And now?"}]},
    )
    assert ("tool", "Rain.") in turns
    assert turns[-1] == ("user", "And now?")


def test_completions_are_asked_by_a_user():
    assert facts(openai_completions, prompt="Once upon a time").turns == (
        ("user", "Once upon a time"),
    )
    assert facts(openai_completions, prompt=["one", "two"]).turns == (
        ("user", "one"),
        ("user", "two"),
    )


def test_embeddings_are_asked_by_a_user():
    assert facts(openai_embeddings, input="to be").turns == (("user", "to be"),)


def test_a_text_and_instructions_are_turns_of_a_response():
    assert responses("What grows here?", instructions="Be brief.") == (
        ("system", "Be brief."),
        ("user", "What grows here?"),
    )


def test_items_of_a_response_have_their_roles_and_reasoning_is_left_out():
    thought = {
        "type": "reasoning", "id": "r", "encrypted_content": "c2VhbGVk",
        "summary": [{"type": "summary_text", "text": "It is wet."}],
    }  # fmt: skip
    called = {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"}
    turns = responses(
        [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "input_text", "text": "Look."}]},
            thought,
            called,
            {"type": "function_call_output", "call_id": "c", "output": "Rain."},
            {"type": "message", "role": "assistant",
             "content": [{"type": "output_text", "text": "It rains.", "annotations": []}]},
            {"role": "user", "content": "Still?"},
        ]
    )  # fmt: skip
    assert turns[:2] == (("system", "Be brief."), ("user", "Look."))
    assert turns[-3:] == (("tool", "Rain."), ("assistant", "It rains."), ("user", "Still?"))
    assert not any(word in str(turns) for word in ("It is wet", "c2VhbGVk"))


@pytest.mark.parametrize(
    "turns",
    [
        chat({"role": "assistant", "content": None}, {"role": "user", "content": "x"}),
        messages({"role": "user", "content": "x"}),
        responses("x"),
    ],
    ids=["chat", "messages", "responses"],
)
def test_turns_without_text_are_left_out_and_roles_are_four(turns):
    assert turns == (("user", "x"),)
    assert {role for role, _ in turns} <= set(ROLES)


def test_a_prompt_is_in_no_repr_and_no_record():
    found = facts(openai_chat, messages=[{"role": "user", "content": "canary in the garden"}])
    assert found.turns == (("user", "canary in the garden"),)
    assert "canary" not in repr(found)
    assert "canary" not in str(found)
    assert not {"turns", "prompt"} & set(Record.__dataclass_fields__)
