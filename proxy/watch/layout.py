"""Where in a profile which sum stands, and what an exchange adds to which.

Sums are grouped by family of evidence, as each family has a half-life of its own.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from proxy.watch.features import Features
    from proxy.watch.observation import Observation

DIMENSIONS = 128  # of `Features.vector`
VIEWS = ("system", "head", "tail")
VIEW, TOPICS, KINDS, LENGTHS = 48, 128, 16, 16
FEW, GAPS, RUNNING, HOURS = 32, 16, 8, 24
# Bits of a kind, the joint table of what a request was like and what it got.
ALONE, BARE, NAMELESS, LONG = 1, 2, 4, 8
LONG_TOKENS = 64
MILLISECOND, HOUR = 1_000, 3_600_000_000
HOT = 1.0

_SUMS: Mapping[str, tuple[str, ...]] = MappingProxyType({
    # of what was asked and served, retries and what we refused left out
    "content": ("asked", "known", "grades", "instructs", "tools", "words", "output"),
    "reasoning": ("sent", "elicits", "declined", "thinks", "shows", "seals", "thought", "said",
                  "history", "unserved", "foreign_starts", "echoed", "echo_graded"),
    "parameters": ("tuned", "logprobs", "top_logprobs", "biased", "biased_logprobs", "many",
                   "choices", "capped", "hot", "at_cap"),
    "volume": ("requests", "answers", "full", "tokens", "named", "retries", "failed"),
    "recent": ("lately", "lately_tokens", "lately_asked"),
    "invariant": ("foreign", "leaks"),
})  # fmt: skip
_CELLS: Mapping[str, tuple[tuple[str, int], ...]] = MappingProxyType({
    "content": (*((f"view_{view}", VIEW) for view in VIEWS), ("topics", TOPICS), ("kinds", KINDS),
                ("lengths", LENGTHS), ("vector", DIMENSIONS)),
    "reasoning": (("elicited", FEW),),
    "parameters": (("biased_prompts", FEW),),
    "volume": (("gaps", GAPS), ("running", RUNNING), ("hours", HOURS)),
    "recent": (),
    "invariant": (),
})  # fmt: skip
FAMILIES: tuple[str, ...] = tuple(_SUMS)
WHOLE: Mapping[str, float] = MappingProxyType(dict.fromkeys(FAMILIES, 1.0))


def _laid_out() -> tuple[dict[str, int], dict[str, slice], tuple[int, ...]]:
    places: dict[str, int] = {}
    ranges: dict[str, slice] = {}
    sizes: list[int] = []
    at = 0
    for family in FAMILIES:
        began = at
        for name in _SUMS[family]:
            places[name] = at
            at += 1
        for name, size in _CELLS[family]:
            ranges[name] = slice(at, at + size)
            at += size
        sizes.append(at - began)
    return places, ranges, tuple(sizes)


PLACES, RANGES, SIZES = _laid_out()
SIZE = sum(SIZES)


def note(sums: NDArray[np.float32], seen: Observation, weights: Mapping[str, float]) -> None:
    """Add what an exchange says to sums.

    weights: what is left of it by family, where it is older than the sums
    """
    _note_volume(sums, seen, weights["volume"], weights["recent"])
    if seen.foreign:
        sums[PLACES["foreign"]] += seen.foreign * weights["invariant"]
    if seen.how == "refused" or seen.retry:
        return
    _note_parameters(sums, seen, weights["parameters"])
    if "logit_bias" in seen.knobs and "logprobs" in seen.knobs:
        sums[PLACES["leaks"]] += weights["invariant"]
    _note_reasoning(sums, seen, weights["reasoning"])
    if seen.features is not None:
        _note_content(sums, seen, seen.features, weights["content"])


def _note_volume(
    sums: NDArray[np.float32], seen: Observation, weight: float, recent: float
) -> None:
    served = seen.how not in {"refused", "error"}
    sums[PLACES["requests"]] += weight
    sums[PLACES["lately"]] += recent
    sums[PLACES["answers"]] += weight * served
    sums[PLACES["full"]] += weight * (served and seen.full)
    sums[PLACES["tokens"]] += weight * seen.output_tokens
    sums[PLACES["lately_tokens"]] += recent * seen.output_tokens
    sums[PLACES["lately_asked"]] += recent * (served and not seen.retry)
    sums[PLACES["named"]] += weight * bool(seen.user)
    sums[PLACES["retries"]] += weight * (seen.retry > 0)
    sums[PLACES["failed"]] += weight * (seen.how == "error")
    sums[RANGES["hours"].start + seen.at // HOUR % HOURS] += weight
    sums[RANGES["running"].start + min(seen.running.bit_length(), RUNNING - 1)] += weight
    if seen.gap is not None:
        bin_ = min(max(seen.gap // MILLISECOND, 0).bit_length() // 2, GAPS - 1)
        sums[RANGES["gaps"].start + bin_] += weight


def _note_parameters(sums: NDArray[np.float32], seen: Observation, weight: float) -> None:
    sums[PLACES["tuned"]] += weight
    sums[PLACES["choices"]] += weight * min(seen.choices, 128)
    if seen.capped:
        sums[PLACES["capped"]] += weight
    if seen.at_cap:
        sums[PLACES["at_cap"]] += weight
    if seen.temperature is not None and seen.temperature >= HOT:
        sums[PLACES["hot"]] += weight
    if seen.knobs:
        _note_knobs(sums, seen, weight)


def _note_knobs(sums: NDArray[np.float32], seen: Observation, weight: float) -> None:
    knobs = seen.knobs
    if "n" in knobs or "best_of" in knobs:
        sums[PLACES["many"]] += weight
    if "logprobs" in knobs or "prompt_logprobs" in knobs:
        sums[PLACES["logprobs"]] += weight
    if "top_logprobs" in knobs:
        sums[PLACES["top_logprobs"]] += weight
    if "logit_bias" in knobs:
        sums[PLACES["biased"]] += weight
        if "logprobs" in knobs:
            sums[PLACES["biased_logprobs"]] += weight
        if seen.features is not None:
            sums[RANGES["biased_prompts"].start + seen.features.prompt % FEW] += weight


def _note_reasoning(sums: NDArray[np.float32], seen: Observation, weight: float) -> None:
    sums[PLACES["sent"]] += weight
    sums[PLACES["said"]] += weight * seen.output_tokens
    if seen.declined:
        sums[PLACES["declined"]] += weight
    if seen.reasoning_tokens:
        sums[PLACES["thought"]] += weight * seen.reasoning_tokens
    if "reasoning" in seen.knobs:
        sums[PLACES["thinks"]] += weight
    if "reasoning_text" in seen.knobs:
        sums[PLACES["shows"]] += weight
    if "encrypted_reasoning" in seen.knobs:
        sums[PLACES["seals"]] += weight
    if seen.history:
        sums[PLACES["history"]] += weight * seen.history
        sums[PLACES["unserved"]] += weight * seen.unserved
        sums[PLACES["foreign_starts"]] += weight * (seen.unserved == seen.history >= 2)  # noqa: PLR2004
    features = seen.features
    if features is None:
        return
    if features.elicits:
        sums[PLACES["elicits"]] += weight
        sums[RANGES["elicited"].start + features.template % FEW] += weight
    if seen.echoed:
        sums[PLACES["echoed"]] += weight
        sums[PLACES["echo_graded"]] += weight * features.grades


def _note_content(
    sums: NDArray[np.float32], seen: Observation, features: Features, weight: float
) -> None:
    sums[PLACES["asked"]] += weight
    sums[PLACES["known"]] += weight * features.known
    sums[PLACES["grades"]] += weight * features.grades
    sums[PLACES["instructs"]] += weight * features.instructs
    sums[PLACES["tools"]] += weight * ("tools" in seen.knobs)
    sums[PLACES["words"]] += weight * features.words
    sums[PLACES["output"]] += weight * seen.output_tokens
    for view, fingerprint in zip(VIEWS, features.views, strict=True):
        if fingerprint:
            sums[RANGES[f"view_{view}"].start + fingerprint % VIEW] += weight
    sums[RANGES["topics"].start + features.topic % TOPICS] += weight
    sums[RANGES["kinds"].start + kind(seen, features)] += weight
    sums[RANGES["lengths"].start + min(seen.output_tokens.bit_length(), LENGTHS - 1)] += weight
    sums[RANGES["vector"]] += weight * features.vector


def kind(seen: Observation, features: Features) -> int:
    """Return the cell of an exchange in the joint table `kinds`: a sum of bits.

    ALONE: one question without a conversation or tools; BARE: no system text; NAMELESS: no end
    user was named; LONG: the answer had LONG_TOKENS tokens or more
    """
    alone = not seen.history and features.turns <= 2 and "tools" not in seen.knobs  # noqa: PLR2004
    return (
        ALONE * alone
        + BARE * (not features.system)
        + NAMELESS * (not seen.user)
        + LONG * (seen.output_tokens >= LONG_TOKENS)
    )
