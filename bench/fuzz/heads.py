"""What an input's head chooses: a shape, the facts, where the rest is cut."""

from __future__ import annotations

from itertools import pairwise

from proxy.core.facts import RequestFacts
from proxy.core.shape import NO_SHAPE, STRIPPABLE, Shape
from proxy.dialects import routes
from proxy.dialects.sse import SseSplitter
from proxy.dialects.tokens import TokenRules

HEAD = 8
LOGPROBS = frozenset({"logprobs", "prompt_logprobs"})
EVERYTHING = Shape(
    strip=frozenset(STRIPPABLE), hide_reasoning=True, n=1, best_of=1, output_tokens=20,
    top_logprobs=1, temperature_min=0.2, temperature_max=0.5, effort="low", truncate=7,
)  # fmt: skip
SHAPES = (
    NO_SHAPE, Shape(strip=LOGPROBS), Shape(hide_reasoning=True), Shape(truncate=1), Shape(truncate=3),
    Shape(truncate=50), EVERYTHING, Shape(n=1, best_of=2, output_tokens=1, effort="none"),
    Shape(truncate=4, hide_reasoning=True), Shape(strip=LOGPROBS, hide_reasoning=True, truncate=50),
    Shape(output_tokens=2_000, effort="medium", temperature_max=0.0, top_logprobs=0),
    Shape(n=2, strip=frozenset(STRIPPABLE), temperature_min=1.0),
)  # fmt: skip
# No policy can say it, but the readers take it.
NOTHING_AT_ALL = Shape(truncate=0)
DIALECTS = {dialect.NAME: dialect for dialect in routes.dialects()}


def pieces(body: bytes, head: bytes) -> list[bytes]:
    """Return the body cut as its head says: by a step, or at a few places."""
    step = head[3] % 24
    if step < 12 and len(body) < 4_000:
        step = step + 1
        return [body[at : at + step] for at in range(0, len(body), step)] or [b""]
    places = sorted((head[4 + i] * 257 + head[7 - i]) % (len(body) + 1) for i in range(4))
    edges = [0, *places, len(body)]
    return [body[start:end] for start, end in pairwise(edges)]


def split(chunks: list[bytes], limit: int) -> tuple[list[bytes], bytes, bool]:
    splitter = SseSplitter(limit)
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events, splitter.rest(), splitter.overflowed


def rules_of(flags: int) -> TokenRules:
    return TokenRules("words" if flags & 1 else "chars", 1_000, 200)


def facts_of(name: str, flags: int) -> RequestFacts:
    features = {"background"} if flags & 16 else set()
    if flags & 32:
        features.add("encrypted_reasoning")
    return RequestFacts(
        name, "m", stream=not flags & 64, prompt_tokens=7, choices=2 if flags & 4 else 1,
        wants_usage=bool(flags & 2), stored=bool(flags & 8), features=frozenset(features),
    )  # fmt: skip
