"""From a directory of YAML files to what runs, or to every mistake in it at once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from proxy.core.errors import PolicyError
from proxy.document import Document, Steps, document, dotted
from proxy.policy import schema
from proxy.policy.compiled import Policy, PolicySet
from proxy.policy.match import condition
from proxy.policy.meaning import Blame, limit_of
from proxy.policy.models import Models, model_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

    from proxy.policy.compiled import Limit
    from proxy.policy.schema import PolicyText

Text = TypeVar("Text", bound=BaseModel)

MODELS = ("models.yaml", "models.yml")
LATER = {
    "capabilities", "shapes", "detectors", "ladder", "cluster", "canary", "topics", "templates",
}  # fmt: skip
SENTENCES = {
    "missing": "is missing",
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping (name: value)",
    "model_type": "must be a mapping (name: value)",
    "model_attributes_type": "must be a mapping (name: value)",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_too_long": "is longer than 256 characters",
    "string_pattern_mismatch": "is a name: lower case letters, digits, '-', '.', '_', 63 at most",
    "literal_error": "must be {expected}",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake and where it is. As text: `file:line:col: path: sentence (what would do)`."""

    file: str
    line: int
    column: int
    path: str
    sentence: str

    def __str__(self) -> str:
        path = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}:{self.column}: {path}{self.sentence}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A good directory: the policies and the models in it."""

    policies: PolicySet
    models: Models


@dataclass(slots=True)
class Reading:
    """What has been read of a directory so far. `where` finds a policy's first line again."""

    policies: list[Policy] = field(default_factory=list)
    models: Models = field(default_factory=Models)
    mistakes: list[Mistake] = field(default_factory=list)
    where: dict[str, str] = field(default_factory=dict)


def files(directory: Path) -> list[Path]:
    """Return a directory's policy and model files in order of name; OSError as `iterdir`.

    Hidden names are left out: editors' copies, and the folders behind a ConfigMap's links.
    """
    return sorted(
        path
        for path in directory.iterdir()
        if path.suffix in {".yaml", ".yml"} and not path.name.startswith(".") and path.is_file()
    )


def digest(directory: Path) -> str:
    """Return 16 hex digits over the names and contents of a directory's files; OSError."""
    hashed = hashlib.sha256()
    for path in files(directory):
        content = path.read_bytes()
        hashed.update(f"{len(path.name)}:{path.name}:{len(content)}:".encode() + content)
    return hashed.hexdigest()[:16]


def load(directory: Path) -> Loaded:
    """Return what a directory means. PolicyError: all mistakes of all files, one a line."""
    try:
        # Files are swapped under us: what is taken must be one state of the directory.
        before, reading, after = digest(directory), _read(files(directory)), digest(directory)
        if before != after:
            before, reading, after = digest(directory), _read(files(directory)), digest(directory)
    except OSError as error:
        raise PolicyError(f"{directory}: cannot be read ({error.strerror})") from None
    if before != after:
        raise PolicyError(f"{directory}: changes while it is read (try again)")
    if not reading.mistakes and not reading.policies:
        raise PolicyError(f"{directory}: holds no policy (a file such as free.yaml with limits)")
    if reading.mistakes:
        raise PolicyError("\n".join(str(mistake) for mistake in reading.mistakes))
    return Loaded(PolicySet(tuple(reading.policies), before), reading.models)


def check(paths: Sequence[Path]) -> list[str]:
    """Return every mistake in some files and directories; a directory is one set of policies."""
    found: list[str] = []
    for path in paths:
        if path.is_dir():
            try:
                load(path)
            except PolicyError as error:
                found += str(error).splitlines()
        elif path.is_file():
            found += [str(mistake) for mistake in _read([path]).mistakes]
        else:
            found.append(f"{path}: is not there")
    return found


def _read(paths: list[Path]) -> Reading:
    reading = Reading()
    for path in paths:
        found = document(path)
        name = str(path)
        reading.mistakes += [
            Mistake(name, *each.place, dotted(each.steps), each.sentence) for each in found.mistakes
        ]
        if found.mistakes:
            continue
        if path.name in MODELS:
            texts = parse(name, found, schema.ModelsText, reading.mistakes)
            if texts is not None:
                reading.models = Models([model_of(text) for text in texts.models])
        else:
            text = parse(name, found, schema.PolicyText, reading.mistakes)
            if text is not None:
                _take(name, found, text, reading)
    return reading


def parse(name: str, found: Document, model: type[Text], mistakes: list[Mistake]) -> Text | None:
    """Return a document as a model, or None with the mistakes added that were in it."""
    try:
        return model.model_validate(found.values)
    except ValidationError as failure:
        for error in failure.errors(include_url=False, include_context=True):
            steps: Steps = tuple(error["loc"])
            place = found.place(steps)
            mistakes.append(Mistake(name, *place, dotted(steps), _sentence(error, model)))
        return None


def _take(name: str, found: Document, text: PolicyText, reading: Reading) -> None:
    """Add one policy to the reading, with the mistakes that only meaning shows."""

    def blame(steps: Steps, sentence: str) -> None:
        place = found.place(steps)
        reading.mistakes.append(Mistake(name, *place, dotted(steps), sentence))

    if text.policy in reading.where:
        blame(("policy",), f"{text.policy!r} is the policy of {reading.where[text.policy]} already")
    reading.where.setdefault(text.policy, name)
    limits: list[Limit] = []
    for index, each in enumerate(text.limits):
        try:
            limit = limit_of(text.policy, each)
        except Blame as error:
            blame(("limits", index, error.key), str(error))
            continue
        if any(limit.name == earlier.name for earlier in limits):
            blame(("limits", index, "limit"), f"{limit.name!r} is the name of an earlier limit")
        limits.append(limit)
    try:
        applies = condition(text.when)
    except ValueError as error:
        blame(("when", "ip"), f"{error} (203.0.113.0/24)")
        return
    reading.policies.append(Policy(text.policy, text.about, applies, tuple(limits), name))


def _sentence(error: ErrorDetails, model: type[BaseModel]) -> str:
    if error["type"] == "extra_forbidden":
        return _unknown(str(error["loc"][-1]), model)
    told = SENTENCES.get(error["type"])
    if told is None:
        return f"cannot be read ({error['msg'].lower()})"
    return told.format(**error.get("ctx", {}))


def _unknown(key: str, model: type[BaseModel]) -> str:
    if key in LATER:
        return f"{key!r} is not known in this version"
    nearest = get_close_matches(key, list(_names(model)), n=1)
    return f"is unknown (did you mean {nearest[0]!r}?)" if nearest else "is unknown (remove it)"


def _names(model: type[BaseModel]) -> Iterator[str]:
    """Yield every key of a model's schema, nested ones too."""
    made = model.model_json_schema(by_alias=True)
    for part in (made, *made.get("$defs", {}).values()):
        yield from part.get("properties", {})
