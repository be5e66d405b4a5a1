"""From what one policy file says to what runs, or to every mistake that only meaning shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from proxy.core.decision import Mode
from proxy.policy import schema
from proxy.policy.answers import ANY, ShapeText
from proxy.policy.compiled import Capability, Policy, Unit
from proxy.policy.detecting import DetectorText, HalfLife, beyond_accounts, settings_of
from proxy.policy.files import Mistake, mistake
from proxy.policy.ladders import RungText, falling, rung_of
from proxy.policy.match import condition, speaks
from proxy.policy.meaning import Blame, limit_of
from proxy.policy.shapes import Shapes, shapes_of
from proxy.watch.detectors import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.document import Document, Steps
    from proxy.policy.answers import CapabilityText
    from proxy.policy.compiled import DetectorSetting, Limit, Rung
    from proxy.policy.schema import LimitText, PolicyText
    from proxy.policy.words import Section

Text = TypeVar("Text", bound="Section")
MERE_FEATURES: frozenset[str] = frozenset()  # a part of what every request uses


class Author:
    """Who is told the mistakes of a file, each at its place.

    priced:     where limits in dollars stand; they need prices
    half_lives: what is said of half-lives, and where
    """

    def __init__(self, name: str, found: Document, mistakes: list[Mistake]) -> None:
        self.name = name
        self.found = found
        self.mistakes = mistakes
        self.priced: list[Steps] = []
        self.half_lives: list[tuple[HalfLife, Steps]] = []

    def blame(self, steps: Steps, told: str) -> None:
        """Note a mistake at a path."""
        self.mistakes.append(mistake(self.name, self.found.place(steps), steps, told))

    def line(self, steps: Steps) -> int:
        """Return the line of a path."""
        return self.found.place(steps)[0]


def policy_of(author: Author, text: PolicyText) -> Policy:
    """Return the policy that a file means; its mistakes are told."""
    shapes = _shapes(author, text.policy, text.shapes)
    _judges(author, text)
    return Policy(
        name=text.policy,
        about=text.about,
        applies=condition(text.when),
        limits=tuple(_limits(author, text.policy, dict(enumerate(text.limits)), shapes)),
        source=author.name,
        capabilities=tuple(capability_of(text.policy, each) for each in text.capabilities),
        ladder=_ladder(author, dict(enumerate(text.ladder)), shapes),
        detectors=_detectors(author, text.detectors),
        foreign="" if text.reasoning is None else text.reasoning.foreign,
    )


def blame_parts(author: Author) -> None:
    """Tell the mistakes in those parts of a bad file that are well-formed themselves.

    What is wrong in one limit must not hide what is wrong in the others.
    """
    raw = author.found.values.get("shapes")
    good = {
        name: shape
        for name, each in (raw.items() if isinstance(raw, dict) else ())
        if (shape := _good(ShapeText, each)) is not None
    }
    shapes = _shapes(author, "", good)
    _limits(author, "", _good_items(author, "limits", schema.LimitText), shapes)
    _ladder(author, _good_items(author, "ladder", RungText), shapes)
    raw = author.found.values.get("detectors")
    tuned = {
        name: setting
        for name, each in (raw.items() if isinstance(raw, dict) else ())
        if name in FAMILIES and (setting := _good(DetectorText, each)) is not None
    }
    _detectors(author, tuned)


def capability_of(policy: str, text: CapabilityText) -> Capability:
    """Return the capability that a text means."""
    combos = text.forbid or []
    if text.require is None:
        name = f"forbid {', '.join(combos)}"
    elif text.require.model_fields_set == {"verified"}:
        name = "require verified" if text.require.verified else "require verified: false"
    else:
        name = f"require {', '.join(sorted(text.require.model_fields_set))}"
    return Capability(
        policy=policy,
        name=name,
        combos=tuple(
            MERE_FEATURES if combo == ANY else frozenset(combo.split("+")) for combo in combos
        ),
        met=None if text.require is None else condition(text.require),
        applies=speaks(text.for_),
        because=text.because,
        mode=Mode(text.mode),
    )


def _shapes(author: Author, policy: str, texts: Mapping[str, ShapeText]) -> Shapes:
    raw = author.found.values.get("shapes")

    def tell(name: str, key: str, told: str) -> None:
        author.blame(("shapes", name, key), told)

    return shapes_of(policy, texts, tuple(raw) if isinstance(raw, dict) else (), tell)


def _limits(
    author: Author, policy: str, texts: Mapping[int, LimitText], shapes: Shapes
) -> list[Limit]:
    limits: list[Limit] = []
    lines: dict[str, int] = {}
    for index, text in texts.items():
        steps: Steps = ("limits", index)

        def blame(told: Blame, steps: Steps = steps) -> None:
            author.blame((*steps, told.key), str(told))

        limit = limit_of(policy, text, shapes, blame)
        if text.limit in lines:
            told = f"{text.limit!r} is the limit in line {lines[text.limit]} already"
            author.blame((*steps, "limit"), told)
        lines.setdefault(text.limit, author.line((*steps, "limit")))
        if limit is not None:
            limits.append(limit)
            if limit.unit is Unit.USD:
                author.priced.append((*steps, "allow"))
    return limits


def _ladder(author: Author, texts: Mapping[int, RungText], shapes: Shapes) -> tuple[Rung, ...]:
    rungs: list[Rung] = []
    lines: dict[str, int] = {}
    for index, text in texts.items():
        steps: Steps = ("ladder", index)
        if text.level in lines:
            told = f"{text.level} is the level in line {lines[text.level]} already"
            author.blame((*steps, "level"), told)
        lines.setdefault(text.level, author.line((*steps, "level")))
        if text.shape is None:
            rungs.append(rung_of(text))
            continue
        try:
            rungs.append(rung_of(text, shapes.find(text.shape)))
        except ValueError as error:
            author.blame((*steps, "shape"), str(error))
    for index, below, told in falling(texts):
        where = author.line(("ladder", below, "at"))
        author.blame(("ladder", index, "at"), f"{told} (line {where})")
    return tuple(sorted(rungs, key=lambda rung: rung.level.rank))


def _detectors(author: Author, texts: Mapping[str, DetectorText]) -> dict[str, DetectorSetting]:
    for name, text in texts.items():
        if text.half_life is not None:
            steps: Steps = ("detectors", name, "half_life")
            said = HalfLife(name, text.half_life, author.name, author.line(steps))
            author.half_lives.append((said, steps))
    return settings_of(texts)


def _judges(author: Author, text: PolicyText) -> None:
    """Tell where a file judges accounts by what only a request has."""
    told = beyond_accounts(text.when)
    if not told:
        return
    for index, rung in enumerate(text.ladder):
        if rung.at is not None or rung.for_ is not None:
            author.blame(("ladder", index), told)
    if text.detectors:
        author.blame(("detectors",), told)


def _good_items(author: Author, key: str, model: type[Text]) -> dict[int, Text]:
    """Return the well-formed items of a list in a bad file, by index."""
    raw = author.found.values.get(key)
    return {
        index: text
        for index, each in enumerate(raw if isinstance(raw, list) else ())
        if (text := _good(model, each)) is not None
    }


def _good(model: type[Text], raw: object) -> Text | None:
    try:
        return model.model_validate(raw)
    except ValidationError:
        return None  # told already
