"""What binding sealed reasoning costs: microseconds a request, an event and a body.

python bench/binding.py
"""

from __future__ import annotations

import time

import orjson

from proxy.core.sealing import Sealing
from proxy.core.shape import NO_SHAPE
from proxy.dialects import anthropic_messages
from proxy.dialects.base import Call
from proxy.dialects.binding import DROP, Bound, found
from proxy.dialects.binding_answers import bound_reader
from proxy.dialects.tokens import TokenRules

SEALING = Sealing(b"pepper")
DIALECT = "anthropic.messages"
BLOB = "RXF1aW5l" * 75  # 600 bytes, as most signatures are
CALL = Call("POST", "/v1/messages")


def microseconds(work, times: int) -> float:
    """Return the least of five averages."""
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(times):
            work()
        best = min(best, (time.perf_counter() - began) / times)
    return 1e6 * best


def request(turns: int, *, sealed: bool) -> bytes:
    """Return the body of a conversation of so many turns, about 1,500 bytes each."""
    seal = SEALING.seal("acme", "org")
    said = "What is this, and why is it so? " * 23
    messages: list[dict] = []
    for number in range(turns):
        asked = f"{number} {said}".strip()
        messages.append({"role": "user", "content": asked})
        content: list[dict] = [{"type": "text", "text": said}]
        if sealed:
            wrapped = seal.wrap(BLOB, seal.anchor(asked))
            content.insert(0, {"type": "thinking", "thinking": "", "signature": wrapped})
        messages.append({"role": "assistant", "content": content})
    messages.append({"role": "user", "content": "And now?"})
    return orjson.dumps({"model": "m", "max_tokens": 9, "messages": messages})


def bound(body: bytes, account: str = "acme") -> Bound:
    return Bound(SEALING, account, "org", DIALECT, body)


def opened(body: bytes, account: str = "acme") -> None:
    things = found(bound(body, account))
    if things is not None:
        things.opened(DROP)


def event(kind: str, **told: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **told}))


def delta(**told: object) -> bytes:
    return event("content_block_delta", index=0, delta=told)


class Passing:
    """A dialect's reader that does nothing, so that only ours is timed."""

    def feed(self, chunk: bytes) -> bytes:
        return chunk


def main() -> None:
    print(f"{'request':42}{'bytes':>9}{'us':>9}")
    for turns in (1, 10, 60):
        for sealed in (False, True):
            body = request(turns, sealed=sealed)
            name = f"{turns} turns, {turns if sealed else 0} sealed"
            print(f"{name:42}{len(body):9}{microseconds(lambda b=body: opened(b), 300):9.1f}")
    body = request(10, sealed=True)
    print(f"{'10 turns, 10 foreign, dropped':42}{len(body):9}"
          f"{microseconds(lambda: opened(body, 'other'), 300):9.1f}")  # fmt: skip
    asked = request(1, sealed=False)
    (facts,) = anthropic_messages.read(asked, lambda _: TokenRules(), CALL)
    own = anthropic_messages.answer(facts, TokenRules(), "text/event-stream", 200, NO_SHAPE)
    reader = bound_reader(own, bound(asked), facts, CALL, "text/event-stream")
    reader._reader = Passing()  # noqa: SLF001 - the dialect's own part is not what is timed
    print(f"\n{'event':51}{'us':>9}")
    text = delta(type="text_delta", text="So it is.")
    signature = delta(type="signature_delta", signature=BLOB)
    stop = event("content_block_stop", index=0)

    def one() -> None:
        reader.feed(signature)
        reader.feed(stop)

    print(f"{'of text':51}{microseconds(lambda: reader.feed(text), 20000):9.2f}")
    print(f"{'of a signature, with the stop behind it':51}{microseconds(one, 3000):9.2f}")
    print(f"{'to bind to the last turn, once an answer':51}"
          f"{microseconds(lambda: bound(asked).anchor, 3000):9.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
