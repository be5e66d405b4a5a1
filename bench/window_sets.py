"""The prompts that `window.py` and `basis.py` read, by source."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pathlib

# The fixed frames that a customer with such a batch would use.
FRAMES = {
    "banking77": "You are a support assistant of a bank. Classify the customer's message into one"
    " of the 77 intents and answer with the label only.\n\nMessage: {}\nLabel:",
    "restaurant8k": "Extract the booking details (people, date, time, first and last name) from"
    ' the message below as JSON.\n\n"{}"',
}
FEWEST = 600  # prompts of a set: a reference, windows to set thresholds by, and windows to test


def _prompts(file: pathlib.Path) -> tuple[str, ...]:
    name = file.name.split("_", 1)[1].removesuffix(".jsonl.gz")
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line)["prompt"] for line in lines]
    frame = FRAMES.get(name, "{}")
    return tuple(dict.fromkeys(frame.format(row) for row in rows))


def _sets(data: pathlib.Path, kinds: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    found = {}
    for file in sorted((data / "prompts").glob("*.jsonl.gz")):
        kind, name = file.name.split("_", 1)
        if kind in kinds:
            found[name.removesuffix(".jsonl.gz")] = _prompts(file)
    return found


def sample_sets(folder: pathlib.Path) -> tuple[dict[str, tuple[str, ...]], ...]:
    """Return the benign prompts and the attack of the tests' own few texts."""
    found: dict[str, list[str]] = {"sample": [], "sums": []}
    for file in sorted(folder.glob("*.jsonl")):
        rows = [json.loads(line)["prompt"] for line in file.read_text("utf-8").splitlines()]
        found["sums" if file.name.startswith("sums") else "sample"] += rows
    return {"sample": tuple(found["sample"])}, {"sums": tuple(found["sums"])}


def honest_sets(data: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """Return the benign sets of FEWEST distinct prompts or more, by name."""
    every = _sets(data, ("benign-human", "benign-batch", "benign-eval"))
    return {name: prompts for name, prompts in every.items() if len(prompts) >= FEWEST}


def attack_sets(data: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """Return the sets of distillations, by name."""
    return _sets(data, ("extraction",))
