"""How fast answers came, how punctual the sender was, and what failed, counted."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.replay.live.seen import FAILED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.replay.live.seen import Seen

SHARES = (("p50", 50), ("p90", 90), ("p99", 99))
MILLI = 1_000
UNKNOWN = "unknown"
MOVED = range(300, 400)
LATE = 10_000  # microseconds beyond which a sending is told as late


@dataclass(slots=True)
class Latencies:
    """Microseconds to the first byte and to the end, each from two moments.

    sent_*:      from when the request was sent
    scheduled_*: from when it was to be sent: what waited behind others in the sender counts too
    """

    sent_first: array[int] = field(default_factory=lambda: array("q"))
    sent_whole: array[int] = field(default_factory=lambda: array("q"))
    scheduled_first: array[int] = field(default_factory=lambda: array("q"))
    scheduled_whole: array[int] = field(default_factory=lambda: array("q"))

    def take(self, seen: Seen) -> None:
        """Count one answer that came."""
        late = seen.sent - seen.scheduled
        first = seen.ended if seen.first is None else seen.first
        self.sent_first.append(first)
        self.sent_whole.append(seen.ended)
        self.scheduled_first.append(first + late)
        self.scheduled_whole.append(seen.ended + late)

    def rows(self) -> Iterator[tuple[str, array[int]]]:
        """Yield the four of them with their names."""
        yield "first_byte_from_sending", self.sent_first
        yield "whole_from_sending", self.sent_whole
        yield "first_byte_from_schedule", self.scheduled_first
        yield "whole_from_schedule", self.scheduled_whole

    def as_dict(self) -> dict[str, object]:
        """Return percentiles in milliseconds."""
        return {name: percentiles(values) for name, values in self.rows()}


@dataclass(slots=True)
class Measured:
    """All that was measured; `take` hears of each request that was sent.

    left_out:  entries that could not be sent, by why
    latencies: by effect ('unknown' where no answer told one); answers that failed are no latency
    late:      microseconds that each request was sent later than it was to be
    held:      requests that waited in the sender since too many were on their way
    strange:   answers that no Weir has given
    shared:    keys that were sent with another one's secret
    span:      microseconds from the first sending to the last end
    """

    sent: int = 0
    answered: int = 0
    abandoned: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    span: int = 0
    held: int = 0
    strange: int = 0
    shared: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    effects: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    late: array[int] = field(default_factory=lambda: array("q"))
    all: Latencies = field(default_factory=Latencies)
    latencies: dict[str, Latencies] = field(default_factory=dict)

    def take(self, seen: Seen) -> None:
        """Count one request."""
        self.sent += 1
        self.bytes_in += seen.bytes_in
        self.bytes_out += seen.bytes_out
        self.late.append(seen.sent - seen.scheduled)
        self.span = max(self.span, seen.sent + seen.ended)
        if seen.status:
            self.statuses[seen.status] += 1
            self.strange += not seen.told.id
        if seen.failed:
            self.errors[seen.failed] += 1
        elif (seen.status >= FAILED or seen.status in MOVED) and seen.told.effect != "refuse":
            self.errors[f"status {seen.status}"] += 1
        if seen.how == "abandoned" and not seen.failed:
            self.abandoned += 1
        if seen.failed or seen.how == "abandoned" or not seen.status:
            return
        self.answered += 1
        effect = seen.told.effect or UNKNOWN
        self.effects[effect] += 1
        self.all.take(seen)
        self.latencies.setdefault(effect, Latencies()).take(seen)

    @property
    def throughput(self) -> float:
        """Answers a second."""
        return self.answered * 1e6 / self.span if self.span else 0.0

    def as_dict(self) -> dict[str, object]:
        """Return all of it as JSON's values; times in milliseconds, but for `seconds`."""
        return {
            "sent": self.sent,
            "answered": self.answered,
            "abandoned_as_recorded": self.abandoned,
            "left_out": dict(sorted(self.left_out.items())),
            "seconds": self.span / 1e6,
            "answers_per_second": round(self.throughput, 3),
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "not_weir": self.strange,
            "shared_keys": self.shared,
            "effects": dict(sorted(self.effects.items())),
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "errors": dict(sorted(self.errors.items())),
            "sender": {
                "late": percentiles(self.late),
                "late_over_10ms": sum(late > LATE for late in self.late),
                "held": self.held,
            },
            "latency": self.all.as_dict(),
            "latency_by_effect": {
                effect: latencies.as_dict() for effect, latencies in sorted(self.latencies.items())
            },
        }


def percentiles(values: Sequence[int]) -> dict[str, float]:
    """Return percentiles by nearest rank and the most, milliseconds; nothing of nothing.

    >>> percentiles([3_000, 1_000, 2_000])
    {'p50': 2.0, 'p90': 3.0, 'p99': 3.0, 'max': 3.0}
    """
    if not values:
        return {}
    ordered = sorted(values)
    found = {name: ordered[-(-len(ordered) * share // 100) - 1] / MILLI for name, share in SHARES}
    return {**found, "max": ordered[-1] / MILLI}
