"""One case played through the engine in memory, on a clock of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from proxy import engine
from proxy.core.decision import Effect
from proxy.core.facts import RequestFacts
from proxy.core.principal import NO_ATTRIBUTES, Principal
from proxy.core.quantities import format_duration
from proxy.store.memory import MemoryStore

if TYPE_CHECKING:
    from proxy.core.decision import Decision, Reason
    from proxy.limits.charges import Charged
    from proxy.policy.loader import Loaded
    from proxy.replay.script import CaseText, ExpectText, GivenText, StepText

# A Wednesday, in the middle of its day and month: no calendar window turns by accident.
MORNING = 1_768_392_000_000_000  # 2026-01-14T12:00:00Z
PROMPT_TOKENS = 100
NET = 10 << 24  # 10.0.0.0: where requests from differing addresses come from


def fingerprint(text: str) -> str:
    """Return 16 hex digits for a text: in memory, so without a key."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


CONTEXT = engine.Context("cases", fingerprint)


@dataclass(slots=True)
class Stage:
    """The counters and the clock of one case. `now` is in microseconds since the epoch."""

    rules: Loaded
    now: int
    store: MemoryStore = field(default_factory=MemoryStore)
    asked: int = 0

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
        )
        charged = self.store.charge_now(plan.charges, self.now)
        decision = engine.decide(plan, charged)
        if step is not None and not step.hold and decision.effect is Effect.ALLOW:
            used = step.used
            prompt = None if used is None else used.prompt_tokens
            output = None if used is None else used.output_tokens
            self.store.settle_now(
                engine.settle(
                    plan,
                    charged,
                    plan.prompt if prompt is None else prompt,
                    plan.output if output is None else output,
                ),
                self.now,
            )
        return plan, charged, decision

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
    plan, charged, decision = stage.ask(given)
    if not plan.limits:
        return ["no policy speaks of this request (is `given` what its `when` asks for?)"]
    wrongs = list(judged(case.expect, decision))
    left = {
        name: receipt.remaining
        for limit, receipt in zip(plan.limits, charged.receipts, strict=True)
        for name in (limit.name, f"{limit.policy}/{limit.name}")
    }
    for name, bounds in (case.expect.remaining or {}).items():
        if name not in left:
            wrongs.append(f"no limit {name!r} speaks of this request")
        elif not within(left[name], bounds.above, bounds.below):
            wrongs.append(f"{left[name]} are left of {name}")
    return wrongs


def judged(expect: ExpectText, decision: Decision) -> list[str]:
    """Return what a decision is other than expected."""
    if expect.shadow is not None and not named(decision.shadowed, expect.shadow):
        return [f"expected {expect.shadow} to refuse in shadow, got {told(decision)}"]
    reasons = named(decision.reasons, expect.limit)
    if decision.effect != expect.effect or (expect.limit is not None and not reasons):
        by = f" by {expect.limit}" if expect.limit else ""
        return [f"expected {expect.effect}{by}, got {told(decision)}"]
    wrongs = []
    if expect.code is not None and all(reason.code != expect.code for reason in reasons):
        wrongs.append(f"expected {expect.code}, got {told(decision)}")
    wait, wanted = decision.retry_after, expect.retry_after
    if wanted is None:
        return wrongs
    if wanted.never:
        if wait is not None:
            wrongs.append(f"expected that waiting never helps, got {told(decision)}")
    elif wait is None or not within(wait, wanted.above, wanted.below):
        wrongs.append(f"expected another wait, got {told(decision)}")
    return wrongs


def named(reasons: tuple[Reason, ...], limit: str | None) -> list[Reason]:
    """Return the reasons that a limit gave, called by its name alone or with its policy's."""
    return [
        reason
        for reason in reasons
        if limit in {None, reason.limit, f"{reason.policy}/{reason.limit}"}
    ]


def told(decision: Decision) -> str:
    """Return a decision as a person would say it."""
    text = str(decision.effect)
    if decision.reasons:
        text += " by " + ", ".join(f"{each.policy}/{each.limit}" for each in decision.reasons)
        wait = decision.retry_after
        text += " (never fits)" if wait is None else f" (fits in {format_duration(wait)})"
    if decision.shadowed:
        text += ", in shadow " + ", ".join(
            f"{each.policy}/{each.limit}" for each in decision.shadowed
        )
    return text


def within(number: int, above: int | None, below: int | None) -> bool:
    """Return whether a number is between two ends, which are left out."""
    return (above is None or number > above) and (below is None or number < below)


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
        prompt=str(given.get("prompt", "prompt")),
    )
    return principal, facts, str(given.get("ip", "203.0.113.9"))
