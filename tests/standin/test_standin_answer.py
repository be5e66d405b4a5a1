import json
import math

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import RequestError
from proxy.standin.answer import choices_of, logprobs
from proxy.standin.documents import Writer
from proxy.standin.openai_chat import replied
from proxy.standin.openai_chat_asked import read_asked
from proxy.standin.vocabulary import WORDS


def chat(content="hello", **more):
    return {"model": "standin", "messages": [{"role": "user", "content": content}], **more}


def answered(asked, header=""):
    return replied(read_asked(orjson.dumps(asked), header))


def told(answer):
    return json.loads(answer.whole())


def text(answer, index=0):
    return told(answer)["choices"][index]["message"]["content"]


def finish(answer):
    return told(answer)["choices"][0]["finish_reason"]


def test_a_byte_is_a_word():
    assert len(WORDS) == len(set(WORDS)) == 256
    assert all(word.isascii() and word.isalpha() for word in WORDS)


@given(st.text(max_size=30).filter(lambda text: "[[" not in text))
def test_the_same_request_has_the_same_answer_of_20_to_200_words(content):
    first, second = answered(chat(content)), answered(chat(content))
    assert first.whole() == second.whole()
    assert 20 <= len(text(first).split()) == first.tokens <= 200


def test_how_an_answer_is_sent_changes_nothing_of_it():
    plain = answered(chat())
    streamed = answered(chat(stream=True, stream_options={"include_usage": True}))
    assert plain.whole() == streamed.whole()


def test_another_prompt_model_or_seed_has_another_answer():
    asked = [chat(), chat("hullo"), {**chat(), "model": "standin-mini"}, chat(seed=7)]
    assert len({text(answered(each)) for each in asked}) == 4


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_a_capped_answer_is_the_beginning_of_the_whole_one(field):
    whole, cut = answered(chat("[[tokens=30]]")), answered(chat("[[tokens=30]]", **{field: 12}))
    assert text(whole).startswith(text(cut))
    assert (cut.tokens, finish(cut)) == (12, "length")
    assert finish(answered(chat("[[tokens=12]]", **{field: 12}))) == "stop"


def test_choices_differ_and_all_are_billed():
    answer = answered(chat("[[tokens=9]]", n=3))
    assert len({text(answer, index) for index in range(3)}) == 3
    assert told(answer)["usage"]["completion_tokens"] == 27


def test_reasoning_is_billed_and_stands_under_the_cap():
    answer = answered(chat("[[tokens=9 reasoning=100]]"))
    assert (answer.tokens, answer.visible, answer.reasoning) == (109, 9, 100)
    capped = answered(chat("[[tokens=9 reasoning=100]]", max_completion_tokens=50))
    assert (capped.tokens, text(capped), finish(capped)) == (50, "", "length")
    assert answered({**chat(), "model": "standin-reasoner"}).reasoning >= 20


@pytest.mark.parametrize(
    ("messages", "more", "tokens"),
    [
        ([{"role": "user", "content": "one two\nthree "}],                                       {}, 3),
        ([{"role": "system", "content": "one"}, {"role": "user", "content": "two three"}],       {}, 3),
        ([{"role": "user", "content": [{"type": "text", "text": "a b"}, {"type": "image_url", "image_url": {"url": "data:x"}}]}], {}, 87),
        ([{"role": "assistant", "content": None, "refusal": "no way"}],                          {}, 2),
        ([{"role": "assistant", "content": [{"type": "refusal", "refusal": "no way at all"}]}],  {}, 4),
        ([{"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]}], {}, 3),
        ([{"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}],             {}, 2),
        ([{"role": "user", "content": "one"}], {"tools": [{"type": "function", "function": {"name": "f", "description": "two more"}}]}, 3),
        ([{"role": "user", "content": "one"}], {"tools": [], "functions": None},                     1),
        ([{"role": "user", "content": "one"}], {"response_format": {"type": "text"}},                2),
    ],
)  # fmt: skip
def test_the_prompt_costs_its_words(messages, more, tokens):
    assert (
        read_asked(orjson.dumps({"model": "m", "messages": messages, **more})).prompt_tokens
        == tokens
    )


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{",                                                   "could not parse the JSON body"),
        (b'{"a":' + b"[" * 2000 + b"]" * 2000 + b"}",            "could not parse the JSON body"),
        (b"[]",                                                  "must be a JSON object"),
        (b'{"messages":[]}',                                     "must provide a model"),
        (b'{"model":"m"}',                                       "Missing required parameter: 'messages'"),
        (b'{"model":"m","messages":[]}',                         "empty array"),
        (b'{"model":"m","messages":"x"}',                        "Invalid type for 'messages'"),
        (b'{"model":"m","messages":[{}]}',                       "messages[0]"),
        (orjson.dumps(chat(n=0)),                                "Invalid 'n'"),
        (orjson.dumps(chat(n=129)),                              "Invalid 'n'"),
        (orjson.dumps(chat(n=True)),                             "Invalid type for 'n'"),
        (orjson.dumps(chat(max_tokens=0)),                       "Invalid 'max_tokens'"),
        (orjson.dumps(chat(max_tokens=1, max_completion_tokens=1)), "at the same time"),
        (orjson.dumps(chat(stream="yes")),                       "Invalid type for 'stream'"),
        (orjson.dumps(chat(stream_options={})),                  "only allowed when 'stream'"),
        (orjson.dumps(chat(stream=True, stream_options=1)),      "Invalid type for 'stream_options'"),
        (orjson.dumps(chat(top_logprobs=1)),                     "only allowed when 'logprobs'"),
        (orjson.dumps(chat(logprobs=1)),                         "Invalid type for 'logprobs'"),
        (orjson.dumps(chat(logprobs=True, top_logprobs=21)),     "Invalid 'top_logprobs'"),
        (orjson.dumps(chat(response_format={"type": "xml"})),    "response_format"),
        (orjson.dumps(chat(response_format=1)),                  "response_format"),
        (orjson.dumps(chat(tool_choice={"type": "function", "function": {"name": "f"}})), "no such function"),
    ],
)  # fmt: skip
def test_a_mistaken_request_is_told(body, sentence):
    with pytest.raises(RequestError) as caught:
        read_asked(body)
    assert sentence in caught.value.message


@given(st.integers(0, 20), st.integers(1, 12))
def test_logprobs_are_plausible(alternatives, tokens):
    choice = choices_of(read_asked(orjson.dumps(chat(f"[[tokens={tokens}]]"))))[0]
    entries = logprobs(choice, alternatives)
    assert "".join(entry["token"] for entry in entries) == choice.text
    for entry in entries:
        listed = [(each["token"], each["logprob"]) for each in entry["top_logprobs"]]
        assert bytes(entry["bytes"]).decode() == entry["token"]
        assert len({token for token, _ in listed}) == len(listed) == alternatives
        assert sorted(listed, key=lambda each: -each[1]) == listed
        assert not listed or listed[0] == (entry["token"], entry["logprob"])
        assert sum(math.exp(chance) for _, chance in listed) <= 1.000001


SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 40},
        "age": {"type": "integer", "minimum": 18, "maximum": 20},
        "share": {"type": "number", "minimum": 0.2, "maximum": 0.9},
        "size": {"type": "number"},
        "well": {"type": "boolean"},
        "mood": {"enum": ["calm", "brave"]},
        "kind": {"const": "harbour"},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 3},
        "nick": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        "home": {"$ref": "#/$defs/Place"},
        "none": {"type": ["null"]},
        "either": {"type": ["null", "boolean"]},
    },
    "$defs": {
        "Place": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "within": {"anyOf": [{"$ref": "#/$defs/Place"}, {"type": "null"}]},
                "near": {"type": "array", "items": {"$ref": "#/$defs/Place"}},
            },
            "required": ["city", "within", "near"],
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}
SCHEMA["required"] = list(SCHEMA["properties"])


@given(st.binary(max_size=4))
def test_a_document_fits_its_schema(seed):
    jsonschema.validate(json.loads(Writer(SCHEMA, seed).document()), SCHEMA)


@pytest.mark.parametrize(
    "schema",
    [
        {"$defs": {"a": {"properties": {"a": {"$ref": "#/$defs/a"}}}}, "$ref": "#/$defs/a"},
        {"properties": {"a": {"$ref": "#/nowhere"}}},
        {"type": "array", "minItems": 100, "items": {"type": "array", "minItems": 100}},
    ],
)
def test_a_schema_that_cannot_be_fitted_is_refused(schema):
    with pytest.raises(RequestError):
        Writer(schema, b"").document()


def test_a_free_document_has_exactly_the_tokens_asked_for():
    answer = answered(chat("[[tokens=30]]", response_format={"type": "json_object"}))
    assert json.loads(text(answer))["answer"]
    assert answer.tokens == len(text(answer).split()) == 30


def test_a_stream_carries_each_token_once():
    answer = answered(chat("[[tokens=7 reasoning=3 show_reasoning]]", n=2, stream=True))
    assert sum(tokens for tokens, _ in answer.events()) == answer.visible == answer.tokens == 20
