"""Time what is read of a prompt on a request's path, by part; count how often marks find a copy.

    python bench/features.py [--data DIR] [--characters 2000] [--rounds 20]

Texts are the prompts of the tests, or with --data those of the prompt pack, put together to the
length asked for. A part's time is the least mean of all rounds, in microseconds: what it costs
where nothing disturbs it. The whole is read from facts that a dialect has made already.
"""

# ruff: noqa: SLF001 - the parts are timed one by one, and are the lens's own
from __future__ import annotations

import argparse
import gzip
import json
import pathlib
import random
import timeit
from typing import TYPE_CHECKING

from proxy.core.facts import RequestFacts
from proxy.watch import features
from proxy.watch.features import Lens
from proxy.watch.known import KNOWN
from proxy.watch.marks import MOST_ASKED, marked, marks, squeezed, windows
from proxy.watch.phrases import elicits, grades, instructs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TESTS = pathlib.Path(__file__).parents[1] / "tests" / "population"
SYSTEM = "You are a helpful assistant of a shop for gardens. Answer in the customer's language."
SECRET = 7
TRIES = 2_000
PASSAGE = 400


def words(data: pathlib.Path | None) -> list[str]:
    """Return sample prompts: of the tests, or public prose."""
    if data is not None:
        file = data / "prompts" / "benign-human_dolly_3k.jsonl.gz"
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            return [json.loads(line)["prompt"] for line in lines]
    return [
        json.loads(line)["prompt"]
        for file in sorted(TESTS.rglob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    ]


def joined(samples: Sequence[str], length: int, dice: random.Random) -> str:
    """Return a text of a length, of samples in the order that the dice give."""
    found = ""
    while len(found) < length:
        found += dice.choice(samples) + "\n"
    return found[:length]


def parts(lens: Lens, text: str) -> dict[str, Callable[[], object]]:
    """Return what is timed, by its name."""
    facts = RequestFacts(
        "openai.chat",
        prompt=f"{SYSTEM}\n{text}",
        turns=(("system", SYSTEM), ("user", text)),
    )
    low = text.lower()
    split = low.split(None, features.MOST_WORDS)[: features.MOST_WORDS]
    hashes = windows(text)
    frame = SYSTEM.lower()
    most = features.MOST_WORDS
    return {
        "fingerprint": lambda: lens._fingerprint(b"prompt", features._levelled(facts.prompt)),
        "words": lambda: text.lower().split(None, most)[:most],
        "frames": lambda: lens._views(frame, split, low),
        "vector": lambda: lens.projection(text),
        "near": lambda: lens._near(split),
        "phrases": lambda: (elicits(low), grades(low), instructs(low)),
        "windows": lambda: windows(text),
        "known": lambda: KNOWN.among(hashes),
        "marks": lambda: marked(hashes, SECRET, MOST_ASKED),
        "all": lambda: lens(facts),
    }


def found_again(samples: Sequence[str], answer: int, passage: int) -> tuple[float, float]:
    """Return how many copies of a passage of an answer share one mark with it, and two."""
    dice = random.Random(5)
    one = two = 0
    for _ in range(TRIES):
        served = joined(samples[0::2], answer, dice)
        start = dice.randrange(answer - passage + 1)
        around = joined(samples[1::2], 600, dice)
        asked = f"{around[:300]}\n\n> {served[start : start + passage]}\n\n{around[300:]}"
        met = len(set(marks(served, SECRET)) & set(marks(asked, SECRET, MOST_ASKED)))
        one, two = one + (met >= 1), two + (met >= 2)
    return one / TRIES, two / TRIES


def main() -> None:
    """Print both tables."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=pathlib.Path, metavar="DIR")
    options.add_argument("--characters", type=int, default=2_000)
    options.add_argument("--rounds", type=int, default=20)
    chosen = options.parse_args()
    samples = words(chosen.data)
    text = joined(samples, chosen.characters, random.Random(3))
    print(f"{len(text):,} characters, {len(squeezed(text)):,} bytes squeezed")
    for name, call in parts(Lens(b"features"), text).items():
        best = min(timeit.repeat(call, number=200, repeat=chosen.rounds)) / 200
        print(f"{name:<28} {best * 1e6:7.1f} µs")
    for answer in (400, 1_000, 2_000, 8_000):
        for passage in dict.fromkeys((PASSAGE, min(answer, 4_000))):
            one, two = found_again(samples, answer, passage)
            print(f"{passage:>5} of {answer:>5} characters come back: {one:7.2%} {two:7.2%} (two)")


if __name__ == "__main__":
    main()
