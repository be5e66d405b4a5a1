import asyncio
import math
from base64 import b64decode
from struct import unpack

import openai
import pytest

PATH = "/v1/completions"


def asked(prompt="[[tokens=6]] a", **more):
    return {"model": "standin", "prompt": prompt, **more}


async def chunks(stream):
    return [chunk async for chunk in stream]


def joined(found, index=0):
    return "".join(
        choice.text for chunk in found for choice in chunk.choices if choice.index == index
    )


@pytest.mark.parametrize(
    "body",
    [asked(), asked(n=2), asked(["[[tokens=3]] a", "b c"], n=2, echo=True), asked(echo=True, logprobs=2)],
    ids=["one", "two", "echo", "logprobs"],
)  # fmt: skip
async def test_an_answer_streamed_is_the_answer_plain(client, body):
    plain = await client.completions.create(**body)
    options = {"include_usage": True}
    found = await chunks(
        await client.completions.create(**body, stream=True, stream_options=options)
    )
    for choice in plain.choices:
        assert joined(found, choice.index) == choice.text
        parts = [each for chunk in found for each in chunk.choices if each.index == choice.index]
        assert [each.finish_reason for each in parts if each.finish_reason] == [
            choice.finish_reason
        ]
        if "logprobs" in body:
            for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset"):
                told = [
                    entry
                    for each in parts
                    if each.logprobs
                    for entry in getattr(each.logprobs, name)
                ]
                assert told == getattr(choice.logprobs, name)
    assert (found[-1].choices, found[-1].usage) == ([], plain.usage)
    assert all(chunk.usage is None for chunk in found[:-1])
    assert {chunk.id for chunk in found} == {plain.id}


async def test_usage_comes_only_when_asked_for_and_may_come_early(client, http):
    found = await chunks(await client.completions.create(**asked(), stream=True))
    assert all("usage" not in chunk.model_fields_set for chunk in found)
    body = asked(
        "[[tokens=3 usage_in_choices]]", stream=True, stream_options={"include_usage": True}
    )
    found = await chunks(await client.completions.create(**body))
    assert all(chunk.choices for chunk in found)
    assert found[-1].usage.completion_tokens == 3
    async with http.post(PATH, json=asked(stream=True)) as answer:
        assert (await answer.read()).endswith(b"data: [DONE]\n\n")
    async with http.post(PATH, json=asked("[[nodone]]", stream=True)) as answer:
        assert b"[DONE]" not in await answer.read()
    plain = await client.completions.create(**asked("[[usage=none]]"))
    assert plain.usage is None


@pytest.mark.parametrize(
    ("body", "prompt", "completion", "written"),
    [
        (asked(),                                           2,  6,  6),
        (asked("[[tokens=60]] a"),                          2, 16, 16),
        (asked("[[tokens=60]] a", max_tokens=0, echo=True), 2,  0,  0),
        (asked("[[tokens=60]] a", max_tokens=30),           2, 30, 30),
        (asked(n=3),                                        2, 18, 18),
        (asked(n=2, best_of=5),                             2, 30, 12),
        (asked(["[[tokens=6]] a", "b"], n=2, best_of=3),    3, 36, 24),
        (asked([1, 2, 3, 4], max_tokens=2),                 4,  2,  2),
        (asked([[1, 2, 3], [4]], max_tokens=2),             4,  4,  4),
        (asked(suffix="b c d"),                             5,  6,  6),
        (asked(echo=True),                                  2,  6,  6),
        (asked(None, max_tokens=2),                         0,  2,  2),
    ],
)  # fmt: skip
async def test_all_candidates_are_billed_and_only_the_told_ones_written(
    http, ended, body, prompt, completion, written
):
    async with http.post(PATH, json=body) as answer:
        usage = (await answer.json())["usage"]
    last = await ended()
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (prompt, completion)
    assert (last["prompt_tokens"], last["generated"], last["written"]) == (
        prompt,
        completion,
        written,
    )


async def test_an_echo_repeats_the_prompt_and_its_words_stay_apart(client):
    plain = await client.completions.create(**asked())
    echoed = await client.completions.create(**asked(echo=True))
    assert echoed.choices[0].text == asked()["prompt"] + plain.choices[0].text
    assert len(echoed.choices[0].text.split()) == 2 + 6


async def test_a_cut_answer_says_so_and_choices_differ(client):
    cut = await client.completions.create(**asked("[[tokens=60]]"))
    assert cut.choices[0].finish_reason == "length"
    several = await client.completions.create(**asked(["a", "b"], n=2))
    assert [choice.index for choice in several.choices] == [0, 1, 2, 3]
    assert len({choice.text for choice in several.choices}) == 4


async def test_log_probabilities_belong_to_their_pieces(client):
    made = (await client.completions.create(**asked(logprobs=3))).choices[0]
    assert "".join(made.logprobs.tokens) == made.text
    for token, chance, listed, offset in zip(
        made.logprobs.tokens,
        made.logprobs.token_logprobs,
        made.logprobs.top_logprobs,
        made.logprobs.text_offset,
        strict=True,
    ):
        assert made.text[offset:].startswith(token)
        assert len(listed) == 3
        assert listed[token] == chance == max(listed.values())
    made = (await client.completions.create(**asked(logprobs=0))).choices[0]
    assert made.logprobs.top_logprobs is None
    assert (await client.completions.create(**asked())).choices[0].logprobs is None


async def test_the_synchronous_client_is_served_too(standin):
    def ask():
        with openai.OpenAI(base_url=f"{standin.url}/v1", api_key="x", max_retries=0) as client:
            plain = client.completions.create(**asked())
            streamed = list(client.completions.create(**asked(), stream=True))
            vector = client.embeddings.create(model="m", input="a b").data[0].embedding
            return plain.choices[0].text, joined(streamed), vector

    plain, streamed, vector = await asyncio.to_thread(ask)
    assert plain == streamed
    assert len(vector) == 16


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        (PATH, {"prompt": "a"},                             "must provide a model"),
        (PATH, asked(7.5),                                  "Invalid type for 'prompt'"),
        (PATH, asked([]),                                   "must not be empty"),
        (PATH, asked(["a", True]),                          "Invalid type for 'prompt'"),
        (PATH, asked([[]]),                                 "Invalid type for 'prompt'"),
        (PATH, asked(n=2, best_of=1),                       "best_of"),
        (PATH, asked(best_of=2, stream=True),               "cannot be streamed"),
        (PATH, asked(logprobs=6),                           "Invalid 'logprobs'"),
        (PATH, asked(max_tokens=-1),                        "Invalid 'max_tokens'"),
        (PATH, asked(echo=1),                               "Invalid type for 'echo'"),
        ("/v1/embeddings", {"model": "m"},                  "Missing required parameter: 'input'"),
        ("/v1/embeddings", {"model": "m", "input": "a", "dimensions": 0}, "Invalid 'dimensions'"),
        ("/v1/embeddings", {"model": "m", "input": "a", "encoding_format": "hex"}, "encoding_format"),
    ],
)  # fmt: skip
async def test_a_mistaken_request_is_told(http, path, body, sentence):
    async with http.post(path, json=body) as answer:
        assert answer.status == 400
        assert sentence in (await answer.json())["error"]["message"]


async def test_vectors_are_the_same_for_the_same_text_in_both_formats(client, http):
    body = {"model": "m", "input": ["a b", "c", "a b"]}
    made = await client.embeddings.create(**body)
    first, other, again = [each.embedding for each in made.data]
    assert first == again
    assert first != other
    assert [each.index for each in made.data] == [0, 1, 2]
    assert math.isclose(sum(each * each for each in first), 1, rel_tol=1e-6)
    for form in ("float", "base64"):
        async with http.post("/v1/embeddings", json={**body, "encoding_format": form}) as answer:
            told = (await answer.json())["data"][0]["embedding"]
        assert (told if form == "float" else list(unpack("<16f", b64decode(told)))) == first


async def test_an_embedding_costs_its_words_and_nothing_else(client, ended):
    for given, tokens in (("a b c", 3), (["a b", "c"], 3), ([1, 2], 2), ([[1, 2], [3]], 3)):
        made = await client.embeddings.create(model="m", input=given, dimensions=5)
        assert (made.usage.prompt_tokens, made.usage.total_tokens) == (tokens, tokens)
        assert len(made.data[0].embedding) == 5
    last = await ended()
    assert (last["prompt_tokens"], last["generated"], last["written"]) == (3, 0, 0)
    with pytest.raises(openai.RateLimitError):
        await client.embeddings.create(model="m", input="[[error=429]]")
