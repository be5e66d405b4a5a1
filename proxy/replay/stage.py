"""One case played through the engine in memory, on a clock of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from proxy import engine
from proxy.core.decision import Effect
from proxy.core.facts import RequestFacts
from proxy.core.principal import NO_ATTRIBUTES, Principal
from proxy.core.standing import Level, Standing
from proxy.limits.charges import Charged
from proxy.limits.keys import standing_key
from proxy.replay.verdict import judged, told, within
from proxy.store.memory import MemoryStore
from proxy.store.standings import MemoryStandings

if TYPE_CHECKING:
    from proxy.core.decision import Decision
    from proxy.core.shape import Shape
    from proxy.policy.loader import Loaded
    from proxy.replay.script import CaseText, GivenText, StepText

# A Wednesday, in the middle of its day and month: no calendar window turns by accident.
MORNING = 1_768_392_000_000_000  # 2026-01-14T12:00:00Z
PROMPT_TOKENS = 100
NET = 10 << 24  # 10.0.0.0: where requests from differing addresses come from


def fingerprint(text: str) -> str:
    """Return 16 hex digits for a text: in memory, so without a key."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


ENV = "cases"
CONTEXT = engine.Context(ENV, fingerprint)


@dataclass(frozen=True, slots=True)
class Worded:
    """What a prompt is about, for `engine.plan`: its template and topic, 64 bits each."""

    template: int
    topic: int


@dataclass(slots=True)
class Stage:
    """The counters, the standings and the clock of one case.

    now: microseconds since the epoch
    """

    rules: Loaded
    now: int
    store: MemoryStore = field(default_factory=MemoryStore)
    standings: MemoryStandings = field(init=False)
    asked: int = 0

    def __post_init__(self) -> None:
        self.standings = MemoryStandings(self.store, ENV)

    def ask(
        self, given: dict[str, object], step: StepText | None = None
    ) -> tuple[engine.Plan, Charged, Decision]:
        """Send one request now; with a step it is settled as that says."""
        self.asked += 1
        principal, facts, address = request(given, self.rules)
        plan = engine.plan(
            facts,
            principal,
            address,
            self.rules.policies,
            self.rules.models.find(facts.model),
            context=CONTEXT,
            lease_id=str(self.asked),
            features=worded(given) if self.rules.policies.reads_features else None,
        )
        if plan.refused:
            nothing = replace(plan, limits=(), charges=())
            return (
                nothing,
                Charged(admitted=False, receipts=(), at=self.now),
                engine.decide_forbidden(plan),
            )
        _, key = standing_key(ENV, principal.account)
        charged = self.store.charge_now(plan.charges, self.now, key)
        charged = replace(charged, standing=self._standing(given, charged.standing))
        decision = engine.decide(plan, charged)
        raised = engine.standing_after(decision, charged)
        if raised is not None:
            self.standings.lift_now(principal.account, raised, self.now)
        if decision.effect is Effect.REFUSE:
            # Where there was room, it was the account's standing.
            back = (
                engine.undo(plan, charged)
                if charged.admitted
                else engine.settle(plan, charged, 0, 0)
            )
            self.store.settle_now(back, self.now)
        elif step is not None and not step.hold:
            self._settle(plan, charged, facts, decision, step)
        return plan, charged, decision

    def _standing(self, given: dict[str, object], raised: Standing | None) -> Standing | None:
        """Return the standing that is given, or what a limit has raised it to: the higher."""
        level = Level(str(given.get("level", "clear")))
        if level.rank <= (Level.CLEAR if raised is None else raised.level).rank:
            return raised
        return Standing(level, self.now, self.now + 1)

    def _settle(
        self,
        plan: engine.Plan,
        charged: Charged,
        facts: RequestFacts,
        decision: Decision,
        step: StepText,
    ) -> None:
        """Make the charges what a step says that was used, else all that could be given."""
        used = step.used
        prompt = None if used is None else used.prompt_tokens
        output = None if used is None else used.output_tokens
        self.store.settle_now(
            engine.settle(
                plan,
                charged,
                plan.prompt if prompt is None else prompt,
                most_given(facts, decision.shape) if output is None else output,
            ),
            self.now,
        )

    def play(self, given: dict[str, object], step: StepText) -> str:
        """Let one step happen; return what is wrong with it, '' if nothing is."""
        if step.wait is not None:
            self.now += step.wait
            return ""
        count, began = step.requests or 0, self.now
        spread = step.within or 0
        common = merged(given, step.given)
        for index in range(count):
            self.now = began + spread * index // count
            own = differing(common, step, self.asked)
            *_, decision = self.ask(own, step)
            if step.effect not in {"any", decision.effect.value}:
                return (
                    f"request {index + 1} of {count}: expected {step.effect}, got {told(decision)}"
                )
        self.now = began + spread
        return ""


def play(rules: Loaded, common: GivenText, case: CaseText) -> list[str]:
    """Return what is other than expected, as sentences; none for a case that holds."""
    stage = Stage(rules, MORNING if case.at is None else case.at)
    given = merged(merged({}, common), case.given)
    for index, step in enumerate(case.after):
        wrong = stage.play(given, step)
        if wrong:
            return [f"after[{index}]: {wrong}"]
    if not any(policy.applies(*request(given, rules)) for policy in rules.policies.policies):
        return ["no policy speaks of this request (is `given` what its `when` asks for?)"]
    plan, charged, decision = stage.ask(given)
    wrongs = list(judged(case.expect, decision))
    left = {
        name: receipt.remaining
        for limit, receipt in zip(plan.limits, charged.receipts, strict=True)
        for name in (limit.name, f"{limit.policy}/{limit.name}")
    }
    for name, bounds in (case.expect.remaining or {}).items():
        if not left and decision.effect is Effect.REFUSE:
            wrongs.append(f"nothing is counted, got {told(decision)}")
        elif name not in left:
            wrongs.append(f"no limit {name!r} speaks of this request")
        elif not within(left[name], bounds.above, bounds.below):
            wrongs.append(f"{left[name]} are left of {name}")
    return wrongs


def most_given(facts: RequestFacts, shape: Shape) -> int:
    """Return the most output tokens that a shape lets through, of all choices together."""
    each = facts.output_tokens
    if shape.output_tokens is not None:
        each = min(each, shape.output_tokens)
    choices = facts.choices if shape.n is None else min(facts.choices, shape.n)
    return each * choices if shape.truncate is None else min(each * choices, shape.truncate)


def merged(given: dict[str, object], over: GivenText | None) -> dict[str, object]:
    """Return what is given with something laid over it; attributes are laid over one by one."""
    if over is None:
        return given
    said = {name: value for name, value in over if value is not None}
    before, after = given.get("attributes"), said.get("attributes")
    if isinstance(before, dict) and isinstance(after, dict):
        said["attributes"] = {**before, **after}
    return {**given, **said}


def differing(given: dict[str, object], step: StepText, number: int) -> dict[str, object]:
    """Return what is given with those things its own in which a step's requests differ."""
    own = dict(given)
    for what in step.differing or ():
        match what:
            case "prompts":
                own["prompt"] = f"prompt {number}"
            case "templates":
                own["template"] = f"template {number}"
            case "topics":
                own["topic"] = f"topic {number}"
            case "models":
                own["model"] = f"{given.get('model', 'standin')}-{number}"
            case "addresses":
                parts = (NET + number).to_bytes(4)
                own["ip"] = ".".join(str(part) for part in parts)
            case "keys":
                own["key"] = f"key_{number}"
            case "accounts":
                own["account"] = f"account-{number}"
    return own


def request(given: dict[str, object], rules: Loaded) -> tuple[Principal, RequestFacts, str]:
    """Return the request that is given; what is left out has a plain default."""
    account = str(given.get("account", "acme"))
    attributes = given.get("attributes")
    principal = Principal(
        key=str(given.get("key", "key_1")),
        account=account,
        org=str(given.get("org", account)),
        plan=str(given.get("plan", "")),
        verified=given.get("verified") is True,
        purpose=str(given.get("purpose", "")),
        attributes=attributes if isinstance(attributes, dict) else NO_ATTRIBUTES,
    )
    model = str(given.get("model", "standin"))
    cap = given.get("output_tokens")
    prompt_tokens, choices = given.get("prompt_tokens"), given.get("choices")
    facts = RequestFacts(
        dialect="openai.chat",
        model=model,
        stream=given.get("stream") is True,
        prompt_tokens=prompt_tokens if isinstance(prompt_tokens, int) else PROMPT_TOKENS,
        output_tokens=cap
        if isinstance(cap, int)
        else rules.models.find(model).reserve_output_tokens,
        output_capped=cap is not None,
        choices=choices if isinstance(choices, int) else 1,
        reasoning=str(given.get("reasoning", "")),
        features=knobs(given),
        prompt=str(given.get("prompt", "prompt")),
    )
    return principal, facts, str(given.get("ip", "203.0.113.9"))


def worded(given: dict[str, object]) -> Worded:
    """Return what a prompt is about, as it is given by words.

    One template and one topic where nothing is said, whatever the prompts: a case that is about
    other things should not meet them.
    """
    return Worded(*(numbered(str(given.get(word, word))) for word in ("template", "topic")))


def numbered(word: str) -> int:
    """Return 64 bits for a word."""
    return int(fingerprint(word), 16)


def knobs(given: dict[str, object]) -> frozenset[str]:
    """Return the features that are given; an effort and several choices are features too."""
    listed = given.get("features")
    found = {str(each) for each in listed} if isinstance(listed, list) else set()
    if given.get("reasoning") not in (None, "", "none"):
        found.add("reasoning")
    choices = given.get("choices")
    if isinstance(choices, int) and choices > 1:
        found.add("n")
    return frozenset(found)
