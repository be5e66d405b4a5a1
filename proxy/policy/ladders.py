"""What the files say of the ladder: what each level does, and from what evidence it is reached."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, model_validator

from proxy.core.quantities import UNITS
from proxy.core.shape import NO_SHAPE
from proxy.core.standing import Level
from proxy.policy.compiled import Rung
from proxy.policy.words import Name, Section, code, lasting, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxy.core.shape import Shape

EVIDENCE: Final = "evidence"
INVARIANT: Final = "invariant"
PERSON: Final = "person"
WATCH: Final = "watch"
HIGHEST: Final = "contained"
# How long somebody is contained by an invariant, where the rung does not say.
CONTAINED = 7 * UNITS["d"]
ALONE, TOGETHER = 1, 2  # families that must speak: below guarded, and from there on

By = Literal["evidence", "invariant", "person"]
Lasts = Annotated[int, PlainValidator(lasting, json_schema_input_type=str)]


class RungText(Section):
    """What a level of standing does to an account, and what sets it."""

    level: Literal["watch", "guarded", "restricted", "contained"]
    shape: Name | None = None
    refuse: Annotated[str, AfterValidator(code)] | None = Field(
        None, description="the code that the client is told: account_under_review"
    )
    at: Annotated[float, Field(gt=0, le=50, allow_inf_nan=False)] | None = Field(
        None, description="evidence from which it is reached, in nats: 2.0 to 10.0 for most"
    )
    families: Annotated[int, Field(ge=1, le=4)] | None = Field(
        None, description="how many kinds of evidence must speak; 1 for watch, 2 above it"
    )
    for_: Lasts | None = Field(
        None, alias="for", description="how long it holds once it is reached: 1m to 30d"
    )
    by: Annotated[
        list[By],
        BeforeValidator(listed, json_schema_input_type=By | list[By]),
        Field(min_length=1),
    ] | None = Field(None, description="what sets it: evidence with `at`, else person")  # fmt: skip

    @model_validator(mode="after")
    def does_something(self) -> Self:
        """Refuse a rung that does nothing or two things, and one out of proportion."""
        quiet = self.level == WATCH and self.at is not None
        both = self.shape is not None and self.refuse is not None
        if both or (self.shape is None and self.refuse is None and not quiet):
            raise ValueError("is either shape or refuse (shape: guarded)")
        if self.refuse is not None and self.level in {WATCH, "guarded"}:
            raise ValueError(f"{self.level} does not refuse, only restricted and contained do")
        if self.level == HIGHEST and self.refuse is None:
            raise ValueError("contained refuses (refuse: account_under_review)")
        return self

    @model_validator(mode="after")
    def is_reached(self) -> Self:
        """Refuse a rung that cannot be reached as it says, or too easily."""
        said = set(self.by or ())
        if self.by is not None and len(said) != len(self.by):
            raise ValueError("by names the same thing twice")
        if self.level == HIGHEST:
            _contains(self, said)
        elif self.at is None:
            _waits_for_somebody(self, said)
        else:
            _is_reached_by_evidence(self, said)
        return self


def _contains(text: RungText, said: set[By]) -> None:
    if text.at is not None or EVIDENCE in said:
        raise ValueError(
            "contained is not reached by weighing evidence, which may be wrong: an invariant or a"
            " person sets it (by: [invariant, person])"
        )
    if text.families is not None:
        raise ValueError("families goes with at, and contained has none (leave it out)")
    if text.for_ is not None and INVARIANT not in said:
        raise ValueError(_WHOSE_TIME)


def _waits_for_somebody(text: RungText, said: set[By]) -> None:
    if EVIDENCE in said:
        raise ValueError("from how much evidence? (at: 4.0)")
    if INVARIANT in said:
        raise ValueError(
            f"{text.level} is reached by invariants as by all evidence, so say how much (at: 4.0)"
        )
    if text.families is not None:
        raise ValueError("families goes with at (at: 4.0)")
    if text.for_ is not None:
        raise ValueError(_WHOSE_TIME)


def _is_reached_by_evidence(text: RungText, said: set[By]) -> None:
    if said and EVIDENCE not in said:
        raise ValueError("has at, so evidence sets it (by: [evidence], or leave it out)")
    if text.for_ is None:
        raise ValueError("for how long? (for: 24h)")
    if text.families == ALONE and text.level != WATCH:
        raise ValueError(
            f"one kind of evidence has an honest explanation too often for {text.level}"
            " (families: 2)"
        )


_WHOSE_TIME = "for goes with at: whoever else sets a level says for how long (leave it out)"


def rung_of(text: RungText, shape: Shape = NO_SHAPE) -> Rung:
    """Return the rung that a text means. shape: what its `shape` names."""
    level = Level(text.level)
    usual: By = PERSON if text.at is None else EVIDENCE
    said = text.by or [usual]
    families = text.families or (ALONE if level is Level.WATCH else TOGETHER)
    lasts = CONTAINED if text.for_ is None and INVARIANT in said else text.for_ or 0
    return Rung(
        level=level,
        shape=shape,
        refuse=text.refuse or "",
        at=text.at,
        families=0 if text.at is None else families,
        lasts=lasts,
        by=tuple(each for each in get_args(By) if each in said),
    )


def falling(texts: Mapping[int, RungText]) -> Iterator[tuple[int, int, str]]:
    """Tell where `at` does not rise with the level: its rung, the one below it, and a sentence."""
    weighed = sorted(
        (Level(text.level).rank, index) for index, text in texts.items() if text.at is not None
    )
    for (low_rank, low), (high_rank, high) in pairwise(weighed):
        below, above = texts[low], texts[high]
        assert below.at is not None and above.at is not None  # noqa: PT018 - one thought
        if high_rank > low_rank and above.at <= below.at:
            told = f"must be above the {below.at:g} of {below.level}"
            yield high, low, f"{told}: more is done on more evidence only"
