"""What a shaped account gets is what it would have got by asking for less: that, and no more."""

from __future__ import annotations

import json
import re
import time
import urllib.request

import pydantic
import pytest

from proxy.core.sealing import bare
from proxy.standin.vocabulary import WORDS

# Each plan's requests never fit, and so are always shaped.
SHAPES = {
    "clamped": "clamp: {n: 1, best_of: 1, output_tokens: 12, top_logprobs: 1, temperature: {max: 0.5}, effort: low}",
    "stripped": "strip: [logprobs, logit_bias, seed, echo]",
    "hidden": "hide: [reasoning]",
    "cut": "truncate: {output_tokens: 10}",
    "slow": "delay: 300ms",
    "wide": "clamp: {n: 100, output_tokens: 100_000}",
}
POLICY = """\
policy: {plan}
when: {{plan: {plan}}}
limits:
  - {{limit: never, allow: 1 tokens, per: 24h, by: [account], otherwise: {{shape: small}}}}
shapes:
  small: {{{shape}}}
"""
SAY = "[[tokens=30]] Say what the sea is."
ASK = [{"role": "user", "content": SAY}]
REASON = "[[tokens=6 reasoning=5 show_reasoning]] Think."
THINKING = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(scope="module")
def keys(shaping):
    return {plan: shaping.issue(plan, plan)[1] for plan in SHAPES}


@pytest.fixture(scope="module")
def shaping(started_once):
    texts = {plan: POLICY.format(plan=plan, shape=shape) for plan, shape in SHAPES.items()}
    with started_once(**texts) as gateway:
        yield gateway


def chat(**more):
    return lambda o, _a, stream: o.chat.completions.create(
        **{"model": "standin", "messages": ASK, "stream": stream, **more}
    )


def completion(**more):
    return lambda o, _a, stream: o.completions.create(
        **{"model": "standin", "prompt": SAY, "max_tokens": 200, "stream": stream, **more}
    )


def response(**more):
    return lambda o, _a, stream: o.responses.create(
        **{"model": "standin", "input": SAY, "stream": stream, **more}
    )


def message(**more):
    return lambda _o, a, stream: a.messages.create(
        **{"model": "standin", "messages": ASK, "max_tokens": 2000, "stream": stream, **more}
    )


LOGPROBS = {"logprobs": True, "top_logprobs": 3}
INCLUDE = {"include": ["message.output_text.logprobs"], "top_logprobs": 3}
SUMMARY = {"model": "standin-reasoner", "reasoning": {"effort": "high", "summary": "auto"}}
# plan, what is asked, what would have to be asked to get the same, codes that are told
SAME = {
    "chat: n, cap, temperature": ("clamped", chat(n=4, max_tokens=40, temperature=2.0, **LOGPROBS),
        chat(n=1, max_tokens=12, temperature=0.5, logprobs=True, top_logprobs=1),
        {"clamp.n", "clamp.output_tokens", "clamp.temperature", "clamp.top_logprobs"}),
    "chat: a cap where none was": ("clamped", chat(), chat(max_completion_tokens=12), {"clamp.output_tokens"}),
    "chat: effort": ("clamped", chat(reasoning_effort="high", max_completion_tokens=9), chat(reasoning_effort="low", max_completion_tokens=9), {"clamp.effort"}),
    "completion: best_of": ("clamped", completion(best_of=4, n=2), completion(best_of=1, n=1, max_tokens=12), {"clamp.best_of", "clamp.n", "clamp.output_tokens"}),
    "response: cap, effort": ("clamped", response(reasoning={"effort": "high"}, max_output_tokens=90), response(reasoning={"effort": "low"}, max_output_tokens=12), {"clamp.effort", "clamp.output_tokens"}),
    "message: cap": ("clamped", message(max_tokens=90), message(max_tokens=12), {"clamp.output_tokens"}),
    "chat: within": ("wide", chat(n=2, max_tokens=9), chat(n=2, max_tokens=9), set()),
    "chat: logprobs": ("stripped", chat(seed=4, logit_bias={"5": 10}, **LOGPROBS), chat(), {"strip.logprobs", "strip.seed", "strip.logit_bias"}),
    "completion: logprobs, echo": ("stripped", completion(logprobs=2, echo=True), completion(), {"strip.logprobs", "strip.echo"}),
    "response: logprobs": ("stripped", response(**INCLUDE), response(), {"strip.logprobs"}),
    "message: nothing to strip": ("stripped", message(), message(), set()),
    "response: reasoning": ("hidden", response(**SUMMARY), response(model="standin-reasoner", reasoning={"effort": "high"}), {"hide.reasoning"}),
    "message: thinking": ("hidden", message(thinking=THINKING), message(thinking={**THINKING, "display": "omitted"}), {"hide.reasoning"}),
    "message: no thinking": ("hidden", message(), message(), set()),
    "chat: slow": ("slow", chat(), chat(), {"delay.answer"}),
    "message: slow": ("slow", message(), message(), {"delay.answer"}),
    "response: slow": ("slow", response(), response(), {"delay.answer"}),
    "completion: slow": ("slow", completion(), completion(), {"delay.answer"}),
}  # fmt: skip


def plain(value):
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


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("name", SAME)
def test_a_shaped_answer_is_what_asking_for_less_would_have_given(
    shaping, keys, standin, name, stream
):
    plan, asked, lesser, codes = SAME[name]
    with (
        shaping.client(keys[plan]) as openai_client, shaping.claude(keys[plan]) as claude,
        standin.client() as direct, standin.claude() as direct_claude,
    ):  # fmt: skip
        began = time.monotonic()
        with shaping.new_records(plan) as records:
            given = plain(asked(openai_client, claude, stream))
            took = time.monotonic() - began
        assert given == plain(lesser(direct, direct_claude, stream))
    (record,) = records
    changes = {f"{one['verb']}.{one['what']}" for one in record["changes"]}
    assert (changes, record["shapes"]) == (codes, [f"{plan}/small"])
    assert record["effect"] == {"slow": "delay"}.get(plan, "shape")
    assert record["reasons"] == [f"limit.shaped:{plan}/never"]
    assert plan != "slow" or took > 0.3


@pytest.mark.parametrize("plan", SHAPES)
def test_an_embedding_has_nothing_to_shape(shaping, keys, standin, plan):
    asked = {"model": "standin", "input": ["the sea and the tides", "a ship"]}
    with shaping.client(keys[plan]) as through, standin.client() as direct:
        assert plain(through.embeddings.create(**asked)) == plain(direct.embeddings.create(**asked))


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_reasoning_that_a_server_shows_in_chat_is_hidden(shaping, keys, standin, stream):
    asked = chat(messages=[{"role": "user", "content": REASON}])
    with shaping.client(keys["hidden"]) as through, standin.client() as direct:
        given = plain(asked(through, None, stream))
        theirs = plain(asked(direct, None, stream))
    assert "reasoning_content" in str(theirs)
    assert "reasoning_content" not in str(given)
    if not stream:
        theirs["choices"][0]["message"].pop("reasoning_content")
        assert given == theirs


def words_of(value):
    """Return all words in all strings of an answer, but for names and ids of its frame."""
    if isinstance(value, dict):
        frame = {"id", "model", "object", "type", "role", "finish_reason", "status", "reason", "stop_reason",
                 "item_id", "service_tier", "system_fingerprint", "obfuscation", "signature", "created",
                 "instructions", "input", "truncation", "tool_choice", "text_format", "format", "encrypted_content", "top_logprobs", "verbosity", "effort"}  # fmt: skip
        return [
            word for name, each in value.items() if name not in frame for word in words_of(each)
        ]
    if isinstance(value, list):
        return [word for each in value for word in words_of(each)]
    return value.split() if isinstance(value, str) else []


CUT = {
    "chat": chat(),
    "chat, three choices": chat(n=3),
    "chat with reasoning": chat(messages=[{"role": "user", "content": "[[tokens=20 reasoning=15 show_reasoning]] Go."}]),
    "chat with logprobs": chat(**LOGPROBS),
    "completion": completion(),
    "completion, two prompts": completion(prompt=[SAY, SAY + " Again."]),
    "response": response(),
    "response with summary": response(**SUMMARY),
    "response with logprobs": response(**INCLUDE),
    "message": message(),
    "message with thinking": message(thinking=THINKING),
}  # fmt: skip
ENDS = ("length", "max_tokens", "max_output_tokens")


@pytest.mark.parametrize("name", CUT)
def test_a_truncated_stream_gives_ten_tokens_in_all_its_copies(shaping, keys, standin, name):
    asked = CUT[name]
    with (
        shaping.client(keys["cut"]) as through, shaping.claude(keys["cut"]) as claude,
        standin.client() as direct, standin.claude() as direct_claude,
    ):  # fmt: skip
        with shaping.new_records("cut") as records:
            given = plain(asked(through, claude, True))
        whole = plain(asked(direct, direct_claude, True))
    theirs = set(words_of(whole)) & set(WORDS)
    distinct = [word for word in dict.fromkeys(words_of(given)) if word in theirs]
    assert len(distinct) <= 10, distinct
    assert any(f"'{end}'" in str(given) for end in ENDS)
    (record,) = records
    assert record["cut"]
    assert record["usage"]["relayed"] <= 10
    assert record["usage"]["charged_output"] == record["usage"]["relayed"]


@pytest.mark.parametrize("name", CUT)
def test_a_truncated_whole_answer_gives_ten_tokens(shaping, keys, standin, name):
    asked = CUT[name]
    with (
        shaping.client(keys["cut"]) as through, shaping.claude(keys["cut"]) as claude,
        standin.client() as direct, standin.claude() as direct_claude,
    ):  # fmt: skip
        given = plain(asked(through, claude, False))
        theirs = set(words_of(plain(asked(direct, direct_claude, False)))) & set(WORDS)
    distinct = [word for word in dict.fromkeys(words_of(given)) if word in theirs]
    assert len(distinct) <= 10, distinct
    assert any(f"'{end}'" in str(given) for end in ENDS)


def test_every_byte_that_crossed_the_wire_holds_ten_tokens_of_the_answer(shaping, keys, standin):
    """Not as an SDK reads it: as it came, with all that an SDK does not look at."""
    doors = {
        "/v1/chat/completions": {"messages": ASK},
        "/v1/completions": {"prompt": SAY, "max_tokens": 200},
        "/v1/responses": {"input": f"{SAY} Wire."},
        "/v1/messages": {"messages": ASK, "max_tokens": 200},
    }
    for path, body in doors.items():
        for stream in (False, True):
            asked = {"model": "standin", "stream": stream, **body}
            given = wire(shaping.url, path, asked, keys["cut"])
            whole = wire(standin.url, path, asked, "none")
            # Of the words that the frame and the question do not have themselves.
            frame = wire(standin.url, path, {**asked, **_asking_less(path)}, "none")
            words = {word for word in WORDS if word not in SAY.lower()}
            said = {word for word in words if _has(whole, word)} - {
                word for word in words if _has(frame, word)
            }
            assert len(said) > 15
            assert len({word for word in said if _has(given, word)}) <= 10, (path, stream)


def wire(url: str, path: str, body: dict, secret: str) -> str:
    headers = {"authorization": f"Bearer {secret}", "anthropic-version": "2023-06-01"}
    request = urllib.request.Request(
        url + path, json.dumps(body).encode(), {**headers, "content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


def _asking_less(path: str) -> dict:
    name = "max_output_tokens" if path == "/v1/responses" else "max_tokens"
    return {name: 1}


def _has(text: str, word: str) -> bool:
    return re.search(rf"\b{word}\b", text) is not None


def test_what_was_truncated_is_not_read_whole_later(shaping, keys, standin):
    with shaping.client(keys["cut"]) as client, standin.client() as direct:
        # The stand-in names an object by what was asked: what others asked too is theirs.
        mine = f"{SAY} And then?"
        events = list(client.responses.create(model="standin", input=mine, stream=True))
        made = events[0].response.id
        whole = set(direct.responses.create(model="standin", input=mine).output_text.split())
        for later in (
            plain(client.responses.retrieve(made)),
            plain(client.responses.retrieve(made, stream=True)),
        ):
            assert len({word for word in words_of(later) if word in whole}) <= 10


def test_the_model_stops_when_an_answer_has_been_truncated(shaping, keys, standin):
    standin.reset()
    long = [{"role": "user", "content": "[[tokens=2000 pace=5ms]] For ever."}]
    with shaping.client(keys["cut"]) as client:
        chunks = list(client.chat.completions.create(model="standin", messages=long, stream=True))
    assert chunks[-1].choices[0].finish_reason == "length"
    shaping.eventually(lambda: standin.stats()["active"] == 0)
    (entry,) = standin.stats()["recent"]
    assert entry["ended"] == "aborted"
    assert entry["generated"] < 100


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_tool_call_is_given_whole_or_not_at_all(shaping, keys, stream):
    """Ten tokens hold this call; with two words of text before it they would hold half of one."""
    many = {f"field_{index}": {"type": "string"} for index in range(12)}
    for properties, fits in (({"city": {"type": "string"}}, True), (many, False)):
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        function = {"name": "f", "parameters": schema}
        with shaping.client(keys["cut"]) as client:
            answer = client.chat.completions.create(
                model="standin", stream=stream, messages=[{"role": "user", "content": "go"}],
                tools=[{"type": "function", "function": function}], tool_choice="required",
            )  # fmt: skip
            told = str(plain(answer))
        assert ("'name': 'f'" in told) is fits, told
        assert ("'length'" in told) is not fits


def test_the_headers_tell_what_was_done(shaping, keys):
    with shaping.client(keys["clamped"]) as client:
        answer = client.chat.completions.with_raw_response.create(
            model="standin", messages=ASK, n=4, max_tokens=9
        )
    decision, _, codes = answer.headers["x-weir-decision"].partition(";")
    assert codes == 'codes="limit.shaped clamp.n"'
    assert answer.headers["x-weir-shape"] == 'clamp;of=n;asked="4";given="1"'
    story = shaping.weir("explain", answer.headers["x-weir-decision"], "--home", shaping.home)
    assert decision in story
    assert "Shaped by clamped/small: n lowered from 4 to 1." in story


def test_a_setting_mutes_the_codes(fortress):
    with fortress("answers: {tell: false}\n") as gateway:
        (gateway.policies / "clamped.yaml").write_text(
            POLICY.format(plan="clamped", shape=SHAPES["clamped"])
        )
        key = gateway.issue("muted", "clamped")[1]
        with gateway.client(key) as client:

            def looked():
                answer = client.chat.completions.with_raw_response.create(
                    model="standin", messages=ASK, n=4
                )
                return answer if len(answer.parse().choices) == 1 else None

            answer = gateway.eventually(looked)
        assert answer.headers["x-weir-decision"].startswith("wd_")
        assert ";" not in answer.headers["x-weir-decision"]
        assert "x-weir-shape" not in answer.headers
