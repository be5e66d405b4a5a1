"""Make proxy/watch/known.bin: hashes of windows of the items of public sets.

    python bench/known_sets.py --data DIR --out proxy/watch/known.bin

Sources, of the data's `prompts` folder: GSM8K, train and test (MIT, openai/grade-school-math);
HumanEval (MIT, openai/human-eval); the frame and the seed tasks of Alpaca's generation (Apache-2.0,
tatsu-lab/stanford_alpaca); GPTeacher's code instructions (MIT, teknium1/GPTeacher); items of OpenAI
Evals (MIT, openai/evals). The file holds hashes alone, no text.

An item has at most `ANCHORS` anchors, all in its first 400 characters, at places spread evenly, of
windows that few items share. Items with less than `SHORTEST` letters and digits have none: anybody
may say such a thing. Prints what is found of each set, whole and by its first 400 characters, in a
frame, and how many texts of sets that are not known are taken for known.
"""

from __future__ import annotations

import argparse
import gzip
import json
import pathlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from proxy.watch.known import SAMPLED, KnownSets
from proxy.watch.windows import levelled, windows

ANCHORS = 5
APART = 12  # bytes between an item's anchors
BEGINNING = 400
SHORTEST = 56
SHARED = 2  # items that may have a window together
SETS = (
    "eval_gsm8k_test", "extraction_gsm8k_train", "eval_humaneval", "extraction_alpaca_generation",
    "extraction_gpteacher_codegen", "eval_openai_evals",
)  # fmt: skip
OTHERS = (
    "human_dolly_3k", "human_nq_open_dev", "batch_banking77", "batch_restaurant8k",
    "human_sgd_dialogues", "human_oasst_conversations", "human_awesome_prompts",
)  # fmt: skip
FRAME = "Answer the question below. Think step by step.\n\n### Question\n{}\n\n### Answer\n"
SEED = re.compile(r"\d+\. (?:Instruction: )?(.+?)(?=\n\d+\. |\n###|\Z)", re.DOTALL)


def rows(data: pathlib.Path, name: str) -> Iterator[dict[str, object]]:
    """Yield the rows of a set; its name is the file's, with or without 'benign-'."""
    stem = name if name.startswith("extraction") else f"benign-{name}"
    with gzip.open(data / "prompts" / f"{stem}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def items(data: pathlib.Path, name: str) -> list[str]:
    """Return the items of a set, each once."""
    found: dict[str, None] = {}
    for row in rows(data, name):
        prompt = str(row["prompt"])
        if name == "extraction_alpaca_generation":
            frame, _, seeds = prompt.partition("List of 20 tasks:")
            found[frame] = None
            found.update(dict.fromkeys(each.strip() for each in SEED.findall(seeds)))
        else:
            found[prompt] = None
    return list(found)


def chosen(item: str, shared: Counter[int]) -> list[int]:
    """Return an item's anchors."""
    beginning = item[:BEGINNING]
    if len(levelled(beginning)) < SHORTEST:
        return []
    every = windows(beginning)
    places = [int(place) for place in (every < SAMPLED).nonzero()[0]]
    fit = [place for place in places if shared[int(every[place])] <= SHARED]
    if not fit:
        return []
    taken: list[int] = []
    for aim in np.linspace(fit[0], fit[-1], ANCHORS):
        near = [place for place in fit if all(abs(place - other) >= APART for other in taken)]
        if near:
            taken.append(min(near, key=lambda place: (abs(place - aim), place)))
    return [int(every[place]) for place in taken] if len(taken) > 1 else []


def known_sets(sets: Sequence[Sequence[str]]) -> KnownSets:
    """Return the anchors of all items."""
    every = [item for each in sets for item in each]
    shared: Counter[int] = Counter()
    for item in dict.fromkeys(every):
        found = windows(item[:BEGINNING])
        shared.update(set(found[found < SAMPLED].tolist()))
    anchors = {anchor for item in every for anchor in chosen(item, shared)}
    return KnownSets(np.array(sorted(anchors), np.uint64))


def texts(data: pathlib.Path, name: str) -> list[str]:
    """Return all that people say in a set: prompts, and their turns of conversations."""
    found: dict[str, None] = {}
    for row in rows(data, name):
        found[str(row["prompt"])] = None
        for turn in row.get("conversation") or ():
            if turn["role"] == "user":
                found[turn["content"]] = None
    return list(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    args = parser.parse_args()
    sets = {name: items(args.data, name) for name in SETS}
    known = known_sets(list(sets.values()))
    args.out.write_bytes(known.to_bytes())
    print(f"{args.out}: {len(known):,} anchors, {len(known.to_bytes()):,} bytes")
    for name, every in sets.items():
        long = [item for item in every if len(levelled(item[:BEGINNING])) >= SHORTEST]
        whole = sum(known.holds(FRAME.format(item)) for item in every)
        begun = sum(known.holds(FRAME.format(item[:BEGINNING])) for item in long)
        print(
            f"{name:30} {len(every):5} items, found {whole / len(every):7.2%};"
            f" of {len(long):5} long enough, by their beginnings {begun / len(long):7.2%}"
        )
    for name in OTHERS:
        said = texts(args.data, name)
        false = [text for text in said if known.holds(text)]
        print(f"{name:30} {len(said):5} texts, taken for known {len(false) / len(said):7.3%}")


if __name__ == "__main__":
    main()
