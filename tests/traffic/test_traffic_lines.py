"""A line of traffic: what it may say, what its writer reads when it says something else."""

from dataclasses import fields, replace
from pathlib import Path

import jsonschema
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.errors import TrafficError
from proxy.core.facts import FEATURES, RequestFacts, Usage
from proxy.core.shape import NO_SHAPE
from proxy.core.standing import Level
from proxy.dialects import routes
from proxy.dialects.tokens import TokenRules
from proxy.traffic.entry import ENDS, KINDS, Answer, Entry, Label, Prints
from proxy.traffic.parsing import EFFECTS, entry_of, line_of
from proxy.traffic.schema import schema

ROOT = Path(__file__).parents[2]
SAMPLE = (Path(__file__).parent / "sample.jsonl").read_bytes().splitlines()
VALIDATOR = jsonschema.Draft202012Validator(schema())
T = 1_763_900_000_250_000
LEAST = {"t": 1763900000.25, "account": "acme", "body": {}}

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
tokens = st.integers(0, 1_000_000_000)
moments = st.integers(946_684_800_000_000, 4_102_444_799_999_999)
prints = st.from_regex(r"\A([0-9a-f]{16})?\Z")
by_name = st.dictionaries(texts, texts, max_size=3)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
usages = st.builds(
    Usage, st.none() | tokens, st.none() | tokens, st.none() | tokens, st.none() | tokens, tokens
)
answers = st.builds(
    Answer, st.sampled_from([0, 200, 429, 503]), st.sampled_from(ENDS), texts, usages,
    st.none() | st.integers(0, 2_678_400_000_000), st.none() | st.booleans(), st.booleans(), texts,
    st.lists(texts, max_size=2).map(tuple), texts,
)  # fmt: skip
facts = st.builds(
    RequestFacts, texts, texts, st.booleans(), st.booleans(), tokens, tokens, st.booleans(),
    st.integers(0, 128), st.integers(0, 128), texts, st.sets(st.sampled_from(sorted(FEATURES)), max_size=3).map(frozenset),
    st.booleans(), st.lists(texts, max_size=2).map(tuple), st.booleans(), texts,
    temperature=st.none() | st.floats(0, 2),
)  # fmt: skip
DRAWN = {
    "t": moments, "key": names, "account": names, "org": names, "plan": texts, "ip": texts,
    "method": st.just("POST"), "path": st.sampled_from(["/v1/messages?beta=true", "/v1/responses/r/cancel"]),
    "answer": st.none() | answers, "label": st.none() | st.builds(Label, names, st.sampled_from(KINDS), texts, st.booleans()),
    "id": texts, "verified": st.booleans(), "purpose": texts, "attributes": by_name, "headers": by_name,
    "retry": st.integers(0, 99), "level": st.sampled_from([level.value for level in Level]), "level_by": texts,
    "level_until": st.none() | st.integers(0, 2**63 - 1), "effect": st.sampled_from(EFFECTS), "policies": texts,
    "charged_at": st.none() | moments, "settled_at": st.none() | moments, "released_at": st.none() | moments,
    "fp": st.none() | st.builds(Prints, prints, prints, prints),
}  # fmt: skip
entries = st.builds(Entry, **DRAWN)
asked = st.dictionaries(texts, json_values, max_size=3).map(
    lambda body: {"body": body}
) | facts.map(lambda known: {"facts": known})


@settings(max_examples=80, deadline=None)
@given(entries, asked)
def test_what_is_written_reads_back_equal_and_keeps_to_the_schema(entry, more):
    entry = replace(entry, **more)
    line = line_of(entry)
    assert entry_of(line) == entry
    assert line_of(entry_of(line)) == line
    VALIDATOR.validate(orjson.loads(line))


def test_what_is_as_it_is_by_default_is_left_out():
    assert line_of(Entry(T, "acme", "acme", "acme", body={})) == (
        b'{"t":1763900000.25,"key":"acme","path":"/v1/chat/completions","body":{}}\n'
    )


def test_every_field_of_an_entry_is_drawn_above():
    assert {*DRAWN, "body", "facts"} == {each.name for each in fields(Entry)}


@given(moments)
def test_a_moment_survives_its_seconds_to_the_microsecond(at):
    assert entry_of(line_of(Entry(at, "a", "a", "a", body={}))).t == at


def test_the_text_of_a_prompt_is_not_written_with_the_facts():
    entry = Entry(
        T,
        "a",
        "a",
        "a",
        facts=RequestFacts("openai.chat", prompt="a canary", turns=(("user", "a canary"),)),
    )
    assert b"canary" not in line_of(entry)


@pytest.mark.parametrize("line", SAMPLE, ids=range(1, len(SAMPLE) + 1))
def test_a_line_of_the_sample_is_one_that_the_gateway_would_serve(line):
    VALIDATOR.validate(orjson.loads(line))
    entry = entry_of(line)
    if entry.facts is None:
        route = routes.route(entry.method, entry.path, entry.headers)
        body = b"" if entry.body is None else orjson.dumps(entry.body)
        route.dialect.read(body, lambda _: TokenRules(), route.call)


def test_the_committed_schema_is_the_one_that_is_generated():
    committed = orjson.loads((ROOT / "policies" / "schema" / "traffic.json").read_bytes())
    assert committed == schema()
    jsonschema.Draft202012Validator.check_schema(committed)


def test_who_is_told_once_is_key_account_and_organisation():
    for told in ({"account": "acme"}, {"key": "acme"}, {"account": "acme", "org": None}):
        entry = entry_of(orjson.dumps({"t": 1763900000, "body": {}, **told}))
        assert (entry.key, entry.account, entry.org) == ("acme", "acme", "acme")


def test_members_that_nobody_knows_and_nulls_are_passed_over():
    line = orjson.dumps({**LEAST, "trace": {"id": 5}, "plan": None, "answer": None, "fp": None})
    assert entry_of(line) == entry_of(orjson.dumps(LEAST))


USAGES = [
    # a provider's usage, where it is said, as its dialect reads it
    ("/v1/chat/completions", {"prompt_tokens": 9, "completion_tokens": 4}),
    (
        "/v1/chat/completions",
        {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "prompt_tokens_details": {"cached_tokens": 20},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    ),
    ("/v1/messages", {"input_tokens": 9, "output_tokens": 4}),
    (
        "/v1/messages",
        {
            "input_tokens": 9,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 1000,
            "output_tokens": 4,
            "output_tokens_details": {"thinking_tokens": 2},
        },
    ),
    (
        "/v1/responses",
        {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 5},
            "output_tokens": 4,
            "output_tokens_details": {"reasoning_tokens": 2},
        },
    ),
]
ANSWERS = {
    "/v1/chat/completions": {
        "id": "c",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "one two"},
                "finish_reason": "stop",
            }
        ],
    },
    "/v1/messages": {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": "one two"}],
        "stop_reason": "end_turn",
    },
    "/v1/responses": {"id": "resp_1", "object": "response", "status": "completed", "output": []},
}


@pytest.mark.parametrize(("path", "usage"), USAGES, ids=range(len(USAGES)))
def test_a_providers_usage_is_read_as_its_dialect_reads_it(path, usage):
    dialect = routes.route("POST", path, {}).dialect
    reader = dialect.answer(
        RequestFacts(dialect.NAME), TokenRules(), "application/json", 200, NO_SHAPE
    )
    reader.feed(orjson.dumps({**ANSWERS[path], "usage": usage}))
    reader.end()
    told = entry_of(orjson.dumps({**LEAST, "answer": {"usage": usage}})).answer.usage
    assert replace(told, relayed=0) == replace(reader.usage, relayed=0)
    assert told.relayed == told.reported_output


def test_tokens_that_were_relayed_are_those_reported_where_nothing_else_is_said():
    def relayed(**usage):
        return entry_of(orjson.dumps({**LEAST, "answer": {"usage": usage}})).answer.usage.relayed

    assert relayed(completion_tokens=7) == 7
    assert relayed(completion_tokens=7, relayed_tokens=0) == 0
    assert relayed(prompt_tokens=7) == 0


def deep(levels):
    return (
        b'{"t":1763900000,"account":"a","body":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"
    )


GALLERY = [
    # the line, the sentence that its writer reads
    (b"", "is no JSON: Input is a zero-length, empty document (character 1)"),
    (b'{"t": 1763900000.25, "acc', "is no JSON: unexpected end of data (character 26)"),
    (b"[1]", 'the line: must be an object ({"t": …, "account": …, "body": …}), not a list'),
    (
        {"account": "a", "body": {}},
        "t: is missing (the arrival in seconds since 1970: 1763900000.25)",
    ),
    (
        {**LEAST, "t": "2025-11-23"},
        "t: must be a number of seconds since 1970 (1763900000.25), not a text",
    ),
    (
        {**LEAST, "t": True},
        "t: must be a number of seconds since 1970 (1763900000.25), not a yes or no",
    ),
    (
        {**LEAST, "t": 1763900000250},
        "t: must lie between 2000 and 2100, in seconds since 1970 (1763900000.25)",
    ),
    ({**LEAST, "t": 5}, "t: must lie between 2000 and 2100, in seconds since 1970 (1763900000.25)"),
    ({"t": 1763900000, "body": {}}, "account: is missing (or `key`: who sent the request)"),
    ({**LEAST, "account": ""}, "key: must not be empty"),
    ({**LEAST, "account": 7}, "key: must be a text, not a number"),
    ({**LEAST, "org": "o" * 513}, "org: has 513 characters, but at most 512 are read"),
    ({**LEAST, "plan": ["free"]}, "plan: must be a text, not a list"),
    ({**LEAST, "body": None}, "body: is missing (or `facts`, where the body is not known)"),
    ({**LEAST, "body": '{"model":"m"}'}, "body: must be the request's JSON object, not a text"),
    (
        {**LEAST, "facts": {"dialect": "openai.chat"}},
        "facts: stand in place of a body, and this line has one: leave one out",
    ),
    (deep(241), "body: is nested more than 240 levels deep"),
    (deep(2000), "is no JSON: depth limit exceeded (character 5154)"),
    ({**LEAST, "method": "post"}, "method: must be one of POST, GET, DELETE"),
    ({**LEAST, "path": "v1/messages"}, "path: must begin with / (/v1/chat/completions)"),
    ({**LEAST, "verified": "yes"}, "verified: must be true or false, not a text"),
    ({**LEAST, "attributes": {"tier": 1}}, "attributes: must have texts as values, and one is not"),
    ({**LEAST, "headers": "none"}, "headers: must be an object, not a text"),
    ({**LEAST, "retry": -1}, "retry: must be from 0 to 99"),
    (
        {**LEAST, "level": "odd"},
        "level: must be one of clear, watch, guarded, restricted, contained",
    ),
    ({**LEAST, "effect": "deny"}, "effect: must be one of allow, shape, delay, refuse"),
    (
        {**LEAST, "charged_at": 1763900000.25},
        "charged_at: must be a whole number of microseconds since 1970, not a number",
    ),
    (
        {**LEAST, "settled_at": 1763900000},
        "settled_at: must lie between 2000 and 2100, in microseconds since 1970 (1763900000250000)",
    ),
    (
        {**LEAST, "fp": {"prompt": "ABC"}},
        "fp.prompt: must be a fingerprint of 16 hex digits in lower case",
    ),
    ({**LEAST, "answer": "hello"}, "answer: must be an object, not a text"),
    (
        {**LEAST, "answer": {"status": 42}},
        "answer.status: must be a status of HTTP (100 to 599; 0 for none)",
    ),
    (
        {**LEAST, "answer": {"end": "cut"}},
        "answer.end: must be one of complete, abandoned, error, broken",
    ),
    ({**LEAST, "answer": {"text": ["hello"]}}, "answer.text: must be a text, not a list"),
    ({**LEAST, "answer": {"seconds": -1}}, "answer.seconds: must be from 0 to 2678400 seconds"),
    ({**LEAST, "answer": {"seconds": 1e300}}, "answer.seconds: must be from 0 to 2678400 seconds"),
    (
        {**LEAST, "answer": {"usage": {"prompt_tokens": -1}}},
        "answer.usage.prompt_tokens: must be from 0 to 1000000000",
    ),
    (
        {**LEAST, "answer": {"usage": {"output_tokens": 1.5}}},
        "answer.usage.output_tokens: must be a whole number, not a number",
    ),
    (
        {
            **LEAST,
            "answer": {
                "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": "0"}}
            },
        },
        "answer.usage.prompt_tokens_details.cached_tokens: must be a whole number, not a text",
    ),
    ({**LEAST, "answer": {"sealed": [1]}}, "answer.sealed, an item: must be a text, not a number"),
    ({**LEAST, "label": {"operator": "c7"}}, "label.kind: must be one of extraction, benign"),
    (
        {**LEAST, "label": {"operator": "", "kind": "benign"}},
        "label.operator: must name who is behind the request",
    ),
    ({"t": 1763900000, "key": "k", "facts": {}}, "facts.dialect: must be a text, not null"),
    (
        {"t": 1763900000, "key": "k", "facts": {"dialect": "openai.chat", "choices": -1}},
        "facts.choices: must be from 0 to 1000000",
    ),
]


@pytest.mark.parametrize(("line", "sentence"), GALLERY, ids=[case[1][:50] for case in GALLERY])
def test_a_bad_line_is_told_by_a_sentence(line, sentence):
    text = line if isinstance(line, bytes) else orjson.dumps(line)
    with pytest.raises(TrafficError) as told:
        entry_of(text)
    assert str(told.value) == sentence


def test_what_the_gallery_refuses_the_schema_refuses_too():
    beyond = {"body: is nested more than 240 levels deep"}  # which no schema can say
    for line, sentence in GALLERY:
        told = line if isinstance(line, dict) else None
        if isinstance(line, bytes) and sentence.partition(":")[0] != "is no JSON":
            told = orjson.loads(line)
        if told is not None and sentence not in beyond:
            assert not VALIDATOR.is_valid(told), sentence


def test_a_line_beyond_64_megabytes_is_not_even_parsed():
    with pytest.raises(TrafficError, match="is longer than 64 MB"):
        entry_of(b" " * (64 * 1024 * 1024 + 1))


def test_the_deepest_body_that_is_read_can_be_written():
    line = deep(240)
    assert entry_of(line_of(entry_of(line))) == entry_of(line)


def test_half_of_a_surrogate_pair_is_told_when_it_is_written():
    with pytest.raises(TrafficError, match="is no JSON"):
        line_of(Entry(T, "a", "a", "a", body={"x": "\ud800"}))


def test_sentences_never_hold_what_stands_in_the_line():
    canary = "canary prompt"
    for name in (
        "t",
        "key",
        "body",
        "method",
        "path",
        "level",
        "effect",
        "answer",
        "label",
        "fp",
        "facts",
        "retry",
        "headers",
    ):
        with pytest.raises(TrafficError) as told:
            entry_of(orjson.dumps({**LEAST, name: canary if name != "key" else [canary]}))
        assert "canary" not in str(told.value)


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=80)
    | st.builds(
        lambda base, name, value: orjson.dumps({**base, name: value}),
        st.sampled_from([orjson.loads(line) for line in SAMPLE]),
        st.sampled_from([each.name for each in fields(Entry)]),
        json_values,
    )
    | st.builds(
        lambda base, part, name, value: orjson.dumps({**base, part: {**(base.get(part) or {}), name: value}}),
        st.sampled_from([orjson.loads(line) for line in SAMPLE]),
        st.sampled_from(["answer", "label", "fp", "facts"]),
        st.sampled_from(["usage", "seconds", "status", "end", "text", "operator", "kind", "prompt", "dialect", "features", "choices", "cover", "sealed"]),
        json_values,
    )
    | st.builds(
        lambda line, at, byte: line[:at] + bytes((byte,)) + line[at + 1 :],
        st.sampled_from(SAMPLE), st.integers(0, 300), st.integers(0, 255),
    )
)  # fmt: skip
def test_whatever_stands_in_a_line_is_an_entry_or_one_kind_of_error(line):
    try:
        entry = entry_of(line)
    except TrafficError:
        return
    assert entry_of(line_of(entry)) == entry
