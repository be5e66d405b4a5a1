"""A YAML file as plain values and the places where they stand.

YAML 1.2, one document, no anchors. Every mistake that can be seen without knowing what the values
mean is collected: syntax, repeated keys, keys that are no text.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

if TYPE_CHECKING:
    from pathlib import Path

Place = tuple[int, int]
Steps = tuple[str | int, ...]

TAG = "tag:yaml.org,2002:"
LARGEST = 1_000_000
DEEPEST = 30


@dataclass(frozen=True, slots=True)
class Mistake:
    """A sentence about something in a file.

    steps: keys and indices that lead to it
    place: line and column, counted from 1
    """

    steps: Steps
    place: Place
    sentence: str


@dataclass(slots=True)
class Document:
    """What a file holds.

    values: dicts, lists, text, numbers, booleans and None
    places: for each path in it the place of its key, or of the item in a list
    """

    values: dict[str, object] = field(default_factory=dict)
    places: dict[Steps, Place] = field(default_factory=lambda: {(): (1, 1)})
    mistakes: list[Mistake] = field(default_factory=list)

    def place(self, steps: Steps) -> Place:
        """Return where a path stands, or where the nearest thing around it does."""
        while steps not in self.places:
            steps = steps[:-1]
        return self.places[steps]

    def blame(self, steps: Steps, node: Node, sentence: str) -> None:
        """Note a mistake at a node."""
        self.mistakes.append(Mistake(steps, placed(node), sentence))


def document(path: Path) -> Document:
    """Read a file; what is wrong with it is in `mistakes`. OSError when it cannot be opened."""
    found = Document()
    with path.open("rb") as stream:
        raw = stream.read(LARGEST + 1)
    if len(raw) > LARGEST:
        found.mistakes.append(Mistake((), (1, 1), f"is larger than {LARGEST} bytes"))
        return found
    try:
        with warnings.catch_warnings():
            # An anchor that is there twice is told as what it is: anchors are not read.
            warnings.simplefilter("ignore", ReusedAnchorWarning)
            root = YAML(typ="rt").compose(raw.decode())
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        found.mistakes.append(Mistake((), (line, column), "is not UTF-8"))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = ", ".join(text for text in (error.context, error.problem) if text)
        found.mistakes.append(Mistake((), place, f"is not YAML: {said}"))
    except (YAMLError, RecursionError):
        found.mistakes.append(Mistake((), (1, 1), "is not YAML that can be read"))
    else:
        values = {} if root is None else plain(root, (), found)
        if isinstance(values, dict):
            found.values = values
        elif values is not None and not found.mistakes:
            found.blame((), root, "must be a mapping (name: value, a line each)")
    return found


def dotted(steps: Steps) -> str:
    """Return a path as it is told.

    >>> dotted(("upstreams", 0, "url"))
    'upstreams[0].url'
    """
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def placed(node: Node) -> Place:
    """Return line and column of a node, counted from 1."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def plain(node: Node, steps: Steps, found: Document) -> object:
    """Return a node's value, and note places and mistakes of all that is in it."""
    if node.anchor is not None:
        found.blame(steps, node, "anchors and aliases are not read here (write it out)")
        return None
    if len(steps) > DEEPEST:
        found.blame(steps, node, "is nested too deeply")
        return None
    match node:
        case MappingNode():
            return mapping(node, steps, found)
        case SequenceNode():
            items = []
            for index, item in enumerate(node.value):
                found.places[*steps, index] = placed(item)
                items.append(plain(item, (*steps, index), found))
            return items
        case ScalarNode():
            return scalar(node, steps, found)
    found.blame(steps, node, "is a kind of YAML that is not read here")
    return None


def mapping(node: MappingNode, steps: Steps, found: Document) -> dict[str, object]:
    """Return a mapping; of repeated keys the first counts, and the others are mistakes."""
    values: dict[str, object] = {}
    for key, value in node.value:
        if not isinstance(key, ScalarNode) or key.tag != f"{TAG}str":
            found.blame(steps, key, "a key must be text")
            continue
        path = (*steps, key.value)
        if key.value in values:
            line = found.places[path][0]
            found.blame(path, key, f"is there twice (first in line {line})")
            continue
        found.places[path] = placed(key)
        values[key.value] = plain(value, path, found)
    return values


def scalar(node: ScalarNode, steps: Steps, found: Document) -> str | float | bool | None:
    """Return text, a number, a boolean or None, as YAML 1.2 has them."""
    text = node.value
    try:
        match str(node.tag).removeprefix(TAG):
            case "str":
                return str(text)
            case "int":
                return int(text.replace("_", ""), 0) if text != "0" else 0
            case "float":
                return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
            case "bool":
                return bool(text.lower() == "true")
            case "null":
                return None
    except ValueError:
        pass
    found.blame(steps, node, f"cannot be read ({text!r} in quotes is text)")
    return None
