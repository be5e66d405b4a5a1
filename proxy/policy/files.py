"""A directory's files, their digest, and the mistakes in them with their places."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from proxy.document import LARGEST, dotted
from proxy.policy.sentences import sentence

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.document import Document, Place, Steps

Text = TypeVar("Text", bound=BaseModel)

KEY = "[key]"
CALIBRATION = "calibration.json"  # beside the policies, as `weir calibrate` writes it
SUFFIXES = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake and where it is. As text: `file:line:col: path: sentence (what would do)`.

    line, column: counted from 1; 0 where the mistake is about a file or directory as a whole
    """

    file: str
    line: int
    column: int
    path: str
    sentence: str

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        path = f"{self.path}: " if self.path else ""
        return f"{self.file}{place}: {path}{self.sentence}"


def files(directory: Path) -> list[Path]:
    """Return a directory's YAML files in order of name; OSError as `iterdir`.

    Hidden names are left out: editors' copies, and the folders behind a ConfigMap's links.
    A link that leads nowhere is in: what it stood for is missing, and nobody should miss that.
    """
    return sorted(
        path
        for path in directory.iterdir()
        if path.suffix in SUFFIXES
        and not path.name.startswith((".", "#"))
        and (path.is_file() or not path.exists())
    )


def all_files(directory: Path) -> list[Path]:
    """Return all that a policy set is made of: its YAML files, and its calibration; OSError."""
    calibration = directory / CALIBRATION
    return [*files(directory), *([calibration] if calibration.exists() else [])]


def digest(directory: Path) -> str:
    """Return 16 hex digits over the names and contents of a directory's files; OSError.

    Of a file that is too large to be read only the beginning counts.
    """
    hashed = hashlib.sha256()
    for path in all_files(directory):
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
        name = path.name.encode("utf-8", "surrogateescape")
        hashed.update(b"%d:%b:%d:%b" % (len(name), name, len(content), content))
    return hashed.hexdigest()[:16]


def parse(name: str, found: Document, model: type[Text], mistakes: list[Mistake]) -> Text | None:
    """Return a document as a model, or None with the mistakes added that were in it."""
    try:
        return model.model_validate(found.values)
    except ValidationError as failure:
        for error in failure.errors(include_url=False):
            # Of a mapping's key that is wrong itself, pydantic says so in a step of its own.
            steps: Steps = tuple(step for step in error["loc"] if step != KEY)
            told = sentence(error, names(model, steps[:-1]))
            mistakes.append(mistake(name, found.place(steps), steps, told))
        return None


def mistake(name: str, place: Place, steps: Steps, told: str) -> Mistake:
    """Return a mistake at a path of a document."""
    return Mistake(name, *place, dotted(steps), told)


def names(model: type[BaseModel], steps: Steps) -> list[str]:
    """Return the keys that are known at a path, in the order in which they are documented.

    >>> from proxy.policy.schema import PolicyText
    >>> names(PolicyText, ("limits", 0))[:3]
    ['limit', 'allow', 'per']
    """
    here: type[BaseModel] | None = model
    named = False  # the next step is a name that the file's author has chosen
    for step in steps:
        if here is None:
            return []
        if isinstance(step, str) and not named:
            fields = {field.alias or key: field for key, field in here.model_fields.items()}
            annotation = fields[step].annotation if step in fields else None
            here, named = _model_in(annotation), get_origin(annotation) is dict
        else:
            named = False
    return [] if here is None else [field.alias or key for key, field in here.model_fields.items()]


def _model_in(annotation: object) -> type[BaseModel] | None:
    """Return the model that an annotation holds: itself, in a list, or beside None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
