"""What a population holds: promised by its file, and counted in its traffic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.population.honest.archetypes import ARCHETYPES
from proxy.population.rhythm import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.population.spec import Spec
    from proxy.traffic.entry import Entry


@dataclass(slots=True)
class Count:
    """What one archetype or campaign sent. cover: of the requests, those that were innocent."""

    requests: int = 0
    cover: int = 0
    output_tokens: int = 0
    accounts: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Counts:
    """What was sent in all.

    honest:    by archetype
    campaigns: by name
    last:      arrival of the latest request, microseconds since the epoch; 0 before the first
    """

    honest: dict[str, Count] = field(default_factory=dict)
    campaigns: dict[str, Count] = field(default_factory=dict)
    requests: int = 0
    last: int = 0

    def take(self, entry: Entry) -> None:
        """Count a request that has its label."""
        label, answer = entry.label, entry.answer
        assert label is not None
        assert answer is not None
        if label.kind == "benign":
            count = self.honest.setdefault(label.archetype, Count())
        else:
            count = self.campaigns.setdefault(label.operator, Count())
        count.requests += 1
        count.cover += label.cover
        count.output_tokens += answer.usage.reported_output or answer.usage.relayed
        count.accounts.add(entry.account)
        self.requests += 1
        self.last = entry.t

    def as_dict(self) -> dict[str, object]:
        """Return the counts as JSON has them."""
        return {
            "requests": self.requests,
            "accounts": sum(len(count.accounts) for _, _, count in self._all()),
            "campaign_share": round(self.share(), 4),
            "honest": {name: _row(count) for name, count in sorted(self.honest.items())},
            "campaigns": {name: _row(count) for name, count in sorted(self.campaigns.items())},
        }

    def lines(self) -> Iterator[str]:
        """Yield a table for people."""
        yield f"{'':28} {'accounts':>9} {'requests':>11} {'cover':>9} {'output tokens':>15}"
        for kind, name, count in self._all():
            yield (
                f"{kind + name:28.28} {len(count.accounts):>9,} {count.requests:>11,}"
                f" {count.cover:>9,} {count.output_tokens:>15,}"
            )
        yield f"{self.requests:,} requests, {self.share():.1%} of them by campaigns"

    def share(self) -> float:
        """Return the campaigns' share of all requests, their cover counted; 0 to 1."""
        sent = sum(count.requests for count in self.campaigns.values())
        return sent / self.requests if self.requests else 0.0

    def _all(self) -> Iterator[tuple[str, str, Count]]:
        for name, count in sorted(self.honest.items()):
            yield "", name, count
        for name, count in sorted(self.campaigns.items()):
            yield "campaign ", name, count


@dataclass(frozen=True, slots=True)
class Promise:
    """What a file promises of one group or campaign.

    requests: about how many in all, from medians and spreads; what is drawn may be far from it
    """

    name: str
    kind: str
    accounts: int
    requests: int


def promises(spec: Spec) -> list[Promise]:
    """Return what a population would be made of, without making it."""
    found = []
    days = spec.text.days
    for honest in spec.text.honest:
        given = honest.requests_per_day
        median, spread = (
            (given.median, given.spread) if given else ARCHETYPES[honest.archetype].rate
        )
        # The mean of a lognormal amount lies above its median by exp(sigma^2 / 2).
        mean = median * 2.718281828 ** (spread**2 / 2)
        name = honest.group or honest.archetype
        sent = round(honest.accounts * mean * days)
        found.append(Promise(name, honest.archetype, honest.accounts, sent))
    for each in spec.text.campaigns:
        left = days * DAY - each.begins
        lasts = left if each.lasts is None else min(left, each.lasts)
        sent = round(each.accounts * each.requests_per_day * lasts / DAY)
        kind = f"{each.technique}/{each.share}"
        found.append(Promise(each.campaign, kind, each.accounts, sent))
    return found


def _row(count: Count) -> dict[str, int]:
    return {
        "accounts": len(count.accounts),
        "requests": count.requests,
        "cover": count.cover,
        "output_tokens": count.output_tokens,
    }
