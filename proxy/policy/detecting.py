"""What the files say of judging: how detectors are tuned, and what foreign reasoning meets."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, Field, PlainValidator, WithJsonSchema, model_validator

from proxy.core.quantities import UNITS, format_duration
from proxy.policy.compiled import DetectorSetting
from proxy.policy.sentences import shown
from proxy.policy.words import Section, lasting
from proxy.watch.detectors import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from proxy.policy.words import WhenText

SHORTEST, LONGEST = UNITS["h"], 90 * UNITS["d"]
# What of `when` is known of an account as a whole, and not of one request of it alone.
OF_ACCOUNTS = ("plan", "account", "org", "purpose", "verified", "model")


def detector(text: str) -> str:
    """Let through a detector's name; ValueError says which there are."""
    if text in FAMILIES:
        return text
    nearest = get_close_matches(text, FAMILIES, n=1)
    would_do = f"did you mean {nearest[0]!r}?" if nearest else ", ".join(FAMILIES)
    raise ValueError(f"{shown(text)} is no detector ({would_do})")


def halving(value: object) -> int:
    """Return the microseconds of a half-life; ValueError says what would do."""
    return lasting(value, SHORTEST, LONGEST, "12h, 7d, 30d")


DetectorName = Annotated[
    str,
    AfterValidator(detector),
    WithJsonSchema({"type": "string", "enum": list(FAMILIES)}),
]


class DetectorText(Section):
    """How one detector is tuned."""

    half_life: Annotated[int, PlainValidator(halving, json_schema_input_type=str)] | None = Field(
        None, description="what was seen counts half after it: 1h to 90d; one for a whole family"
    )
    cap: Annotated[float, Field(gt=0, le=6, allow_inf_nan=False)] | None = Field(
        None, description="the most nats that it may say, where that is less than its own"
    )
    off: bool = Field(default=False, description="it says nothing of the accounts in `when`")

    @model_validator(mode="after")
    def says_something(self) -> Self:
        """Refuse a setting that sets nothing, and one that caps what is off."""
        if self.half_life is None and self.cap is None and not self.off:
            raise ValueError("says nothing (half_life: 7d, cap: 3.0 or off: true)")
        if self.off and self.cap is not None:
            raise ValueError("is off, so there is nothing to cap (cap: 3.0 or off: true)")
        return self


class ReasoningText(Section):
    """What happens to sealed reasoning."""

    foreign: Literal["pass", "drop", "refuse"] = Field(
        description="to what was not served to this account in this conversation"
    )


def settings_of(texts: Mapping[str, DetectorText]) -> dict[str, DetectorSetting]:
    """Return the settings that some texts mean, by detector."""
    return {
        name: DetectorSetting(text.half_life, text.cap, text.off) for name, text in texts.items()
    }


def beyond_accounts(when: WhenText | None) -> str:
    """Return what a condition asks that nobody can tell of an account, as a sentence; '' for none.

    Evidence is of an account: who is judged is chosen by what is known of it.
    """
    named = () if when is None else sorted(when.model_fields_set - set(OF_ACCOUNTS))
    if not named:
        return ""
    *others, last = OF_ACCOUNTS
    return (
        f"evidence is of an account, and `when` asks for {' and '.join(named)} of a request"
        f" ({', '.join(others)} or {last} would do)"
    )


@dataclass(frozen=True, slots=True)
class HalfLife:
    """A half-life that a file says: for which detector, and where."""

    detector: str
    lasts: int
    file: str
    line: int

    @property
    def family(self) -> str:
        """The family of its detector."""
        return FAMILIES[self.detector]


def at_odds(said: Iterable[HalfLife]) -> Iterator[tuple[int, str]]:
    """Tell which half-lives contradict an earlier one of their family: index and sentence."""
    first: dict[str, HalfLife] = {}
    for index, each in enumerate(said):
        before = first.setdefault(each.family, each)
        if before.lasts != each.lasts:
            told = f"{each.family} has the half-life {format_duration(before.lasts)} already"
            where = f"{before.file.rpartition('/')[2]}:{before.line}"
            yield index, f"{told}, of {before.detector} in {where} (one for a whole family)"


def by_family(said: Iterable[HalfLife]) -> dict[str, int]:
    """Return the half-lives that are said, by family."""
    return {each.family: each.lasts for each in said}
