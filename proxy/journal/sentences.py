"""The sentences that a decision is told in. Pure; amounts and durations as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from proxy.core.quantities import format_duration, format_usd

if TYPE_CHECKING:
    from collections.abc import Mapping

MICRO = 1_000_000
_DIGITS = re.compile(r"(?<=\d)_(?=\d)", re.ASCII)
ERROR = 400
_REASONS = {
    "limit.never_fits": (
        "Decided by {name}: the request is larger than it ever lets through;"
        " waiting does not help, a smaller request does."
    ),
    "limit.shaped": "Decided by {name}: it had no room, and shapes instead of refusing.",
    "limit.flagged": "{name} had no room; it only says so.",
    "limit.raised": (
        "{name} had no room: it raises the level of the account,"
        " by which the next request is decided."
    ),
    "limit.shadow": "{name} would have refused, but is in shadow: it decided nothing.",
    "store.unavailable": (
        "Decided by {name}: the counters were away, and its on_store_error is deny."
    ),
    "capability.forbidden": "Decided by {name}, which forbids this: nothing was counted or sent.",
    "capability.required": (
        "Decided by {name}, which the request does not meet: nothing was counted or sent."
    ),
    "capability.shadow": "{name} would have refused, but is in shadow: it decided nothing.",
    "delay.full": "Too many requests were being delayed by {name}: this one was turned away.",
}
ASIDE = ("limit.shadow", "limit.flagged", "limit.raised")  # they decide nothing themselves


def verdict(record: Mapping[str, Any]) -> str:
    """Return in a few words what became of a request."""
    status = f"HTTP {record['status']}" if record["status"] else "no answer"
    match record["effect"]:
        case "refuse":
            return f"refused with {status} by {_listed(_decisive(record))}"
        case "shape" | "delay":
            how = "shaped" if record["effect"] == "shape" else "delayed"
            by = _listed(_decisive(record)) or "what it was made in"
            return f"{how} by {by}, {status}, {record['end'] or 'ending unknown'}"
        case "allow":
            return f"allowed, {status}, {record['end'] or 'ending unknown'}"
        case _ if record["code"]:
            return f"not decided, {status} ({record['code']})"
        case _:
            return f"not metered, {status}, {record['end'] or 'no limits apply'}"


def moment(microseconds: int) -> str:
    """Return a moment in UTC.

    >>> moment(1_795_435_200_123_457)
    '2026-11-23T12:00:00.123Z'
    """
    told = datetime.fromtimestamp(microseconds / MICRO, UTC).isoformat(timespec="milliseconds")
    return told.replace("+00:00", "Z")


def printable(text: str) -> str:
    r"""Return a text as one line that a terminal only shows.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def amount(units: int, unit: str) -> str:
    """Return an amount with its unit.

    >>> amount(200000, "output_tokens"), amount(12_300, "usd"), amount(8, "concurrent")
    ('200,000 output tokens', '$0.0123', '8 concurrent')
    """
    number = _number(units, unit)
    return number if unit == "usd" else f"{number} {unit.replace('_', ' ')}"


def _number(units: int, unit: str) -> str:
    return f"${format_usd(units)}" if unit == "usd" else f"{units:,}"


def who(record: Mapping[str, Any]) -> str:
    """Return who asked."""
    if not record["key"]:
        return "nobody that is known"
    plan = f", plan {record['plan']}" if record["plan"] else ""
    standing = f", standing {record['level']}" if record["level"] != "clear" else ""
    return (
        f"account {record['account']} of org {record['org']}, key {record['key']}{plan}{standing}"
    )


def what(record: Mapping[str, Any]) -> str:
    """Return what was asked for."""
    told = f"{record['method']} {record['route'] or '(a route that no dialect serves)'}"
    if record["model"]:
        kind = "stream" if record["stream"] else "answer"
        choices = "" if record["choices"] == 1 else f" with {record['choices']:,} choices"
        usage = record["usage"]
        told += (
            f", model {record['model']}, one {kind}{choices},"
            f" about {usage['estimated_prompt']:,} prompt tokens"
            f" and at most {usage['estimated_output']:,} output tokens"
        )
    if record["reasoning"]:
        told += f", reasoning effort {record['reasoning']}"
    if record["features"]:
        told += f", using {', '.join(record['features'])}"
    return told


def limit(entry: Mapping[str, Any]) -> str:
    """Return what one limit said, and what was taken of it."""
    unit = entry["unit"]
    counted = f"{amount(entry['amount'], unit)} ({entry['kind']}) by {entry['by']}"
    says = _read_aloud(entry["sentence"]) or counted
    shadow = " (shadow, only watched)" if entry["mode"] == "shadow" else ""
    told = (
        f"{_name(entry)}{shadow}: {says}: asked {_number(entry['asked'], unit)},"
        f" {_number(entry['remaining'], unit)} left, {'fits' if entry['fits'] else 'does not fit'}"
    )
    if not entry["fits"]:
        told += f" ({_wait(entry['retry_after'])})"
    if not entry["taken"]:
        return f"{told}; nothing taken."
    if entry["kind"] == "lease":
        return f"{told}; given back in the end."
    if entry["charged"] not in {None, entry["asked"]}:
        return f"{told}; {_number(entry['charged'], unit)} taken in the end."
    return f"{told}."


def _read_aloud(sentence: str) -> str:
    """Return a limit's sentence with numbers and units as people write them."""
    return _DIGITS.sub(",", sentence).replace("_", " ")


def deciders(record: Mapping[str, Any]) -> list[str]:
    """Return which limits decided, a sentence each, shadow ones told apart."""
    waits = {_name(entry): entry["retry_after"] for entry in record["limits"]}
    told = []
    for reason in record["reasons"]:
        code, _, name = reason.partition(":")
        if code == "limit.exceeded":
            told.append(f"Decided by {name}: it had no room; {_wait(waits.get(name, 0))}.")
        elif code.startswith("standing."):
            level = code.removeprefix("standing.")
            told.append(f"The account stands at {level}: {name} says what that means.")
        else:
            told.append(_REASONS.get(code, "Reason {code}: {name}.").format(code=code, name=name))
    if record["effect"] == "refuse" and record["limits"] and not record["blind"]:
        noted = any(entry["kind"] == "distinct" and entry["taken"] for entry in record["limits"])
        but = "; the values that were asked for stay noted" if noted else ""
        told.append(f"Limits that may refuse take all or nothing, so none was charged{but}.")
    return told


def shaping(record: Mapping[str, Any]) -> list[str]:
    """Return what was changed, a sentence in all; none where nothing was."""
    parts = [_change(change) for change in record["changes"]]
    if record["cut"]:
        parts.append("the answer was ended before the model ended it")
    if not record["shapes"] or record["effect"] == "refuse":
        return []
    return [f"Shaped by {', '.join(record['shapes'])}: {'; '.join(parts) or 'nothing to change'}."]


_FOREIGN = {
    "account": "of other organisations",
    "same_org": "of other accounts of its organisation",
    "conversation": "of its own, for something else that was asked",
    "unknown": "that were never handed out here",
}


def foreign(record: Mapping[str, Any]) -> list[str]:
    """Return what was brought along of sealed reasoning that is not its own, and its fate."""
    counts = {kind: record["foreign"].get(kind, 0) for kind in _FOREIGN}
    if not any(counts.values()):
        return []
    parts = [f"{count:,} {_FOREIGN[kind]}" for kind, count in counts.items() if count]
    if record["code"] == "reasoning.foreign":
        became = "refused"
    else:
        dropped = any(each["verb"] == "drop" for each in record["changes"])
        became = "dropped" if dropped else "not dropped"
    return [f"It brought sealed reasoning that is not its own, {became}: {', '.join(parts)}."]


_CHANGES = {
    "clamp": "{what} lowered from {asked} to {given}",
    "strip": "{what} taken out",
    "hide": "{what} hidden",
    "drop": "{asked} pieces of foreign {what} dropped",
    "truncate": "the answer ends after {given} tokens",
    "delay": "held back for {given}",
}


def _change(change: Mapping[str, Any]) -> str:
    if change["verb"] == "clamp" and not change["asked"]:
        return f"{change['what']} capped at {change['given']}"
    return _CHANGES.get(change["verb"], "{verb} {what}").format_map(change)


def _wait(retry_after: int | None) -> str:
    if retry_after is None:
        return "it never would, however long one waits"
    return f"it would fit in {format_duration(retry_after)}"


def ending(record: Mapping[str, Any]) -> list[str]:
    """Return who answered, how that ended, and what was charged and why."""
    upstream = record["upstream"]
    if not upstream["name"] or record["end"] == "refused":
        return ["Nothing was sent to a model."]
    if not upstream["status"]:
        left = record["end"] == "abandoned"
        how = "the client left before it answered" if left else f"it gave no answer{_code(record)}"
        return [f"Sent to {upstream['name']}; {how}.", *_cost(record)]
    request = f" (its request {upstream['request_id']})" if upstream["request_id"] else ""
    told = f"Sent to {upstream['name']}, which answered with HTTP {upstream['status']}{request}"
    finish = ", ".join(record["finish_reasons"])
    match record["end"]:
        case "complete":
            told += "; the answer was complete" + (f" ({finish})" if finish else "")
        case "abandoned":
            told += "; the client left before it was complete"
        case "broken":
            told += f"; it broke off before it was complete{_code(record)}"
        case "error" if upstream["status"] < ERROR:
            told += f"; the answer was an error all the same{_code(record)}"
        case _:
            pass
    return [f"{told}.", *_cost(record)]


def _cost(record: Mapping[str, Any]) -> list[str]:
    if not record["policies"]:
        return []
    usage = record["usage"]
    relayed = f"{usage['relayed']:,} output tokens were relayed"
    if not usage["charged_input"] and not usage["charged_output"]:
        return [f"No tokens charged: nothing was served ({relayed})."]
    reported = usage["reported_output"]
    if reported is None:
        why = "nobody reported usage, so the estimated prompt and what was relayed"
    elif usage["charged_output"] > reported:
        why = f"what was relayed, as the provider reported only {reported:,}"
    else:
        why = "as the provider reported"
    details = [
        f"{usage[f'reported_{name}']:,} {what}"
        for name, what in (("cached", "cached prompt"), ("reasoning", "reasoning"))
        if usage[f"reported_{name}"]
    ]
    among = f", among them {' and '.join(details)}" if details else ""
    prompt, output = usage["charged_input"], usage["charged_output"]
    charged = f"Charged {prompt:,} prompt and {output:,} output tokens{among}: {why}; {relayed}."
    return [f"{charged} Cost ${format_usd(record['cost_usd_micro'])}."]


def timings(record: Mapping[str, Any]) -> str:
    """Return how long it took and how much went through."""
    named = {"auth": "recognised", "read": "read", "upstream_first_byte": "first byte"}
    spent = record["timings"]
    told = [f"{what} after {format_duration(spent[at])}" for at, what in named.items() if spent[at]]
    if spent["store"]:
        told.append(f"counters asked for {format_duration(spent['store'])}")
    body = f"{record['bytes_in']:,} bytes in, {record['bytes_out']:,} out"
    return f"Took {', '.join([format_duration(spent['total']), *told])}; {body}."


def _code(record: Mapping[str, Any]) -> str:
    return f" ({record['code']})" if record["code"] else ""


def _decisive(record: Mapping[str, Any]) -> list[str]:
    return [reason for reason in record["reasons"] if not reason.startswith(ASIDE)]


def _listed(reasons: list[str]) -> str:
    return " and ".join(
        f"{name} ({code})" for code, _, name in (each.partition(":") for each in reasons)
    )


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry['policy']}/{entry['limit']}"
