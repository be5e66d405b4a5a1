"""What a caller may ask of the stand-in, beyond what a model can be asked: its knobs for faults.

They stand in the last user message (`[[tokens=200 pace=10ms nodone]]`) or in headers
(`x-standin: tokens=200 pace=10ms`, or one by one, `x-standin-tokens: 200`); headers win.
Double brackets that do not begin with a directive are ordinary text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from proxy.core.errors import RequestError
from proxy.core.quantities import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEADER = "x-standin"
MAX_TOKENS = 200_000
MAX_WAIT = 600_000_000
IN_BAND = 200

_BRACKETS = re.compile(r"\[\[([^\[\]]{1,500})\]\]")


@dataclass(frozen=True, slots=True)
class Directives:
    """The knobs, all off by default.

    tokens:           words of the answer, of each choice; None: 20 to 200 by the prompt
    pace:             microseconds between two words
    first:            microseconds before anything is sent
    usage:            whether usage is ever told
    error:            an HTTP status to fail with; 200: refused in the body under status 200
    error_at, reset, stall, garbage:
                      after how many words the stream reports an error, the connection is reset,
                      nothing comes any more, invalid JSON comes; None: never
    reasoning:        reasoning tokens of each choice; None: by the model
    show_reasoning:   reasoning is sent, as `reasoning_content` or what the dialect has for it
    tool:             the function to call, '' for none; only once, so that a loop of tools ends
    refusal:          the category of a refusal, 'none' for one without; '': no refusal
    cached:           prompt tokens that are told as read from a cache, as far as there are any
    nodone:           the stream ends without its last event (`[DONE]`, `message_stop`, ...)
    usage_in_choices: usage comes with the last choice instead of after it
    """

    tokens: int | None = None
    pace: int = 0
    first: int = 0
    usage: bool = True
    error: int | None = None
    error_at: int | None = None
    reset: int | None = None
    stall: int | None = None
    garbage: int | None = None
    reasoning: int | None = None
    show_reasoning: bool = False
    tool: str = ""
    refusal: str = ""
    cached: int = 0
    nodone: bool = False
    usage_in_choices: bool = False


def directives_of(message: str, header: str = "") -> Directives:
    """Return what a message and a header direct; raises RequestError for a mistake in either.

    >>> directives_of("[[tokens=3 pace=10ms]] and [[1, 2], [3]]", "tokens=4")
    ... # doctest: +ELLIPSIS
    Directives(tokens=4, pace=10000, first=0, ...)
    """
    said = ""
    if "[[" in message:
        for words in _BRACKETS.findall(message):
            if _name(words.split()[0] if words.strip() else "") in _READERS:
                said = f"{said} {words}"
    return _parsed(f"{said} {header}") if said or header else NONE


def header_of(headers: Mapping[str, str]) -> str:
    """Return the directives that stand in headers, as one text.

    >>> header_of({"X-Standin": "pace=1ms", "X-Standin-Error-At": "3", "Accept": "*/*"})
    'pace=1ms error-at=3'
    """
    found = []
    for name, value in headers.items():
        if name[:9].lower() != HEADER:
            continue
        if len(name) == len(HEADER):
            found.append(value)
        elif name[9] == "-":
            knob = name[10:].lower()
            found.append(f"{knob}={value}" if value else knob)
    return " ".join(found)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Directives:
    found = NONE
    for word in text.split():
        name, _, value = word.partition("=")
        read = _READERS.get(_name(name))
        if read is None:
            known = ", ".join(sorted(_READERS))
            raise RequestError(f"The stand-in has no directive {name!r} ({known}).")
        try:
            found = read(found, value)
        except ValueError as error:
            raise RequestError(
                f"The stand-in cannot read the directive {word!r}: {error}."
            ) from None
    return found


def _name(word: str) -> str:
    return word.partition("=")[0].lower().replace("-", "_")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text[:9]) > MAX_TOKENS or len(text) > 9:  # noqa: PLR2004 - no count that is allowed has more digits
        raise ValueError(f"give a number up to {MAX_TOKENS}")
    return int(text)


def _wait(text: str) -> int:
    # Nothing needs no unit.
    found = 0 if text == "0" else parse_duration(text)
    if found > MAX_WAIT:
        raise ValueError("give ten minutes at most")
    return found


def _status(text: str) -> int:
    found = _count(text)
    if found != IN_BAND and not 400 <= found <= 599:  # noqa: PLR2004 - HTTP's errors
        raise ValueError("give 400 to 599, or 200")
    return found


def _flag(text: str) -> bool:
    if text.lower() not in {"", "1", "true", "yes"}:
        raise ValueError("it takes no value")
    return True


def _category(text: str) -> str:
    if not text.replace("_", "").isalpha():
        raise ValueError("give a category, or none")
    return text


def _told(text: str) -> bool:
    if text != "none":
        raise ValueError("give usage=none")
    return False


NONE = Directives()
_READERS: dict[str, Callable[[Directives, str], Directives]] = {
    "tokens": lambda found, text: replace(found, tokens=_count(text)),
    "pace": lambda found, text: replace(found, pace=_wait(text)),
    "first": lambda found, text: replace(found, first=_wait(text)),
    "usage": lambda found, text: replace(found, usage=_told(text)),
    "error": lambda found, text: replace(found, error=_status(text)),
    "error_at": lambda found, text: replace(found, error_at=_count(text)),
    "reset": lambda found, text: replace(found, reset=_count(text)),
    "stall": lambda found, text: replace(found, stall=_count(text)),
    "garbage": lambda found, text: replace(found, garbage=_count(text)),
    "reasoning": lambda found, text: replace(found, reasoning=_count(text)),
    "show_reasoning": lambda found, text: replace(found, show_reasoning=_flag(text)),
    "tool": lambda found, text: replace(found, tool=text),
    "refusal": lambda found, text: replace(found, refusal=_category(text)),
    "cached": lambda found, text: replace(found, cached=_count(text)),
    "nodone": lambda found, text: replace(found, nodone=_flag(text)),
    "usage_in_choices": lambda found, text: replace(found, usage_in_choices=_flag(text)),
}
