"""From a directory of YAML files to what runs, or to every mistake in it at once."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.core.errors import PolicyError
from proxy.document import Document, document, dotted
from proxy.policy import schema
from proxy.policy.compiled import PolicySet
from proxy.policy.detecting import at_odds, by_family
from proxy.policy.files import CALIBRATION, Mistake, digest, files, mistake, parse
from proxy.policy.models import Models, model_of
from proxy.policy.rules import Author, blame_parts, policy_of
from proxy.watch.calibration import Calibration, calibration_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from proxy.document import Steps
    from proxy.policy.compiled import Model, Policy
    from proxy.policy.detecting import HalfLife

MODELS = ("models.yaml", "models.yml")
CASES = "tests"
MOST_FILES, MOST_MISTAKES = 1000, 500
ATTEMPTS, PAUSE_SECONDS = 5, 0.02


NO_CALIBRATION = Calibration()


@dataclass(frozen=True, slots=True)
class Loaded:
    """A good directory: the policies, the models and the calibration in it.

    calibration: an empty one where there is no file of it: then only invariants are evidence
    """

    policies: PolicySet
    models: Models
    calibration: Calibration = NO_CALIBRATION


@dataclass(slots=True)
class Reading:
    """What has been read of a directory so far.

    where:  the file of each policy
    priced: where limits in dollars stand; they need prices
    half_lives: what is said of half-lives, and where; the files of a set must agree
    """

    policies: list[Policy] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    calibration: Calibration = field(default_factory=Calibration)
    mistakes: list[Mistake] = field(default_factory=list)
    where: dict[str, str] = field(default_factory=dict)
    priced: list[tuple[str, Document, Steps]] = field(default_factory=list)
    half_lives: list[tuple[HalfLife, Document, Steps]] = field(default_factory=list)


def load(directory: Path) -> Loaded:
    """Return what a directory means. PolicyError: all mistakes of all files, one a line.

    Files may be swapped while they are read: what is taken was one state of the directory.
    """
    reading, state = _settled(directory)
    if reading.mistakes:
        raise PolicyError("\n".join(str(each) for each in reading.mistakes))
    half_lives = by_family(said for said, *_ in reading.half_lives)
    policies = PolicySet(tuple(reading.policies), state, half_lives)
    return Loaded(policies, Models(reading.models), reading.calibration)


def check(paths: Sequence[Path]) -> list[Mistake]:
    """Return every mistake in some directories and files. A directory is one set of policies.

    A file is looked at as a part of its directory; cases are looked at by `weir test`.
    """
    found: dict[Mistake, None] = {}
    for path in paths:
        if path.is_dir():
            found |= dict.fromkeys(_settled(path)[0].mistakes)
        elif not path.exists():
            found[Mistake(str(path), 0, 0, "", "is not there")] = None
        elif path not in files(path.parent):
            found[Mistake(str(path), 0, 0, "", "is no policy file (its name ends in .yaml)")] = None
        elif path.parent.name == CASES:
            found[Mistake(str(path), 0, 0, "", "holds cases (weir test)")] = None
        else:
            mistakes = _settled(path.parent)[0].mistakes
            found |= dict.fromkeys(each for each in mistakes if each.file == str(path))
    return list(found)


def _settled(directory: Path) -> tuple[Reading, str]:
    """Read a directory until nothing changes meanwhile; return its digest too."""
    told = "changes while it is read (try again)"
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        try:
            before = digest(directory)
            reading = _read(directory)
            if digest(directory) == before:
                return reading, before
        except OSError as error:
            path = Path(error.filename) if isinstance(error.filename, str) else directory
            told = f"cannot be read ({error.strerror})"
            lost = Mistake(str(path), 0, 0, "", told)
        else:
            lost = Mistake(str(directory), 0, 0, "", told)
    return Reading(mistakes=[lost]), ""


def _read(directory: Path) -> Reading:
    reading = Reading()
    paths = files(directory)
    if len(paths) > MOST_FILES:
        told = f"holds {len(paths)} policy files (at most {MOST_FILES})"
        reading.mistakes.append(Mistake(str(directory), 0, 0, "", told))
        return reading
    for path in paths:
        found, name = document(path), str(path)
        if found.mistakes:
            reading.mistakes += [
                Mistake(name, *each.place, dotted(each.steps), each.sentence)
                for each in found.mistakes
            ]
        elif path.name in MODELS:
            _take_models(name, found, reading)
        else:
            _take_policy(name, found, reading)
    _take_calibration(directory / CALIBRATION, reading)
    _price(reading)
    _agree(reading)
    if not reading.policies and not reading.mistakes:
        told = "holds no policy, so nothing would be limited (free.yaml with limits would do)"
        reading.mistakes.append(Mistake(str(directory), 0, 0, "", told))
    order = {str(path): index for index, path in enumerate(paths)}
    reading.mistakes.sort(key=lambda each: (order.get(each.file, 0), each.line, each.column))
    if len(reading.mistakes) > MOST_MISTAKES:
        told = f"and {len(reading.mistakes) - MOST_MISTAKES:,} more mistakes"
        reading.mistakes[MOST_MISTAKES:] = [Mistake(str(directory), 0, 0, "", told)]
    return reading


def _take_models(name: str, found: Document, reading: Reading) -> None:
    text = parse(name, found, schema.ModelsText, reading.mistakes)
    if text is None:
        return
    if reading.models:
        reading.mistakes.append(mistake(name, (1, 1), (), f"there is {MODELS[0]} already"))
    patterns: set[str] = set()
    for index, each in enumerate(text.models):
        if each.model in patterns:
            steps = ("models", index, "model")
            told = f"{each.model!r} is there twice"
            reading.mistakes.append(mistake(name, found.place(steps), steps, told))
        patterns.add(each.model)
    reading.models = [model_of(each) for each in text.models]


def _take_calibration(path: Path, reading: Reading) -> None:
    if not path.exists():
        return
    try:
        reading.calibration = calibration_of(path.read_bytes())
    except ValueError as error:
        reading.mistakes.append(Mistake(str(path), 0, 0, "", str(error)))


def _take_policy(name: str, found: Document, reading: Reading) -> None:
    """Add one policy to the reading, or every mistake in it."""
    text = parse(name, found, schema.PolicyText, reading.mistakes)
    author = Author(name, found, reading.mistakes)
    if text is None:
        blame_parts(author)
        _take_parts(author, reading)
        return
    if text.policy in reading.where:
        told = f"{text.policy!r} is the policy of {reading.where[text.policy]} already"
        reading.mistakes.append(mistake(name, found.place(("policy",)), ("policy",), told))
    reading.where.setdefault(text.policy, name)
    reading.policies.append(policy_of(author, text))
    _take_parts(author, reading)


def _take_parts(author: Author, reading: Reading) -> None:
    """Add what is looked at when all files have been read."""
    name, found = author.name, author.found
    reading.priced += [(name, found, steps) for steps in author.priced]
    reading.half_lives += [(said, found, steps) for said, steps in author.half_lives]


def _agree(reading: Reading) -> None:
    """Demand one half-life of all detectors of a family: their sums are kept together."""
    for index, told in at_odds(said for said, *_ in reading.half_lives):
        said, found, steps = reading.half_lives[index]
        reading.mistakes.append(mistake(said.file, found.place(steps), steps, told))


def _price(reading: Reading) -> None:
    """Demand a price for every model where a limit counts dollars: the others would be free."""
    if any(each.file.endswith(MODELS) for each in reading.mistakes):
        return
    if any(model.pattern == "*" and _costs(model) for model in reading.models):
        return
    for name, found, steps in reading.priced:
        told = f"models without a price would be free (a model '*' with prices in {MODELS[0]})"
        reading.mistakes.append(mistake(name, found.place(steps), steps, told))


def _costs(model: Model) -> bool:
    return model.input_price > 0 or model.output_price > 0
