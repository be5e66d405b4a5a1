"""One request and its answer: what it takes, how long, and what now and then goes wrong.

The same for honest accounts and campaigns: nothing here knows who asks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.core.facts import Usage
from proxy.population import prose, wire
from proxy.population.rhythm import SECOND
from proxy.traffic.entry import Answer, Entry

if TYPE_CHECKING:
    from random import Random

    from proxy.population.account import Account
    from proxy.population.playing import Exchange
    from proxy.population.texts import Text, Trace
    from proxy.population.wire import Ask, Sent
    from proxy.traffic.entry import Label

# Of a hundred requests of anybody: so many fail at the provider, and so many streams are left.
FAILING, LEAVING = 0.006, 0.01
DECLINED = 0.004  # share of anybody's requests that a model declines
STATUSES = (429, 429, 429, 500, 503, 503)
ANTHROPIC_STATUSES = (429, 429, 429, 500, 529, 529)
STORM = 0.9  # share of failures while a provider is in trouble
# Tokens a second of an answer, and of a prompt that is read.
FAST, SLOW, READING = 110.0, 58.0, 9_000.0
TRIES = 3


def ask(
    who: Account,
    t: int,
    question: Ask,
    tokens: int,
    *,
    text: str = "",
    sealed: int = 0,
    label: Label | None = None,
    ip: str = "",
    tries: int = TRIES,
) -> Exchange:
    """Send a request when `t` comes, and again while it fails, as SDKs do.

    tokens: of the answer, before any cap
    text:   of the answer, where a later request quotes it
    sealed: pieces of reasoning that are handed out sealed
    Returns the last answer and the moment of its end.
    """
    rng = who.rng
    sent = wire.sent(question, who.style)
    address = ip or who.addresses[int(rng.random() * len(who.addresses))]
    attempt = 0
    while True:
        yield t
        failing = FAILING
        if who.trouble and any(first <= t < last for first, last in who.trouble):
            failing = STORM
        answer = answered(rng, sent, question, tokens, text, sealed, failing)
        yield entry(who, t, sent, answer, label or who.label, address, attempt)
        t += answer.lasted or 0
        attempt += 1
        if answer.end != "error" or attempt >= tries:
            return answer, t
        t += int(SECOND * 0.5 * 2**attempt * (0.75 + rng.random() / 2))


def entry(
    who: Account, t: int, sent: Sent, answer: Answer, label: Label, ip: str, retry: int = 0
) -> Entry:
    """Return the line of a request."""
    return Entry(
        t=t, key=who.key, account=who.account, org=who.org, plan=who.plan, ip=ip, path=sent.path,
        body=sent.body, answer=answer, label=label, verified=who.verified, purpose=who.purpose,
        attributes=who.attributes, headers=sent.headers, retry=retry,
    )  # fmt: skip


def answered(
    rng: Random, sent: Sent, question: Ask, tokens: int, text: str, sealed: int, failing: float
) -> Answer:
    """Return how a request was answered.

    failing: share of the requests that fail now
    """
    chance = rng.random()
    if chance < failing:
        statuses = ANTHROPIC_STATUSES if sent.path == "/v1/messages" else STATUSES
        waited = int(SECOND * (0.05 + rng.expovariate(4.0)))
        return Answer(rng.choice(statuses), "error", lasted=waited)
    if sent.path == "/v1/embeddings":
        usage = Usage(reported_prompt=sent.prompt_tokens, reported_output=0)
        return Answer(usage=usage, lasted=int(SECOND * (0.04 + rng.expovariate(20.0))))
    reasons = question.thinks or question.model.startswith(wire.REASONING)
    reasoning = int(tokens * (0.4 + rng.random())) + 40 if reasons else 0
    if not text and rng.random() < DECLINED:
        text = prose.refusal(rng)
    if text:
        tokens = max(1, len(text) // wire.CHARS)
    whole = tokens
    if sent.cap is not None:
        reasoning = min(reasoning, max(0, sent.cap - 16))
        tokens = max(1, min(tokens, sent.cap - reasoning))
        if tokens < whole and text:
            text = text[: tokens * wire.CHARS]
    speed = FAST if "mini" in question.model or "haiku" in question.model else SLOW
    begun = 0.15 + rng.expovariate(3.0) + sent.prompt_tokens / READING
    seconds = begun + (tokens + reasoning) / (speed * (0.7 + 0.6 * rng.random()))
    if sent.stream and chance < failing + LEAVING:
        part = rng.random()
        relayed = int(tokens * part)
        gone = int(SECOND * (begun + (seconds - begun) * part))
        return Answer(200, "abandoned", usage=Usage(relayed=relayed), lasted=gone)
    usage = Usage(
        reported_prompt=sent.prompt_tokens,
        reported_output=tokens + reasoning,
        reported_reasoning=reasoning or None,
        relayed=tokens,
    )
    handed = tuple(_seal(rng) for _ in range(sealed if question.thinks else 0))
    return Answer(text=text, usage=usage, lasted=int(SECOND * seconds), sealed=handed)


def length(rng: Random, text: Text, trace: Trace | None, median: float = 150) -> int:
    """Return the tokens of an answer to a text: as it was answered once, as in a trace, or made."""
    if text.response:
        return max(4, int(len(text.response) / wire.CHARS * (0.75 + rng.random() / 2)))
    if trace is not None:
        return trace.outputs[int(rng.random() * len(trace.outputs))]
    return max(4, int(median * 2.0 ** rng.gauss(0.0, 1.0)))


def _seal(rng: Random) -> str:
    """Return a sealed piece of reasoning: nobody but its provider can read it."""
    return f"{rng.getrandbits(384):096x}"
