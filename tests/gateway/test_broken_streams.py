"""An answer that breaks off is told in its own dialect, and costs what was relayed."""

from __future__ import annotations

import asyncio
import time

import anthropic
import openai
import pytest

OPENERS = {
    "openai.chat": lambda o, _a, text: o.chat.completions.create(
        model="standin", stream=True, messages=[{"role": "user", "content": text}]
    ),
    "openai.completions": lambda o, _a, text: o.completions.create(
        model="standin", stream=True, prompt=text, max_tokens=200
    ),
    "openai.responses": lambda o, _a, text: o.responses.create(
        model="standin", stream=True, input=text
    ),
    "anthropic.messages": lambda _o, a, text: a.messages.create(
        model="standin", stream=True, max_tokens=200, messages=[{"role": "user", "content": text}]
    ),
}
FAULTS = {"reset=20": "broken", "garbage=20": "broken", "error_at=20": "error"}
SLOW = """\
policy: slow
limits:
  - {limit: streams, allow: 3 concurrent, by: [account], otherwise: flag}
  - {limit: never, allow: 1 tokens, per: 24h, by: [account], otherwise: {shape: slow}}
shapes: {slow: {delay: 1500ms}}
"""


def words(dialect: str, item) -> str:
    match dialect:
        case "openai.chat":
            return item.choices[0].delta.content or "" if item.choices else ""
        case "openai.completions":
            return item.choices[0].text if item.choices else ""
        case "openai.responses":
            return item.delta if item.type == "response.output_text.delta" else ""
        case _:
            return getattr(getattr(item, "delta", None), "text", "")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("dialect", OPENERS)
def test_a_broken_stream_ends_as_an_error_of_its_sdk(weir, dialect, fault):
    account = f"broken-{dialect}-{fault.partition('=')[0]}"
    secret = weir.issue(account)[1]
    text, told = "", None
    with (
        weir.client(secret) as client, weir.claude(secret) as claude,
        weir.new_records(account) as records,
    ):  # fmt: skip
        try:
            for item in OPENERS[dialect](client, claude, f"[[tokens=60 {fault}]] on"):
                text += words(dialect, item)
                if getattr(item, "type", "") in {"error", "response.failed"}:
                    told = item
        except (openai.APIError, anthropic.APIError) as error:
            told = error
    assert told is not None, "a broken stream must not look like a whole one"
    assert len(text.split()) == 20
    (record,) = records
    assert record["end"] == FAULTS[fault]
    assert record["usage"]["charged_output"] >= 20
    assert weir.used(secret, "open/streams") == 0


@pytest.mark.parametrize("dialect", OPENERS)
def test_an_answer_without_usage_costs_what_was_relayed(weir, dialect):
    account = f"untold-{dialect}"
    secret = weir.issue(account)[1]
    with (
        weir.client(secret) as client, weir.claude(secret) as claude,
        weir.new_records(account) as records,
    ):  # fmt: skip
        items = list(OPENERS[dialect](client, claude, "[[tokens=33 usage=none]] quietly"))
    text = "".join(words(dialect, item) for item in items)
    (record,) = records
    assert len(text.split()) == 33
    assert (record["usage"]["charged_output"], record["usage"]["reported_output"]) == (33, None)


def test_a_crowd_that_is_delayed_is_turned_away_to_come_again(fortress):
    """Of eight places two are one account's; who leaves makes room; nobody who only waited pays for an answer."""
    with fortress("answers: {most_waiting: 8}\n") as gateway:
        (gateway.policies / "slow.yaml").write_text(SLOW)
        secret = gateway.issue("slow")[1]

        async def ask(client, timeout: float = 20.0) -> int:
            try:
                raw = await client.chat.completions.with_raw_response.create(
                    model="standin", timeout=timeout,
                    messages=[{"role": "user", "content": "[[tokens=3]] hello"}],
                )  # fmt: skip
            except openai.RateLimitError as error:
                wait = float(error.response.headers["retry-after"])
                return 429 if error.code == "delay.full" and 0 < wait <= 2 else -1
            except openai.APITimeoutError:
                return 0
            return raw.status_code

        async def story():
            async with gateway.async_client(secret) as client:
                began = time.monotonic()
                crowd = await asyncio.gather(*(ask(client) for _ in range(6)))
                took = time.monotonic() - began
                left = await asyncio.gather(*(ask(client, 0.3) for _ in range(2)))
                after = await ask(client)
            return sorted(crowd), took, left, after

        assert gateway.eventually(
            lambda: "slow" in str([one["shapes"] for one in asked_once(gateway, secret)])
        )
        with asyncio.Runner() as runner:
            crowd, took, left, after = runner.run(story())
    assert crowd == [200, 200, 429, 429, 429, 429]
    assert took > 1.5
    assert left == [0, 0]
    assert after == 200


def asked_once(gateway, secret) -> list[dict]:
    """Return the record of one more request, made to see whether a new policy is in force."""
    with gateway.new_records("slow") as records, gateway.client(secret) as client:
        client.embeddings.create(model="standin", input="one two three")
    return records
