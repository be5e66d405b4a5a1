"""What a gateway decided beside what its policies say of the same requests at the same moments."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from proxy.core.decision import Effect
from proxy.replay.difference import why
from proxy.replay.live.seen import ERROR, FREE, served_effect
from proxy.replay.player import Player
from proxy.traffic.entry import Answer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.core.facts import Usage
    from proxy.policy.loader import Loaded
    from proxy.replay.live.seen import Seen
    from proxy.replay.played import Played
    from proxy.traffic.entry import Entry

MOST_TOLD = 20
NOT_FOUND = 404
SERVED = frozenset({"allow", "shape", "delay"})
UNREACHED = frozenset({"connect", "tls"})
# Why a request is not compared.
LOST, MODEL_FAILED, OBJECT = "no answer", "the model API failed", "its stored object is not there"
CROWDED = "too many were waiting to be delayed"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A request that was decided otherwise than expected.

    number:   in the order of sending, from 1; at: microseconds from the first sending
    decision: the gateway's id of it, for `weir explain`
    expected, live: effects; with the codes that a client is told
    why:      the expected reasons with their numbers
    """

    number: int
    at: int
    decision: str
    account: str
    expected: str
    expected_codes: tuple[str, ...]
    live: str
    live_codes: tuple[str, ...] | None
    why: tuple[str, ...]

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON's values."""
        return {
            "number": self.number,
            "seconds": self.at / 1e6,
            "decision": self.decision,
            "account": self.account,
            "expected": self.expected,
            "expected_codes": list(self.expected_codes),
            "live": self.live,
            "live_codes": None if self.live_codes is None else list(self.live_codes),
            "why": list(self.why),
        }


@dataclass(slots=True)
class Comparison:
    """All requests, as expected and as they were.

    compared, agreed: requests whose effects could be compared, and that had the same
    same_codes:       of those that agreed, had the same codes too, or were told none
    matrix:           requests by (expected, live) effect
    skipped:          requests that cannot be compared, by why
    muted:            the gateway tells no codes: allowed, shaped and delayed look alike
    first:            the first that disagree in their effects; then in their codes alone
    """

    compared: int = 0
    agreed: int = 0
    same_codes: int = 0
    muted: bool = False
    matrix: Counter[tuple[str, str]] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    effects: list[Disagreement] = field(default_factory=list)
    codes: list[Disagreement] = field(default_factory=list)

    @property
    def first(self) -> list[Disagreement]:
        """The first disagreements, those in effects before those in codes."""
        return [*self.effects, *self.codes][:MOST_TOLD]

    @property
    def agreement(self) -> float | None:
        """The share that agreed; None where nothing was compared."""
        return self.agreed / self.compared if self.compared else None

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON's values."""
        matrix: dict[str, dict[str, int]] = {}
        for (expected, live), count in sorted(self.matrix.items()):
            matrix.setdefault(expected, {})[live] = count
        return {
            "compared": self.compared,
            "agreed": self.agreed,
            "agreement": self.agreement,
            "same_codes": self.same_codes,
            "codes_told": not self.muted,
            "expected_by_live": matrix,
            "not_compared": dict(sorted(self.skipped.items())),
            "first_disagreements": [each.as_dict() for each in self.first],
        }

    def take(self, number: int, seen: Seen, played: Played) -> None:
        """Compare one request."""
        live = seen.told.effect
        expected, codes = expected_of(played)
        reason = _incomparable(seen)
        if reason:
            self.skipped[reason] += 1
            return
        self.compared += 1
        self.matrix[expected, live] += 1
        told = seen.told.codes
        if self.muted:
            same = live == expected or {live, expected} <= SERVED
            alike = True
        else:
            same = live == expected
            alike = live in (ERROR, FREE) or set(told or ()) == set(codes)
        self.agreed += same
        self.same_codes += same and alike
        kept = self.codes if same else self.effects
        if (same and alike) or len(kept) >= MOST_TOLD:
            return
        kept.append(
            Disagreement(
                number, seen.sent, seen.told.id, seen.request.entry.account,
                expected, codes, live, told, why(played),
            )
        )  # fmt: skip


@dataclass(slots=True)
class _Listening:
    """Keeps a player's decision; fills `Listener`."""

    last: Played | None = None

    def decided(self, played: Played) -> None:
        """Keep it."""
        self.last = played

    def settled(self, played: Played) -> None:
        """Nothing is compared when answers end."""


def compared(seen: Iterable[Seen], rules: Loaded) -> Comparison:
    """Play requests through policies as they were sent and answered, and compare the decisions.

    What never reached the gateway is not played.
    """
    ordered = sorted(seen, key=lambda each: each.sent)
    found = Comparison(muted=not any(each.told.codes for each in ordered))
    listening = _Listening()
    player = Player(rules, (listening,))
    for number, each in enumerate(ordered, 1):
        if each.failed in UNREACHED:
            found.skipped[LOST] += 1
            continue
        player.feed(lived(each))
        assert listening.last is not None
        found.take(number, each, listening.last)
    player.finish()
    return found


def lived(seen: Seen) -> Entry:
    """Return an entry with the moment at which it was sent and the answer that it had.

    What was refused has no answer that anybody knows: where it should have been served, it takes
    what others took. Else one request beyond a limit's edge would be told for ever after.
    """
    if seen.told.effect == Effect.REFUSE:
        return replace(seen.request.entry, t=seen.at, answer=None, effect=Effect.REFUSE.value)
    recorded = seen.request.entry.answer
    answer = Answer(
        status=seen.status,
        end=seen.how,
        usage=_unshaped(seen),
        lasted=seen.ended,
        kept=seen.kept,
        object="" if recorded is None or not seen.object else recorded.object,
    )
    return replace(
        seen.request.entry,
        t=seen.at,
        answer=answer,
        settled_at=seen.at + seen.ended,
    )


def expected_of(played: Played) -> tuple[str, tuple[str, ...]]:
    """Return the effect and the codes that a client should be told.

    A shape that finds nothing to change in a request looks like no shape, there as here.
    """
    decision = played.decision
    if decision is None:
        return (ERROR, (played.code,)) if played.code else (FREE, ())
    codes = dict.fromkeys(reason.says or reason.code for reason in decision.reasons)
    if decision.effect is Effect.REFUSE:
        return Effect.REFUSE.value, tuple(codes)
    codes |= dict.fromkeys(change.code for change in played.changes)
    if decision.shape.delay:
        codes["delay.answer"] = None
    return served_effect(codes).value, tuple(codes)


def _incomparable(seen: Seen) -> str:
    """Return why nobody can tell what the gateway decided, '' where one can."""
    if not seen.status:
        return LOST
    if not seen.told.effect:
        return MODEL_FAILED
    if seen.told.codes and seen.told.codes[0] == "delay.full":
        return CROWDED
    facts = seen.request.facts
    if seen.status == NOT_FOUND and facts is not None and facts.references:
        return OBJECT
    return ""


def _unshaped(seen: Seen) -> Usage:
    """Return an answer's tokens as they were before a shape left choices out.

    The player takes a clamped number's share of the tokens of all choices; of what is given here
    that share is exactly what was served.
    """
    usage, choices = seen.usage, seen.told.choices
    if choices is None or not 0 < choices[1] < choices[0]:
        return usage
    asked, given = choices
    output = usage.reported_output
    return replace(
        usage,
        reported_output=None if output is None else -(-output * asked // given),
        relayed=-(-usage.relayed * asked // given),
    )
