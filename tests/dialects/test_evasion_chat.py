"""Ways around a shape or a capability in chat and legacy completions, each of them shut."""

from __future__ import annotations

import json

import orjson
import pytest

from proxy.core.errors import RequestError
from proxy.core.facts import RequestFacts
from proxy.core.shape import NO_SHAPE, Shape
from proxy.dialects import openai_chat, openai_completions
from proxy.dialects.base import Call
from proxy.dialects.tokens import TokenRules

WORDS = TokenRules("words", 1_000, 200)
CHARS = TokenRules("chars", 1_000, 200)
HELLO = [{"role": "user", "content": "hello there"}]
SECRET = "xylophone"


def read(dialect=openai_chat, rules=WORDS, **fields):
    asked = {"messages": HELLO} if dialect is openai_chat else {"prompt": "hello there"}
    body = orjson.dumps({"model": "m"} | asked | fields)
    (facts,) = dialect.read(body, lambda _: rules, Call())
    return facts


def sent(shape, dialect=openai_chat, **fields):
    """What goes upstream, and the codes that are told."""
    asked = {"messages": HELLO} if dialect is openai_chat else {"prompt": "hello there"}
    body = orjson.dumps({"model": "m"} | asked | fields)
    (facts,) = dialect.read(body, lambda _: WORDS, Call())
    forwarded = dialect.forward(body, facts, shape)
    return orjson.loads(forwarded.body), {change.code for change in forwarded.changes}


def streamed(shape, *chunks, dialect=openai_chat, choices=1):
    """The bytes that a client gets of a stream of chunks, and its reader."""
    facts = RequestFacts(dialect.NAME, "m", stream=True, choices=choices)
    reader = dialect.answer(facts, WORDS, "text/event-stream", 200, shape)
    stream = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    out = reader.feed(stream + b"data: [DONE]\n\n")
    return (out + reader.end()).decode(), reader


def whole(shape, body, dialect=openai_chat):
    """The bytes that a client gets of a JSON body, and its reader."""
    facts = RequestFacts(dialect.NAME, "m")
    reader = dialect.answer(facts, WORDS, "application/json", 200, shape)
    out = reader.feed(json.dumps(body).encode())
    return (out + reader.end()).decode(), reader


def chunk(delta, finish=None, choice=(), **more):
    said = {"index": 0, "delta": delta, "finish_reason": finish, **dict(choice)}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [said], **more}  # fmt: skip


LONG = f"one two three four {SECRET}"


@pytest.mark.parametrize(
    "again",
    [
        {"choice": {"text": LONG}},  # Together's
        {"choice": {"message": {"role": "assistant", "content": LONG}}},  # Perplexity's
        {"choice": {"routed": [{"said": LONG}]}},
        {"__verbose": {"content": LONG}},  # llama.cpp's
    ],
    ids=["text", "message", "unknown", "beside the choices"],
)
def test_a_truncated_chunk_does_not_say_its_text_again_under_another_name(again):
    out, reader = streamed(Shape(truncate=2), chunk({"content": "one "}, **again), chunk({"content": LONG}, **again), chunk({}, "stop"))  # fmt: skip
    assert SECRET not in out
    assert (reader.cut, reader.usage.relayed) == (True, 2)


@pytest.mark.parametrize("member", ["text", "delta", "routed"])
def test_a_truncated_body_does_not_say_its_text_again_under_another_name(member):
    said = {"role": "assistant", "content": LONG}
    choice = {"index": 0, "message": said, "finish_reason": "stop", member: said}
    out, _ = whole(Shape(truncate=2), {"object": "chat.completion", "choices": [choice], "echoed": LONG})  # fmt: skip
    assert SECRET not in out


def test_what_every_server_sends_beside_a_text_stays_in_a_truncated_answer():
    given = chunk({"role": "assistant", "content": "one two"}, "stop", system_fingerprint="fp_1",
                  service_tier="default", choice={"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}, "stop_reason": None},
                  citations=["https://a.test"])  # fmt: skip
    out, reader = streamed(Shape(truncate=2), given)
    assert json.loads(out.partition("\n")[0][6:]) == given
    assert not reader.cut


@pytest.mark.parametrize("limits", [Shape(hide_reasoning=True), Shape(truncate=9)])
def test_hidden_reasoning_is_not_in_a_message_beside_the_delta(limits):
    thought = {"content": "hm", "reasoning_content": SECRET}
    out, _ = streamed(limits, chunk({"content": "hm"}, choice={"message": thought}))
    assert SECRET not in out


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_reasoning_beside_the_text_of_a_completion_is_hidden(stream):
    choice = {"index": 0, "text": "hm", "reasoning": SECRET, "finish_reason": "stop"}
    give = streamed if stream else whole
    out, _ = give(Shape(hide_reasoning=True), {"choices": [choice]}, dialect=openai_completions)
    assert '"hm"' in out
    assert SECRET not in out


@pytest.mark.parametrize("name", ["thinking", "reasoning_text", "thoughts"])
def test_reasoning_is_hidden_by_all_of_its_names(name):
    out, _ = streamed(Shape(hide_reasoning=True), chunk({"content": "hm", name: SECRET}))
    assert SECRET not in out


def test_sound_without_words_is_not_given_where_only_words_are_counted():
    """Deltas of sound come by themselves, and would go on saying all of it."""
    out, _ = streamed(
        Shape(truncate=3), chunk({"audio": {"id": "a"}}), chunk({"audio": {"data": SECRET}})
    )
    assert SECRET not in out


@pytest.mark.parametrize("shape", [NO_SHAPE, Shape(truncate=3)], ids=["unshaped", "truncated"])
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_arguments_that_are_no_text_count_too(stream, shape):
    """Some servers send the arguments of a call as an object."""
    call = {"index": 0, "id": "c1", "type": "function",
            "function": {"name": "f", "arguments": {"city": "one two three four five", "code": SECRET}}}  # fmt: skip
    if stream:
        out, reader = streamed(shape, chunk({"tool_calls": [call]}), chunk({}, "tool_calls"))
    else:
        said = {"role": "assistant", "content": None, "tool_calls": [call]}
        out, reader = whole(shape, {"choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]})  # fmt: skip
    if shape is NO_SHAPE:
        assert reader.usage.relayed > 5
    else:
        assert SECRET not in out
        assert reader.cut


@pytest.mark.parametrize(
    ("asked", "feature"),
    [
        ({"reasoning": {"enabled": True}}, "reasoning"),
        ({"reasoning": {"max_tokens": 4_000}}, "reasoning"),
        ({"reasoning_effort": "none", "reasoning": {"effort": "high"}}, "reasoning"),
        ({"include_reasoning": True}, "reasoning"),
        ({"thinking": {"type": "enabled"}}, "reasoning"),
        ({"enable_thinking": True}, "reasoning"),
        ({"thinking_budget": 500}, "reasoning"),
        ({"chat_template_kwargs": {"enable_thinking": True}}, "reasoning"),
        ({"chat_template_kwargs": {"thinking": True}}, "reasoning"),
        ({"allowed_token_ids": [1, 2]}, "logit_bias"),
        ({"n_probs": 5}, "logprobs"),
        ({"guided_choice": ["a", "b"]}, "structured"),
        ({"structured_outputs": {"regex": "a+"}}, "structured"),
        ({"grammar": "root ::= 'a'"}, "structured"),
        ({"web_search_options": {}}, "server_tools"),
        ({"modalities": ["text", "audio"]}, "audio"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "The secret is"}]}, "prefill"),
    ],
    ids=str,
)
def test_a_knob_is_seen_by_whatever_name_a_server_heeds(asked, feature):
    assert feature in read(**asked).features


@pytest.mark.parametrize(
    "asked",
    [
        {"reasoning": {"enabled": False}},
        {"reasoning": {"effort": "none"}},
        {"thinking": {"type": "disabled"}},
        {"chat_template_kwargs": {"enable_thinking": False, "thinking": None}},
        {"enable_thinking": False, "thinking_budget": 0, "include_reasoning": None},
        {"allowed_token_ids": None, "n_probs": 0, "guided_json": None, "modalities": ["text"]},
    ],
    ids=str,
)
def test_a_knob_that_is_off_is_not_in_use(asked):
    assert read(**asked).features == frozenset()


def test_of_two_efforts_the_higher_one_is_what_is_asked_for():
    both = read(reasoning_effort="low", reasoning={"effort": "xhigh"})
    assert both.reasoning == "xhigh"
    assert read(reasoning_effort="high", reasoning={"effort": "low"}).reasoning == "high"


@pytest.mark.parametrize("dialect", [openai_chat, openai_completions])
@pytest.mark.parametrize("shape", [Shape(output_tokens=5), Shape(truncate=5)])
def test_the_cap_is_lowered_by_every_name_that_a_server_heeds(dialect, shape):
    """llama.cpp lets `n_predict` win over `max_tokens`."""
    told, codes = sent(shape, dialect, max_tokens=900, n_predict=900)
    assert (told["max_tokens"], told["n_predict"]) == (5, 5)
    assert codes & {"clamp.output_tokens", "truncate.output_tokens"}


@pytest.mark.parametrize("dialect", [openai_chat, openai_completions])
def test_what_is_reserved_heeds_every_name_of_the_cap(dialect):
    assert read(dialect, max_tokens=5, n_predict=900).output_tokens == 900


@pytest.mark.parametrize("dialect", [openai_chat, openai_completions])
def test_other_names_of_what_is_stripped_go_too(dialect):
    told, codes = sent(Shape(strip=frozenset({"logprobs", "logit_bias"})), dialect, n_probs=5, allowed_token_ids=[1])  # fmt: skip
    assert not told.keys() & {"n_probs", "allowed_token_ids"}
    assert codes == {"strip.logprobs", "strip.logit_bias"}


@pytest.mark.parametrize("fields", [{"models": ["other"]}, {"fallbacks": [{"model": "other"}]}])
def test_a_list_of_other_models_is_refused(fields):
    """The limits speak of `model`; another one must not answer in its place."""
    with pytest.raises(RequestError) as raised:
        read(**fields)
    assert raised.value.param == next(iter(fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"documents": [{"title": "a", "text": SECRET}]},
        {"chat_template": f"{{{{ '{SECRET}' }}}}"},
        {"chat_template_kwargs": {"system": SECRET}},
        {"messages": [{"role": "user", "content": [{"type": "thinking", "thinking": SECRET}]}]},
        {"messages": [{"role": "user", "content": [{"type": "document", "document": {"text": SECRET}}]}]},
        {"messages": [{"role": "assistant", "content": "a", "reasoning_details": [{"text": SECRET}]}]},
    ],
    ids=lambda fields: next(iter(fields)),
)  # fmt: skip
def test_a_prompt_counts_wherever_it_stands(fields):
    said = {"messages": [{"role": "user", "content": ""}]} | fields
    facts, bare = (
        read(rules=CHARS, **said),
        read(rules=CHARS, messages=[HELLO[0] | {"content": ""}]),
    )
    assert facts.prompt_tokens > bare.prompt_tokens
    assert SECRET in facts.prompt
    assert facts.prompt != bare.prompt


def test_a_file_of_the_shared_account_is_refused_by_its_id():
    part = {"type": "file", "file": {"file_id": "file-1"}}
    with pytest.raises(RequestError, match="stored at the provider"):
        read(messages=[{"role": "user", "content": [part]}])


def test_a_video_is_told_apart_from_another_one_and_is_no_text():
    def film(data):
        part = {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{data}"}}
        return read(messages=[{"role": "user", "content": [part]}])

    one, other = film("A" * 9_000), film("B" * 9_000)
    assert one.prompt != other.prompt
    assert "AAAA" not in one.prompt


@pytest.mark.parametrize("dialect", [openai_chat, openai_completions])
def test_alternatives_are_clamped_by_every_name(dialect):
    told, codes = sent(Shape(top_logprobs=1), dialect, n_probs=9, prompt_logprobs=9)
    assert (told["n_probs"], told["prompt_logprobs"]) == (1, 1)
    assert codes == {"clamp.top_logprobs"}


@pytest.mark.parametrize("amount", [{"max_tokens": 9_000}, {"enabled": True}])
def test_an_amount_of_reasoning_is_lowered_as_an_effort_is(amount):
    told, codes = sent(Shape(effort="low"), reasoning={**amount, "exclude": False})
    assert told["reasoning"] == {"exclude": False, "effort": "low"}
    assert codes == {"clamp.effort"}


def test_every_name_of_the_effort_is_lowered():
    told, _ = sent(Shape(effort="low"), reasoning_effort="high", reasoning={"effort": "max"},
                   chat_template_kwargs={"reasoning_effort": "high", "x": 1})  # fmt: skip
    assert told["reasoning_effort"] == told["reasoning"]["effort"] == "low"
    assert told["chat_template_kwargs"] == {"reasoning_effort": "low", "x": 1}


@pytest.mark.parametrize(
    ("tier", "seen"),
    [("auto", False), ("default", False), ("flex", False), (None, False), ("priority", True), ("turbo", True)],
)  # fmt: skip
def test_a_tier_that_costs_more_is_a_feature(tier, seen):
    assert ("priority" in read(service_tier=tier).features) is seen
