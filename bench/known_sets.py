"""Make proxy/watch/known.bin of public sets of prompts, and print how well it knows them.

    python bench/known_sets.py --data DIR [--out proxy/watch/known.bin]

DIR holds the prompt pack, `prompts/*.jsonl.gz`. The file has hashes of windows, no text. Sources:

| set | licence | from |
|---|---|---|
| GSM8K, train and test | MIT | openai/grade-school-math |
| HumanEval | MIT | openai/human-eval |
| OpenAI evals | MIT | openai/evals |
| Self-Instruct's seeds, as Alpaca asked with them | Apache-2.0 | tatsu-lab/stanford_alpaca |
| GPTeacher, code | MIT | teknium1/GPTeacher |

Without --out nothing is written: the shipped file is measured. The same data make the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import json
import pathlib
import re
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from proxy.watch.known import KNOWN, KnownSets
from proxy.watch.marks import WIDTH, WORD, hashed, places, squeezed, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BEGINNING = 400  # characters of an item that its anchors are of
ANCHORS = 3  # of an item
COMMONPLACE = 4.5  # bits: the mean, over a window's words, of the logarithm of items that have them
SHORTEST = 56  # bytes of a squeezed item; anybody may say less
KNOWN_SETS = (
    "benign-eval_gsm8k_test", "extraction_gsm8k_train", "benign-eval_humaneval",
    "benign-eval_openai_evals", "extraction_gpteacher_codegen",
)  # fmt: skip
UNSEEN = "extraction_gpteacher_codegen"  # of its halves one is known: what resembles an item
SEEDS = "extraction_alpaca_generation"
OTHERS = (
    "benign-human_dolly_3k", "benign-human_nq_open_dev", "benign-batch_banking77",
    "benign-batch_restaurant8k", "benign-human_sgd_dialogues", "benign-human_oasst_conversations",
    "benign-human_awesome_prompts",
)  # fmt: skip
FRAMES = (
    "{}",
    "Solve the problem. Think it through before you answer.\n\n### Problem\n{}\n\n### Answer\n",
    "You are a careful teacher and write data to train on. Item: '{}'. Reply as JSON.",
)
SEEDS_BEGIN = "List of 20 tasks:"
SEED = re.compile(r"^\d+\. (?:Instruction|Input|Output):", re.MULTILINE)


def rows(data: pathlib.Path, name: str) -> Iterator[dict[str, object]]:
    """Yield the rows of a set, in the order of its file."""
    with gzip.open(data / "prompts" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def prompts(data: pathlib.Path, name: str) -> list[str]:
    """Return a set's prompts, each once."""
    return list(dict.fromkeys(str(row["prompt"]) for row in rows(data, name)))


def said(data: pathlib.Path, name: str) -> list[str]:
    """Return all that people say in a set, each once: prompts, and their turns of conversations."""
    found = dict.fromkeys(prompts(data, name))
    for row in rows(data, name):
        turns = row.get("conversation") or []
        assert isinstance(turns, list)
        found.update(dict.fromkeys(turn["content"] for turn in turns if turn["role"] == "user"))
    return list(found)


def seeds(data: pathlib.Path) -> list[str]:
    """Return Alpaca's frame, and the instructions, inputs and outputs that it gives as examples."""
    found: dict[str, None] = {}
    for prompt in prompts(data, SEEDS):
        frame, _, examples = prompt.partition(SEEDS_BEGIN)
        found[frame] = None
        for part_of in examples.split("###"):
            found.update(dict.fromkeys(each.strip() for each in SEED.split(part_of)[1:]))
    return list(found)


def made(items: Sequence[str]) -> KnownSets:
    """Return what knows the items: of each the rarest windows, that no other item has.

    A window of words that many items have says nothing even if no other item has just this one:
    "a function that removes repeated words" is anybody's. Items that have no other windows are
    not known.
    """
    every = [squeezed(item[:BEGINNING]) for item in dict.fromkeys(items)]
    every = [each for each in every if len(each) >= SHORTEST]
    found, counts = np.unique(
        np.concatenate([np.unique(words(each)) for each in every]), return_counts=True
    )
    common = np.log2(counts)
    hashes = [hashed(each).tolist() for each in every]
    owners = Counter(chain.from_iterable(set(each) for each in hashes))
    anchors: list[int] = []
    for data, own in zip(every, hashes, strict=True):
        read = words(data)
        inside = places(read)[:, None] + np.arange(WIDTH - WORD + 1)
        usual = common[found.searchsorted(read)][inside].mean(axis=1).tolist()
        fit = {
            (how, each)
            for how, each in zip(usual, own, strict=True)
            if how <= COMMONPLACE and owners[each] == 1
        }
        anchors += [each for _, each in sorted(fit)[:ANCHORS]]
    return KnownSets.from_hashes(anchors)


def part(known: KnownSets, texts: Sequence[str]) -> str:
    """Return how many of some texts hold an item, for people."""
    met = sum(known.holds(text) for text in texts)
    return f"{met:>6,} of {len(texts):>6,} {100 * met / max(1, len(texts)):8.2f} %"


def main() -> None:
    """Make the file if it is wanted, and measure it."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data", type=pathlib.Path, required=True, metavar="DIR")
    options.add_argument("--out", type=pathlib.Path, metavar="FILE")
    chosen = options.parse_args()
    sets = {name: prompts(chosen.data, name) for name in KNOWN_SETS}
    known = KNOWN
    if chosen.out:
        known = made([*chain.from_iterable(sets.values()), *seeds(chosen.data)])
        chosen.out.write_bytes(known.to_bytes())
        print(f"{chosen.out}:", end=" ")
    print(f"{len(known.anchors):,} anchors, {len(known.to_bytes()):,} bytes")
    for name, items in {**sets, SEEDS: prompts(chosen.data, SEEDS)}.items():
        long = [item for item in items if len(squeezed(item[:BEGINNING])) >= SHORTEST]
        for frame in FRAMES:
            print(f"{name:<36} whole in {frame[:12]!r:<16}", part(known, framed(long, frame)))
        cut = [item[:BEGINNING] for item in long]
        print(f"{name:<36} {f'{BEGINNING} characters':<25}", part(known, framed(cut, FRAMES[1])))
        print(f"{name:<36} {'too short':<25}", f"{len(items) - len(long):>6,}")
    halves = sets[UNSEEN][0::2], sets[UNSEEN][1::2]
    print(f"{UNSEEN:<36} unseen half              ", part(made(halves[0]), halves[1]))
    for name in OTHERS:
        print(f"{name:<36} is none             ", part(known, said(chosen.data, name)))


def framed(items: Sequence[str], frame: str) -> list[str]:
    """Return items in a frame."""
    return [frame.replace("{}", item) for item in items]


if __name__ == "__main__":
    main()
