"""What an answer handed out sealed, to be sent back: signatures of thinking, sealed reasoning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = b"data:"
# Where none of these stands, nothing is sealed: most answers need not be read for it.
SIGNS = (b'"signature"', b'"encrypted_content"', b'"redacted_thinking"')
SEALS = ("signature", "encrypted_content")


def sealed(body: bytes, *, stream: bool) -> tuple[str, ...]:
    """Return what was handed out sealed, each once, in order; () where nothing can be read.

    >>> sealed(b'{"content":[{"type":"thinking","thinking":"","signature":"c2Vh"}]}', stream=False)
    ('c2Vh',)
    """
    if not any(sign in body for sign in SIGNS):
        return ()
    found: dict[str, None] = {}
    pieces: dict[object, str] = {}
    for value in _values(body, stream=stream):
        delta = value.get("delta")
        if isinstance(delta, dict) and isinstance(delta.get("signature"), str):
            block = value.get("index")
            pieces[block] = pieces.get(block, "") + delta["signature"]
        else:
            found |= dict.fromkeys(_seals(value))
    return (*dict.fromkeys(piece for piece in pieces.values() if piece), *found)


def _values(body: bytes, *, stream: bool) -> Iterator[dict[str, object]]:
    texts = (
        (line[len(DATA) :] for line in body.splitlines() if line.startswith(DATA))
        if stream
        else (body,)
    )
    for text in texts:
        if not any(sign in text for sign in SIGNS):
            continue
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(value, dict):
            yield value


def _seals(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _seals(each)
    elif isinstance(value, dict):
        names = (*SEALS, "data") if value.get("type") == "redacted_thinking" else SEALS
        for name, each in value.items():
            if name in names and isinstance(each, str):
                if each:
                    yield each
            else:
                yield from _seals(each)
