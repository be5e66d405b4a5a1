"""A line of traffic as an entry and back. Written by hand: a month of traffic has millions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.core.decision import Effect
from proxy.core.errors import TrafficError
from proxy.core.principal import NO_ATTRIBUTES
from proxy.core.standing import Level
from proxy.traffic.checks import (
    EARLIEST,
    LATEST,
    LONGEST_NAME,
    LONGEST_TARGET,
    SECOND,
    choice,
    count,
    flag,
    moment,
    text,
    texts_by_name,
    wrong,
)
from proxy.traffic.entry import NO_HEADERS, Entry
from proxy.traffic.forming import line_of
from proxy.traffic.parts import answer_of, facts_of, label_of, prints_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONGEST", "entry_of", "line_of"]

LONGEST = 64 * 1024 * 1024
DEEPEST = 240  # what is nested deeper cannot be written again
MOST_RETRIES = 99
FOREVER = 2**63 - 1  # a standing may outlast all traffic
EFFECTS = ("", *(effect.value for effect in Effect))
METHODS = ("POST", "GET", "DELETE")
LEVELS = tuple(level.value for level in Level)
# Of POST, what has no body: it names all that it asks for in its path.
BODILESS = "/cancel"

_TEXTS = ("plan", "ip", "id", "purpose", "level_by", "policies")
_OTHERS: dict[str, Callable[[object], object]] = {
    "attributes": lambda value: texts_by_name(value, "attributes") or NO_ATTRIBUTES,
    "headers": lambda value: texts_by_name(value, "headers") or NO_HEADERS,
    "verified": lambda value: flag(value, "verified"),
    "retry": lambda value: count(value, "retry", MOST_RETRIES),
    "level": lambda value: choice(value, "level", LEVELS),
    "effect": lambda value: choice(value, "effect", EFFECTS),
    "charged_at": lambda value: moment(value, "charged_at"),
    "settled_at": lambda value: moment(value, "settled_at"),
    "released_at": lambda value: moment(value, "released_at"),
    "level_until": lambda value: count(value, "level_until", FOREVER),
    "answer": answer_of,
    "label": label_of,
    "fp": prints_of,
    "facts": facts_of,
}
_KNOWN = frozenset(_OTHERS)


def entry_of(line: bytes) -> Entry:
    """Return what a line says; raises TrafficError and nothing else.

    Members that are not known are passed over: other people's exports have more. Null is as good
    as left out.
    """
    if len(line) > LONGEST:
        raise TrafficError(f"is longer than {LONGEST // 2**20} MB: cut long texts in it")
    try:
        told = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise TrafficError(f"is no JSON: {error.msg} (character {error.pos + 1})") from None
    if type(told) is not dict:
        raise wrong("the line", 'an object ({"t": …, "account": …, "body": …})', told)
    entry = _begun(told)
    _request(entry, told, line)
    for name in _KNOWN.intersection(told):
        value = told[name]
        if value is not None:
            setattr(entry, name, _OTHERS[name](value))
    if (entry.body is None) == (entry.facts is None):
        _check_body(entry)
    return entry


def _begun(told: dict[str, object]) -> Entry:
    """Return an entry with its moment, and who it is from."""
    get = told.get
    account, key, org = get("account"), get("key"), get("org")
    if account is None:
        account = key
    entry = Entry(
        _arrival(get("t")),
        _name(account if key is None else key, "key"),
        _name(account, "account"),
        _name(account if org is None else org, "org"),
    )
    for name in _TEXTS:
        value = get(name)
        if value is not None:
            if type(value) is not str or len(value) > LONGEST_NAME:
                text(value, name)
            setattr(entry, name, value)
    return entry


def _arrival(value: object) -> int:
    if type(value) is not float and type(value) is not int:
        if value is None:
            raise TrafficError("t: is missing (the arrival in seconds since 1970: 1763900000.25)")
        raise wrong("t", "a number of seconds since 1970 (1763900000.25)", value)
    if not EARLIEST <= value * SECOND < LATEST:
        raise TrafficError(
            "t: must lie between 2000 and 2100, in seconds since 1970 (1763900000.25)"
        )
    return round(value * SECOND)


def _name(value: object, name: str) -> str:
    if value is None:
        raise TrafficError("account: is missing (or `key`: who sent the request)")
    if type(value) is not str or not value or len(value) > LONGEST_NAME:
        text(value, name)
        raise TrafficError(f"{name}: must not be empty")
    return value


def _request(entry: Entry, told: dict[str, object], line: bytes) -> None:
    """Read method, path and body."""
    method, path, body = told.get("method"), told.get("path"), told.get("body")
    if method is not None and method != "POST":
        entry.method = choice(method, "method", METHODS)
    if path is not None:
        if type(path) is not str or len(path) > LONGEST_TARGET or path[:1] != "/":
            text(path, "path", LONGEST_TARGET)
            raise TrafficError("path: must begin with / (/v1/chat/completions)")
        entry.path = path
    if body is not None:
        if type(body) is not dict:
            raise wrong("body", "the request's JSON object", body)
        if bracketed(line) and too_deep(body):
            raise TrafficError(f"body: is nested more than {DEEPEST} levels deep")
        entry.body = body


def _check_body(entry: Entry) -> None:
    """Raise TrafficError where there are both a body and facts, or neither and it asks for one."""
    if entry.body is not None:
        raise TrafficError("facts: stand in place of a body, and this line has one: leave one out")
    if entry.method == "POST" and not entry.path.partition("?")[0].endswith(BODILESS):
        raise TrafficError("body: is missing (or `facts`, where the body is not known)")


def bracketed(text: bytes) -> bool:
    """Return whether JSON has so many brackets that it may be nested too deeply."""
    return text.count(b"{") + text.count(b"[") > DEEPEST


def too_deep(body: object) -> bool:
    """Return whether a value of JSON is nested more deeply than can be written again."""
    level = [body]
    for _ in range(DEEPEST):
        level = [
            inner
            for each in level
            for inner in (each.values() if type(each) is dict else each)  # type: ignore[attr-defined]
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True
