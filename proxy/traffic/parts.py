"""The parts of a line: the answer, the label, the fingerprints, the facts. TrafficError alone."""

from __future__ import annotations

from functools import lru_cache

from proxy.core.errors import TrafficError
from proxy.core.facts import RequestFacts, Usage
from proxy.traffic.checks import (
    LONGEST_ANSWER,
    LONGEST_NAME,
    MOST_TOKENS,
    choice,
    count,
    fingerprint,
    flag,
    members,
    number,
    seconds,
    text,
    texts,
)
from proxy.traffic.entry import ENDS, KINDS, Answer, Label, Prints
from proxy.traffic.tokens import usage_of

MOST_CHOICES = 1_000_000
LOWEST_STATUS, HIGHEST_STATUS = 100, 599
LONGEST_SAID = 64 * 1024 * 1024
NO_USAGE = Usage()
_label = lru_cache(4096)(Label)  # a population has few, a month of traffic millions of lines

_COUNTS = {
    "prompt_tokens": MOST_TOKENS, "output_tokens": MOST_TOKENS,
    "choices": MOST_CHOICES, "prompts": MOST_CHOICES,
}  # fmt: skip
_FLAGS = ("stream", "metered", "output_capped", "wants_usage", "stored")
_TEXTS = ("model", "reasoning", "user")


def answer_of(value: object) -> Answer:
    """Return an answer as a line tells it."""
    told = members(value, "answer")
    get = told.get
    status, end, said, usage = get("status"), get("end"), get("text"), get("usage")
    lasted, billed, object_, sealed = get("seconds"), get("billed"), get("object"), get("sealed")
    code = get("code")
    if status is None:
        status = 200
    elif type(status) is not int or not (status == 0 or LOWEST_STATUS <= status <= HIGHEST_STATUS):
        raise TrafficError("answer.status: must be a status of HTTP (100 to 599; 0 for none)")
    return Answer(
        status,
        "complete" if end is None or end == "complete" else choice(end, "answer.end", ENDS),
        "" if said is None else text(said, "answer.text", LONGEST_SAID),
        NO_USAGE if usage is None else usage_of(usage),
        None if lasted is None else seconds(lasted, "answer.seconds", LONGEST_ANSWER),
        None if billed is None else flag(billed, "answer.billed"),
        _flag(told, "background", "answer"),
        "" if object_ is None else text(object_, "answer.object"),
        () if sealed is None else texts(sealed, "answer.sealed"),
        "" if code is None else text(code, "answer.code"),
    )


def label_of(value: object) -> Label:
    """Return a label: operator and kind are always known, or there is none."""
    told = members(value, "label")
    operator = text(told.get("operator"), "label.operator")
    if not operator:
        raise TrafficError("label.operator: must name who is behind the request")
    archetype = told.get("archetype")
    return _label(
        operator,
        choice(told.get("kind"), "label.kind", KINDS),
        "" if archetype is None else text(archetype, "label.archetype"),
        _flag(told, "cover", "label"),
    )


def prints_of(value: object) -> Prints:
    """Return fingerprints."""
    told = members(value, "fp")
    prompt, model, ip = (
        "" if told.get(name) is None else fingerprint(told[name], f"fp.{name}")
        for name in ("prompt", "model", "ip")
    )
    return Prints(prompt, model, ip)


def facts_of(value: object) -> RequestFacts:
    """Return the facts that stand in place of a body; `dialect` is always known."""
    told = members(value, "facts")
    dialect = text(told.get("dialect"), "facts.dialect")
    given: dict[str, object] = {}
    for name in _TEXTS:
        if told.get(name) is not None:
            given[name] = text(told[name], f"facts.{name}", LONGEST_NAME)
    for name in _FLAGS:
        if told.get(name) is not None:
            given[name] = flag(told[name], f"facts.{name}")
    for name, most in _COUNTS.items():
        if told.get(name) is not None:
            given[name] = count(told[name], f"facts.{name}", most)
    if told.get("temperature") is not None:
        given["temperature"] = number(told["temperature"], "facts.temperature")
    if told.get("features") is not None:
        given["features"] = frozenset(texts(told["features"], "facts.features"))
    if told.get("references") is not None:
        given["references"] = texts(told["references"], "facts.references")
    return RequestFacts(dialect, **given)  # type: ignore[arg-type]


def _flag(told: dict[str, object], name: str, where: str) -> bool:
    value = told.get(name)
    return False if value is None else flag(value, f"{where}.{name}")
