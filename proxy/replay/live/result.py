"""What came of sending traffic: for programs, and as lines for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from proxy.core.quantities import format_duration
from proxy.journal.sentences import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.replay.live.comparing import Comparison, Disagreement
    from proxy.replay.live.measured import Measured
    from proxy.replay.live.options import Options

EDGE = (
    "near a limit's edge a few may differ by timing: the gateway counts a request when it arrives,"
    " the replay when it was sent; what is left of a long limit can then differ for a while."
    " How many values are distinct is an estimate, a little other at each gateway."
    " --speed max --concurrency 1 leaves nothing to timing"
)
_ROWS = {
    "first_byte_from_sending": "first byte, from sending",
    "whole_from_sending": "whole, from sending",
    "first_byte_from_schedule": "first byte, from schedule",
    "whole_from_schedule": "whole, from schedule",
}
LOST_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured, and what was decided otherwise than expected.

    comparison: None where there were no policies to compare with
    ended:      why sending ended: 'all sent', 'time', 'count' or 'interrupted'
    """

    options: Options
    measured: Measured
    comparison: Comparison | None
    ended: str

    @property
    def interrupted(self) -> bool:
        """Somebody ended it early: this is what was measured so far."""
        return self.ended == "interrupted"

    @property
    def agreed(self) -> bool:
        """All that could be compared was decided as expected."""
        comparison = self.comparison
        return comparison is None or comparison.agreed == comparison.compared

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON's values; no secrets, no prompts."""
        speed = self.options.speed
        return {
            "target": str(self.options.target),
            "speed": "max" if speed is None else speed,
            "ended": self.ended,
            **self.measured.as_dict(),
            "comparison": None if self.comparison is None else self.comparison.as_dict(),
        }

    def lines(self) -> Iterator[str]:
        """Yield it as lines for people."""
        found = self.measured
        ended = {
            "all sent": "", "time": " (ended by --for)", "count": " (ended by --most)",
            "interrupted": " (interrupted: these are the results so far)",
        }[self.ended]  # fmt: skip
        yield (
            f"{found.sent:,} requests sent in {format_duration(found.span)}, "
            f"{found.answered:,} answered, {found.throughput:,.1f}/s{ended}"
        )
        if found.abandoned:
            yield f"{found.abandoned:,} left as their recorded clients did"
        if found.left_out:
            yield f"left out: {_counts(found.left_out)}"
        yield f"{_bytes(found.bytes_out)} sent, {_bytes(found.bytes_in)} received"
        if found.effects:
            yield f"decided: {_counts(found.effects)}"
        if found.errors:
            yield f"failed: {_counts(found.errors)}"
        if found.strange:
            yield f"{found.strange:,} answers had no x-weir-decision: is a Weir there?"
        if found.shared:
            yield (
                f"{found.shared:,} keys were sent with another one's secret: they are one account"
                " at the gateway, and are compared as one"
            )
        yield from self._latencies()
        if self.comparison is not None:
            yield ""
            yield from _comparison(self.comparison)

    def _latencies(self) -> Iterator[str]:
        told = self.measured.as_dict()
        if self.measured.answered:
            yield ""
            yield f"{'milliseconds':32}{'p50':>10}{'p90':>10}{'p99':>10}{'max':>10}"
            yield from _table(told["latency"])
            by_effect = told["latency_by_effect"]
            if isinstance(by_effect, dict) and len(by_effect) > 1:
                for effect, latencies in by_effect.items():
                    yield _row(f"{effect}: first byte", latencies["first_byte_from_schedule"])
                    yield _row(f"{effect}: whole", latencies["whole_from_schedule"])
        if self.measured.sent and self.options.speed is not None:
            sender = told["sender"]
            if isinstance(sender, dict):
                yield _row("the sender itself was late", sender["late"])
                if sender["held"]:
                    yield (
                        f"{sender['held']:,} requests waited in the sender: "
                        f"{self.options.together:,} were on their way"
                    )


def _comparison(found: Comparison) -> Iterator[str]:
    share = found.agreement
    if share is None:
        yield "nothing could be compared with the policies"
    else:
        yield (
            f"{found.agreed:,} of {found.compared:,} decided as the policies say "
            f"({_percent(found.agreed, found.compared)}), "
            f"{found.same_codes:,} with the same codes"
        )
    if found.skipped:
        yield f"not compared: {_counts(found.skipped)}"
    if found.muted and found.compared:
        yield "no answer told codes: allowed, shaped and delayed were taken for one"
    if found.agreed < found.compared:
        yield from _matrix(found)
    for each in found.first:
        yield from _disagreement(each)
    if found.first:
        yield EDGE


def _matrix(found: Comparison) -> Iterator[str]:
    columns = sorted({live for _, live in found.matrix})
    yield f"{'expected':12}" + "".join(f"{live:>10}" for live in columns) + "   (live)"
    for row in sorted({expected for expected, _ in found.matrix}):
        yield f"{row:12}" + "".join(f"{found.matrix[row, live]:>10,}" for live in columns)


def _disagreement(each: Disagreement) -> Iterator[str]:
    live = " ".join((each.live, *(each.live_codes or ())))
    expected = " ".join((each.expected, *each.expected_codes))
    yield (
        f"#{each.number} at {each.at / 1e6:.3f} s, {printable(each.account[:LOST_SHOWN])}, "
        f"{each.decision or 'no decision'}: was {live}, expected {expected}"
    )
    for reason in each.why:
        yield f"    {reason}"


def _table(told: object) -> Iterator[str]:
    if isinstance(told, dict):
        for name, values in told.items():
            yield _row(f"{_ROWS[name]}", values)


def _row(name: str, values: dict[str, float]) -> str:
    return f"{name:32}" + "".join(f"{value:>10,.1f}" for value in values.values())


def _percent(part: int, whole: int) -> str:
    """Return a share that says 100 % of nothing less.

    >>> _percent(99_999, 100_000), _percent(3, 3)
    ('99.99 %', '100 %')
    """
    return "100 %" if part == whole else f"{part * 10_000 // whole / 100:.2f} %"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))


def _bytes(count: int) -> str:
    """Return an amount of bytes for people.

    >>> _bytes(950), _bytes(12_345), _bytes(3_400_000)
    ('950 B', '12.3 kB', '3.4 MB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"
