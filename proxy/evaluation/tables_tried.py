"""What baselines did, as tables, beside what was published of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.evaluation.tables import Table, many, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from proxy.evaluation.results import Reaching
    from proxy.evaluation.tried import Tested, Trialled, Tried

# Of arXiv 2606.05725, recomputed from its raw results (14 pairs of attack and benign set, three
# seeds, windows of 1,500 but for mmd-100): benign windows with an alarm, then windows of an attack
# by its share of the window; percent.
MIXED = ("pure", "50 %", "25 %", "10 %", "5 %")
PUBLISHED: dict[str, tuple[float, ...]] = {
    "mmd-1500": (0.3, 100.0, 100.0, 100.0, 93.6, 59.0),
    "mmd-100": (0.7, 100.0, 98.9, 76.0, 4.6, 1.3),
    "prada-1500": (51.6, 49.0),
    "prada-1500-two-sided": (7.3, 77.8, 66.3, 58.2, 25.4, 18.9),
    "seat-1500": (14.3, 15.0),
    "seat-1500-two-sided": (13.6, 100.0, 97.8, 93.2, 64.5, 31.7),
}
ONE_EACH = (
    "requests-100", "requests-1000", "distinct-100", "prada-100", "seat-100-two-sided",
    "mmd-100", "mmd-100-by-account", "mmd-1500",
)  # fmt: skip


def tried_tables(trialled: Trialled) -> Iterator[Table]:
    """Yield baselines by campaign, by account-day, by archetype and by window."""
    detectors = trialled.detectors
    if not detectors:
        return
    yield _baselines(detectors)
    shown = [each for each in detectors if each.name in ONE_EACH]
    if shown and shown[0].campaigns:
        yield _by_campaign(shown)
    if shown and shown[0].archetypes:
        yield _by_archetype(shown)
    windowed = [each for each in detectors if each.honest or each.thieves]
    if windowed:
        yield _windows(windowed)
        yield _windows_by_archetype(windowed)


def _baselines(detectors: Sequence[Tried]) -> Table:
    rows = []
    for each in detectors:
        total = sum(caught.answers for caught in each.campaigns)
        before = sum(caught.reached.before.answers for caught in each.campaigns)
        worst = max(
            each.archetypes, key=lambda found: (found[1].days.value, found[0]), default=None
        )
        rows.append(
            (
                each.name,
                (
                    f"{sum(c.reached.after is not None for c in each.campaigns)}"
                    f" of {len(each.campaigns)}"
                ),
                many(before),
                f"{100 * before / total:.0f} %" if total else "",
                many(sum(caught.reached.below.answers for caught in each.campaigns)),
                (
                    f"{sum(c.reached.accounts for c in each.campaigns):,}"
                    f" of {sum(c.accounts for c in each.campaigns):,}"
                ),
                percent(each.pooled.days) if each.pooled else "",
                percent(each.pooled.accounts) if each.pooled else "",
                _worst(worst),
            )
        )
    return Table(
        "Baselines",
        "An alarm flags its account for 24 hours. Caught: half of a campaign's accounts have been "
        "flagged. Honest: account-days and accounts that were flagged, and the worst archetype.",
        ("detector", "campaigns caught", "full answers before", "of all", "while below",
         "campaign accounts flagged", "honest account-days", "honest accounts", "worst archetype"),
        tuple(rows),
    )  # fmt: skip


def _worst(found: tuple[str, Reaching] | None) -> str:
    if found is None or not found[1].days.found:
        return "none"
    return f"{found[0]} {100 * found[1].days.value:.3g} %"


def _by_campaign(detectors: Sequence[Tried]) -> Table:
    return Table(
        "Full answers before a campaign was caught",
        "'all' where it never was.",
        ("campaign", "accounts", "full answers", *(each.name for each in detectors)),
        tuple(
            (
                caught.name,
                many(caught.accounts),
                many(caught.answers),
                *(
                    "all"
                    if each.campaigns[which].reached.after is None
                    else many(each.campaigns[which].reached.before.answers)
                    for each in detectors
                ),
            )
            for which, caught in enumerate(detectors[0].campaigns)
        ),
    )


def _by_archetype(detectors: Sequence[Tried]) -> Table:
    return Table(
        "Honest account-days that were flagged",
        "In percent.",
        ("archetype", *(each.name for each in detectors)),
        tuple(
            (name, *(f"{100 * each.archetypes[which][1].days.value:.3g}" for each in detectors))
            for which, (name, _) in enumerate(detectors[0].archetypes)
        ),
    )


def _windows(detectors: Sequence[Tried]) -> Table:
    rows = []
    for each in detectors:
        honest = each.honest[0].alarms if each.honest else None
        mixes = {found.name: found.alarms for found in each.thieves}
        ours = (
            percent(honest) + f" of {honest.of:,}" if honest else "",
            *(
                f"{100 * mixes[mix].value:.3g} % of {mixes[mix].of:,}" if mix in mixes else ""
                for mix in MIXED
            ),
        )
        rows.append((each.name, "here", *ours))
        published = PUBLISHED.get(each.name)
        if published:
            told = [f"{number:g} %" for number in published]
            rows.append(("", "published", *told, *([""] * (len(MIXED) + 1 - len(told)))))
    return Table(
        "Window by window",
        "Windows with an alarm: of honest accounts, and of campaigns by the share of the window "
        "that is extraction. Published windows are dealt from one benign set; ours are accounts.",
        ("test", "", "honest", *MIXED),
        tuple(rows),
    )


def _windows_by_archetype(detectors: Sequence[Tried]) -> Table:
    names = sorted({found.name for each in detectors for found in each.honest} - {"all"})
    return Table(
        "Honest windows with an alarm, by archetype",
        "In percent; empty where no account filled a window.",
        ("archetype", *(each.name for each in detectors)),
        tuple((name, *(_alarms(each.honest, name) for each in detectors)) for name in names),
    )


def _alarms(tests: Sequence[Tested], name: str) -> str:
    found = next((each.alarms for each in tests if each.name == name), None)
    return "" if found is None else f"{100 * found.value:.3g}"
