"""What became of some traffic, counted: by effect, time, limit, plan, model and account.

In memory that grows with the accounts, plans and limits of the traffic, not with its requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy.core.decision import Effect
from proxy.limits.buckets import Rate
from proxy.replay.timeline import Timeline

if TYPE_CHECKING:
    from proxy.core.decision import Decision
    from proxy.policy.compiled import Limit
    from proxy.replay.played import Played

# Names are the clients' own: those after so many are counted together.
MOST_MODELS, OTHERS = 1000, "(others)"
BINS = 20  # of a headroom histogram: the first is 0 to 5 % left, the last 95 to 100 %
EFFECTS = ("allow", "shape", "delay", "refuse", "free", "error")
NO_ROOM = {
    "limit.exceeded": "refused",
    "limit.never_fits": "refused",
    "limit.shaped": "shaped",
    "limit.flagged": "flagged",
    "limit.raised": "raised",
    "limit.shadow": "shadowed",
}


@dataclass(slots=True)
class LimitStory:
    """What one limit did.

    requests:  that it spoke of
    no_room:   that found no room, whatever came of it; accounts: whose they were
    refused, shaped, flagged, raised, shadowed: what came of it
    headroom:  requests by the share of the amount that was left after them, in BINS steps
    first:     moment at which it first had no room, microseconds since the epoch
    """

    policy: str
    limit: str
    sentence: str
    unit: str
    amount: int
    mode: str
    otherwise: str
    requests: int = 0
    no_room: int = 0
    refused: int = 0
    shaped: int = 0
    flagged: int = 0
    raised: int = 0
    shadowed: int = 0
    accounts: set[str] = field(default_factory=set)
    headroom: list[int] = field(default_factory=lambda: [0] * BINS)
    first: int | None = None


@dataclass(slots=True)
class Story:
    """What became of the requests of one account, plan or model.

    effects: counts, in the order of EFFECTS
    full:    answers served of which nothing was changed
    prompt, output, cost: tokens and micro-dollars charged
    limits:  requests by the rule that limited them, shadow ones too: 'policy/limit'
    first:   moment of the first that was shaped, delayed or refused
    """

    effects: list[int] = field(default_factory=lambda: [0] * len(EFFECTS))
    full: int = 0
    prompt: int = 0
    output: int = 0
    cost: int = 0
    org: str = ""
    plan: str = ""
    limits: dict[str, int] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    first: int | None = None

    @property
    def requests(self) -> int:
        """All of its requests."""
        return sum(self.effects)

    @property
    def limited(self) -> int:
        """Requests that were shaped, delayed or refused."""
        return sum(self.effects[1:4])


@dataclass(slots=True)
class Summary:
    """Collects what becomes of each request; fills `Listener`.

    reasons: by code, and a request may have several; changes: by 'verb.what'; errors: by code
    guessed: answers that nobody had seen
    """

    total: Story = field(default_factory=Story)
    accounts: dict[str, Story] = field(default_factory=dict)
    plans: dict[str, Story] = field(default_factory=dict)
    models: dict[str, Story] = field(default_factory=dict)
    limits: dict[tuple[str, str], LimitStory] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=lambda: Timeline(len(EFFECTS)))
    guessed: int = 0
    first: int | None = None
    last: int = 0

    def decided(self, played: Played) -> None:
        """Count a decision."""
        effect = effect_of(played)
        if self.first is None:
            self.first = played.at
        self.last = max(self.last, played.at)
        self.timeline.count(played.at, effect)
        for story in self._stories(played):
            story.effects[effect] += 1
            if 1 <= effect <= 3 and story.first is None:  # noqa: PLR2004 - shape, delay, refuse
                story.first = played.at
        if played.code:
            self.errors[played.code] = self.errors.get(played.code, 0) + 1
        decision = played.decision
        if decision is None:
            return
        if decision.level != "clear":
            for story in self._stories(played):
                story.levels[decision.level] = story.levels.get(decision.level, 0) + 1
        self._limits(played)
        self._reasons(played.entry.account, decision)

    def settled(self, played: Played) -> None:
        """Count what an exchange cost."""
        self.guessed += played.guessed
        for change in played.changes:
            self.changes[change.code] = self.changes.get(change.code, 0) + 1
        spent, plan = played.spent, played.plan
        if plan is None:
            return
        cost = played.cost
        for story in self._stories(played):
            story.full += played.full
            story.prompt += spent.prompt
            story.output += spent.output
            story.cost += cost

    def _reasons(self, account: str, decision: Decision) -> None:
        held = self.accounts[account].limits
        for reason in (*decision.reasons, *decision.shadowed):
            self.reasons[reason.code] = self.reasons.get(reason.code, 0) + 1
            if reason.policy and reason.limit:
                name = f"{reason.policy}/{reason.limit}"
                held[name] = held.get(name, 0) + 1
            limit = self.limits.get((reason.policy, reason.limit))
            what = NO_ROOM.get(reason.code)
            if limit is not None and what is not None:
                setattr(limit, what, getattr(limit, what) + 1)

    def _stories(self, played: Played) -> tuple[Story, ...]:
        entry = played.entry
        account = self.accounts.get(entry.account)
        if account is None:
            account = self.accounts[entry.account] = Story(org=entry.org, plan=entry.plan)
        plan = self.plans.get(entry.plan)
        if plan is None:
            plan = self.plans[entry.plan] = Story()
        name = "" if played.facts is None else played.facts.model
        model = self.models.get(name)
        if model is None:
            if len(self.models) >= MOST_MODELS:
                name = OTHERS
            model = self.models.setdefault(name, Story())
        return self.total, account, plan, model

    def _limits(self, played: Played) -> None:
        plan, charged = played.plan, played.charged
        if plan is None or charged is None:
            return
        for limit, receipt in zip(plan.limits, charged.receipts, strict=True):
            story = self.limits.get((limit.policy, limit.name)) or self._limit(limit)
            story.requests += 1
            whole = capacity(limit)
            left = receipt.remaining * BINS // whole if whole else 0
            story.headroom[left if left < BINS else BINS - 1] += 1
            if not receipt.fits:
                story.no_room += 1
                story.accounts.add(played.entry.account)
                if story.first is None:
                    story.first = played.at

    def _limit(self, limit: Limit) -> LimitStory:
        story = self.limits[limit.policy, limit.name] = LimitStory(
            limit.policy,
            limit.name,
            limit.sentence,
            limit.unit.value,
            limit.bucket.amount,
            limit.mode.value,
            limit.otherwise.value,
        )
        return story


def capacity(limit: Limit) -> int:
    """Return the most that a limit's bucket holds."""
    bucket = limit.bucket
    return bucket.burst if isinstance(bucket, Rate) else bucket.amount


def effect_of(played: Played) -> int:
    """Return the place in EFFECTS of what became of a request."""
    if played.code:
        return 5
    if played.decision is None:
        return 4
    match played.decision.effect:
        case Effect.ALLOW:
            return 0
        case Effect.SHAPE:
            return 1
        case Effect.DELAY:
            return 2
        case Effect.REFUSE:
            return 3
