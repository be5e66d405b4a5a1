"""From a population's file to its traffic, in order of time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from proxy.population import prose
from proxy.population.account import (
    ZONES,
    Account,
    World,
    addresses,
    attributes,
    chosen_models,
    house,
    identity,
)
from proxy.population.campaigns.dressing import in_costume
from proxy.population.campaigns.operation import Operation, Pool
from proxy.population.campaigns.running import run
from proxy.population.campaigns.techniques import TECHNIQUES
from proxy.population.chance import about, dice, happens
from proxy.population.honest.archetypes import ARCHETYPES, moved
from proxy.population.playing import played
from proxy.population.rhythm import DAY, rhythm
from proxy.traffic.entry import Label

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from random import Random

    from proxy.population.account import Release
    from proxy.population.honest.archetypes import Archetype
    from proxy.population.language import CampaignText, HonestText
    from proxy.population.playing import Process
    from proxy.population.spec import Spec
    from proxy.traffic.entry import Entry

# How four neighbours of a group are spread over organisations: most are alone in theirs.
PACKINGS = ((0, 1, 2, 3),) * 7 + ((0, 0, 1, 2), (0, 0, 1, 1), (0, 0, 0, 1))
BLOCK = 4
# Of a hundred honest accounts so many sign up while the population lives.
COMING = 0.08
HONEST_AGE = 300.0  # days since the signing up of the others, mean of an exponential distribution
MOST_RATE = 60.0  # times the median that the busiest account of a group may have
# Days between signing up and the first request: half are slower; sigma of the logarithm.
WAIT = (4.0, 1.5)
NO_PURPOSE = "none"
TENURE = 10.0  # days after which an organisation tries a new model, mean


def compose(spec: Spec, seed: int | None = None) -> Iterator[Entry]:
    """Yield a population's traffic in order of time.

    seed: in place of the one that the file names. Every account has dice of its own, named after
          it: one account more leaves the traffic of the others as it was.
    """
    root = spec.text.seed if seed is None else seed
    return played(_processes(spec, root), spec.end)


def _processes(spec: Spec, root: int) -> Iterator[tuple[int, Process]]:
    for honest in spec.text.honest:
        world = _world(spec, honest.sources, honest.trace)
        archetype = ARCHETYPES[honest.archetype]
        for number in range(honest.accounts):
            who = honest_account(spec, root, honest, number, world)
            yield max(spec.start, who.begins), archetype.process(who, world)
    for campaign in spec.text.campaigns:
        op = operation(spec, root, campaign)
        day = rhythm(campaign.rhythm, op.rng.choice(ZONES))
        technique = TECHNIQUES[campaign.technique]
        yield op.first, run(op, technique, campaign.requests_per_day, day, campaign.jitter)


def asked_of(spec: Spec, seed: int | None = None) -> dict[str, tuple[str, ...]]:
    """Return the names of the sources that each account asks of, those of its cover counted."""
    root = spec.text.seed if seed is None else seed
    found: dict[str, tuple[str, ...]] = {}
    for honest in spec.text.honest:
        for number in range(honest.accounts):
            _, account, _ = identity(root, "honest", honest.group or honest.archetype, number)
            found[account] = tuple(honest.sources)
            if honest.archetype == "migration":
                found[identity(*moved(account))[1]] = tuple(honest.sources)
    for campaign in spec.text.campaigns:
        names = tuple(dict.fromkeys((*campaign.sources, *(campaign.cover_sources or ()))))
        for number in range(campaign.accounts):
            _, account, _ = identity(root, "campaign", campaign.campaign, number)
            found[account] = names
    return found


def honest_account(spec: Spec, root: int, honest: HonestText, number: int, world: World) -> Account:
    """Return an honest account of a group."""
    archetype, group = ARCHETYPES[honest.archetype], honest.group or honest.archetype
    owner = (root, "honest", group, number)
    rng = dice(*owner)
    block, place = divmod(number, BLOCK)
    packing = dice(root, "packing", group, block).choice(PACKINGS)
    org = (root, "honest", group, "org", block, packing[place])
    shared, persona, style = house(*org)
    models = chosen_models(shared, archetype.size, honest.models or ())
    plans = honest.plans or archetype.plans
    plan = _one_of(shared, plans)
    offset, kind = shared.choice(ZONES), shared.choice(archetype.rhythms)
    adopts = _adoptions(shared, spec.releases)
    window = _window(shared, len(world.texts))
    if honest.whole:
        window = (window[0], len(world.texts))
    days = (spec.end - spec.start) / DAY
    if happens(rng, COMING if honest.newcomers is None else honest.newcomers):
        signed = spec.start + int(rng.random() * 0.8 * days * DAY)
    else:
        signed = spec.start - int(rng.expovariate(1 / HONEST_AGE) * DAY)
    begins = signed + int(about(dice("wait", *owner), *WAIT) * DAY)
    median, spread = (
        (honest.requests_per_day.median, honest.requests_per_day.spread)
        if honest.requests_per_day
        else archetype.rate
    )
    key, account, _ = identity(*owner)
    name = identity(*org)[2]
    return Account(
        key=key, account=account, org=name, plan=plan,
        label=Label(name, "benign", honest.archetype), rng=rng,
        rate=min(about(rng, median, spread), MOST_RATE * median), begins=max(begins, spec.start),
        rhythm=rhythm(honest.rhythm or kind, offset), persona=persona, style=style, models=models,
        addresses=addresses(rng, rng.randint(*archetype.egress)),
        attributes=attributes(rng, signed, *owner, card=_card(shared, org, packing)), window=window,
        verified=happens(rng, _verified(plan)),
        purpose=_purpose(rng, archetype, honest.purpose), adopts=adopts, ramp=honest.ramp,
    )  # fmt: skip


def operation(spec: Spec, root: int, campaign: CampaignText) -> Operation:
    """Return a campaign with its accounts: unrelated organisations, ids as everybody has them."""
    name = campaign.campaign
    rng = dice(root, "campaign", name)
    first = spec.start + campaign.begins
    last = spec.end if campaign.lasts is None else min(spec.end, first + campaign.lasts)
    archetype = f"{campaign.technique}/{campaign.share}"
    label = Label(name, "extraction", archetype)
    world = _world(spec, campaign.sources, campaign.trace)
    pivot = next((each for each in spec.releases if each.model == campaign.pivot), None)
    models = chosen_models(rng, "large", campaign.models or ())
    _, _, program = house(root, "campaign", name)
    door = TECHNIQUES[campaign.technique].door
    accounts = []
    for number in range(campaign.accounts):
        owner = (root, "campaign", name, number)
        own = dice(*owner)
        _, persona, style = house(*owner)
        joins = first + int(campaign.joins * number / campaign.accounts)
        signed = joins - int(own.random() * campaign.signups)
        style = program if campaign.styles == "one" else style
        if campaign.dress:
            persona, style = in_costume(persona, *owner), replace(style, names_users=True)
        key, account, org = identity(*owner)
        plan = _one_of(own, campaign.plans or ARCHETYPES["chat-product"].plans)
        accounts.append(
            Account(
                key=key,
                account=account,
                org=org,
                plan=plan,
                label=label,
                rng=own,
                rate=campaign.requests_per_day,
                begins=joins,
                rhythm=rhythm("flat", 0),
                persona=persona,
                style=replace(style, door=door) if door else style,
                models=models,
                addresses=addresses(own, own.randint(1, 3)),
                attributes=attributes(own, signed, *owner),
                window=_window(own, len(world.texts)),
                purpose=campaign.purpose or "",
                verified=happens(own, _verified(plan)),
            )
        )
    return Operation(
        name=name, world=world,
        cover_world=_world(spec, campaign.cover_sources or campaign.sources, campaign.trace),
        pool=Pool(accounts, campaign.share, rng), rng=rng, label=label,
        innocent=Label(name, "extraction", archetype, cover=True), first=first, last=last,
        cover=campaign.cover, paraphrase=campaign.paraphrase or "", models=models,
        system=prose.system(rng), pivot=pivot,
        probes=campaign.probes, ramp=campaign.ramp, dressed=campaign.dress is not None,
    )  # fmt: skip


def _world(spec: Spec, sources: list[str], trace: str | None) -> World:
    """Return what a group lives in; the texts of several sources lie mixed, evenly."""
    found = [spec.texts[name] for name in sources]
    if len(found) == 1:
        texts = found[0]
    else:
        ranked = sorted(
            ((number + 0.5) / len(each), k, number)
            for k, each in enumerate(found)
            for number in range(len(each))
        )
        texts = tuple(found[k][number] for _, k, number in ranked)
    traced = spec.traces[trace] if trace is not None else None
    return World(spec.start, spec.end, texts, traced, spec.releases)


def _window(rng: Random, size: int) -> tuple[int, int]:
    """Return the stretch of the texts that is an organisation's own: few have the same business."""
    least = min(size, 24)
    return rng.randrange(size), max(least, int(size * (0.04 + 0.5 * rng.random() ** 3)))


def _adoptions(rng: Random, releases: tuple[Release, ...]) -> tuple[Release, ...]:
    """Return when an organisation moves to new models: half of them do, within days or weeks."""
    return tuple(
        type(each)(each.model, each.t + int(rng.expovariate(1 / TENURE) * DAY))
        for each in reversed(releases)
        if happens(rng, 0.5)
    )


def _card(rng: Random, org: object, packing: tuple[int, ...]) -> object:
    return ("org", org) if len(set(packing)) < BLOCK and happens(rng, 0.9) else None


def _verified(plan: str) -> float:
    return {"enterprise": 0.9, "paid": 0.35}.get(plan, 0.05)


def _purpose(rng: Random, archetype: Archetype, given: str | None) -> str:
    if given is None:
        return _one_of(rng, archetype.purposes)
    return "" if given == NO_PURPOSE else given


def _one_of(rng: Random, weights: Mapping[str, int]) -> str:
    if len(weights) == 1:
        return next(iter(weights))
    return rng.choices(list(weights), list(weights.values()))[0]
