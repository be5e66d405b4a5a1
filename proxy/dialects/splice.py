r"""Changes to one member of a JSON object's bytes; every other byte stays as it came.

The text must be a valid JSON object (the callers have parsed it). Keys are compared as they
decode, so that `"\u0061"` is `a`; where a key is repeated, all of its members are meant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_QUOTE, _COMMA, _CLOSE, _END = b'",}]'
_SPACE = re.compile(rb"[ \t\r\n]*")
# Unrolled, so that long strings cost no backtracking.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SCALAR = re.compile(rb"[^,\]} \t\r\n]+")
_NESTING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member of the top level stands: its key, its value, and the bytes between.

    start: of the key; value, end: of the value, `text[value:end]`
    """

    name: str
    start: int
    value: int
    end: int


def members(text: bytes) -> Iterator[Member]:
    """Yield the members of the top level, in order."""
    position = _skip(text, text.index(b"{") + 1)
    while text[position] != _CLOSE:
        start = position
        after_key = _string_end(text, start)
        colon = _skip(text, after_key)
        value = _skip(text, colon + 1)
        end = _value_end(text, value)
        yield Member(_decoded(text[start:after_key]), start, value, end)
        position = _skip(text, end)
        if text[position] == _COMMA:
            position = _skip(text, position + 1)


def elements(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the elements of a JSON array stand, `text[start:end]`, in order.

    >>> [b'[1, "a,]", {}]'[start:end] for start, end in elements(b'[1, "a,]", {}]')]
    [b'1', b'"a,]"', b'{}']
    """
    position = _skip(text, text.index(b"[") + 1)
    while text[position] != _END:
        end = _value_end(text, position)
        yield position, end
        position = _skip(text, end)
        if text[position] == _COMMA:
            position = _skip(text, position + 1)


def set_member(text: bytes, name: str, value: bytes) -> bytes:
    """Return the object with `name` set to the JSON `value`: in place, or as a new first member.

    >>> set_member(b'{"a": 1, "b":2}', "a", b"[]")
    b'{"a": [], "b":2}'
    >>> set_member(b'{ }', "a", b"true")
    b'{"a":true }'
    """
    spans = [(member.value, member.end, value) for member in members(text) if member.name == name]
    return replaced(text, spans) if spans else add_member(text, name, value)


def add_member(text: bytes, name: str, value: bytes) -> bytes:
    """Return the object with a new first member; `name` must not be in it."""
    brace = text.index(b"{") + 1
    comma = b"" if text[_skip(text, brace)] == _CLOSE else b","
    return text[:brace] + orjson.dumps(name) + b":" + value + comma + text[brace:]


def remove_member(text: bytes, name: str) -> bytes:
    """Return the object without `name`, and without the one comma that went with it.

    >>> remove_member(b'{"a": 1, "b":2, "c":3}', "b")
    b'{"a": 1, "c":3}'
    >>> remove_member(b'{"b": 1, "b":2, "c":3, "b":4}', "b")
    b'{"c":3}'
    """
    found = list(members(text))
    spans = []
    followed = False  # by a member that stays
    for index in range(len(found) - 1, -1, -1):
        member = found[index]
        if member.name != name:
            followed = True
        elif followed:
            spans.append((member.start, found[index + 1].start, b""))
        else:
            spans.append((found[index - 1].end if index else member.start, member.end, b""))
    return replaced(text, spans[::-1]) if spans else text


def replaced(text: bytes, spans: Iterable[tuple[int, int, bytes]]) -> bytes:
    """Return the text with something else for each of some spans, which come in order."""
    parts: list[bytes] = []
    position = 0
    for start, end, value in spans:
        parts += (text[position:start], value)
        position = end
    return b"".join((*parts, text[position:]))


def _skip(text: bytes, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None
    return found.end()


def _string_end(text: bytes, position: int) -> int:
    found = _STRING.match(text, position)
    assert found is not None
    return found.end()


def _value_end(text: bytes, position: int) -> int:
    first = text[position]
    if first == _QUOTE:
        return _string_end(text, position)
    if first not in b"[{":
        found = _SCALAR.match(text, position)
        assert found is not None
        return found.end()
    nesting = _NESTING.finditer(text, position + 1)
    depth = 1
    while depth:
        token = next(nesting)
        mark = text[token.start()]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
    return token.end()


def _decoded(key: bytes) -> str:
    return str(orjson.loads(key)) if b"\\" in key else key[1:-1].decode()
