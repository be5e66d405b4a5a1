"""The watch plane in a replay: the same features, profiles and assessments, on the traffic's clock.

What a gateway does by observers, a store and assessors is done here at once: an account is assessed
when an answer of it has ended, and the next request finds its standing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from proxy import engine
from proxy.dialects.binding_places import anchor_number, anchored, asked_last
from proxy.watch.detectors import detectors_for
from proxy.watch.features import Lens
from proxy.watch.observation import Observation, Subject
from proxy.watch.phrases import declines
from proxy.watch.profile import HALF_LIVES, Profile
from proxy.watch.remembered import Remembered, history_of, turn_number
from proxy.watch.served import SealedTable, foreign_weight

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from proxy.core.facts import RequestFacts
    from proxy.core.standing import Standing
    from proxy.engine import Assessment
    from proxy.policy.compiled import PolicySet
    from proxy.policy.loader import Loaded
    from proxy.replay.played import Played
    from proxy.traffic.entry import Entry
    from proxy.watch.calibration import Calibration
    from proxy.watch.detectors.measuring import Detector
    from proxy.watch.features import Features

SECRET = b"weir replay"
RESPONSES = "openai.responses"
EACH = 24  # exchanges up to which an account is assessed after each
PART = 32  # beyond, when it has grown by this part
HOUR = 3_600_000_000


class Hears(Protocol):
    """Who wants to know of assessments."""

    def assessed(self, played: Played, profile: Profile, assessment: Assessment) -> None:
        """Hear of an assessment, made after this exchange."""
        ...


@dataclass(slots=True)
class _Account:
    profile: Profile
    seen: int = 0
    next: int = 1
    at: int = 0


@dataclass(slots=True)
class _Asked:
    features: Features | None
    history: tuple[int, ...]
    unserved: int
    echoed: bool
    gap: int | None
    running: int
    foreign: float


def watching_for(rules: Loaded) -> Watching | None:
    """Return what observes and assesses as some rules have it; None where they speak of neither."""
    policies = rules.policies
    raises = any(
        rung.at is not None or "invariant" in rung.by
        for policy in policies.policies
        for rung in policy.ladder
    )
    if not raises and not policies.reads_features:
        return None
    return Watching(policies, rules.calibration, half_lives=policies.half_lives, assesses=raises)


@dataclass(slots=True)
class Watching:
    """Observes and assesses what a player plays.

    hears:      told of each assessment; nobody needs to
    half_lives: by family, where they are not the usual ones
    assesses:   False where nothing could come of it, and only features are read
    detectors:  those for the lens's key where none are given
    """

    policies: PolicySet
    calibration: Calibration
    hears: Sequence[Hears] = ()
    half_lives: Mapping[str, int] = field(default_factory=dict)
    assesses: bool = True
    lens: Lens = field(default_factory=lambda: Lens(SECRET))
    detectors: Sequence[Detector] = ()
    accounts: dict[str, _Account] = field(default_factory=dict)
    _remembered: Remembered = field(default_factory=Remembered)
    _sealed: SealedTable = field(default_factory=SealedTable)
    _asked: dict[int, _Asked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take the detectors for the lens where no others are given."""
        self.detectors = self.detectors or detectors_for(self.lens.projection)

    def asks(self, played: Played, facts: RequestFacts) -> Features | None:
        """Read what is asked, when it is asked; None where only facts are known."""
        entry = played.entry
        features = self.lens(facts) if facts.turns else None
        history = history_of(facts.turns, self.lens)
        gap, running = self._remembered.arrives(entry.account, played.at)
        self._asked[id(played)] = _Asked(
            features,
            history,
            self._remembered.unserved(entry.account, history, played.at),
            features is not None and self._remembered.echoes(entry.account, features.marks),
            gap,
            running,
            self._foreign(entry, facts) if history or facts.dialect == RESPONSES else 0.0,
        )
        return features

    def ends(self, played: Played, held: Standing | None) -> Standing | None:
        """Observe what has ended; return what its account is raised to, None for nothing.

        held: what the account stands at
        """
        facts, asked = played.facts, self._asked.pop(id(played), None)
        if facts is None or asked is None or not self.assesses:
            return None
        entry = played.entry
        account = self.accounts.get(entry.account)
        if account is None:
            profile = Profile(played.at, {**HALF_LIVES, **self.half_lives})
            account = self.accounts[entry.account] = _Account(profile)
        marks = self._note_answer(played)
        account.profile.observe(_observation(played, facts, asked, marks, self.lens))
        account.seen += 1
        due = account.seen >= account.next or played.ended_at - account.at >= HOUR
        if not due and not asked.foreign:
            return None
        account.next = account.seen + max(1, account.seen // PART if account.seen > EACH else 1)
        account.at = played.ended_at
        now = max(played.ended_at, account.profile.at)
        assessment = engine.assess(
            account.profile,
            self.policies,
            self.calibration,
            now,
            entry.account,
            detectors=self.detectors,
        )
        for each in self.hears:
            each.assessed(played, account.profile, assessment)
        return engine.standing_for(assessment, held)

    def _foreign(self, entry: Entry, facts: RequestFacts) -> float:
        """Return what sealed reasoning weighs that is not this account's and conversation's own."""
        if not isinstance(entry.body, dict):
            return 0.0
        brought = anchored(facts.dialect, entry.body)
        if not brought:
            return 0.0
        return foreign_weight(self._sealed.check(entry.account, entry.org, brought))

    def _note_answer(self, played: Played) -> tuple[int, ...]:
        entry, facts = played.entry, played.facts
        self._remembered.ended(entry.account)
        if entry.answer is not None and entry.answer.sealed and isinstance(entry.body, dict):
            assert facts is not None
            anchor = anchor_number(asked_last(facts.dialect, entry.body))
            self._sealed.served(entry.account, entry.org, anchor, entry.answer.sealed)
        text = entry.answer.text if entry.answer is not None else ""
        if not text or played.how == "refused":
            return ()
        marks = self.lens.marks(text)
        self._remembered.answered(entry.account, (turn_number(text, self.lens), *marks))
        return marks


def _observation(
    played: Played, facts: RequestFacts, asked: _Asked, marks: tuple[int, ...], lens: Lens
) -> Observation:
    entry, usage, plan = played.entry, played.usage, played.plan
    return Observation(
        subject=Subject(
            entry.account, entry.org, entry.plan, entry.purpose, entry.verified, facts.model
        ),
        at=played.at,
        ended=played.ended_at,
        features=asked.features,
        how=played.how,
        full=played.full,
        knobs=facts.features,
        choices=facts.choices,
        capped=facts.output_capped,
        at_cap=facts.output_capped
        and plan is not None
        and facts.output_tokens >= plan.model.max_output_tokens,
        temperature=facts.temperature,
        prompt_tokens=played.spent.prompt,
        output_tokens=played.spent.output,
        reasoning_tokens=usage.reported_reasoning or 0,
        declined=_declined(played),
        retry=entry.retry,
        user=lens.name(facts.user),
        history=len(asked.history),
        unserved=asked.unserved,
        echoed=asked.echoed,
        foreign=asked.foreign,
        running=asked.running,
        gap=asked.gap,
        served=marks,
    )


def _declined(played: Played) -> bool:
    """Return whether the model declined, by its text: traffic keeps no finish reasons or codes."""
    answer = played.entry.answer
    return answer is not None and played.how != "refused" and declines(answer.text)
