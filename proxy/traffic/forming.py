"""An entry as a line. What is as it is by default is left out: reading puts it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from proxy.core.errors import TrafficError
from proxy.core.facts import RequestFacts
from proxy.traffic.checks import SECOND
from proxy.traffic.tokens import OURS, RELAYED

if TYPE_CHECKING:
    from proxy.core.facts import Usage
    from proxy.traffic.entry import Answer, Entry, Label, Prints

# In the order of a line; each is left out where it is its own default.
_PLAIN = ("plan", "ip", "verified", "purpose", "attributes")
_NOTED = ("id", "headers", "retry", "level_by", "effect", "policies")
_MOMENTS = ("level_until", "charged_at", "settled_at", "released_at")
_FACTS = (
    "model", "stream", "metered", "prompt_tokens", "output_tokens", "output_capped", "choices",
    "prompts", "reasoning", "wants_usage", "stored", "user", "temperature",
)  # fmt: skip
_NO_FACTS = RequestFacts("")


def line_of(entry: Entry) -> bytes:
    """Return an entry as JSON and a newline; `parsing.entry_of` reads it back equal.

    The text of a prompt and its turns in `facts` are left out: they are the body's.
    Raises TrafficError for what is no JSON (half of a surrogate pair, a nesting of more than 250
    levels).
    """
    told = _who(entry)
    if entry.method != "POST":
        told["method"] = entry.method
    told["path"] = entry.path
    if entry.body is not None:
        told["body"] = entry.body
    if entry.facts is not None:
        told["facts"] = _facts(entry.facts)
    if entry.answer is not None:
        told["answer"] = _answer(entry.answer)
    if entry.label is not None:
        told["label"] = _label(entry.label)
    _note(told, entry)
    try:
        return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        raise TrafficError("cannot be written: something in the request is no JSON") from None


def _who(entry: Entry) -> dict[str, object]:
    told: dict[str, object] = {"t": entry.t / SECOND, "key": entry.key}
    if entry.account != entry.key:
        told["account"] = entry.account
    if entry.org != entry.account:
        told["org"] = entry.org
    for name in _PLAIN:
        value = getattr(entry, name)
        if value:
            told[name] = value if name != "attributes" else dict(value)
    return told


def _note(told: dict[str, object], entry: Entry) -> None:
    """Add what was noted when the entry was recorded."""
    for name in _NOTED:
        value = getattr(entry, name)
        if value:
            told[name] = value if name != "headers" else dict(value)
    if entry.level != "clear":
        told["level"] = entry.level
    for name in _MOMENTS:
        value = getattr(entry, name)
        if value is not None:
            told[name] = value
    if entry.fp is not None:
        told["fp"] = _prints(entry.fp)


def _answer(answer: Answer) -> dict[str, object]:
    told: dict[str, object] = {"status": answer.status}
    if answer.end != "complete":
        told["end"] = answer.end
    if answer.text:
        told["text"] = answer.text
    usage = _usage(answer.usage)
    if usage:
        told["usage"] = usage
    if answer.lasted is not None:
        told["seconds"] = answer.lasted / SECOND
    if answer.billed is not None:
        told["billed"] = answer.billed
    if answer.kept:
        told["background"] = True
    for name in ("object", "sealed", "code"):
        value = getattr(answer, name)
        if value:
            told[name] = value
    return told


def _usage(usage: Usage) -> dict[str, object]:
    numbers = (
        usage.reported_prompt, usage.reported_output,
        usage.reported_reasoning, usage.reported_cached,
    )  # fmt: skip
    told: dict[str, object] = {
        name: number for name, number in zip(OURS, numbers, strict=True) if number is not None
    }
    if usage.relayed != (usage.reported_output or 0):
        told[RELAYED] = usage.relayed
    return told


def _label(label: Label) -> dict[str, object]:
    told: dict[str, object] = {"operator": label.operator, "kind": label.kind}
    if label.archetype:
        told["archetype"] = label.archetype
    if label.cover:
        told["cover"] = True
    return told


def _prints(prints: Prints) -> dict[str, object]:
    named = (("prompt", prints.prompt), ("model", prints.model), ("ip", prints.ip))
    return {name: value for name, value in named if value}


def _facts(facts: RequestFacts) -> dict[str, object]:
    told: dict[str, object] = {"dialect": facts.dialect}
    for name in _FACTS:
        value = getattr(facts, name)
        if value != getattr(_NO_FACTS, name):
            told[name] = value
    if facts.features:
        told["features"] = sorted(facts.features)
    if facts.references:
        told["references"] = facts.references
    return told
