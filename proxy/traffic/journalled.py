"""A journal turned back into traffic: facts and fingerprints in place of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from proxy.core.decision import Effect
from proxy.core.errors import TrafficError
from proxy.journal import reader
from proxy.journal.record import VERSION
from proxy.traffic.checks import SECOND
from proxy.traffic.parsing import entry_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from proxy.traffic.entry import Entry

BACKGROUND, RESPONSES = "background", "/v1/responses"
_SAME = (
    "key", "account", "org", "plan", "ip", "method", "id", "retry", "level", "effect", "policies",
    "charged_at", "settled_at",
)  # fmt: skip
_LATER = ("level_by", "level_until", "released_at")  # which older records do not have
_USAGE = {
    "reported_prompt": "prompt_tokens",
    "reported_output": "completion_tokens",
    "reported_reasoning": "reasoning_tokens",
    "reported_cached": "cached_tokens",
    "relayed": "relayed_tokens",
}


@dataclass(slots=True)
class Left:
    """Records that gave no traffic.

    undecided:  never came to a decision: nobody recognised, no request, or a door without limits
    unreadable: of another version, or damaged; torn lines and files of the journal too
    """

    undecided: int = 0
    unreadable: int = 0


def journalled(directory: Path, left: Left) -> Iterator[Entry]:
    """Yield the traffic of a journal's directory, file by file; `left` counts what gave none."""
    torn = reader.Tally()
    for record in reader.records(directory, torn):
        if record.get("effect") == "":
            left.undecided += 1
            continue
        try:
            yield entry_of_record(record)
        except TrafficError:
            left.unreadable += 1
    left.unreadable += torn.lines + torn.files


def entry_of_record(record: Mapping[str, Any]) -> Entry:
    """Return the traffic of one record; raises TrafficError for what is none of version 1."""
    try:
        line = _line(record)
    except (KeyError, TypeError, ValueError, AttributeError):
        # A member is missing or of another kind: the record was not written by a Weir.
        raise TrafficError("is no record of a decision") from None
    return entry_of(orjson.dumps(line))


def _line(record: Mapping[str, Any]) -> dict[str, object]:
    if record["v"] != VERSION:
        raise TrafficError(f"is no record of version {VERSION}")
    usage, made = record["usage"], _made(record)
    line = {name: record[name] for name in _SAME}
    line |= {
        "t": record["t"] / SECOND,
        "path": record["route"],
        **{name: record.get(name) for name in _LATER},
        "facts": _facts(record, usage, stored=bool(made)),
        "answer": None if _refused(record) else _answer(record, usage, made),
        "fp": {"prompt": record["prompt_fp"], "ip": record["ip"]},
    }
    return line


def _refused(record: Mapping[str, Any]) -> bool:
    return bool(Effect.REFUSE.value == record["effect"] or record["end"] == "refused")


def _made(record: Mapping[str, Any]) -> object:
    """Return the id of the stored object that the request made; of one it read, ''."""
    made = record["method"] == "POST" and record["route"] == RESPONSES
    return record["object_id"] if made else ""


def _facts(
    record: Mapping[str, Any], usage: Mapping[str, Any], *, stored: bool
) -> dict[str, object]:
    return {
        "dialect": record["dialect"],
        "model": record["model"],
        "stream": record["stream"],
        "prompt_tokens": usage["estimated_prompt"],
        "output_tokens": usage["estimated_output"] // max(record["choices"], 1),
        "choices": record["choices"],
        "reasoning": record["reasoning"],
        "features": record["features"],
        "stored": stored,
    }


def _answer(record: Mapping[str, Any], usage: Mapping[str, Any], made: object) -> dict[str, object]:
    # What was billed has charged at least its prompt, which a request without a text has not.
    billed = bool(usage["charged_input"] or usage["charged_output"])
    failed = record["end"] == "error"
    return {
        "status": record["status"],
        "end": record["end"] or "error",
        "usage": {name: usage[each] for each, name in _USAGE.items()},
        "seconds": record["timings"]["total"] / SECOND,
        "billed": billed,
        "background": BACKGROUND in record["features"]
        and billed
        and not failed
        and usage["reported_output"] is None,
        "object": made,
        "code": record["code"],
    }
