"""A record told as sentences with its numbers. Pure."""

from __future__ import annotations

from collections import Counter, deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from proxy.core.quantities import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LAST = 20
MICRO = 1_000_000


def explain(record: Mapping[str, Any]) -> list[str]:
    """Return the story of one decision: who, what, each limit, what decided, what it cost."""
    told = [
        f"Decision {record['id']} at {_moment(record['t'])}: {_verdict(record)}.",
        f"Who: {_who(record)}.",
        f"What: {_what(record)}.",
    ]
    if record["policies"]:
        told.append(f"Policies in force: {record['policies']}.")
    if record["blind"]:
        told.append(
            "The counters did not answer in time, so each limit was decided by its on_store_error;"
            " the numbers below are this process's own share."
        )
    told += [_limit(entry) for entry in record["limits"]]
    if record["effect"] == "refuse":
        told += _deciders(record)
    told += _ending(record)
    return told


def explain_account(records: Iterable[Mapping[str, Any]], account: str) -> list[str]:
    """Return an account's decisions in sum, and its last ones a line each."""
    effects: Counter[str] = Counter()
    limits: Counter[str] = Counter()
    last: deque[Mapping[str, Any]] = deque(maxlen=LAST)
    for record in records:
        if record.get("account") != account:
            continue
        effects[record["effect"] or f"not decided ({record['code']})"] += 1
        limits.update(record["reasons"])
        last.append(record)
    if not last:
        return [f"The journal has no decision about account {account}."]
    told = [f"Account {account}: {sum(effects.values()):,} requests in the journal."]
    told += [f"  {effect}: {count:,}" for effect, count in effects.most_common()]
    told += [f"  {reason}: {count:,} times" for reason, count in limits.most_common()]
    told.append("The last ones:")
    told += [f"  {_moment(each['t'])} {each['id']} {_verdict(each)}" for each in last]
    return told


def amount(units: int, unit: str) -> str:
    """Return an amount with its unit.

    >>> amount(200000, "output_tokens"), amount(1_500_000, "usd")
    ('200,000 output tokens', '$1.5000')
    """
    if unit == "usd":
        return f"${units / MICRO:.4f}"
    return f"{units:,} {unit.replace('_', ' ')}"


def _verdict(record: Mapping[str, Any]) -> str:
    if record["effect"] == "refuse":
        return f"refused with HTTP {record['status']} ({', '.join(record['reasons'])})"
    if record["effect"] == "allow":
        return f"allowed, answered with HTTP {record['status']}, ended {record['end'] or 'open'}"
    return f"not decided: HTTP {record['status']} ({record['code'] or 'not metered'})"


def _who(record: Mapping[str, Any]) -> str:
    if not record["key"]:
        return "nobody that is known (no good credential)"
    plan = f", plan {record['plan']}" if record["plan"] else ""
    return f"key {record['key']} of account {record['account']}, org {record['org']}{plan}"


def _what(record: Mapping[str, Any]) -> str:
    usage = record["usage"]
    kind = "stream" if record["stream"] else "answer"
    told = f"{record['method']} {record['route'] or '(no known route)'}"
    if record["model"]:
        told += (
            f", model {record['model']}, {record['choices']} {kind}(s),"
            f" about {usage['estimated_prompt']:,} prompt tokens and at most"
            f" {usage['estimated_output']:,} output tokens"
        )
    if record["features"]:
        told += f", with {', '.join(record['features'])}"
    return told


def _limit(entry: Mapping[str, Any]) -> str:
    unit = entry["unit"]
    room = "fits" if entry["fits"] else "does not fit"
    shadow = " (shadow: only watched)" if entry["mode"] == "shadow" else ""
    told = (
        f"Limit {entry['policy']}/{entry['limit']}{shadow}: {amount(entry['amount'], unit)}"
        f" ({entry['kind']}) by {entry['by']}: asked {amount(entry['asked'], unit)}, {room},"
        f" {amount(entry['remaining'], unit)} left"
    )
    if not entry["fits"]:
        told += f"; {_wait(entry['retry_after'])}"
    elif entry["charged"] is not None and entry["charged"] != entry["asked"]:
        told += f"; took {amount(entry['charged'], unit)} in the end"
    return told + "."


def _deciders(record: Mapping[str, Any]) -> list[str]:
    deciding = [
        entry for entry in record["limits"] if entry["mode"] == "enforce" and not entry["fits"]
    ]
    if deciding:
        names = " and ".join(f"{each['policy']}/{each['limit']}" for each in deciding)
        return [f"Decided by {names}: all enforced limits must have room, so none was charged."]
    return ["Decided by limits that refuse while the counters are away: " + _names(record) + "."]


def _names(record: Mapping[str, Any]) -> str:
    return ", ".join(reason.partition(":")[2] for reason in record["reasons"])


def _wait(retry_after: int | None) -> str:
    if retry_after is None:
        return "waiting does not help, it is larger than the whole limit"
    return f"it would fit in {format_duration(retry_after)}"


def _ending(record: Mapping[str, Any]) -> list[str]:
    usage, upstream = record["usage"], record["upstream"]
    if not upstream["name"]:
        return ["Nothing was sent to a model."]
    told = [f"Sent to {upstream['name']}, which answered with HTTP {upstream['status']}."]
    why = {
        "complete": "as the provider reported",
        "abandoned": "the client left: the prompt and what was relayed",
        "broken": "the model broke off: the prompt and what was relayed",
        "error": "the model reported an error",
    }.get(record["end"], "")
    if record["end"] == "complete" and usage["reported_output"] is None:
        why = "the provider reported no usage: the estimate and what was relayed"
    told.append(
        f"Charged {usage['charged_input']:,} prompt and {usage['charged_output']:,} output tokens"
        f" ({why}), ${record['cost_usd_micro'] / MICRO:.6f}; relayed {usage['relayed']:,} tokens."
    )
    return told


def _moment(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / MICRO, UTC).isoformat(timespec="milliseconds")
