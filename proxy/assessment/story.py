"""What is known of an account now, and the story that tells: level, evidence, history."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from proxy.assessment.grounds import grounds_of
from proxy.assessment.process import pepper_of, slot_of, url_of
from proxy.assessment.records import forgotten_record
from proxy.core.errors import PolicyError, SettingsError
from proxy.core.quantities import format_duration
from proxy.core.standing import Level
from proxy.journal.record import FORGOTTEN
from proxy.journal.sentences import moment, printable
from proxy.journal.writer import journal_of
from proxy.policy.loader import load
from proxy.store.memory import microseconds
from proxy.store.open import open_profiles, open_standings
from proxy.watch.detectors import detectors_for
from proxy.watch.features import Lens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxy.core.standing import Standing
    from proxy.engine import Assessment
    from proxy.ports import Profiles
    from proxy.settings import Settings
    from proxy.watch.profile import Profile


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of an account.

    standing:   None for a clear account; history: the newest first
    profile, assessment: None where nothing was noted, or where it cannot be read
    tables:     digest of the calibration that it was assessed by, '' for none
    unread:     why there is no assessment: a pepper that is missing, bad policies; ''
    """

    now: int
    standing: Standing | None
    history: list[Standing]
    profile: Profile | None = None
    assessment: Assessment | None = None
    tables: str = ""
    unread: str = ""


async def known(settings: Settings, environ: Mapping[str, str], account: str) -> Known:
    """Ask the store, and assess what it says; nothing is changed.

    Raises StoreUnavailableError, and SettingsError for a store that cannot be reached.
    """
    standings = open_standings(url_of(settings), settings.store.environment)
    now = microseconds()
    try:
        standing, history = await standings.find(account, now), await standings.history(account)
    finally:
        await standings.close()
    found = Known(now, standing, history)
    try:
        return await _assessed(settings, environ, account, found)
    except (SettingsError, PolicyError) as error:
        return replace(found, unread=str(error))


async def forgotten(
    settings: Settings, environ: Mapping[str, str], account: str, by: str, reason: str
) -> bool:
    """Purge an account's profile; tell whether there was one. The journal's files note it.

    Raises as `known`, and SettingsError where there is no pepper.
    """
    profiles = _profiles(settings, pepper_of(settings, environ))
    try:
        was = await profiles.forget(account)
    finally:
        await profiles.close()
    if settings.journal.to == "files":
        with ExitStack() as stack:
            journal = journal_of(settings.journal, slot_of(settings.home, stack))
            journal.write(forgotten_record(account, microseconds(), by, reason))
            journal.close()
    return was


async def _assessed(
    settings: Settings, environ: Mapping[str, str], account: str, found: Known
) -> Known:
    loaded = load(settings.policies)
    pepper = pepper_of(settings, environ)
    grounds = grounds_of(loaded, detectors_for(Lens(pepper).projection))
    profiles = _profiles(settings, pepper)
    try:
        (profile,) = await profiles.find([account])
    finally:
        await profiles.close()
    if profile is None:
        return replace(found, tables=grounds.tables)
    profile.half_lives = grounds.half_lives
    now = max(found.now, profile.at)
    assessment = grounds.assess(profile, now, account)
    return replace(found, profile=profile, assessment=assessment, tables=grounds.tables)


def _profiles(settings: Settings, pepper: bytes) -> Profiles:
    return open_profiles(
        url_of(settings), settings.store.environment, pepper, keep=settings.watch.keep
    )


def told(known: Known) -> list[str]:
    """Return the story: where the account is, what was seen since when, what it comes to."""
    return [
        printable(line)
        for part in (_standing(known), _evidence(known), _history(known))
        for line in part
    ]


def evidence_told(known: Known) -> list[str]:
    """Return what was seen and what it comes to."""
    return [printable(line) for line in _evidence(known)]


def as_dict(known: Known) -> dict[str, object]:
    """Return the same as plain values."""
    return {
        "standing": None if known.standing is None else _plain(known.standing),
        "history": [_plain(each) for each in known.history],
        "evidence": evidence_as_dict(known),
    }


def evidence_as_dict(known: Known) -> dict[str, object]:
    """Return what was seen and what it comes to as plain values."""
    profile = known.profile
    return {
        "seen": None if profile is None else _seen(profile),
        "assessment": None if known.assessment is None else known.assessment.as_dict(),
        "calibration": known.tables,
        "unread": known.unread,
    }


def change_told(record: Mapping[str, object]) -> str:
    """Return a change of standing, or that a profile was purged, as a sentence."""
    if record["kind"] == FORGOTTEN:
        return printable(f"the profile was purged by {record['by']}: {record['reason']}")
    change = f"{record['before']} to {record['level']}"
    if record["before"] == record["level"]:
        change = f"{record['level']} for longer"
    until = record["until"]
    assert isinstance(until, int)
    return printable(
        f"{change}, until {moment(until)}, by {record['by']}: {record['reason']}"
        f" (policies {record['policies']}, calibration {record['calibration'] or 'none'})"
    )


def _standing(known: Known) -> Iterator[str]:
    standing, found = known.standing, known.assessment
    if standing is None:
        yield "Level now: clear."
    else:
        left = format_duration(max(0, standing.until - known.now) // 1_000_000 * 1_000_000)
        yield (
            f"Level now: {standing.level.value}, since {moment(standing.since)}, until"
            f" {moment(standing.until)} ({left} from now), by {standing.by}: {standing.reason}."
        )
        yield "It ends by itself then; a pardon ends it at once (weir accounts pardon)."
    if found is not None and found.lowers:
        yield f"What would bring the evidence down: {found.lowers}."


def _evidence(known: Known) -> Iterator[str]:
    profile, found = known.profile, known.assessment
    if known.unread:
        yield f"The profile is not read: {known.unread}."
        return
    if profile is None or found is None:
        yield "No profile: nothing was noted of this account, or so long ago that it was forgotten."
        return
    seen = _seen(profile)
    purpose = f", declared purpose {seen['purpose']}" if seen["purpose"] else ""
    yield (
        f"Seen since {moment(profile.first)}, last {moment(profile.at)}{purpose}: about"
        f" {seen['requests']:,.0f} requests, {seen['answers']:,.0f} answered,"
        f" {seen['full']:,.0f} of them in full, {seen['tokens']:,.0f} output tokens"
        " (what is older counts less)."
    )
    rung = "no rung of the ladders"
    if found.level is not Level.CLEAR:
        rung = f"{found.level.value} of {found.policy}"
    calibration = known.tables or "none: only invariants count (weir calibrate makes one)"
    yield (
        f"Evidence now: {found.total:.1f} nats of {_listed(found.families)}; it reaches {rung}."
        f" Calibration: {calibration}."
    )
    for each in found.findings:
        numbers = ", ".join(f"{name} {number:g}" for name, number in each.numbers.items())
        worth = f"{each.llr:.1f} nats, score {each.score:g}"
        yield f"  {each.detector} ({each.family}): {worth}: {numbers}"


def _history(known: Known) -> Iterator[str]:
    if known.history:
        yield "Levels so far, the newest first:"
    for each in known.history:
        pardon = each.level is Level.CLEAR
        what = "pardoned" if pardon else f"{each.level.value} until {moment(each.until)}"
        yield f"  {moment(each.since)} {what}, by {each.by}: {each.reason}"


def _seen(profile: Profile) -> dict[str, object]:
    subject = profile.subject
    return {
        "first": profile.first,
        "last": profile.at,
        "purpose": "" if subject is None else subject.purpose,
        "plan": "" if subject is None else subject.plan,
        **{name: profile[name] for name in ("requests", "answers", "full", "tokens")},
    }


def _plain(standing: Standing) -> dict[str, object]:
    return {
        "level": standing.level.value, "since": standing.since, "until": standing.until,
        "by": standing.by, "reason": standing.reason,
    }  # fmt: skip


def _listed(families: tuple[str, ...]) -> str:
    return ", ".join(families) or "no family that speaks"
