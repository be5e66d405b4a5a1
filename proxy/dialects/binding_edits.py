"""Changes deep inside a JSON text: values set and members or elements taken out, by their paths.

Every byte that is not changed stays as it came. The text must be valid JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.dialects import splice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.dialects.binding_places import Path

# What stands for a member or an element that is taken out.
REMOVED = None
Edits = dict[str | int, "Edits | bytes | None"]


def edited(text: bytes, changes: Mapping[Path, str | bytes | None]) -> bytes:
    """Return the text with what stands at some paths set: to a string, to JSON, or taken out.

    Paths that lead nowhere change nothing; below one that is set or taken out, others say nothing.

    >>> edited(b'{"a": [1, {"b": 2, "c": 3}]}', {("a", 1, "b"): REMOVED, ("a", 0): "x"})
    b'{"a": ["x", {"c": 3}]}'
    """
    tree: Edits = {}
    for path, value in sorted(changes.items(), key=_depth):
        _plant(tree, path, orjson.dumps(value) if isinstance(value, str) else value)
    bare = text.lstrip()
    return text[: len(text) - len(bare)] + _applied(bare, tree) if tree else text


def _depth(change: tuple[Path, object]) -> int:
    return len(change[0])


def _plant(tree: Edits, path: Path, value: bytes | None) -> None:
    for name in path[:-1]:
        inner = tree.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # all of it is set or goes
        tree = inner
    tree[path[-1]] = value


def _applied(text: bytes, tree: Edits) -> bytes:
    """Return an object or an array with its changes."""
    found: list[tuple[str | int, int, int, int]]
    if text[:1] == b"{":
        found = [(each.name, each.start, each.value, each.end) for each in splice.members(text)]
    elif text[:1] == b"[":
        listed = enumerate(splice.elements(text))
        found = [(place, start, start, end) for place, (start, end) in listed]
    else:
        return text
    spans: list[tuple[int, int, bytes]] = []
    followed = False  # by one that stays
    for index in range(len(found) - 1, -1, -1):
        name, start, value, end = found[index]
        change = tree.get(name, text)
        if change is not REMOVED:
            followed = True
            if change is not text:
                inner = change if isinstance(change, bytes) else _applied(text[value:end], change)
                spans.append((value, end, inner))
        elif followed:
            spans.append((start, found[index + 1][1], b""))
        else:
            # The comma before it goes with it.
            spans.append((found[index - 1][3] if index else start, end, b""))
    return splice.replaced(text, spans[::-1])
