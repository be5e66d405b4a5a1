"""Two policy sets over the same traffic: what one decides otherwise than the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.replay.summary import EFFECTS, effect_of

if TYPE_CHECKING:
    from proxy.replay.played import Played

REFUSE = EFFECTS.index("refuse")
# How much each of EFFECTS takes from a client: allow, shape, delay, refuse, free, error.
STRICT = (0, 1, 1, 2, 0, 2)
MOST_EXAMPLES, PER_KIND = 60, 5


@dataclass(frozen=True, slots=True)
class Example:
    """One request that the two sets decide otherwise; reasons with their numbers, as sentences."""

    id: str
    at: int
    account: str
    plan: str
    model: str
    before: str
    after: str
    why_before: tuple[str, ...]
    why_after: tuple[str, ...]


@dataclass(slots=True)
class Changed:
    """What is decided otherwise for one account, or because of one limit.

    refused: requests that are refused now and were not
    limited: that are shaped or delayed now and were served as asked
    eased:   that get more than before: served, or served as asked
    other:   that are shaped or delayed in both, in another way
    """

    refused: int = 0
    limited: int = 0
    eased: int = 0
    other: int = 0

    @property
    def all(self) -> int:
        """All that changed."""
        return self.refused + self.limited + self.eased + self.other


@dataclass(slots=True)
class Difference:
    """Compares the decisions of two players, request by request.

    matrix:   requests by what both decided: matrix[before][after], in the order of EFFECTS
    accounts, limits: what changed for whom, and because of which limit ('policy/limit')
    new_refusals: requests that are refused now and were not
    examples: the first of each kind of change
    """

    requests: int = 0
    matrix: list[list[int]] = field(default_factory=lambda: [[0] * len(EFFECTS) for _ in EFFECTS])
    accounts: dict[str, Changed] = field(default_factory=dict)
    limits: dict[str, Changed] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    _kinds: dict[tuple[object, ...], int] = field(default_factory=dict)

    @property
    def new_refusals(self) -> int:
        """Requests that are refused now and were not before."""
        return sum(row[REFUSE] for index, row in enumerate(self.matrix) if index != REFUSE)

    @property
    def changed(self) -> int:
        """Requests that are decided otherwise."""
        return sum(changed.all for changed in self.accounts.values())

    def compare(self, before: Played, after: Played) -> None:
        """Take one request as both sets decided it."""
        self.requests += 1
        was, now = effect_of(before), effect_of(after)
        self.matrix[was][now] += 1
        shapes = [() if it.decision is None else it.decision.shape.names for it in (before, after)]
        if was == now and shapes[0] == shapes[1]:
            return
        eased = STRICT[now] < STRICT[was]
        names = because(before) if eased else because(after) or because(before)
        groups = [self.accounts.setdefault(before.entry.account, Changed())]
        groups += [self.limits.setdefault(name, Changed()) for name in names]
        for group in groups:
            if STRICT[now] == STRICT[was]:
                group.other += 1
            elif STRICT[now] < STRICT[was]:
                group.eased += 1
            elif now == REFUSE:
                group.refused += 1
            else:
                group.limited += 1
        self._example(before, after, (was, now, names))

    def _example(self, before: Played, after: Played, kind: tuple[object, ...]) -> None:
        if len(self.examples) >= MOST_EXAMPLES:
            return
        seen = self._kinds.get(kind, 0)
        if seen >= PER_KIND:
            return
        self._kinds[kind] = seen + 1
        entry = after.entry
        self.examples.append(
            Example(
                id=entry.id,
                at=after.at,
                account=entry.account,
                plan=entry.plan,
                model="" if after.facts is None else after.facts.model,
                before=EFFECTS[effect_of(before)],
                after=EFFECTS[effect_of(after)],
                why_before=why(before),
                why_after=why(after),
            )
        )


def because(played: Played) -> tuple[str, ...]:
    """Return the limits and rules that made a decision other than allow, 'policy/limit'."""
    if played.decision is None:
        return ()
    return tuple(f"{reason.policy}/{reason.limit}" for reason in played.decision.reasons)


def why(played: Played) -> tuple[str, ...]:
    """Return a decision's reasons as short sentences with their numbers."""
    if played.decision is None:
        return (played.code,) if played.code else ()
    found = []
    for reason in played.decision.reasons:
        told = f"{reason.code}: {reason.policy}/{reason.limit}"
        if reason.unit:
            told += f", {reason.remaining:,} of {reason.amount:,} {reason.unit} left"
            told += f", {reason.asked:,} asked"
        found.append(told)
    return tuple(found)


@dataclass(slots=True)
class Pairing:
    """Hands a player's decision on, so that it can be compared; fills `Listener`."""

    last: Played | None = None

    def decided(self, played: Played) -> None:
        """Keep it."""
        self.last = played

    def settled(self, played: Played) -> None:
        """Nothing is compared when answers end."""
